//! `kill`.

use crate::error::during;
use crate::record::InitProcess;
use crate::{Error, Result, Store};
use kan_spec::state::Status;
use kan_sys::process::pidfd_send_signal;

/// Sends a signal to a container's init, or to all of its processes.
///
/// # Errors
/// [`Error::Unknown`]; [`Error::Status`] if the container has stopped, unless `all` was asked for.
pub fn kill(store: &Store, id: &str, signal: i32, all: bool) -> Result<()> {
    let container = store.find(id)?;
    let status = container.status()?;
    let stopped = || Error::status("kill", id, status);
    let record = container.record.as_ref().ok_or_else(stopped)?;
    if all {
        return signal_all(&record.cgroups, signal);
    }
    let init = record
        .init
        .map(InitProcess::open)
        .transpose()?
        .flatten()
        .ok_or_else(stopped)?;
    pidfd_send_signal(&init, signal).map_err(during("signal the container"))?;
    // A frozen v1 cgroup holds even SIGKILL back until it is thawed.
    if status == Status::Paused && signal == nix::libc::SIGKILL {
        kan_cgroup::thaw(&record.cgroups)?;
    }
    Ok(())
}

fn signal_all(cgroups: &kan_cgroup::Placement, signal: i32) -> Result<()> {
    if signal == nix::libc::SIGKILL {
        return Ok(kan_cgroup::kill_all(cgroups)?);
    }
    for pid in kan_cgroup::processes(cgroups)? {
        // One that ended meanwhile needs no signal.
        if let Ok(process) = kan_sys::process::pidfd_open(pid.as_raw_nonzero().get()) {
            let _ = pidfd_send_signal(&process, signal);
        }
    }
    Ok(())
}
