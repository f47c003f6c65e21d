//! The steps from `EnterPidNamespace` or `LeaveMemory` on, in a process
//! that others may look into: it has what the container's program will have, and nothing of kan's
//! memory.
//!
//! What these steps need is copied into a capsule ([`contents`]) before kan clones init. Afterwards only the
//! capsule, the program's image and the status page exist in the process, so nothing here may touch
//! the plan, allocate, or use thread-local data. The status page and the channel can be written to
//! by whoever may trace the process: the host half treats what they say as a claim.
//!
//! Thousands of created containers may wait for `start`, each keeping the pages of kan's image that
//! it touched last. So what runs while one waits is in a section of its own, `kan_waiting`, and the
//! rest of the image is dropped ([`memory::drop_image`]).

mod contents;

pub(crate) use contents::{Visible, prepare};

use crate::credentials;
use crate::exec::{ExecStrings, Line};
use crate::hooks;
use crate::outcome::{Step, Stop};
use crate::reason::Reason;
use crate::slots::Slots;
use contents::VisibleStep;
use core::sync::atomic::Ordering::SeqCst;
use kan_op::init::{FilterInstruction, Listener};
use kan_op::{Board, Flaw, HOOKS_RUN, Slot};
use kan_sys::capsule;
use kan_sys::fd::{AsRawFd, BorrowedFd};
use kan_sys::process::{self, Strings};
use kan_sys::{Errno, io, memory, socket, terminal};

impl Visible {
    /// Clones the process and ends this one: its pid is where the host half looks for it, once
    /// this process has exited with 0.
    pub(crate) fn clone_process(&'static mut self, slots: &Slots, strings: &ExecStrings<'_>) -> ! {
        self.complete(slots, strings);
        let place = self.place;
        place.enter(self, clone_and_exit)
    }

    /// Leaves this process' memory and performs the steps in it.
    pub(crate) fn leave_memory(&'static mut self, slots: &Slots, strings: &ExecStrings<'_>) -> ! {
        self.complete(slots, strings);
        let place = self.place;
        place.enter(self, leave_and_begin)
    }

    /// Takes over what was not known before init was cloned.
    fn complete(&mut self, slots: &Slots, strings: &ExecStrings<'_>) {
        for (index, number) in self.descriptors.iter_mut().enumerate() {
            *number = slots.number(index);
        }
        self.found = strings
            .found_at()
            .and_then(|at| self.candidates.get(at))
            .copied();
        for (to, from) in self.home.iter().zip(strings.home.iter()) {
            to.set(*from);
        }
    }

