//! Mounts, through descriptors: fsopen(2), open_tree(2), move_mount(2), mount_setattr(2).

use crate::call::{call, owned, ptr, raw};
use crate::{Errno, Error, Result};
use core::ffi::CStr;
use linux_raw_sys::general::{
    AT_EMPTY_PATH, AT_RECURSIVE, AT_SYMLINK_NOFOLLOW, FSMOUNT_CLOEXEC, FSOPEN_CLOEXEC, MNT_DETACH,
    MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH, MOVE_MOUNT_T_SYMLINKS, OPEN_TREE_CLOEXEC,
    OPEN_TREE_CLONE, UMOUNT_NOFOLLOW, fsconfig_command, mount_attr,
};
use rustix::fd::{AsFd, OwnedFd};

pub use linux_raw_sys::general::{
    MOUNT_ATTR__ATIME, MOUNT_ATTR_IDMAP, MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOSYMFOLLOW,
    MOUNT_ATTR_RDONLY, MOUNT_ATTR_STRICTATIME, MS_REMOUNT,
};

/// fsopen(2): a context in which a new file system is configured.
pub fn fsopen(fstype: &CStr) -> Result<OwnedFd> {
    // SAFETY: the name is a live C string; the result is ours.
    unsafe { call!(fsopen, ptr(fstype), FSOPEN_CLOEXEC).map(|fd| owned(fd)) }
}

/// fsconfig(2) with FSCONFIG_SET_FLAG.
pub fn fsconfig_flag(context: impl AsFd, key: &CStr) -> Result<()> {
    let command = fsconfig_command::FSCONFIG_SET_FLAG as u32;
    // SAFETY: the key is a live C string; a flag has no value.
    unsafe { call!(fsconfig, raw(&context), command, ptr(key), 0, 0).map(drop) }
}

/// fsconfig(2) with FSCONFIG_SET_STRING. The kernel refuses values over 255 bytes with EINVAL.
pub fn fsconfig_string(context: impl AsFd, key: &CStr, value: &CStr) -> Result<()> {
    let command = fsconfig_command::FSCONFIG_SET_STRING as u32;
    // SAFETY: key and value are live C strings.
    unsafe { call!(fsconfig, raw(&context), command, ptr(key), ptr(value), 0).map(drop) }
}

/// fsconfig(2) FSCONFIG_SET_FD: a parameter whose value is a descriptor.
pub fn fsconfig_descriptor(context: impl AsFd, key: &CStr, value: impl AsFd) -> Result<()> {
    const FSCONFIG_SET_FD: u32 = 5;
    let value = raw(&value);
    // SAFETY: the key is a live C string; no value is given but the number.
    unsafe { call!(fsconfig, raw(&context), FSCONFIG_SET_FD, ptr(key), 0, value).map(drop) }
}

/// fsconfig(2) FSCONFIG_CMD_CREATE.
pub fn fsconfig_create(context: impl AsFd) -> Result<()> {
    let command = fsconfig_command::FSCONFIG_CMD_CREATE as u32;
    // SAFETY: the command takes no key and no value.
    unsafe { call!(fsconfig, raw(&context), command, 0, 0, 0).map(drop) }
}

/// fsmount(2): a detached mount of the configured file system, with MOUNT_ATTR_* `attributes`.
pub fn fsmount(context: impl AsFd, attributes: u32) -> Result<OwnedFd> {
    // SAFETY: plain numbers; the result is ours.
    unsafe { call!(fsmount, raw(&context), FSMOUNT_CLOEXEC, attributes).map(|fd| owned(fd)) }
}

/// Whether a cloned tree holds the mounts below its root as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The one mount.
    Single,
    /// The mount and all below it.
    Recursive,
}

impl Depth {
    fn flag(self) -> u32 {
        match self {
            Self::Single => 0,
            Self::Recursive => AT_RECURSIVE,
        }
    }
}

/// open_tree(2) with OPEN_TREE_CLONE: a detached copy of the mount at `path` below `at`;
/// an empty path means `at` itself.
pub fn clone_tree(at: impl AsFd, path: &CStr, depth: Depth) -> Result<OwnedFd> {
    open_tree(raw(&at), path, OPEN_TREE_CLONE | depth.flag())
}

/// As [`clone_tree`], from a path of the calling process.
pub fn clone_tree_at_path(path: &CStr, depth: Depth) -> Result<OwnedFd> {
    open_tree(
        linux_raw_sys::general::AT_FDCWD as isize,
        path,
        OPEN_TREE_CLONE | depth.flag(),
    )
}

/// As [`clone_tree_at_path`]; if the path is a symbolic link, a tree that holds the link itself.
pub fn clone_link_at_path(path: &CStr, depth: Depth) -> Result<OwnedFd> {
    open_tree(
        linux_raw_sys::general::AT_FDCWD as isize,
        path,
        OPEN_TREE_CLONE | depth.flag() | AT_SYMLINK_NOFOLLOW,
    )
}

fn open_tree(at: isize, path: &CStr, flags: u32) -> Result<OwnedFd> {
    let empty = if path.is_empty() { AT_EMPTY_PATH } else { 0 };
    let flags = flags | OPEN_TREE_CLOEXEC | empty;
    // SAFETY: the path is a live C string; the result is ours.
    unsafe { call!(open_tree, at, ptr(path), flags).map(|fd| owned(fd)) }
}

/// move_mount(2): attaches a detached tree at a path of the calling process, links followed.
pub fn attach_at_path(tree: impl AsFd, path: &CStr) -> Result<()> {
    let here = linux_raw_sys::general::AT_FDCWD as isize;
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS;
    // SAFETY: both paths are live C strings.
    unsafe { call!(move_mount, raw(&tree), ptr(c""), here, ptr(path), flags).map(drop) }
}

