//! Entering the container's root.

use crate::bare;
use crate::outcome::Step;
use crate::pivot::pivot;
use crate::slots::Slots;
use kan_op::Slot;
use kan_op::init::RootEntry;
use kan_sys::fd::AsFd;
use kan_sys::file::{self, O_DIRECTORY, O_PATH};
use kan_sys::mount;

/// Makes the directory in the root's slot the root of this process.
pub(crate) fn enter_root(slots: &mut Slots, entry: RootEntry) -> Step {
    let root = slots.take(Slot::Root)?;
    file::fchdir(&root)?;
    drop(root);
    match entry {
        RootEntry::Pivot { slave_first } => pivot(slave_first)?,
        RootEntry::Move => {
            bare::hide(slots)?;
            let here = file::open(c".", O_PATH | O_DIRECTORY, 0)?;
            let over = file::open(c"/", O_PATH | O_DIRECTORY, 0)?;
            mount::attach(here.as_fd(), over)?;
            file::chroot(c".")?;
        }
        RootEntry::Chroot => file::chroot(c".")?,
    }
    Ok(file::chdir(c"/")?)
}
