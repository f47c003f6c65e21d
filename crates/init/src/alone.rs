//! Init has one thread.

use kan_sys::process::Alone;

/// Init is the child of a fork.
pub(crate) const fn alone() -> Alone {
    // SAFETY: init has one thread, and starts no other.
    unsafe { Alone::promise() }
}
