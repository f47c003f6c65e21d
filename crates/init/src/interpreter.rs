//! The loop over the steps.

use crate::exec::ExecStrings;
use crate::slots::Slots;
use crate::{hooks, rootpath, visible};
use core::sync::atomic::AtomicU64;
use kan_op::{Board, Failure, InitStep, Slot};
use kan_sys::io;

/// Everything that the child needs, made before the clone.
#[derive(Debug)]
pub struct Init<'p> {
    pub(crate) steps: &'p [InitStep],
    pub(crate) board: Board<'p>,
    pub(crate) slots: Slots,
    pub(crate) strings: ExecStrings<'p>,
    pub(crate) hooks: hooks::HookStrings,
    /// How many hooks have run.
    pub(crate) hooks_run: usize,
    /// Set by `EnterDirectory` when root was refused, for `ConfirmDirectory`.
    pub(crate) directory_refused: bool,
    pub(crate) last_directory: rootpath::LastDirectory<'p>,
    pub(crate) visible: Option<&'static mut visible::Visible>,
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
            visible: None,
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
        self.visible = visible::prepare(self.steps, words, sibling)?;
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

    /// When `create` has long returned nobody reads the board: what went wrong since goes to the
    /// container's stderr, as runc's does, and to `start`, which reads the FIFO's other end where
    /// it waits for the program.
    #[cold]
    #[inline(never)]
    pub(crate) fn complain_if_alone(&self, failure: Failure) {
        let Ok(channel) = self.slots.get(Slot::Channel) else {
            return;
        };
        if !kan_sys::socket::peer_is_gone(channel) {
            return;
        }
        let line = self.strings.complaint(
            self.steps.get(self.board.step()),
            failure,
            &self.slots.reason,
        );
        let _ = io::write(io::standard(2), line.bytes());
        if let Ok(fifo) = self.slots.get(Slot::Fifo) {
            let _ = io::write(fifo, line.bytes());
        }
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
