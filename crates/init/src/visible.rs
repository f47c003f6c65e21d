//! The steps from [`InitStep::EnterPidNamespace`] or [`InitStep::LeaveMemory`] on, in a process
//! that others may look into: it has what the container's program will have, and nothing of kan's
//! memory.
//!
//! What these steps need is copied into a [`Capsule`] before kan clones init. Afterwards only the
//! capsule, the program's image and the status page exist in the process, so nothing here may touch
//! the plan, allocate, or use thread-local data. The status page and the channel can be written to
//! by whoever may trace the process: the host half treats what they say as a claim.
//!
//! Thousands of created containers may wait for `start`, each keeping the pages of kan's image that
//! it touched last. So what runs while one waits is in a section of its own, `kan_waiting`, and the
//! rest of the image is dropped ([`memory::drop_image`]).

use crate::credentials;
use crate::exec::{ExecStrings, HOME_SIZE, Line};
use crate::hooks::{self, HookRun};
use crate::outcome::{Step, Stop};
use crate::reason::Reason;
use crate::slots::Slots;
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ffi::{CStr, c_char};
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use kan_op::init::{FilterInstruction, InitHook, Listener};
use kan_op::{Board, Flaw, HOOKS_RUN, InitStep, Slot, Sync};
use kan_sys::capsule::{self, Capsule, Place};
use kan_sys::fd::{AsRawFd, BorrowedFd};
use kan_sys::process::{self, Strings};
use kan_sys::{Errno, io, memory, socket, terminal};

/// The steps that may follow. Each does only what a process can do that has the program's
/// credentials already.
#[derive(Clone, Copy, Debug)]
enum VisibleStep {
    NewSession,
    ControlTerminal,
    LoadFilter {
        program: &'static [FilterInstruction],
        flags: u32,
        listener: Option<Listener>,
    },
    SetCapabilities {
        effective: u64,
        permitted: u64,
        inheritable: u64,
    },
    Tell(Sync),
    Wait(Sync),
    Close(Slot),
    AwaitStart,
    RunHook(&'static HookRun<'static>),
    TellHooksRun,
    Execute,
}

/// All that the process has, in the capsule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visible {
    place: Place,
    page: usize,
    words: &'static [AtomicU64],
    /// Where the host half finds the pid of a cloned process, in which it is not mapped.
    sibling: &'static [AtomicU64],
    /// The place of the first of `steps` in the plan.
    first: usize,
    steps: &'static [VisibleStep],
    /// Whether each step's time is taken: not once a filter may forbid to ask for it.
    is_traced: bool,
    /// Whether it waits for `start`.
    waits: bool,
    candidates: &'static [&'static CStr],
    args: &'static [*const c_char],
    env: &'static [*const c_char],
    /// Room for [`ExecStrings::home`].
    home: &'static [Cell<u8>],
    found: Option<&'static CStr>,
    /// The numbers of the descriptors in slots, by [`Slot::index`]; -1 for none.
    descriptors: [i32; Slot::COUNT],
}

/// Copies the steps after [`InitStep::EnterPidNamespace`] or [`InitStep::LeaveMemory`] into a
/// capsule. `None` if a step among them may not follow, or if there is neither.
///
/// # Errors
/// mmap(2).
pub(crate) fn prepare(
    steps: &[InitStep],
    words: &'static [AtomicU64],
    sibling: &'static [AtomicU64],
) -> kan_sys::Result<Option<&'static mut Visible>> {
    let is_entry =
        |step: &InitStep| matches!(step, InitStep::EnterPidNamespace | InitStep::LeaveMemory);
    let Some(entry) = steps.iter().position(is_entry) else {
        return Ok(None);
    };
    let first = entry + 1;
    let (before, steps) = steps.split_at(first);
    let is_filter = |step: &InitStep| matches!(step, InitStep::LoadFilter { .. });
    let mut capsule = Capsule::new(room(steps))?;
    let is_traced = Board::new(words).is_traced() && !before.iter().any(is_filter);
    Ok(fill(
        &mut capsule,
        (steps, first),
        is_traced,
        words,
        sibling,
    ))
}

/// What the copies take, bytes.
fn room(steps: &[InitStep]) -> usize {
    let strings = |all: &[CString]| -> usize {
        let bytes: usize = all.iter().map(|one| one.as_bytes_with_nul().len()).sum();
        bytes + Capsule::room_for::<&CStr>(all.len() + 2)
    };
    let of_step = |step: &InitStep| match step {
        InitStep::LoadFilter { program, .. } => {
            Capsule::room_for::<FilterInstruction>(program.len())
        }
        InitStep::RunHook(hook) => {
            let states = hook.state_before.len() + hook.state_after.len();
            let path = hook.path.as_bytes_with_nul().len();
            let run = Capsule::room_for::<HookRun<'static>>(1);
            states + path + run + strings(&hook.args) + strings(&hook.env)
        }
        InitStep::Execute(program) => {
            let program =
                [&program.candidates, &program.args, &program.env].map(|all| strings(all));
            program.iter().sum()
        }
        _ => 0,
    };
    let all: usize = steps.iter().map(of_step).sum();
    let own = Capsule::room_for::<VisibleStep>(steps.len()) + Capsule::room_for::<Visible>(1);
    all + own + HOME_SIZE
}