/// move_mount(2): attaches a detached tree on the file or directory that `onto` is.
pub fn attach(tree: impl AsFd, onto: impl AsFd) -> Result<()> {
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: both paths are live, empty C strings.
    unsafe {
        call!(
            move_mount,
            raw(&tree),
            ptr(c""),
            raw(&onto),
            ptr(c""),
            flags
        )
        .map(drop)
    }
}

/// What mount_setattr(2) changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// MOUNT_ATTR_* to switch on.
    pub set: u32,
    /// MOUNT_ATTR_* to switch off.
    pub clear: u32,
    /// 0, or one of MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE.
    pub propagation: u32,
}

/// mount_setattr(2) on the mount that `tree` is.
pub fn change(tree: impl AsFd, change: Change, depth: Depth) -> Result<()> {
    setattr(raw(&tree), c"", AT_EMPTY_PATH | depth.flag(), change)
}

/// mount_setattr(2) on the mount at a path of the calling process, its last link not followed.
pub fn change_at_path(path: &CStr, change: Change, depth: Depth) -> Result<()> {
    let at = linux_raw_sys::general::AT_FDCWD as isize;
    setattr(at, path, AT_SYMLINK_NOFOLLOW | depth.flag(), change)
}

/// As [`change`], on the mount that holds a directory: only a mount's root can be changed, so it
/// is looked for upwards.
pub fn change_holding(directory: impl AsFd, what: Change) -> Result<()> {
    const UP: u32 = crate::file::O_PATH | crate::file::O_DIRECTORY;
    let mut here = crate::file::openat2(directory, c".", UP, 0, 0)?;
    loop {
        match change(&here, what, Depth::Single) {
            Err(error) if error.errno == Errno::EINVAL => {
                let above = crate::file::openat2(&here, c"..", UP, 0, 0)?;
                if crate::file::is_same(&here, &above)? {
                    return Err(error);
                }
                here = above;
            }
            other => return other,
        }
    }
}

/// mount_setattr(2) with MOUNT_ATTR_IDMAP (Linux 5.12): the ids of the files of a detached tree
/// are mapped as the user namespace maps ids.
pub fn map_ids(tree: impl AsFd, namespace: impl AsFd, depth: Depth) -> Result<()> {
    let attr = mount_attr {
        attr_set: MOUNT_ATTR_IDMAP.into(),
        attr_clr: 0,
        propagation: 0,
        userns_fd: raw(&namespace) as u64,
    };
    setattr_with(raw(&tree), c"", AT_EMPTY_PATH | depth.flag(), attr)
}

fn setattr(at: isize, path: &CStr, flags: u32, change: Change) -> Result<()> {
    let attr = mount_attr {
        attr_set: change.set.into(),
        attr_clr: change.clear.into(),
        propagation: change.propagation.into(),
        userns_fd: 0,
    };
    setattr_with(at, path, flags, attr)
}

fn setattr_with(at: isize, path: &CStr, flags: u32, attr: mount_attr) -> Result<()> {
    let size = size_of::<mount_attr>();
    // SAFETY: the path is a live C string, `attr` outlives the call and `size` is its size.
    unsafe { call!(mount_setattr, at, ptr(path), flags, &raw const attr, size).map(drop) }
}

/// mount(2), for what the descriptor calls cannot say: data over 255 bytes a value.
pub fn mount(source: &CStr, target: &CStr, fstype: &CStr, flags: u32, data: &CStr) -> Result<()> {
    // SAFETY: all four strings are live C strings.
    unsafe {
        call!(
            mount,
            ptr(source),
            ptr(target),
            ptr(fstype),
            flags,
            ptr(data)
        )
        .map(drop)
    }
}

/// pivot_root(2).
pub fn pivot_root(new_root: &CStr, put_old: &CStr) -> Result<()> {
    // SAFETY: both paths are live C strings.
    unsafe { call!(pivot_root, ptr(new_root), ptr(put_old)).map(drop) }
}

/// umount2(2) with MNT_DETACH.
pub fn detach(path: &CStr) -> Result<()> {
    // SAFETY: the path is a live C string.
    unsafe { call!(umount2, ptr(path), MNT_DETACH).map(drop) }
}

/// umount2(2) with MNT_DETACH and UMOUNT_NOFOLLOW, of a name in the working directory.
pub fn detach_here(name: &CStr) -> Result<()> {
    // SAFETY: the name is a live C string.
    unsafe { call!(umount2, ptr(name), MNT_DETACH | UMOUNT_NOFOLLOW).map(drop) }
}

/// The file system type of an open file, statfs(2)'s `f_type`.
pub fn filesystem_magic(file: impl AsFd) -> Result<i64> {
    // SAFETY: the all-zero pattern is a valid statfs.
    let mut found: linux_raw_sys::general::statfs64 = unsafe { core::mem::zeroed() };
    // SAFETY: the buffer has the size the kernel writes.
    unsafe { call!(fstatfs, raw(&file), &raw mut found) }?;
    Ok(found.f_type)
}

/// statfs(2): whether a file lies on a mount or file system that is read-only (ST_RDONLY).
pub fn is_read_only(path: &CStr) -> Result<bool> {
    const ST_RDONLY: i64 = 1;
    // SAFETY: the all-zero pattern is a valid statfs.
    let mut found: linux_raw_sys::general::statfs64 = unsafe { core::mem::zeroed() };
    // SAFETY: the buffer has the size the kernel writes.
    unsafe { call!(statfs, ptr(path), &raw mut found) }?;
    Ok(found.f_flags & ST_RDONLY != 0)
}

/// An error as if `call` had answered `errno`: for checks that a wrapper makes itself.
pub fn refused(call: crate::Sysno, errno: Errno) -> Error {
    Error { call, errno }
}
