//! Reading and writing the small files of a cgroup directory, in as few calls as they allow.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, RawDir, openat};
use rustix::io::{self, Errno};

use crate::error::{Error, Operation, Result};

/// A page: kernfs hands out a file that is one record (all but `cgroup.procs` and its like) whole
/// if the buffer takes it, so one read is enough.
const PAGE: usize = 4096;

/// Opens a directory for listing and for paths below it.
pub(crate) fn open_dir<Fd: AsFd, P: rustix::path::Arg>(at: Fd, path: P) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(at, path, flags, Mode::empty())
}

/// Reads a one-record file with a single read, without its final newline.
pub(crate) fn value(path: &Path) -> io::Result<String> {
    let file = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut buffer = [0_u8; PAGE];
    let length = io::read(&file, &mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length])
        .trim_end()
        .to_owned())
}

/// As [`value`], with an error that names the file.
pub(crate) fn read(path: &Path) -> Result<String> {
    value(path).map_err(|errno| Error::call(Operation::Read, path, errno))
}

/// Reads a file of any length, a short read being no sign of its end.
pub(crate) fn whole<Fd: AsFd, P: rustix::path::Arg>(at: Fd, path: P) -> io::Result<String> {
    let file = openat(at, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = Vec::new();
    let mut buffer = [0_u8; PAGE];
    loop {
        match io::read(&file, &mut buffer)? {
            0 => return Ok(String::from_utf8_lossy(&text).into_owned()),
            length => text.extend_from_slice(&buffer[..length]),
        }
    }
}

/// Reads a file of any length that the kernel makes as a whole: a short read is its end (single_open
/// in the kernel's seq_file.rst).
pub(crate) fn at_once<Fd: AsFd, P: rustix::path::Arg>(at: Fd, path: P) -> io::Result<String> {
    let file = openat(at, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let (mut text, mut length) = (vec![0; PAGE], 0);
    loop {
        length += io::read(&file, &mut text[length..])?;
        if length < text.len() {
            text.truncate(length);
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
        text.resize(2 * length, 0);
    }
}

/// Writes a value with a single write, which is what cgroup files want.
pub(crate) fn put(path: &Path, value: &str) -> io::Result<()> {
    // Without O_CREAT: on a tmpfs that only looks like a cgroup hierarchy nothing appears.
    let file = openat(CWD, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    io::write(&file, value.as_bytes()).map(|_| ())
}

/// As [`put`], with an error that names value and file.
pub(crate) fn write(path: &Path, value: &str) -> Result<()> {
    put(path, value).map_err(|errno| Error::call(Operation::Write(value.to_owned()), path, errno))
}

/// The names of the directories in an open directory, without `.` and `..`. Symbolic links are
/// not directories here.
pub(crate) fn directories<Fd: AsFd>(dir: Fd) -> io::Result<Vec<std::ffi::CString>> {
    let mut buffer = [MaybeUninit::uninit(); PAGE];
    let mut names = Vec::new();
    let mut entries = RawDir::new(dir, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if entry.file_type() == rustix::fs::FileType::Directory && !dots(entry.file_name()) {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

fn dots(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}

/// Whether a call failed because the cgroup went away: ENOENT before its files were opened,
/// ENODEV after.
pub(crate) fn vanished(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::NODEV)
}
