//! Walking a cgroup and all cgroups below it.
//!
//! A container that may write to its cgroup can nest cgroups deeper than a path can be long and
//! than this process has descriptors, so the walk holds one descriptor, goes down by single names
//! and up by `..`. That is safe here: kernfs never moves a cgroup to another parent.

pub(crate) mod controllers;
pub(crate) mod cpuset;
pub(crate) mod create;
pub(crate) mod delegate;
pub(crate) mod empty;
pub(crate) mod remove;

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, openat2, unlinkat};
use rustix::io::{self, Errno};

use crate::file;
use crate::wait::Deadline;

/// Calls `visit` for a cgroup and each below it, parents first. A cgroup that vanishes meanwhile
/// is passed over.
pub(crate) fn walk(
    top: OwnedFd,
    visit: &mut dyn FnMut(BorrowedFd<'_>) -> io::Result<()>,
) -> io::Result<()> {
    visit(top.as_fd())?;
    let mut levels = vec![children(&top)?];
    let mut here = top;
    while let Some(names) = levels.last_mut() {
        let Some(name) = names.pop() else {
            here = leave(here, &mut levels)?;
            continue;
        };
        if let Some(child) = enter(&here, &name)? {
            visit(child.as_fd())?;
            levels.push(children(&child)?);
            here = child;
        }
    }
    Ok(())
}

/// Removes all cgroups below one, deepest first.
///
/// # Errors
/// EBUSY if one cannot be removed though nothing is below it: it holds a process.
pub(crate) fn prune(top: OwnedFd, deadline: &Deadline) -> io::Result<()> {
    let mut levels = vec![children(&top)?];
    let mut here = top;
    while let Some(names) = levels.last_mut() {
        let Some(name) = names.pop() else {
            here = leave(here, &mut levels)?;
            continue;
        };
        if !removed(&here, &name)?
            && let Some(child) = enter(&here, &name)?
        {
            let below = children(&child)?;
            if below.is_empty() || deadline.passed() {
                return Err(Errno::BUSY);
            }
            // Once more after what is below it.
            names.push(name);
            levels.push(below);
            here = child;
        }
    }
    Ok(())
}

/// Tries to remove one cgroup; `false` if it is in use.
fn removed(parent: &OwnedFd, name: &CString) -> io::Result<bool> {
    match unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::BUSY | Errno::NOTEMPTY) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn children(dir: &OwnedFd) -> io::Result<Vec<CString>> {
    match file::directories(dir) {
        Err(errno) if file::vanished(errno) => Ok(Vec::new()),
        other => other,
    }
}

fn enter(parent: &OwnedFd, name: &CString) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // Never into something that is mounted on a cgroup.
    let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    match openat2(parent, name, flags, Mode::empty(), resolve) {
        Ok(child) => Ok(Some(child)),
        Err(errno) if file::vanished(errno) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Goes up one level, except from the top.
fn leave(here: OwnedFd, levels: &mut Vec<Vec<CString>>) -> io::Result<OwnedFd> {
    levels.pop();
    match levels.is_empty() {
        true => Ok(here),
        false => file::open_dir(&here, c".."),
    }
}
