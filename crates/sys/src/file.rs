//! Files and directories, resolved below a descriptor: openat2(2) and its kin.

use crate::call::{call, owned, ptr, raw};
use crate::{Errno, Error, FSTATAT, Result, Sysno};
use core::ffi::CStr;
use linux_raw_sys::general::{
    AT_EACCESS, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, O_CLOEXEC, open_how, stat,
};
use rustix::fd::{AsFd, OwnedFd};

pub use linux_raw_sys::general::{
    O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_PATH, O_RDONLY,
    O_RDWR, O_TRUNC, O_WRONLY, RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT,
    S_IFREG, S_IFSOCK,
};

/// How often EAGAIN of openat2(2) is tried again. The kernel answers it when anything on the host
/// is renamed while it resolves `..` below RESOLVE_IN_ROOT, which says nothing of this path.
const RENAME_RETRIES: u32 = 1000;

/// openat2(2), always close-on-exec.
pub fn openat2(at: impl AsFd, path: &CStr, flags: u32, mode: u32, resolve: u32) -> Result<OwnedFd> {
    let how = open_how {
        flags: (flags | O_CLOEXEC).into(),
        mode: mode.into(),
        resolve: resolve.into(),
    };
    let (at, size) = (raw(&at), size_of::<open_how>());
    let mut tries = 0;
    loop {
        // SAFETY: the path is a live C string and `how` outlives the call.
        let opened = unsafe { call!(openat2, at, ptr(path), &raw const how, size) };
        match opened {
            Err(Error {
                errno: Errno::EAGAIN,
                ..
            }) if tries < RENAME_RETRIES => tries += 1,
            // SAFETY: the result is ours.
            other => return other.map(|fd| unsafe { owned(fd) }),
        }
    }
}

/// openat(2) from a path of the calling process, always close-on-exec.
pub fn open(path: &CStr, flags: u32, mode: u32) -> Result<OwnedFd> {
    let at = linux_raw_sys::general::AT_FDCWD as isize;
    // SAFETY: the path is a live C string; the result is ours.
    unsafe { call!(openat, at, ptr(path), flags | O_CLOEXEC, mode).map(|fd| owned(fd)) }
}

/// openat(2), close-on-exec. A name of one component needs no [`openat2`], which outer containers may
/// forbid and valgrind does not know.
pub fn openat(at: impl AsFd, name: &CStr, flags: u32, mode: u32) -> Result<OwnedFd> {
    // SAFETY: the name is a live C string; the result is ours.
    unsafe { call!(openat, raw(&at), ptr(name), flags | O_CLOEXEC, mode).map(|fd| owned(fd)) }
}

/// mkdirat(2).
pub fn mkdirat(at: impl AsFd, name: &CStr, mode: u32) -> Result<()> {
    // SAFETY: the name is a live C string.
    unsafe { call!(mkdirat, raw(&at), ptr(name), mode).map(drop) }
}

/// mknodat(2): `mode` holds the S_IF* type, `device` is as [`device_number`] makes it.
pub fn mknodat(at: impl AsFd, name: &CStr, mode: u32, device: u32) -> Result<()> {
    // SAFETY: the name is a live C string.
    unsafe { call!(mknodat, raw(&at), ptr(name), mode, device).map(drop) }
}

/// The kernel's encoding of a device number for mknod(2): 12 bits of major, 20 of minor.
pub const fn device_number(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

/// symlinkat(2).
pub fn symlinkat(target: &CStr, at: impl AsFd, name: &CStr) -> Result<()> {
    // SAFETY: both strings are live C strings.
    unsafe { call!(symlinkat, ptr(target), raw(&at), ptr(name)).map(drop) }
}

/// unlinkat(2) of a file.
pub fn unlinkat(at: impl AsFd, name: &CStr) -> Result<()> {
    // SAFETY: the name is a live C string.
    unsafe { call!(unlinkat, raw(&at), ptr(name), 0).map(drop) }
}

/// unlinkat(2) of an empty directory.
pub fn rmdirat(at: impl AsFd, name: &CStr) -> Result<()> {
    use linux_raw_sys::general::AT_REMOVEDIR;
    // SAFETY: the name is a live C string.
    unsafe { call!(unlinkat, raw(&at), ptr(name), AT_REMOVEDIR).map(drop) }
}

/// renameat2(2) without flags: what has the new name already is replaced.
pub fn renameat(at: impl AsFd, name: &CStr, to: impl AsFd, new_name: &CStr) -> Result<()> {
    let (old, new) = (ptr(name), ptr(new_name));
    // SAFETY: both names are live C strings.
    unsafe { call!(renameat2, raw(&at), old, raw(&to), new, 0).map(drop) }
}

/// readlinkat(2) into `buffer`; the part of it that was filled.
pub fn readlinkat<'b>(at: impl AsFd, name: &CStr, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
    let (to, size) = (buffer.as_mut_ptr(), buffer.len());
    // SAFETY: the name is a live C string, the buffer is writable for its length.
    let filled = unsafe { call!(readlinkat, raw(&at), ptr(name), to, size) }?;
    if filled == size {
        return Err(Error {
            call: Sysno::readlinkat,
            errno: Errno::ENAMETOOLONG,
        });
    }
    Ok(&buffer[..filled])
}

