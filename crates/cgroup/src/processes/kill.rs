//! Killing everything in a container's cgroup.

use std::path::Path;
use std::time::Duration;

use crate::PATIENCE;
use crate::error::{Error, Operation, Result};
use crate::file;
use crate::locate::place::{Directory, Placement};
use crate::processes::freeze::{halt, thaw, thaw_below};
use crate::processes::pidfd::wait_for_all;
use crate::processes::{hold, processes_in, refuse_own};
use crate::stats::events::Events;
use crate::wait::Deadline;

/// Kills all processes of the container's cgroup and of all cgroups below it, and waits until none
/// is left. A frozen container is thawed: on v1 not even SIGKILL reaches a frozen process.
///
/// v2 does this by itself (`cgroup.kill`, Linux 5.14). On v1 the processes are stopped
/// by the freezer, so that none can fork away, then killed one by one, again and again until the
/// cgroup is empty.
///
/// # Errors
/// [`Error::Own`] if the caller is in the cgroup; [`Error::Busy`] if processes are left after
/// [`PATIENCE`]; else the call that failed, with its path.
pub fn kill_all(placement: &Placement) -> Result<()> {
    let deadline = Deadline::after(PATIENCE);
    // On a hybrid host v2 first, which is one write; then what v1 holds beyond that.
    for dir in [placement.v2(), placement.v1_holder()]
        .into_iter()
        .flatten()
    {
        let path = dir.path();
        let pids = processes_in(&path)?;
        refuse_own(&path, &pids)?;
        if pids.is_empty() {
            continue;
        }
        if !dir.is_v2() || !kill_at_once(placement, dir, &deadline)? {
            kill_each(placement, &path, &deadline)?;
        }
    }
    Ok(())
}

/// Writes `cgroup.kill` and waits. `false` where the kernel refuses it: a threaded cgroup
/// (EOPNOTSUPP), or one that belongs to another user (EACCES).
fn kill_at_once(placement: &Placement, dir: &Directory, deadline: &Deadline) -> Result<bool> {
    let path = dir.path();
    let wait = |errno| Error::call(Operation::Wait, &path, errno);
    let events = match Events::open(&path) {
        Err(errno) if file::vanished(errno) => return Ok(true),
        other => other.map_err(wait)?,
    };
    loop {
        match file::put(&path.join("cgroup.kill"), "1") {
            Err(errno) if file::vanished(errno) => return Ok(true),
            Err(_) => return Ok(false),
            Ok(()) => {
                thaw(placement)?;
                thaw_below(placement);
            }
        }
        // Killed again now and then, in case a process came in from outside.
        let slice = deadline.within(Duration::from_secs(1));
        if events.wait("populated", false, &slice).map_err(wait)? {
            return Ok(true);
        }
        if deadline.passed() {
            return Err(busy(&path, deadline)?);
        }
    }
}

fn kill_each(placement: &Placement, cgroup: &Path, deadline: &Deadline) -> Result<()> {
    loop {
        halt(placement);
        let killed = kill_listed(cgroup);
        thaw(placement)?;
        thaw_below(placement);
        let (found, held) = killed?;
        if found == 0 {
            return Ok(());
        }
        wait_for_all(&held, deadline)
            .map_err(|errno| Error::call(Operation::Wait, cgroup, errno))?;
        if deadline.passed() {
            return Err(busy(cgroup, deadline)?);
        }
    }
}

/// Sends a signal to each process of the container's cgroup and of all cgroups below it. One that ends
/// or leaves meanwhile gets none.
///
/// # Errors
/// The call that failed, with its path.
pub fn signal_all(placement: &Placement, signal: i32) -> Result<()> {
    let Some(dir) = placement.v1_holder().or(placement.v2()) else {
        return Ok(());
    };
    let path = dir.path();
    for batch in processes_in(&path)?.chunks(crate::processes::HELD) {
        for process in hold(&path, batch)? {
            process.signal(signal);
        }
    }
    Ok(())
}

/// Kills what is listed now: how many were listed, and those of the last batch for waiting.
fn kill_listed(cgroup: &Path) -> Result<(usize, Vec<crate::processes::pidfd::Held>)> {
    let pids = processes_in(cgroup)?;
    let mut rest = &pids[..];
    let mut held = Vec::new();
    while !rest.is_empty() {
        let (batch, later) = rest.split_at(rest.len().min(crate::processes::HELD));
        held = hold(cgroup, batch)?;
        for process in &held {
            process
                .kill()
                .map_err(|errno| Error::call(Operation::Kill(process.pid), cgroup, errno))?;
        }
        rest = later;
    }
    Ok((pids.len(), held))
}

/// The error that names what is left in a cgroup.
pub(crate) fn busy(cgroup: &Path, deadline: &Deadline) -> Result<Error> {
    Ok(Error::Busy {
        path: cgroup.to_path_buf(),
        waited: deadline.patience(),
        pids: processes_in(cgroup)?,
    })
}
