//! The console socket: where a detached container's terminal goes.

use crate::error::with;
use crate::{Result, waiting};
use kan_sys::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Connects to `--console-socket`.
pub(crate) fn connect(path: &Path) -> Result<OwnedFd> {
    let failed = |error: kan_sys::Error| match waiting::stopped(error, "the console socket") {
        Ok(stopped) => stopped,
        Err(error) => {
            with("connect to", path)(std::io::Error::from_raw_os_error(error.errno.into_raw()))
        }
    };
    kan_sys::waiting::connect(path.as_os_str().as_bytes()).map_err(failed)
}