/// readlinkat(2) of the link that `link` is, opened with O_PATH and O_NOFOLLOW.
pub fn read_opened_link(link: impl AsFd, buffer: &mut [u8]) -> Result<&[u8]> {
    readlinkat(link, c"", buffer)
}

/// getdents64(2) into `buffer`, which gets whole entries; empty at the end of the directory.
pub fn entries(directory: impl AsFd, buffer: &mut [u8]) -> Result<Entries<'_>> {
    let (to, size) = (buffer.as_mut_ptr(), buffer.len());
    // SAFETY: the buffer is writable for its length.
    let filled = unsafe { call!(getdents64, raw(&directory), to, size) }?;
    Ok(Entries {
        left: &buffer[..filled],
        offset: 0,
    })
}

/// The names that one getdents64(2) gave, `.` and `..` among them.
#[derive(Debug)]
pub struct Entries<'b> {
    left: &'b [u8],
    offset: u64,
}

impl Entries<'_> {
    /// Whether there were none: the directory's end.
    pub fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Where the entry after the last one returned is found: for [`seek`].
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

/// lseek(2) to an offset from the file's start, or to one of [`Entries::offset`] in a directory.
pub fn seek(file: impl AsFd, offset: u64) -> Result<()> {
    // SAFETY: plain numbers; 0 is SEEK_SET.
    unsafe { call!(lseek, raw(&file), offset, 0).map(drop) }
}

impl<'b> Iterator for Entries<'b> {
    type Item = &'b CStr;

    /// `struct linux_dirent64`: the next entry's offset lies at byte 8, the length of this one at
    /// byte 16, its name begins at byte 19.
    fn next(&mut self) -> Option<&'b CStr> {
        let offset: [u8; 8] = self.left.get(8..16)?.try_into().ok()?;
        let length: [u8; 2] = self.left.get(16..18)?.try_into().ok()?;
        let length = usize::from(u16::from_ne_bytes(length));
        let (entry, rest) = self.left.split_at_checked(length)?;
        (self.left, self.offset) = (rest, u64::from_ne_bytes(offset));
        CStr::from_bytes_until_nul(entry.get(19..)?).ok()
    }
}

/// readlink(2) of a path of the calling process, into `buffer`.
pub fn readlink<'b>(path: &CStr, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
    let at = linux_raw_sys::general::AT_FDCWD as isize;
    let (to, size) = (buffer.as_mut_ptr(), buffer.len());
    // SAFETY: the path is a live C string, the buffer is writable for its length.
    let filled = unsafe { call!(readlinkat, at, ptr(path), to, size) }?;
    Ok(&buffer[..filled])
}

/// What fstat(2) tells of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Type and permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of a device file, as the kernel encodes it for user space.
    pub device: u64,
    /// The file system's device number.
    pub filesystem: u64,
    /// Inode number.
    pub inode: u64,
}

impl Status {
    /// Whether the file's type is `kind`, one of S_IF*.
    pub fn is(&self, kind: u32) -> bool {
        self.mode & S_IFMT == kind
    }
}

/// fstatat(2) without following a last link; an empty name means `at` itself.
pub fn status(at: impl AsFd, name: &CStr) -> Result<Status> {
    // SAFETY: the all-zero pattern is a valid stat.
    let mut found: stat = unsafe { core::mem::zeroed() };
    let flags = AT_SYMLINK_NOFOLLOW | if name.is_empty() { AT_EMPTY_PATH } else { 0 };
    // SAFETY: the name is a live C string and the buffer has the size the kernel writes.
    unsafe { fstatat(raw(&at), name, &raw mut found, flags) }?;
    Ok(Status {
        mode: found.st_mode,
        uid: found.st_uid,
        gid: found.st_gid,
        device: found.st_rdev,
        filesystem: found.st_dev,
        inode: found.st_ino,
    })
}

/// # Safety
/// `found` points at a stat that may be written.
pub(crate) unsafe fn fstatat(at: isize, path: &CStr, found: *mut stat, flags: u32) -> Result<()> {
    // SAFETY: promised by the caller; the path is a live C string.
    unsafe { ::syscalls::syscall!(FSTATAT, at, ptr(path), found, flags) }
        .map(drop)
        .map_err(|errno| Error {
            call: FSTATAT,
            errno,
        })
}

