//! The steps from [`InitStep::EnterPidNamespace`] on, in a process that others in its pid namespace
//! see from its first moment: it has what the container's program will have, and nothing of kan's
//! memory.
//!
//! What these steps need is copied into a [`Capsule`] before kan clones init. After the clone only
//! the capsule, the program's image and the status page exist in the new process, so nothing here
//! may touch the plan, allocate, or use thread-local data. The status page and the channel can be
//! written to by whoever may trace the process: the host half takes what they say for a claim.

use crate::exec::{ExecStrings, HOME_SIZE, Line};
use crate::hooks::{self, HookRun};
use crate::reason::Reason;
use crate::{Slots, Step, Stop, credentials};
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ffi::{CStr, c_char};
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use kan_op::init::{FilterInstruction, InitHook, Listener};
use kan_op::{Board, Flaw, HOOKS_RUN, InitStep, Slot, Sync};
use kan_sys::apart::{self, Capsule, Place};
use kan_sys::fd::{AsRawFd, BorrowedFd};
use kan_sys::process::{self, Strings};
use kan_sys::{Errno, io, socket, terminal};

/// The steps that may follow [`InitStep::EnterPidNamespace`]. Each does only what a process can do
/// that has the program's credentials already.
#[derive(Clone, Copy, Debug)]
enum ApartStep {
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
pub(crate) struct Apart {
    place: Place,
    words: &'static [AtomicU64],
    /// Where the host half finds the pid; not mapped in the process itself.
    sibling: &'static [AtomicU64],
    /// The place of the first of `steps` in the plan.
    first: usize,
    steps: &'static [ApartStep],
    candidates: &'static [&'static CStr],
    args: &'static [*const c_char],
    env: &'static [*const c_char],
    /// Room for [`ExecStrings::home`].
    home: &'static [Cell<u8>],
    found: Option<&'static CStr>,
    /// The numbers of the descriptors in slots, by [`Slot::index`]; -1 for none.
    descriptors: [i32; Slot::COUNT],
}

/// Copies the steps after [`InitStep::EnterPidNamespace`] into a capsule. `None` if there is a step
/// among them that must not stand there.
///
/// # Errors
/// mmap(2).
pub(crate) fn prepare(
    steps: &[InitStep],
    words: &'static [AtomicU64],
    sibling: &'static [AtomicU64],
) -> kan_sys::Result<Option<&'static mut Apart>> {
    let is_entry = |step: &InitStep| matches!(step, InitStep::EnterPidNamespace);
    let first = steps.iter().position(is_entry).map_or(0, |at| at + 1);
    let steps = &steps[first..];
    let mut capsule = Capsule::new(room(steps))?;
    Ok(fill(&mut capsule, steps, first, words, sibling))
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
    let own = Capsule::room_for::<ApartStep>(steps.len()) + Capsule::room_for::<Apart>(1);
    all + own + HOME_SIZE
}

fn fill(
    capsule: &mut Capsule,
    steps: &[InitStep],
    first: usize,
    words: &'static [AtomicU64],
    sibling: &'static [AtomicU64],
) -> Option<&'static mut Apart> {
    let mut apart = Apart {
        place: capsule.place(),
        words,
        sibling,
        first,
        steps: &[],
        candidates: &[],
        args: &[],
        env: &[],
        home: &[],
        found: None,
        descriptors: [-1; Slot::COUNT],
    };
    apart.home = Cell::from_mut(capsule.put(&[0u8; HOME_SIZE])?).as_slice_of_cells();
    let home = apart.home.first()?.as_ptr().cast_const().cast();
    let mut list = Vec::with_capacity(steps.len());
    for step in steps {
        list.push(copy(capsule, step, home)?);
        if let InitStep::Execute(program) = step {
            apart.candidates = texts(capsule, &program.candidates)?;
            apart.args = pointers(capsule, &program.args, None)?;
            apart.env = pointers(capsule, &program.env, program.with_home.then_some(home))?;
        }
    }
    apart.steps = capsule.put(&list)?;
    capsule.put(&[apart])?.first_mut()
}

