//! `start`.

use crate::container::FIFO;
use crate::error::with;
use crate::{Error, Result, Store, Timeline};
use kan_spec::state::Status;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Lets a created container's init go on.
///
/// # Errors
/// [`Error::Unknown`]; [`Error::Status`] for a container that is not waiting.
pub fn start(store: &Store, id: &str, timeline: &mut Timeline) -> Result<()> {
    let _locked = timeline.phase("lock the container", || store.lock(id))?;
    let container = timeline.phase("find the container", || store.find(id))?;
    let status = timeline.phase("look at its status", || container.status())?;
    if status != Status::Created {
        return Err(Error::status("start", id, status));
    }
    let path = container.directory.join(FIFO);
    timeline.phase("let init go on", || open_fifo(&path))
}

/// Not blocking: without a reader, init being dead, the opening fails (fifo(7), ENXIO).
fn open_fifo(path: &Path) -> Result<()> {
    let mut options = OpenOptions::new();
    let opened = options
        .write(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path);
    let mut fifo = opened.map_err(with("open", path))?;
    fifo.write_all(b"0").map_err(with("write", path))?;
    std::fs::remove_file(path).map_err(with("remove", path))
}