/// statx(2) with STATX_MNT_ID (Linux 5.8): the id of the mount that an open file lies on.
pub fn mount_id(file: impl AsFd) -> Result<u64> {
    const STATX_MNT_ID: u32 = 0x1000;
    // SAFETY: the all-zero pattern is a valid statx.
    let mut found: linux_raw_sys::general::statx = unsafe { core::mem::zeroed() };
    let (at, to) = (raw(&file), &raw mut found);
    // SAFETY: the path is a live, empty C string and the buffer has the size the kernel writes.
    unsafe { call!(statx, at, ptr(c""), AT_EMPTY_PATH, STATX_MNT_ID, to) }?;
    Ok(found.stx_mnt_id)
}

/// Whether two descriptors are of one file.
pub fn is_same(one: impl AsFd, other: impl AsFd) -> Result<bool> {
    let (one, other) = (status(one, c"")?, status(other, c"")?);
    Ok((one.filesystem, one.inode) == (other.filesystem, other.inode))
}

/// stat(2) of a path of the calling process, links followed.
pub fn status_of_path(path: &CStr) -> Result<Status> {
    // SAFETY: the all-zero pattern is a valid stat.
    let mut found: stat = unsafe { core::mem::zeroed() };
    let at = linux_raw_sys::general::AT_FDCWD as isize;
    // SAFETY: the path is a live C string and the buffer has the size the kernel writes.
    unsafe { fstatat(at, path, &raw mut found, 0) }?;
    Ok(Status {
        mode: found.st_mode,
        uid: found.st_uid,
        gid: found.st_gid,
        device: found.st_rdev,
        filesystem: found.st_dev,
        inode: found.st_ino,
    })
}

/// Whether execve(2) may execute the file at a path, links followed. faccessat(2) asks with the real
/// ids and without capabilities; where it refuses, faccessat2(2) (Linux 5.8) asks with the effective
/// ones. Not that alone, since older seccomp profiles refuse the call.
pub fn may_execute(path: &CStr) -> Result<()> {
    const X_OK: u32 = 1;
    let at = linux_raw_sys::general::AT_FDCWD as isize;
    // SAFETY: the path is a live C string.
    match unsafe { call!(faccessat, at, ptr(path), X_OK).map(drop) } {
        Err(refused) if refused.errno == Errno::EACCES => {
            // SAFETY: likewise.
            let effective = unsafe { call!(faccessat2, at, ptr(path), X_OK, AT_EACCESS) };
            effective.map(drop).map_err(|_| refused)
        }
        other => other,
    }
}

/// fchownat(2) of the file that `file` is, also when it was opened with O_PATH.
pub fn chown(file: impl AsFd, uid: u32, gid: u32) -> Result<()> {
    // SAFETY: the path is a live, empty C string.
    unsafe { call!(fchownat, raw(&file), ptr(c""), uid, gid, AT_EMPTY_PATH).map(drop) }
}

/// fchownat(2) of a name in a directory, its link not followed.
pub fn chown_at(at: impl AsFd, name: &CStr, uid: u32, gid: u32) -> Result<()> {
    // SAFETY: the name is a live C string.
    unsafe { call!(fchownat, raw(&at), ptr(name), uid, gid, AT_SYMLINK_NOFOLLOW).map(drop) }
}

/// fchmod(2).
pub fn chmod(file: impl AsFd, mode: u32) -> Result<()> {
    // SAFETY: plain numbers.
    unsafe { call!(fchmod, raw(&file), mode).map(drop) }
}

/// chdir(2).
pub fn chdir(path: &CStr) -> Result<()> {
    // SAFETY: the path is a live C string.
    unsafe { call!(chdir, ptr(path)).map(drop) }
}

/// fchdir(2).
pub fn fchdir(directory: impl AsFd) -> Result<()> {
    // SAFETY: a plain number.
    unsafe { call!(fchdir, raw(&directory)).map(drop) }
}

/// chroot(2).
pub fn chroot(path: &CStr) -> Result<()> {
    // SAFETY: the path is a live C string.
    unsafe { call!(chroot, ptr(path)).map(drop) }
}

/// getcwd(2) into `buffer`. A directory outside the root gives a path that starts with
/// `(unreachable)` (since Linux 2.6.36).
pub fn current_directory(buffer: &mut [u8]) -> Result<&[u8]> {
    let (to, size) = (buffer.as_mut_ptr(), buffer.len());
    // SAFETY: the buffer is writable for its length.
    let length = unsafe { call!(getcwd, to, size) }?;
    Ok(&buffer[..length.saturating_sub(1)])
}

/// umask(2); the mask before.
pub fn umask(mask: u32) -> u32 {
    // SAFETY: a plain number. The call cannot fail.
    unsafe { call!(umask, mask).map_or(0, |before| before as u32) }
}
