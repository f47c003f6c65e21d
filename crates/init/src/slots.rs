//! The descriptors that the steps pass to each other.

use crate::Stop;
use kan_op::{Flaw, Slot};
use kan_sys::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A table with a place for each slot.
#[derive(Debug, Default)]
pub struct Slots([Option<OwnedFd>; Slot::COUNT]);

impl Slots {
    /// Puts a descriptor into a slot; what was there is closed.
    pub fn fill(&mut self, slot: Slot, fd: OwnedFd) {
        self.0[slot.index()] = Some(fd);
    }

    /// The descriptor in a slot. The planner's tests show that no step reads an empty one.
    pub(crate) fn get(&self, slot: Slot) -> Result<BorrowedFd<'_>, Stop> {
        self.0[slot.index()]
            .as_ref()
            .map(AsFd::as_fd)
            .ok_or(Stop::from(Flaw::OutOfStep))
    }

    /// What is in a slot, for whoever fills them.
    #[must_use]
    pub fn peek(&self, slot: Slot) -> Option<BorrowedFd<'_>> {
        self.0[slot.index()].as_ref().map(AsFd::as_fd)
    }

    /// Takes out what is in a slot, for whoever fills them.
    #[must_use]
    pub fn withdraw(&mut self, slot: Slot) -> Option<OwnedFd> {
        self.0[slot.index()].take()
    }

    /// Takes the descriptor out of a slot.
    pub(crate) fn take(&mut self, slot: Slot) -> Result<OwnedFd, Stop> {
        self.0[slot.index()]
            .take()
            .ok_or(Stop::from(Flaw::OutOfStep))
    }

    /// The smallest descriptor number at or above `from` that is in a slot.
    pub(crate) fn next_number(&self, from: u32) -> Option<u32> {
        let numbers = self.0.iter().flatten();
        numbers
            .filter_map(|fd| u32::try_from(fd.as_raw_fd()).ok())
            .filter(|number| *number >= from)
            .min()
    }
}
