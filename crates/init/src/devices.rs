//! Device nodes, links, and files of the host's /proc.

use crate::outcome::{Step, Stop};
use crate::rootpath::LastDirectory;
use core::ffi::CStr;
use kan_op::Flaw;
use kan_op::init::{NodeKind, RootPath};
use kan_sys::fd::{BorrowedFd, OwnedFd};
use kan_sys::file::{
    self, O_DIRECTORY, O_PATH, O_WRONLY, RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_XDEV,
    S_IFBLK, S_IFCHR, S_IFIFO,
};
use kan_sys::{Errno, io, mount};

/// Type bits and device number, as mknod(2) takes them.
fn numbers(kind: NodeKind) -> (u32, u32) {
    match kind {
        NodeKind::Character { major, minor } => (S_IFCHR, file::device_number(major, minor)),
        NodeKind::Block { major, minor } => (S_IFBLK, file::device_number(major, minor)),
        NodeKind::Fifo => (S_IFIFO, 0),
    }
}

/// One name is made in a directory that was opened below the root (CVE-2026-41579,
/// CVE-2026-47766). A node that is there already must be the same one.
pub(crate) fn make_node<'p>(
    directories: &mut LastDirectory<'p>,
    root: BorrowedFd<'_>,
    at: &'p RootPath,
    kind: NodeKind,
    mode: u32,
    (uid, gid): (u32, u32),
) -> Step {
    let (directory, name) = directories.holding(root, at)?;
    let (file_type, device) = numbers(kind);
    match file::mknodat(directory, name, file_type | mode, device) {
        Err(error) if error.errno == Errno::EEXIST => {
            let found = file::status(directory, name)?;
            if found.is(file_type) && found.device == u64::from(device) {
                return Ok(());
            }
            return Err(Stop {
                flaw: Flaw::WrongKind,
                part: 0,
                error: Some(error),
            });
        }
        other => other?,
    }
    if (uid, gid) == (0, 0) {
        return Ok(());
    }
    Ok(file::chown_at(directory, name, uid, gid)?)
}

pub(crate) fn make_link<'p>(
    directories: &mut LastDirectory<'p>,
    root: BorrowedFd<'_>,
    at: &'p RootPath,
    target: &CStr,
    replace: bool,
) -> Step {
    let (directory, name) = directories.holding(root, at)?;
    match file::symlinkat(target, directory, name) {
        Err(error) if error.errno == Errno::EEXIST && !replace => Ok(()),
        Err(error) if error.errno == Errno::EEXIST => {
            file::unlinkat(directory, name)?;
            Ok(file::symlinkat(target, directory, name)?)
        }
        other => Ok(other?),
    }
}

/// statfs(2)'s type of procfs.
pub(crate) const PROC_SUPER_MAGIC: i64 = 0x9fa0;

/// /proc is the host's here, as the container's root is not entered yet; it is checked all the
/// same, and nothing mounted on it is followed (CVE-2019-16884, CVE-2025-52881). Its plain link
/// `self` is the kernel's own and stays below.
pub(crate) fn write_proc(path: &CStr, value: &CStr) -> Step {
    let proc = host_proc()?;
    let resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS;
    let opened = file::openat2(proc, path, O_WRONLY, 0, resolve)?;
    io::write(opened, value.to_bytes())?;
    Ok(())
}

/// PROC_ROOT_INO, the kernel's uapi/linux/fs.h.
const PROC_ROOT: u64 = 1;

/// The host's /proc, if it is one, and its root: a directory of it, such as that of another
/// process, has the same names with other meanings.
pub(crate) fn host_proc() -> Result<OwnedFd, Stop> {
    let proc = file::open(c"/proc", O_PATH | O_DIRECTORY, 0)?;
    let is_procfs = mount::filesystem_magic(&proc)? == PROC_SUPER_MAGIC;
    if !is_procfs || file::status(&proc, c"")?.inode != PROC_ROOT {
        return Err(Flaw::WrongKind.into());
    }
    Ok(proc)
}
