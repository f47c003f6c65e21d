//! Opening files of kan's own and of /proc.

use crate::{Error, Result};
use kan_sys::file::{O_NONBLOCK, O_RDONLY};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read};
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

/// Reads a file that rarely is longer than `usual` bytes. It was opened with O_NONBLOCK: should it
/// be a FIFO, it is empty. A read that gives less than asked for was the last, so that most files
/// take one: `list` does this for every container.
pub(crate) fn read_to_end(mut file: File, usual: usize) -> io::Result<Vec<u8>> {
    let (mut text, mut length) = (vec![0; usual.max(1)], 0);
    loop {
        length += file.read(&mut text[length..])?;
        if length < text.len() {
            text.truncate(length);
            return Ok(text);
        }
        text.resize(2 * length, 0);
    }
}

/// Reads a file of /proc or /sys ([`read_to_end`]).
pub(crate) fn read_whole(path: &Path, usual: usize) -> io::Result<Vec<u8>> {
    read_to_end(open(path, O_RDONLY | O_NONBLOCK, 0)?, usual)
}

/// The path as system calls take it.
pub(crate) fn c_path(path: &Path) -> Result<CString> {
    let nul = |_| Error::Step(format!("{}: contains a NUL character", path.display()));
    CString::new(path.as_os_str().as_bytes()).map_err(nul)
}

/// Reads a file of /proc that fits into `buffer`, by one call: such files make their whole
/// contents anew for every read.
pub(crate) fn read_small<'b>(path: &str, buffer: &'b mut [u8]) -> std::io::Result<&'b [u8]> {
    let mut file = open(Path::new(path), O_RDONLY, 0)?;
    let count = std::io::Read::read(&mut file, buffer)?;
    Ok(&buffer[..count])
}

/// A path as the kernel takes it.
pub(crate) fn as_path(text: &CStr) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(text.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_any_size_is_read_whole() {
        let path = std::env::temp_dir().join(format!("kan-files-{}", std::process::id()));
        for size in [0, 1, 8191, 8192, 8193, 100_000] {
            let text = vec![b'x'; size];
            std::fs::write(&path, &text).unwrap();
            for usual in [1, 8192] {
                assert_eq!(read_whole(&path, usual).unwrap(), text);
            }
        }
        std::fs::remove_file(&path).unwrap();
    }
}