fn fill(
    capsule: &mut Capsule,
    (steps, first): (&[InitStep], usize),
    is_traced: bool,
    words: &'static [AtomicU64],
    sibling: &'static [AtomicU64],
) -> Option<&'static mut Visible> {
    let mut visible = Visible {
        place: capsule.place(),
        page: capsule::page_size(),
        words,
        sibling,
        first,
        steps: &[],
        is_traced,
        waits: steps.contains(&InitStep::AwaitStart),
        candidates: &[],
        args: &[],
        env: &[],
        home: &[],
        found: None,
        descriptors: [-1; Slot::COUNT],
    };
    visible.home = Cell::from_mut(capsule.put(&[0u8; HOME_SIZE])?).as_slice_of_cells();
    let home = visible.home.first()?.as_ptr().cast_const().cast();
    let mut list = Vec::with_capacity(steps.len());
    for step in steps {
        list.push(copy(capsule, step, home)?);
        if let InitStep::Execute(program) = step {
            visible.candidates = texts(capsule, &program.candidates)?;
            visible.args = pointers(capsule, &program.args, None)?;
            visible.env = pointers(capsule, &program.env, program.with_home.then_some(home))?;
        }
    }
    visible.steps = capsule.put(&list)?;
    capsule.put(&[visible])?.first_mut()
}

/// `home` is the entry of HOME.
fn copy(capsule: &mut Capsule, step: &InitStep, home: *const c_char) -> Option<VisibleStep> {
    Some(match step {
        InitStep::NewSession => VisibleStep::NewSession,
        InitStep::ControlTerminal => VisibleStep::ControlTerminal,
        InitStep::LoadFilter {
            program,
            flags,
            listener,
        } => VisibleStep::LoadFilter {
            program: capsule.put(program)?,
            flags: *flags,
            listener: *listener,
        },
        InitStep::SetCapabilities {
            effective,
            permitted,
            inheritable,
        } => VisibleStep::SetCapabilities {
            effective: *effective,
            permitted: *permitted,
            inheritable: *inheritable,
        },
        InitStep::Tell(sync) => VisibleStep::Tell(*sync),
        InitStep::Wait(sync) => VisibleStep::Wait(*sync),
        InitStep::Close(slot) => VisibleStep::Close(*slot),
        InitStep::AwaitStart => VisibleStep::AwaitStart,
        InitStep::RunHook(hook) => {
            let run = hook_run(capsule, hook, home)?;
            VisibleStep::RunHook(capsule.put(&[run])?.first()?)
        }
        InitStep::TellHooksRun => VisibleStep::TellHooksRun,
        InitStep::Execute(_) => VisibleStep::Execute,
        _ => return None,
    })
}

fn hook_run(
    capsule: &mut Capsule,
    hook: &InitHook,
    home: *const c_char,
) -> Option<HookRun<'static>> {
    Some(HookRun {
        kind: hook.kind,
        index: hook.index,
        path: capsule.put_string(&hook.path)?,
        args: pointers(capsule, &hook.args, None)?,
        env: pointers(capsule, &hook.env, hook.with_home.then_some(home))?,
        state_before: capsule.put(&hook.state_before)?,
        state_after: capsule.put(&hook.state_after)?,
        timeout: hook.timeout,
        stdout: hook.stdout,
        stderr: hook.stderr,
        in_root: hook.in_root,
    })
}

fn texts(capsule: &mut Capsule, all: &[CString]) -> Option<&'static [&'static CStr]> {
    let copied = all.iter().map(|text| capsule.put_string(text));
    let copied: Vec<_> = copied.collect::<Option<_>>()?;
    Some(capsule.put(&copied)?)
}

/// Copies of strings, as execve(2) takes them: with one more after them, if there is one, and a
/// null at the end.
fn pointers(
    capsule: &mut Capsule,
    all: &[CString],
    added: Option<*const c_char>,
) -> Option<&'static [*const c_char]> {
    let copied = all
        .iter()
        .map(|text| Some(capsule.put_string(text)?.as_ptr()));
    let copied: Option<Vec<_>> = copied.collect();
    let mut copied = copied?;
    copied.extend(added);
    copied.push(ptr::null());
    Some(capsule.put(&copied)?)
}

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
