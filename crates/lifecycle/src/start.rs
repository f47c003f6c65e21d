//! `start`.

use crate::container::FIFO;
use crate::error::with;
use crate::record::{InitProcess, Record};
use crate::{Error, Result, Store, Timeline, notify};
use kan_spec::state::Status;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Lets a created container's init go on.
///
/// # Errors
/// [`Error::Unknown`]; [`Error::Status`] for a container that is not waiting; that of a poststart
/// hook, or of the service manager of `NOTIFY_SOCKET`.
pub fn start(store: &Store, id: &str, timeline: &mut Timeline) -> Result<()> {
    let locked = timeline.phase("lock the container", || store.lock(id))?;
    let container = timeline.phase("find the container", || store.find(id))?;
    let status = timeline.phase("look at its status", || container.status())?;
    if status != Status::Created {
        return Err(Error::status("start", id, status));
    }
    if container
        .record
        .as_ref()
        .is_some_and(|record| record.without_process)
    {
        let why = "cannot start a container without a process: process property must not be empty";
        return Err(Error::Status(why.into()));
    }
    let path = container.directory.join(FIFO);
    let relay = notify::for_start(&container.directory)?;
    let init = container.record.as_ref().and_then(|record| record.init);
    let held = match &relay {
        Some(_) => init.map(InitProcess::open).transpose()?.flatten(),
        None => None,
    };
    let fifo = timeline.phase("let init go on", || open_fifo(&path))?;
    if let Some(record) = &container.record
        && !record.poststart.is_empty()
    {
        timeline.phase("run poststart hooks", || after_exec(record, &fifo))?;
    }
    // The container may take its time, and others want to work on it meanwhile.
    drop((fifo, locked));
    match (relay, init, held) {
        (Some(relay), Some(init), Some(held)) => {
            timeline.phase("wait for READY=1", || relay.until_ready(init.pid, &held))
        }
        _ => Ok(()),
    }
}

/// Init closes the FIFO when it executes the program, or dies: then it has no reader any more,
/// which poll(2) tells by POLLERR. A hook that fails ends the container (runtime.md).
fn after_exec(record: &Record, fifo: &File) -> Result<()> {
    let mut watched = [PollFd::new(fifo.as_fd(), PollFlags::empty())];
    let _ = poll(&mut watched, PollTimeout::NONE);
    record.run_poststart().inspect_err(|_| {
        if let Some(Ok(Some(init))) = record.init.map(InitProcess::open) {
            let _ = kan_sys::process::pidfd_send_signal(&init, nix::libc::SIGKILL);
        }
    })
}

/// Not blocking: without a reader, init being dead, the opening fails (fifo(7), ENXIO).
fn open_fifo(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    let opened = options
        .write(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path);
    let mut fifo = opened.map_err(with("open", path))?;
    fifo.write_all(b"0").map_err(with("write", path))?;
    std::fs::remove_file(path).map_err(with("remove", path))?;
    Ok(fifo)
}
