//! Removing a container's cgroup.

use std::path::Path;
use std::time::Duration;

use rustix::fs::{CWD, rmdir};
use rustix::io::Errno;

use crate::PATIENCE;
use crate::error::{Error, Operation, Result};
use crate::file;
use crate::locate::layout::is_cgroup;
use crate::locate::place::{Directory, Placement};
use crate::processes::kill::busy;
use crate::processes::{processes_in, refuse_own};
use crate::tree;
use crate::tree::empty;
use crate::wait::{Deadline, pause};

/// Removes the container's cgroup in each hierarchy together with the cgroups that the container
/// made below it. What is gone already is fine. Parents are left alone, also those that
/// [`crate::create`] made, as with runc.
///
/// Processes that are about to end are waited for, up to [`PATIENCE`]; nothing is killed, and
/// nothing below a cgroup is removed while it holds processes.
///
/// # Errors
/// [`Error::Busy`] with the processes left; [`Error::Own`] if the caller is one of them; else the
/// call that failed, with its path. Every hierarchy is tried; the first error is returned.
pub fn remove(placement: &Placement) -> Result<()> {
    remove_within(placement, PATIENCE)
}

/// Removes the container's cgroups if nothing is in them, neither processes nor other cgroups:
/// whether all are gone. What is in use stays as it is, and errors are left for [`remove`] to tell.
#[must_use]
pub fn remove_unused(placement: &Placement) -> bool {
    let mut directories = placement.directories().iter();
    directories.all(|dir| matches!(rmdir(dir.path()), Ok(()) | Err(Errno::NOENT)))
}

/// As [`remove`], with another bound on the waiting.
///
/// # Errors
/// As [`remove`].
pub fn remove_within(placement: &Placement, patience: Duration) -> Result<()> {
    let deadline = Deadline::after(patience);
    let mut result = Ok(());
    for dir in placement.directories() {
        let path = dir.path();
        // An unused cgroup without children needs no more than this.
        if !matches!(rmdir(&path), Ok(()) | Err(Errno::NOENT)) {
            result = result.and(remove_tree(dir, &path, &deadline));
        }
    }
    result
}

fn remove_tree(dir: &Directory, path: &Path, deadline: &Deadline) -> Result<()> {
    loop {
        // Also the answer where rmdir(2) said EROFS of a cgroup that does not exist.
        let top = match file::open_dir(CWD, path) {
            Err(Errno::NOENT) => return Ok(()),
            other => other.map_err(|errno| Error::call(Operation::Open, path, errno))?,
        };
        if !is_cgroup(&top) {
            return Err(Error::NotCgroup {
                path: path.to_path_buf(),
            });
        }
        refuse_own(path, &processes_in(path)?)?;
        empty::wait(dir, path, deadline)?;
        match tree::prune(top, deadline).and_then(|()| rmdir(path)) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY | Errno::NOTEMPTY) if deadline.passed() => {
                return Err(busy(path, deadline)?);
            }
            Err(Errno::BUSY | Errno::NOTEMPTY) => {
                pause().map_err(|errno| Error::call(Operation::Wait, path, errno))?;
            }
            Err(errno) => return Err(Error::call(Operation::Remove, path, errno)),
        }
    }
}
