//! `tmpcopyup`: what a new tmpfs covers is copied into it first.

use crate::rootpath::{self, Text};
use crate::{Step, Stop};
use core::ffi::CStr;
use kan_op::Flaw;
use kan_op::init::RootPath;
use kan_sys::fd::{BorrowedFd, OwnedFd};
use kan_sys::file::{
    self, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY,
    RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG,
    S_IFSOCK, Status,
};
use kan_sys::{Errno, Error, io};

/// Directories below each other: each costs two descriptors and a buffer on the stack.
const MAX_DEPTH: u32 = 200;

/// Names are looked up one at a time, and no link is followed: another container that shares the
/// directory may change it meanwhile.
const HERE: u32 = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;

/// Copies the directory at `from` into the file system whose root `tree` is.
pub(crate) fn perform(root: BorrowedFd<'_>, from: &RootPath, tree: BorrowedFd<'_>) -> Step {
    let found = match rootpath::look_up(root, from) {
        Err(error) if error.errno == Errno::ENOENT => return Ok(()),
        other => other?,
    };
    let old = open_directory(&found, c".")?;
    let new = open_directory(tree, c".")?;
    copy_entries(&old, &new, 0)?;
    give_ownership(&new, &file::status(&old, c"")?)
}

fn open_directory(at: impl kan_sys::fd::AsFd, name: &CStr) -> Result<OwnedFd, Error> {
    file::openat2(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, HERE)
}

/// Owner first: a change of owner takes set-user-id bits away, chown(2).
fn give_ownership(new: &OwnedFd, like: &Status) -> Step {
    file::chown(new, like.uid, like.gid)?;
    Ok(file::chmod(new, like.mode & 0o7777)?)
}

fn copy_entries(old: &OwnedFd, new: &OwnedFd, depth: u32) -> Step {
    if depth > MAX_DEPTH {
        return Err(Flaw::PathTooLong.into());
    }
    let mut buffer = [0; 4096];
    loop {
        let entries = file::entries(old, &mut buffer)?;
        if entries.is_empty() {
            return Ok(());
        }
        for name in entries.filter(|name| !matches!(name.to_bytes(), b"." | b"..")) {
            copy_entry(old, new, name, depth)?;
        }
    }
}

fn copy_entry(old: &OwnedFd, new: &OwnedFd, name: &CStr, depth: u32) -> Step {
    let found = file::status(old, name)?;
    match found.mode & file::S_IFMT {
        S_IFDIR => copy_directory(old, new, name, depth),
        S_IFREG => copy_file(old, new, name),
        S_IFLNK => copy_link(old, new, name, &found),
        S_IFCHR | S_IFBLK | S_IFIFO | S_IFSOCK => copy_node(new, name, &found),
        _ => Err(Flaw::WrongKind.into()),
    }
}

fn copy_directory(old: &OwnedFd, new: &OwnedFd, name: &CStr, depth: u32) -> Step {
    let from = open_directory(old, name)?;
    file::mkdirat(new, name, 0o700)?;
    let to = open_directory(new, name)?;
    copy_entries(&from, &to, depth + 1)?;
    give_ownership(&to, &file::status(&from, c"")?)
}

/// Opened without waiting, should it have become a FIFO.
fn copy_file(old: &OwnedFd, new: &OwnedFd, name: &CStr) -> Step {
    let from = file::openat2(old, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, HERE)?;
    let found = file::status(&from, c"")?;
    if !found.is(S_IFREG) {
        return Err(Flaw::WrongKind.into());
    }
    let to = file::openat2(new, name, O_CREAT | O_EXCL | O_WRONLY, 0o600, HERE)?;
    copy_content(&from, &to)?;
    give_ownership(&to, &found)
}

fn copy_content(from: &OwnedFd, to: &OwnedFd) -> Result<(), Stop> {
    let mut buffer = [0; 16 * 1024];
    loop {
        let filled = io::read(from, &mut buffer)?;
        if filled == 0 {
            return Ok(());
        }
        let mut written = 0;
        while written < filled {
            written += io::write(to, &buffer[written..filled])?;
        }
    }
}

fn copy_link(old: &OwnedFd, new: &OwnedFd, name: &CStr, found: &Status) -> Step {
    let mut buffer = [0; Text::SIZE];
    let mut target = Text::EMPTY;
    target.push(file::readlinkat(old, name, &mut buffer)?)?;
    file::symlinkat(target.as_c_str(), new, name)?;
    Ok(file::chown_at(new, name, found.uid, found.gid)?)
}

/// A device keeps its number; init's umask is 0.
fn copy_node(new: &OwnedFd, name: &CStr, found: &Status) -> Step {
    let device = u32::try_from(found.device).unwrap_or(0);
    let mode = found.mode & (file::S_IFMT | 0o7777);
    file::mknodat(new, name, mode, device)?;
    Ok(file::chown_at(new, name, found.uid, found.gid)?)
}
