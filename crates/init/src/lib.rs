//! Executes the init half of a plan, in the child between clone and exec.
//!
//! `no_std`, and from [`run`] on nothing is allocated: the child is a copy of a process that may
//! have held the allocator's lock, and a container's memory limit counts from the clone on.
//!
//! This crate knows the instruction set and the kernel, never the spec.
#![no_std]
extern crate alloc;

mod apart;
mod bare;
mod copy_up;
mod credentials;
mod devices;
mod exec;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod home;
mod hooks;
mod mounts;
mod perform;
mod procfs;
mod reason;
mod rootpath;
mod schedule;
mod slots;
mod sync;
mod terminal;

pub use exec::ExecStrings;
pub use mounts::{change_mount, depth};
pub use schedule::attributes;

/// A context of fsopen(2) for the procfs of a pid namespace, as init gets one where Linux is older
/// than 6.17: for tests on newer ones.
///
/// # Errors
/// What the kernel refuses.
pub fn open_procfs_from_inside(
    pids: kan_sys::fd::BorrowedFd<'_>,
) -> Result<kan_sys::fd::OwnedFd, Failure> {
    procfs::open_from_inside(pids).map_err(Stop::failure)
}
pub use slots::Slots;

use core::sync::atomic::AtomicU64;
use kan_op::{Board, Failure, Flaw, InitStep};
use kan_sys::Error;
use kan_sys::process::Alone;

/// Everything that the child needs, made before the clone.
#[derive(Debug)]
pub struct Init<'p> {
    steps: &'p [InitStep],
    board: Board<'p>,
    slots: Slots,
    strings: ExecStrings<'p>,
    hooks: hooks::HookStrings,
    /// How many hooks have run.
    hooks_run: usize,
    /// Set by `EnterDirectory` when root was refused, for `ConfirmDirectory`.
    directory_refused: bool,
    last_directory: rootpath::LastDirectory<'p>,
    apart: Option<&'static mut apart::Apart>,
}

impl<'p> Init<'p> {
    /// An init that will perform `steps`, starting with the descriptors in `slots`.
    #[must_use]
    pub fn new(steps: &'p [InitStep], board: Board<'p>, slots: Slots) -> Self {
        let strings = ExecStrings::new(steps);
        let home = strings.home.as_ptr().cast();
        Self {
            steps,
            board,
            slots,
            strings,
            hooks: hooks::HookStrings::new(steps, home),
            hooks_run: 0,
            directory_refused: false,
            last_directory: rootpath::LastDirectory::default(),
            apart: None,
        }
    }

    /// For steps with [`InitStep::EnterPidNamespace`] or [`InitStep::LeaveMemory`]: copies what
    /// follows it to where the process keeps it that performs it. `words` are the board's. The pid
    /// of a process that is cloned for it is in the first word of `sibling` once this process has
    /// exited with 0.
    ///
    /// # Errors
    /// mmap(2).
    pub fn prepare(
        &mut self,
        words: &'static [AtomicU64],
        sibling: &'static [AtomicU64],
    ) -> kan_sys::Result<()> {
        self.apart = apart::prepare(self.steps, words, sibling)?;
        Ok(())
    }

    /// The numbers of the descriptors that it starts with.
    pub fn descriptors(&self) -> impl Iterator<Item = i32> {
        self.slots.numbers()
    }

    /// Performs the steps in order, up to one that fails; the last one does not return.
    ///
    /// # Errors
    /// The failure that is on the board as well.
    pub fn perform_all(&mut self) -> Result<(), Failure> {
        // Under a filter even to ask for the time may be forbidden.
        let mut is_traced = self.board.is_traced();
        for (index, step) in self.steps.iter().enumerate() {
            self.board.begin(index);
            if let Err(stop) = self.perform(step) {
                let failure = stop.failure();
                self.board.fail(failure);
                self.give_reason(step, failure);
                return Err(failure);
            }
            is_traced &= !matches!(step, InitStep::LoadFilter { .. });
            if is_traced {
                self.board.stamp(index, kan_sys::memory::monotonic_ns());
            }
        }
        Ok(())
    }

    /// Why the step failed, if more than its number is known. Under a filter a look at the program may be
    /// the last that init does: the failure is on the board already.
    #[cold]
    #[inline(never)]
    fn give_reason(&self, step: &InitStep, failure: Failure) {
        if let InitStep::Execute(_) = step {
            self.strings.look_at_program(failure, &self.slots.reason);
        }
        self.slots.reason.tell(|text| self.board.give_reason(text));
    }
}

/// The child's whole life until exec: performs the steps, and exits on failure.
///
/// The exit code is 255, as runc's init has it; the host half reads the board for the cause.
pub fn run(init: &mut Init<'_>) -> ! {
    if let Err(failure) = init.perform_all() {
        init.complain_if_alone(failure);
    }
    kan_sys::process::exit(255)
}

/// Init is the child of a fork.
pub(crate) const fn alone() -> Alone {
    // SAFETY: init has one thread, and starts no other.
    unsafe { Alone::promise() }
}

/// What ends a step early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    flaw: Flaw,
    part: u16,
    error: Option<Error>,
}

impl Stop {
    fn failure(self) -> Failure {
        let (call, errno) = match self.error {
            Some(error) => (error.call as i32, error.errno.into_raw()),
            None => (0, 0),
        };
        Failure {
            flaw: self.flaw,
            part: self.part,
            call: u16::try_from(call).unwrap_or(0),
            errno: u16::try_from(errno).unwrap_or(0),
        }
    }

    /// The same stop, in this part of the step.
    fn in_part(self, part: usize) -> Self {
        let part = u16::try_from(part).unwrap_or(u16::MAX);
        Self { part, ..self }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self {
            flaw: Flaw::Call,
            part: 0,
            error: Some(error),
        }
    }
}

impl From<Flaw> for Stop {
    fn from(flaw: Flaw) -> Self {
        Self {
            flaw,
            part: 0,
            error: None,
        }
    }
}

/// The result of a step.
pub(crate) type Step = Result<(), Stop>;
