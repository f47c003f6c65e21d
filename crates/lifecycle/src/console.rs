//! The console socket: where a detached container's terminal goes.

use crate::Result;
use crate::error::with;
use kan_sys::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Connects to `--console-socket`.
pub(crate) fn connect(path: &Path) -> Result<OwnedFd> {
    UnixStream::connect(path)
        .map(OwnedFd::from)
        .map_err(with("connect to", path))
}
