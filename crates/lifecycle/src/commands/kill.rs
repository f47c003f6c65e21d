//! `kill`.

use crate::error::during;
use crate::state::record::InitProcess;
use crate::{Error, Result, Store};
use kan_spec::state::Status;
use kan_sys::fd::OwnedFd;
use kan_sys::process::pidfd_send_signal;

/// Sends a signal to a container's init, or to all of its processes that are known: without a
/// cgroup that is init. Where SIGKILL of init would
/// leave others behind, it reaches them too, also when init is gone already.
///
/// # Errors
/// [`Error::Unknown`]; [`Error::Status`] if the container has stopped, unless `all` was asked for.
pub fn kill(store: &Store, id: &str, signal: i32, all: bool) -> Result<()> {
    let container = store.find(id)?;
    let Some(record) = &container.record else {
        return if all { Ok(()) } else { Err(not_running(id)) };
    };
    let ends_all = record.shares_pids && signal == nix::libc::SIGKILL;
    let is_alone = record.cgroups.directories().is_empty();
    if all && !is_alone {
        return signal_all(&record.cgroups, signal);
    }
    let init = record.init.map(InitProcess::open).transpose()?.flatten();
    // Nobody knows the others without a cgroup.
    if all && init.is_none() {
        return Ok(());
    }
    match &init {
        Some(init) => send(init, signal)?,
        None if ends_all && !kan_cgroup::processes(&record.cgroups)?.is_empty() => {}
        None => return Err(not_running(id)),
    }
    if ends_all {
        return Ok(kan_cgroup::kill_all(&record.cgroups)?);
    }
    // A frozen v1 cgroup holds even SIGKILL back until it is thawed, be it one that the container has
    // made below its own and moved its init into.
    if signal == nix::libc::SIGKILL {
        if kan_cgroup::frozen(&record.cgroups)? {
            kan_cgroup::thaw(&record.cgroups)?;
        }
        kan_cgroup::thaw_below(&record.cgroups);
    }
    Ok(())
}

/// One that has just ended is as one that had ended before.
fn send(init: &OwnedFd, signal: i32) -> Result<()> {
    match pidfd_send_signal(init, signal) {
        Err(error) if error.errno == kan_sys::Errno::ESRCH => {
            Err(Error::Status("container not running".into()))
        }
        other => other.map_err(during("signal the container")),
    }
}

fn not_running(id: &str) -> Error {
    Error::status("kill", id, Status::Stopped)
}

fn signal_all(cgroups: &kan_cgroup::Placement, signal: i32) -> Result<()> {
    if signal == nix::libc::SIGKILL {
        return Ok(kan_cgroup::kill_all(cgroups)?);
    }
    Ok(kan_cgroup::signal_all(cgroups, signal)?)
}
