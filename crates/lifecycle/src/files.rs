//! Opening files of kan's own and of /proc.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// openat(2), close-on-exec; `flags` are those of open(2). The standard library's `open` marks the
/// descriptor a second time where the C library is musl, which knows kernels that pass over
/// O_CLOEXEC.
pub(crate) fn open(path: &Path, flags: u32, mode: u32) -> io::Result<File> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let opened = kan_sys::file::open(&path, flags, mode);
    opened
        .map(File::from)
        .map_err(|error| io::Error::from_raw_os_error(error.errno.into_raw()))
}
