//! The descriptors that the steps pass to each other.

use crate::outcome::{Step, Stop};
use core::cell::Cell;
use kan_op::{Flaw, Slot};
use kan_sys::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use kan_sys::io;

/// As many descriptors wait at most to be closed together. A process may have few (RLIMIT_NOFILE).
const MOST_SPENT: u32 = 24;

/// A table with a place for each slot.
///
/// In init, which has no other descriptors than these, the preserved ones and the directory that it
/// keeps for a while, what a step is done with need not be closed at once: close_range(2) closes all
/// but those at the next [`Slots::sweep`], which leaves nothing open that somebody forgot.
#[derive(Debug, Default)]
pub struct Slots {
    table: [Option<OwnedFd>; Slot::COUNT],
    /// The lowest number above what is preserved, once all else is known to be the table's.
    swept_from: Option<u32>,
    /// How many descriptors wait for the next sweep.
    spent: Cell<u32>,
    /// Why a step with these descriptors failed.
    pub(crate) reason: crate::reason::Reason,
}

impl Slots {
    /// Puts a descriptor into a slot; what was there is closed.
    pub fn fill(&mut self, slot: Slot, fd: OwnedFd) {
        self.table[slot.index()] = Some(fd);
    }

    /// The descriptor in a slot. The planner's tests show that no step reads an empty one.
    pub(crate) fn get(&self, slot: Slot) -> Result<BorrowedFd<'_>, Stop> {
        self.table[slot.index()]
            .as_ref()
            .map(AsFd::as_fd)
            .ok_or(Stop::from(Flaw::OutOfStep))
    }

    /// What is in a slot, for whoever fills them.
    #[must_use]
    pub fn peek(&self, slot: Slot) -> Option<BorrowedFd<'_>> {
        self.table[slot.index()].as_ref().map(AsFd::as_fd)
    }

    /// Takes out what is in a slot, for whoever fills them.
    #[must_use]
    pub fn withdraw(&mut self, slot: Slot) -> Option<OwnedFd> {
        self.table[slot.index()].take()
    }

    /// The number of the descriptor in the slot with this [`Slot::index`]; -1 if it is empty.
    pub(crate) fn number(&self, index: usize) -> i32 {
        self.table[index].as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// Takes the descriptor out of a slot.
    pub(crate) fn take(&mut self, slot: Slot) -> Result<OwnedFd, Stop> {
        self.table[slot.index()]
            .take()
            .ok_or(Stop::from(Flaw::OutOfStep))
    }

    /// Does away with a descriptor that a step has opened and has no more use for. One that no sweep
    /// would reach is closed now: it took a number that was preserved, but not open.
    pub(crate) fn spend(&self, fd: OwnedFd) {
        let number = u32::try_from(fd.as_raw_fd()).ok();
        let is_swept = self.swept_from.is_some_and(|from| number >= Some(from));
        if is_swept {
            self.spent.set(self.spent.get() + 1);
            io::keep(fd);
        }
    }

    /// From here on all descriptors from `from` on are the slots' own: closes the others.
    pub(crate) fn own_all(&mut self, from: u32) -> Step {
        self.swept_from = Some(from);
        self.sweep()
    }

    /// From here on what is spent is closed at once: by close(2), which no filter of a container may
    /// do without, where close_range(2) may be forbidden.
    pub(crate) fn sweep_no_more(&mut self) {
        self.swept_from = None;
    }

    /// Whether something waits for a [`sweep`](Self::sweep); while `more` is to come, only if it is much.
    pub(crate) fn is_full(&self, more: bool) -> bool {
        let most = if more { MOST_SPENT } else { 1 };
        self.spent.get() >= most
    }

    /// Closes what was spent. Nothing may be open but what is in slots.
    pub(crate) fn sweep(&self) -> Step {
        self.spent.set(0);
        let Some(mut from) = self.swept_from else {
            return Ok(());
        };
        while let Some(kept) = self.next_number(from) {
            if kept > from {
                // SAFETY: init uses no descriptors but those in slots, which are none of these.
                unsafe { io::close_range(from, kept - 1) }?;
            }
            from = kept + 1;
        }
        // SAFETY: likewise.
        Ok(unsafe { io::close_range(from, u32::MAX) }?)
    }

    /// The numbers of all that is in slots.
    pub fn numbers(&self) -> impl Iterator<Item = i32> {
        self.table.iter().flatten().map(AsRawFd::as_raw_fd)
    }

    /// The smallest descriptor number at or above `from` that is in a slot.
    fn next_number(&self, from: u32) -> Option<u32> {
        let numbers = self.table.iter().flatten();
        numbers
            .filter_map(|fd| u32::try_from(fd.as_raw_fd()).ok())
            .filter(|number| *number >= from)
            .min()
    }
}
