//! For conformance/fuzz: files that init reads in a container.

use crate::{bare, home};
use alloc::vec::Vec;

/// The home directory of a user in `/etc/passwd`, as [`kan_op::InitStep::FindHome`] finds it; empty
/// where there is none.
#[must_use]
pub fn home(passwd: &[u8], uid: u32) -> Vec<u8> {
    home::home_in(passwd, uid)
}

/// The mount points of a procfs or sysfs outside `own` in `/proc/self/mountinfo`: how many.
#[must_use]
pub fn bare_mounts(mountinfo: &[u8], own: &[u8]) -> usize {
    bare::count(mountinfo, own)
}