/// `home` is the entry of HOME.
fn copy(capsule: &mut Capsule, step: &InitStep, home: *const c_char) -> Option<ApartStep> {
    Some(match step {
        InitStep::NewSession => ApartStep::NewSession,
        InitStep::ControlTerminal => ApartStep::ControlTerminal,
        InitStep::LoadFilter {
            program,
            flags,
            listener,
        } => ApartStep::LoadFilter {
            program: capsule.put(program)?,
            flags: *flags,
            listener: *listener,
        },
        InitStep::SetCapabilities {
            effective,
            permitted,
            inheritable,
        } => ApartStep::SetCapabilities {
            effective: *effective,
            permitted: *permitted,
            inheritable: *inheritable,
        },
        InitStep::Tell(sync) => ApartStep::Tell(*sync),
        InitStep::Wait(sync) => ApartStep::Wait(*sync),
        InitStep::Close(slot) => ApartStep::Close(*slot),
        InitStep::AwaitStart => ApartStep::AwaitStart,
        InitStep::RunHook(hook) => {
            let run = hook_run(capsule, hook, home)?;
            ApartStep::RunHook(capsule.put(&[run])?.first()?)
        }
        InitStep::TellHooksRun => ApartStep::TellHooksRun,
        InitStep::Execute(_) => ApartStep::Execute,
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

impl Apart {
    /// Clones the process and ends this one: its pid is where the host half looks for it, once
    /// this process has exited with 0.
    pub(crate) fn clone_process(&'static mut self, slots: &Slots, strings: &ExecStrings<'_>) -> ! {
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
        let place = self.place;
        place.enter(self, clone_and_exit)
    }

    fn board(&self) -> Board<'static> {
        Board::new(self.words)
    }

    fn descriptor(&self, slot: Slot) -> Result<BorrowedFd<'static>, Stop> {
        match self.descriptors[slot.index()] {
            // SAFETY: it was in a slot when this process was cloned, and only `Close` and execve(2)
            // close it.
            number @ 0.. => Ok(unsafe { BorrowedFd::borrow_raw(number) }),
            _ => Err(Flaw::OutOfStep.into()),
        }
    }

    fn perform(&mut self, step: ApartStep) -> Step {
        match step {
            ApartStep::NewSession => Ok(process::setsid()?),
            ApartStep::ControlTerminal => Ok(terminal::control(io::standard(0))?),
            ApartStep::LoadFilter {
                program,
                flags,
                listener,
            } => self.load_filter(program, flags, listener),
            ApartStep::SetCapabilities {
                effective,
                permitted,
                inheritable,
            } => credentials::set_capabilities(effective, permitted, inheritable),
            ApartStep::Tell(sync) => {
                io::write(self.descriptor(Slot::Channel)?, &[sync as u8])?;
                Ok(())
            }
            ApartStep::Wait(sync) => crate::sync::wait(self.descriptor(Slot::Channel)?, sync),
            ApartStep::Close(slot) => {
                let number = core::mem::replace(&mut self.descriptors[slot.index()], -1);
                // SAFETY: the slot's entry is gone.
                unsafe { io::close(number) };
                Ok(())
            }
            ApartStep::AwaitStart => crate::sync::await_start(self.descriptor(Slot::Fifo)?),
            ApartStep::RunHook(hook) => hooks::run(hook, |slot| self.descriptor(slot), None),
            ApartStep::TellHooksRun => {
                io::write(self.descriptor(Slot::Fifo)?, &[HOOKS_RUN])?;
                Ok(())
            }
            ApartStep::Execute => self.execute(),
        }
    }

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

    /// As [`crate::Init::give_reason`].
    #[cold]
    #[inline(never)]
    fn reason(&self, step: ApartStep, failure: kan_op::Failure) -> Reason {
        let reason = Reason::default();
        if let (ApartStep::Execute, Some(path)) = (step, self.found) {
            reason.look_at_program(path, Errno::new(failure.errno.into()));
        }
        reason.tell(|text| self.board().give_reason(text));
        reason
    }

    /// As [`crate::Init::complain_if_alone`].
    #[cold]
    #[inline(never)]
    fn complain_if_alone(&self, step: ApartStep, failure: kan_op::Failure, reason: &Reason) {
        let Ok(channel) = self.descriptor(Slot::Channel) else {
            return;
        };
        if !socket::peer_is_gone(channel) {
            return;
        }
        let line = match step {
            // kan failed, and has said so.
            ApartStep::Wait(_) | ApartStep::Tell(_) => return,
            ApartStep::RunHook(hook) => {
                Line::of_hook((hook.kind, hook.index, hook.timeout), failure)
            }
            ApartStep::Execute => Line::of_execution(self.found, failure),
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
fn clone_and_exit(apart: &'static mut Apart) -> ! {
    let (place, board, sibling) = (apart.place, apart.board(), apart.sibling);
    // SAFETY: this runs on the capsule's stack, and from here on only what `Apart` points at is
    // used, which lies in the capsule and on the two shared pages.
    let cloned = unsafe { place.leave_memory(&[apart.words, sibling]) }
        .and_then(|()| apart::keep_from_children(sibling))
        .and_then(|()| apart::clone_sibling(apart, begin));
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

/// The process that the container sees, until it is the program.
fn begin(apart: &mut Apart) -> ! {
    for (index, step) in apart.steps.iter().enumerate() {
        apart.board().begin(apart.first + index);
        if let Err(stop) = apart.perform(*step) {
            let failure = stop.failure();
            apart.board().fail(failure);
            let reason = apart.reason(*step, failure);
            apart.complain_if_alone(*step, failure, &reason);
            break;
        }
    }
    process::exit(255)
}
