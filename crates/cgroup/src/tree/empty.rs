//! Waiting until a container's cgroup holds no process.

use std::path::Path;
use std::time::Duration;

use rustix::io;

use crate::error::{Error, Operation, Result};
use crate::file;
use crate::locate::place::{Directory, Placement};
use crate::processes::kill::busy;
use crate::processes::pidfd::wait_for_all;
use crate::processes::{hold, processes_in};
use crate::stats::events::Events;
use crate::wait::Deadline;

/// Waits until no process is left in the container's cgroup and the cgroups below it. Nothing is
/// killed. A cgroup that does not exist is empty.
///
/// # Errors
/// [`Error::Busy`] with the processes left after `patience`; else the call that failed, with its
/// path.
pub fn wait_until_empty(placement: &Placement, patience: Duration) -> Result<()> {
    let deadline = Deadline::after(patience);
    for dir in [placement.v2(), placement.v1_holder()]
        .into_iter()
        .flatten()
    {
        wait(dir, &dir.path(), &deadline)?;
    }
    Ok(())
}

/// Waits for one cgroup and all below it to hold no process.
pub(crate) fn wait(dir: &Directory, path: &Path, deadline: &Deadline) -> Result<()> {
    let empty = match dir.is_v2() {
        true => empty_v2(path, deadline),
        false => return empty_v1(path, deadline),
    };
    match empty.map_err(|errno| Error::call(Operation::Wait, path, errno))? {
        true => Ok(()),
        false => Err(busy(path, deadline)?),
    }
}

fn empty_v2(path: &Path, deadline: &Deadline) -> io::Result<bool> {
    match Events::open(path) {
        Err(errno) if file::vanished(errno) => Ok(true),
        other => other?.wait("populated", false, deadline),
    }
}

/// v1 has no event for an empty cgroup; the ends of its processes are the events.
fn empty_v1(path: &Path, deadline: &Deadline) -> Result<()> {
    loop {
        let pids = processes_in(path)?;
        if pids.is_empty() {
            return Ok(());
        }
        let held = hold(path, &pids)?;
        wait_for_all(&held, deadline).map_err(|errno| Error::call(Operation::Wait, path, errno))?;
        if deadline.passed() {
            return Err(busy(path, deadline)?);
        }
    }
}
