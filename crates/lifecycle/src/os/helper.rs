//! Children of kan's that are not init: helpers, and external programs ([`crate::os::program`]).
//!
//! Each has the standard descriptors and those that it is given, so that none of them keeps the lock
//! of a container. kan can be told to stop while it waits for one.

use crate::error::during;
use crate::os::waiting::{self, Watched};
use crate::{Error, Result};
use kan_sys::fd::{AsFd, BorrowedFd, OwnedFd};
use kan_sys::process::{self, Alone, Child, Ended, Orphan};

/// A child at work. Dropped before it was [`finished`](Helper::finish), it is killed and reaped.
pub(crate) struct Helper {
    child: Option<Child>,
    /// What it is for: a wait for it that fails says so.
    what: &'static str,
}

/// Starts one that dies with kan, in new namespaces by `flags`, CLONE_NEW*. Of the descriptors in
/// `with` it has those numbered `kept`.
pub(crate) fn start<T>(
    what: &'static str,
    flags: u32,
    kept: &[i32],
    with: &mut T,
    run: fn(&mut T) -> !,
) -> Result<Helper> {
    fork(what, flags, Orphan::Dies, kept, with, run)
}

/// The same with a choice of what happens to it when kan ends.
pub(crate) fn fork<T>(
    what: &'static str,
    flags: u32,
    orphan: Orphan,
    kept: &[i32],
    with: &mut T,
    run: fn(&mut T) -> !,
) -> Result<Helper> {
    let alone = Alone::check().map_err(during(what))?;
    let child = process::fork_helper(alone, flags.into(), orphan, kept, with, run);
    let child = Some(child.map_err(during(what))?);
    Ok(Helper { child, what })
}

impl Helper {
    /// Its id in kan's pid namespace.
    pub(crate) fn pid(&self) -> i32 {
        self.child.as_ref().map_or(-1, |child| child.pid)
    }

    /// Waits until there is something to read from it, if only its end.
    pub(crate) fn hear(&self, from: &OwnedFd) -> Result<()> {
        waiting::wait(&mut [Watched::read(from.as_fd())], None, self.what).map(drop)
    }

    /// A descriptor that is readable when it has ended.
    pub(crate) fn pidfd(&self) -> Result<BorrowedFd<'_>> {
        let gone = || Error::Step(format!("{}: the process for it is gone", self.what));
        Ok(self.child.as_ref().ok_or_else(gone)?.pidfd.as_fd())
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Result<Ended> {
        let pidfd = self.pidfd()?;
        waiting::wait(&mut [Watched::read(pidfd)], None, self.what)?;
        let ended = process::wait(pidfd).map_err(during(self.what))?;
        self.child = None;
        Ok(ended)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        if let Some(child) = &self.child {
            waiting::end(&child.pidfd);
        }
    }
}
