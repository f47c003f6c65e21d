//! `tmpcopyup`: what a new tmpfs covers is copied into it first.

use crate::outcome::{Step, Stop};
use crate::rootpath::{self, Text};
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

/// Directories below each other. A path of PATH_MAX reaches twice as deep, but no image does.
const MAX_DEPTH: usize = 1024;

/// Names are looked up one at a time, and no link is followed: another container that shares the
/// directory may change it meanwhile.
const HERE: u32 = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;

/// Copies the directory at `from` into the file system whose root `tree` is.
#[inline(never)]
pub(crate) fn perform(root: BorrowedFd<'_>, from: &RootPath, tree: BorrowedFd<'_>) -> Step {
    let found = match rootpath::look_up(root, from) {
        Err(error) if error.errno == Errno::ENOENT => return Ok(()),
        other => other?,
    };
    let old = open_directory(&found, c".")?;
    let new = open_directory(tree, c".")?;
    Walk::new(old, new).copy_all()
}

fn open_directory(at: impl kan_sys::fd::AsFd, name: &CStr) -> Result<OwnedFd, Error> {
    file::openat2(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, HERE)
}

/// Owner first: a change of owner takes set-user-id bits away, chown(2).
fn give_ownership(new: &OwnedFd, like: &Status) -> Step {
    file::chown(new, like.uid, like.gid)?;
    Ok(file::chmod(new, like.mode & 0o7777)?)
}

/// A directory above the one that is being copied.
#[derive(Clone, Copy)]
struct Level {
    filesystem: u64,
    inode: u64,
    /// Where its listing goes on.
    offset: u64,
}

/// The way through the tree. Whoever prepared it chose the depth, and init's stack and its
/// descriptors are few (setrlimit(2)): so there is no recursion, and only the directory that is
/// being copied is open. The way back up is `..`.
struct Walk {
    old: OwnedFd,
    new: OwnedFd,
    above: [Level; MAX_DEPTH],
    depth: usize,
}

impl Walk {
    fn new(old: OwnedFd, new: OwnedFd) -> Self {
        let unused = Level {
            filesystem: 0,
            inode: 0,
            offset: 0,
        };
        Self {
            old,
            new,
            above: [unused; MAX_DEPTH],
            depth: 0,
        }
    }

    fn copy_all(&mut self) -> Step {
        let mut buffer = [0; 4096];
        loop {
            let is_done = self.copy_some(&mut buffer)?;
            if !is_done {
                continue;
            }
            give_ownership(&self.new, &file::status(&self.old, c"")?)?;
            if self.depth == 0 {
                return Ok(());
            }
            self.ascend()?;
        }
    }

    /// Copies what one call lists, or up to a subdirectory, which is entered; whether there was
    /// nothing left.
    fn copy_some(&mut self, buffer: &mut [u8]) -> Result<bool, Stop> {
        let mut entries = file::entries(&self.old, buffer)?;
        if entries.is_empty() {
            return Ok(true);
        }
        while let Some(name) = entries.next() {
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let found = file::status(&self.old, name)?;
            if found.is(S_IFDIR) {
                self.descend(name, entries.offset())?;
                return Ok(false);
            }
            copy_entry(&self.old, &self.new, name, &found)?;
        }
        Ok(false)
    }

    fn descend(&mut self, name: &CStr, offset: u64) -> Step {
        let here = file::status(&self.old, c"")?;
        let Some(level) = self.above.get_mut(self.depth) else {
            return Err(Flaw::PathTooLong.into());
        };
        *level = Level {
            filesystem: here.filesystem,
            inode: here.inode,
            offset,
        };
        let from = open_directory(&self.old, name)?;
        file::mkdirat(&self.new, name, 0o700)?;
        self.new = open_directory(&self.new, name)?;
        self.old = from;
        self.depth += 1;
        Ok(())
    }

    /// The directory may have been moved meanwhile: then `..` is another one, which nobody asked
    /// to copy.
    fn ascend(&mut self) -> Step {
        self.depth -= 1;
        let level = self.above[self.depth];
        let old = open_above(&self.old)?;
        let found = file::status(&old, c"")?;
        if (found.filesystem, found.inode) != (level.filesystem, level.inode) {
            return Err(Flaw::WrongKind.into());
        }
        file::seek(&old, level.offset)?;
        self.new = open_above(&self.new)?;
        self.old = old;
        Ok(())
    }
}

fn open_above(directory: &OwnedFd) -> Result<OwnedFd, Error> {
    file::openat2(directory, c"..", O_RDONLY | O_DIRECTORY, 0, 0)
}

fn copy_entry(old: &OwnedFd, new: &OwnedFd, name: &CStr, found: &Status) -> Step {
    match found.mode & file::S_IFMT {
        S_IFREG => copy_file(old, new, name),
        S_IFLNK => copy_link(old, new, name, found),
        S_IFCHR | S_IFBLK | S_IFIFO | S_IFSOCK => copy_node(new, name, found),
        _ => Err(Flaw::WrongKind.into()),
    }
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
