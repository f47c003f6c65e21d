//! Changing the root of a mount namespace: pivot_root(2).

use kan_sys::Error;
use kan_sys::file::{self, O_DIRECTORY, O_PATH};
use kan_sys::mount::{self, Change, Depth};

/// Mounts of the host still arrive, and none goes back: mount_namespaces(7).
pub(crate) const SLAVE: Change = Change {
    set: 0,
    clear: 0,
    propagation: 1 << 19,
};

/// With `.` for both, the old root lies on top of the new one, where umount2(2) finds it as `.`:
/// pivot_root(2), notes. Other calls find the new one there, so that the old one is opened before.
pub(crate) fn pivot(slave_first: bool) -> Result<(), Error> {
    if slave_first {
        let old = file::open(c"/", O_PATH | O_DIRECTORY, 0)?;
        mount::pivot_root(c".", c".")?;
        mount::change(old, SLAVE, Depth::Recursive)?;
    } else {
        mount::pivot_root(c".", c".")?;
    }
    mount::detach(c".")
}