    fn board(&self) -> Board<'static> {
        Board::new(self.words)
    }

    fn descriptor(&self, slot: Slot) -> Result<BorrowedFd<'static>, Stop> {
        self.descriptor_at(slot.index())
    }

    /// The descriptor in the slot with this [`Slot::index`], which the compiler computes where a
    /// process waits: at run time it takes a table outside of `kan_waiting`.
    #[unsafe(link_section = "kan_waiting")]
    fn descriptor_at(&self, index: usize) -> Result<BorrowedFd<'static>, Stop> {
        match self.descriptors[index] {
            // SAFETY: it was in a slot when this process was cloned, and only `Close` and execve(2)
            // close it.
            number @ 0.. => Ok(unsafe { BorrowedFd::borrow_raw(number) }),
            _ => Err(Flaw::OutOfStep.into()),
        }
    }

    /// The steps on the way to [`VisibleStep::AwaitStart`]. `None` for any other step.
    ///
    /// By comparisons, the last of which the compiler cannot combine with the others: a `match` takes
    /// a table outside of `kan_waiting`.
    #[inline(never)]
    #[unsafe(link_section = "kan_waiting")]
    fn perform_waiting(&mut self, step: &VisibleStep) -> Option<Step> {
        if let VisibleStep::Wait(sync) = step {
            let channel = self.descriptor_at(const { Slot::Channel.index() });
            Some(channel.and_then(|channel| crate::sync::wait(channel, *sync)))
        } else if let VisibleStep::Tell(sync) = step {
            let channel = self.descriptor_at(const { Slot::Channel.index() });
            Some(channel.and_then(|channel| crate::sync::tell(channel, *sync)))
        } else if let VisibleStep::AwaitStart = step {
            let fifo = self.descriptor_at(const { Slot::Fifo.index() });
            Some(fifo.and_then(crate::sync::await_start))
        } else if let VisibleStep::LoadFilter {
            program,
            flags,
            listener,
        } = core::hint::black_box(step)
        {
            Some(self.load_filter(program, *flags, *listener))
        } else {
            None
        }
    }

    #[inline(never)]
    fn perform(&mut self, step: &VisibleStep) -> Step {
        match *step {
            VisibleStep::NewSession => Ok(process::setsid()?),
            VisibleStep::ControlTerminal => Ok(terminal::control(io::standard(0))?),
            VisibleStep::LoadFilter {
                program,
                flags,
                listener,
            } => self.load_filter(program, flags, listener),
            VisibleStep::SetCapabilities {
                effective,
                permitted,
                inheritable,
            } => credentials::set_capabilities(effective, permitted, inheritable),
            VisibleStep::Tell(sync) => crate::sync::tell(self.descriptor(Slot::Channel)?, sync),
            VisibleStep::Wait(sync) => crate::sync::wait(self.descriptor(Slot::Channel)?, sync),
            VisibleStep::Close(slot) => {
                let number = core::mem::replace(&mut self.descriptors[slot.index()], -1);
                // SAFETY: the slot's entry is gone.
                unsafe { io::close(number) };
                Ok(())
            }
            VisibleStep::AwaitStart => crate::sync::await_start(self.descriptor(Slot::Fifo)?),
            VisibleStep::RunHook(hook) => hooks::run(hook, |slot| self.descriptor(slot), None),
            VisibleStep::TellHooksRun => {
                io::write(self.descriptor(Slot::Fifo)?, &[HOOKS_RUN])?;
                Ok(())
            }
            VisibleStep::Execute => self.execute(),
        }
    }

    #[unsafe(link_section = "kan_waiting")]
    fn load_filter(
        &mut self,
        program: &[FilterInstruction],
        flags: u32,
        handed: Option<Listener>,
    ) -> Step {
        let Some(listener) = credentials::load(program, flags)? else {
            return Ok(());
        };
        match handed {
            Some(Listener::Offered) => self.board().offer(listener.as_raw_fd()),
            Some(Listener::Sent) => {
                socket::send_descriptor(self.descriptor(Slot::Channel)?, c"listener", &listener)?;
            }
            None => {}
        }
        self.descriptors[Slot::Listener.index()] = listener.as_raw_fd();
        io::keep(listener);
        Ok(())
    }

    fn execute(&self) -> Step {
        let path = self.found.ok_or(Stop::from(Flaw::OutOfStep))?;
        // SAFETY: both arrays end in null, and their strings lie in the capsule.
        let (args, env) = unsafe { (Strings::new(self.args), Strings::new(self.env)) };
        Err(process::execve(path, args, env).into())
    }

    #[cold]
    #[inline(never)]
    fn fail(&self, step: VisibleStep, stop: Stop) {
        let failure = stop.failure();
        self.board().fail(failure);
        let reason = self.reason(step, failure);
        self.complain_if_alone(step, failure, &reason);
    }

    #[unsafe(link_section = "kan_waiting")]
    fn stamp(&self, index: usize) {
        if self.is_traced {
            self.board().stamp(index, memory::monotonic_ns());
        }
    }

    /// As [`crate::Init::give_reason`].
    #[cold]
    #[inline(never)]
    fn reason(&self, step: VisibleStep, failure: kan_op::Failure) -> Reason {
        let reason = Reason::default();
        if let (VisibleStep::Execute, Some(path)) = (step, self.found) {
            reason.look_at_program(path, Errno::new(failure.errno.into()));
        }
        reason.tell(|text| self.board().give_reason(text));
        reason
    }

    /// As [`crate::Init::complain_if_alone`].
    #[cold]
    #[inline(never)]
    fn complain_if_alone(&self, step: VisibleStep, failure: kan_op::Failure, reason: &Reason) {
        let Ok(channel) = self.descriptor(Slot::Channel) else {
            return;
        };
        if !socket::peer_is_gone(channel) {
            return;
        }
        let line = match step {
            // kan failed, and has said so.
            VisibleStep::Wait(_) | VisibleStep::Tell(_) => return,
            VisibleStep::RunHook(hook) => {
                Line::of_hook((hook.kind, hook.index, hook.timeout), failure)
            }
            VisibleStep::Execute => Line::of_execution(self.found, failure),
            _ => Line::of_call(failure),
        };
        let line = line.ended_with(reason);
        let _ = io::write(io::standard(2), line.bytes());
        if let Ok(fifo) = self.descriptor(Slot::Fifo) {
            let _ = io::write(fifo, line.bytes());
        }
    }
}

/// On the capsule's stack.
fn clone_and_exit(visible: &'static mut Visible) -> ! {
    let (place, board, sibling) = (visible.place, visible.board(), visible.sibling);
    // SAFETY: this runs on the capsule's stack, and from here on only what `Visible` points at is
    // used, which lies in the capsule and on the two shared pages.
    let cloned = unsafe { place.leave_memory(&[visible.words, sibling]) }
        .and_then(|()| capsule::keep_from_children(sibling))
        .and_then(|()| capsule::clone_sibling(visible, begin));
    match cloned {
        Ok(pid) => {
            if let Some(word) = sibling.first() {
                word.store(u64::from(pid.unsigned_abs()), SeqCst);
            }
            process::exit(0)
        }
        Err(error) => {
            board.fail(Stop::from(error).failure());
            process::exit(255)
        }
    }
}

/// On the capsule's stack.
fn leave_and_begin(visible: &'static mut Visible) -> ! {
    // SAFETY: this runs on the capsule's stack, and from here on only what `Visible` points at is
    // used, which lies in the capsule and on the status page.
    if let Err(error) = unsafe { visible.place.leave_memory(&[visible.words]) } {
        visible.board().fail(Stop::from(error).failure());
        process::exit(255)
    }
    begin(visible)
}

/// The process that the container sees, until it is the program.
#[unsafe(link_section = "kan_waiting")]
fn begin(visible: &mut Visible) -> ! {
    if visible.waits {
        // SAFETY: one thread, which changes no instructions and no constants.
        unsafe { memory::drop_image(visible.page) };
    }
    visible.stamp(visible.first - 1);
    for (index, step) in visible.steps.iter().enumerate() {
        let index = visible.first + index;
        visible.board().begin(index);
        let done = match visible.perform_waiting(step) {
            Some(done) => done,
            None => visible.perform(step),
        };
        if let Err(stop) = done {
            visible.fail(*step, stop);
            break;
        }
        visible.is_traced &= !matches!(step, VisibleStep::LoadFilter { .. });
        visible.stamp(index);
    }
    process::exit(255)
}
