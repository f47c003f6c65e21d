//! The container's mounts.

use crate::outcome::{Step, Stop};
use crate::procfs;
use crate::rootpath::{self, INSIDE, LastDirectory, Make, Text};
use crate::slots::Slots;
use core::ffi::CStr;
use kan_op::init::{
    MountChange, MountPoint, MountTarget, NewMount, Parameter, RootPath, TreeSource,
};
use kan_op::{Flaw, Slot};
use kan_sys::fd::{AsRawFd, BorrowedFd, OwnedFd};
use kan_sys::file::{
    self, O_DIRECTORY, O_NOFOLLOW, O_PATH, O_RDONLY, RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS, S_IFCHR, S_IFDIR, S_IFLNK,
};
use kan_sys::mount::{self, Change, Depth, MS_REMOUNT};
use kan_sys::{Errno, Error};

/// How deep a change or a copy goes.
#[must_use]
pub fn depth(recursive: bool) -> Depth {
    if recursive {
        Depth::Recursive
    } else {
        Depth::Single
    }
}

/// Changes a mount by a function that calls mount_setattr(2). What may stay if it is locked stays
/// where the kernel refuses to clear it.
///
/// # Errors
/// Those of the function.
pub fn change_mount(
    change: MountChange,
    mut set: impl FnMut(Change, Depth) -> kan_sys::Result<()>,
) -> kan_sys::Result<()> {
    let depth = depth(change.recursive);
    let mut wanted = Change {
        set: change.set,
        clear: change.clear | change.clear_unlocked,
        propagation: change.propagation,
    };
    match set(wanted, depth) {
        Err(error) if error.errno == Errno::EPERM && change.clear_unlocked != 0 => {
            wanted.clear = change.clear;
            set(wanted, depth)
        }
        other => other,
    }
}

pub(crate) fn change(slots: &Slots, target: &MountTarget, change: MountChange) -> Step {
    Ok(match target {
        MountTarget::HostRoot | MountTarget::EnteredRoot => change_mount(change, |what, depth| {
            mount::change_at_path(c"/", what, depth)
        }),
        MountTarget::Holding(path) => {
            let directory = file::open(path, O_PATH | O_DIRECTORY, 0)?;
            change_mount(change, |what, _| mount::change_holding(&directory, what))
        }
        MountTarget::Slot(slot) => {
            let tree = slots.get(*slot)?;
            change_mount(change, |what, depth| mount::change(tree, what, depth))
        }
        MountTarget::Container(path) => {
            let found = rootpath::look_up(slots.get(Slot::Root)?, path)?;
            change_mount(change, |what, depth| mount::change(&found, what, depth))
        }
    }?)
}

/// A new file system, or what stands in for one that is not permitted.
pub(crate) fn new_filesystem(slots: &Slots, new: &NewMount) -> Result<OwnedFd, Stop> {
    let mode = match &new.mode_of {
        Some(path) => mode_at(slots, path)?,
        None => None,
    };
    if let Some(pids) = new.pids {
        let context = procfs::open(slots.get(pids)?, slots.get(Slot::Channel).ok())?;
        let made = configured_with_log(slots, context, &new.parameters, new.attributes, mode)?;
        procfs::check(&made)?;
        return Ok(made);
    }
    let made = configured_filesystem(slots, &new.fstype, &new.parameters, new.attributes, mode);
    let (Err(stop), Some(path)) = (&made, &new.instead) else {
        return made;
    };
    if stop.error.is_none_or(|error| error.errno != Errno::EPERM) {
        return made;
    }
    let tree = mount::clone_tree_at_path(path, Depth::Recursive)?;
    let set = Change {
        set: new.attributes,
        ..Change::default()
    };
    mount::change(&tree, set, Depth::Single)?;
    Ok(tree)
}

/// The permission bits of what lies at a path, if anything does.
fn mode_at(slots: &Slots, path: &RootPath) -> Result<Option<u32>, Stop> {
    match rootpath::look_up(slots.get(Slot::Root)?, path) {
        Ok(found) => Ok(Some(file::status(&found, c"")?.mode & 0o7777)),
        Err(error) if error.errno == Errno::ENOENT => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Permission bits as a string of octal digits.
fn octal(mode: u32) -> [u8; 5] {
    let digit = |shift: u32| b'0' + u8::try_from(mode >> shift & 7).unwrap_or(0);
    [digit(9), digit(6), digit(3), digit(0), 0]
}

/// The failing parameter's index is the failure's part.
pub(crate) fn configured_filesystem(
    slots: &Slots,
    fstype: &CStr,
    parameters: &[Parameter],
    attributes: u32,
    mode: Option<u32>,
) -> Result<OwnedFd, Stop> {
    let context = mount::fsopen(fstype)?;
    configured_with_log(slots, context, parameters, attributes, mode)
}

/// As [`configured`]. If it fails, the context's log is the reason.
fn configured_with_log(
    slots: &Slots,
    context: OwnedFd,
    parameters: &[Parameter],
    attributes: u32,
    mode: Option<u32>,
) -> Result<OwnedFd, Stop> {
    let tree = configured(&context, parameters, attributes, mode);
    if tree.is_err() {
        slots.reason.read_log(&context);
    }
    slots.spend(context);
    tree
}

fn configured(
    context: &OwnedFd,
    parameters: &[Parameter],
    attributes: u32,
    mode: Option<u32>,
) -> Result<OwnedFd, Stop> {
    for (index, parameter) in parameters.iter().enumerate() {
        let set = match &parameter.value {
            Some(value) => mount::fsconfig_string(context, &parameter.key, value),
            None => mount::fsconfig_flag(context, &parameter.key),
        };
        set.map_err(|error| Stop::from(error).in_part(index))?;
    }
    let whole = parameters.len();
    if let Some(mode) = mode {
        let digits = octal(mode);
        let digits = CStr::from_bytes_until_nul(&digits).unwrap_or(c"0");
        let set = mount::fsconfig_string(context, c"mode", digits);
        set.map_err(|error| Stop::from(error).in_part(whole))?;
    }
    let created = mount::fsconfig_create(context);
    created.map_err(|error| Stop::from(error).in_part(whole))?;
    let tree = mount::fsmount(context, attributes);
    tree.map_err(|error| Stop::from(error).in_part(whole))
}

pub(crate) fn clone_tree(
    slots: &Slots,
    source: &TreeSource,
    recursive: bool,
) -> Result<OwnedFd, Stop> {
    let depth = depth(recursive);
    Ok(match source {
        TreeSource::Host(path) | TreeSource::Staged(path) => {
            mount::clone_tree_at_path(path, depth)?
        }
        TreeSource::HostLink(path) => mount::clone_link_at_path(path, depth)?,
        TreeSource::Container(path) => {
            let found = rootpath::look_up(slots.get(Slot::Root)?, path)?;
            mount::clone_tree(found, c"", depth)?
        }
        TreeSource::Slot(slot) => mount::clone_tree(slots.get(*slot)?, c"", depth)?,
    })
}

pub(crate) fn map_ids(tree: BorrowedFd<'_>, namespace: &CStr, recursive: bool) -> Step {
    let namespace = file::open(namespace, O_RDONLY, 0)?;
    Ok(mount::map_ids(tree, &namespace, depth(recursive))?)
}

/// Fails unless the tree is a directory.
pub(crate) fn require_directory(tree: &OwnedFd) -> Step {
    match kind_of(tree)? {
        Make::Directory => Ok(()),
        Make::File => Err(Flaw::KindsDiffer.into()),
    }
}

/// The mount point is made as a directory or a file, as the tree's own root is.
pub(crate) fn attach<'p>(
    slots: &Slots,
    last: &mut LastDirectory<'p>,
    tree: OwnedFd,
    at: &'p RootPath,
    point: MountPoint,
) -> Step {
    let onto = match point {
        MountPoint::Any => rootpath::look_up_or_make(slots, last, at, kind_of(&tree)?)?,
        MountPoint::Directory => rootpath::look_up_or_make(slots, last, at, Make::Directory)?,
        MountPoint::Ordinary => ordinary_directory(slots, last, at)?,
        MountPoint::Link => link_or_made(slots, last, at, kind_of(&tree)?)?,
        MountPoint::CopiedLink if file::status(&tree, c"")?.is(S_IFLNK) => {
            return copy_link(slots.get(Slot::Root)?, &tree, at);
        }
        MountPoint::CopiedLink => rootpath::look_up_or_make(slots, last, at, kind_of(&tree)?)?,
    };
    if let Err(error) = mount::attach(&tree, &onto) {
        return Err(refused(&tree, &onto, error));
    }
    slots.spend(tree);
    slots.spend(onto);
    Ok(())
}

/// Why a tree could not be attached: move_mount(2) has EINVAL for a directory on a file and for a file
/// on a directory as well. The part is 1 if the tree is the directory.
#[cold]
fn refused(tree: &OwnedFd, onto: &OwnedFd, error: Error) -> Stop {
    let is_directory = |file: &OwnedFd| file::status(file, c"").map(|found| found.is(S_IFDIR));
    match (is_directory(tree), is_directory(onto)) {
        (Ok(tree), Ok(onto)) if tree != onto => Stop {
            flaw: Flaw::KindsDiffer,
            part: u16::from(tree),
            error: Some(error),
        },
        _ => error.into(),
    }
}

/// What a mount point for the tree has to be.
fn kind_of(tree: &OwnedFd) -> Result<Make, Error> {
    Ok(if file::status(tree, c"")?.is(S_IFDIR) {
        Make::Directory
    } else {
        Make::File
    })
}

/// What lies at the path, be it a link; made if missing.
#[inline(never)]
fn link_or_made<'p>(
    slots: &Slots,
    last: &mut LastDirectory<'p>,
    at: &'p RootPath,
    make: Make,
) -> Result<OwnedFd, Stop> {
    last.forget(slots);
    let (directory, name) = rootpath::parent(slots.get(Slot::Root)?, at)?;
    let resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    match file::openat2(directory, name, O_PATH | O_NOFOLLOW, 0, resolve) {
        Err(error) if error.errno == Errno::ENOENT => {
            rootpath::look_up_or_make(slots, last, at, make)
        }
        other => Ok(other?),
    }
}

/// Makes the link that the tree is. One that says the same may be there already.
#[inline(never)]
fn copy_link(root: BorrowedFd<'_>, tree: &OwnedFd, at: &RootPath) -> Step {
    let mut buffer = [0; Text::SIZE];
    let mut target = Text::EMPTY;
    target.push(file::read_opened_link(tree, &mut buffer)?)?;
    let (directory, name) = rootpath::parent(root, at)?;
    match file::symlinkat(target.as_c_str(), &directory, name) {
        Err(error) if error.errno == Errno::EEXIST => {
            let there = file::readlinkat(&directory, name, &mut buffer);
            match there {
                Ok(there) if there == target.bytes() => Ok(()),
                _ => Err(error.into()),
            }
        }
        other => Ok(other?),
    }
}

/// mount(2), at a mount point that was looked up as any other, and is named by its descriptor in
/// the host's /proc.
pub(crate) fn by_path<'p>(
    slots: &Slots,
    last: &mut LastDirectory<'p>,
    (fstype, source): (&CStr, &CStr),
    flags: u32,
    data: &CStr,
    at: &'p RootPath,
) -> Step {
    let onto = if flags & MS_REMOUNT == 0 {
        rootpath::look_up_or_make(slots, last, at, Make::Directory)?
    } else {
        rootpath::look_up(slots.get(Slot::Root)?, at)?
    };
    crate::devices::host_proc()?;
    let mut path = Text::EMPTY;
    path.push(b"/proc/self/fd/")?;
    path.push_number(onto.as_raw_fd())?;
    Ok(mount::mount(source, path.as_c_str(), fstype, flags, data)?)
}

fn ordinary_directory<'p>(
    slots: &Slots,
    last: &mut LastDirectory<'p>,
    at: &'p RootPath,
) -> Result<OwnedFd, Stop> {
    last.forget(slots);
    let root = slots.get(Slot::Root)?;
    let open = || {
        file::openat2(
            root,
            &at.0,
            O_PATH | O_DIRECTORY,
            0,
            INSIDE | RESOLVE_NO_SYMLINKS,
        )
    };
    let opened = match open() {
        Err(error) if error.errno == Errno::ENOENT => {
            rootpath::look_up_or_make(slots, last, at, Make::Directory)?;
            open()
        }
        other => other,
    };
    match opened {
        Err(Error {
            errno: Errno::ELOOP | Errno::ENOTDIR,
            ..
        }) => Err(Flaw::NotOrdinaryDirectory.into()),
        other => Ok(other?),
    }
}

pub(crate) fn attach_on_host(slots: &Slots, tree: Slot, at: &CStr) -> Step {
    Ok(mount::attach_at_path(slots.get(tree)?, at)?)
}

/// The number of /dev/null, `mem` devices in the kernel's admin-guide/devices.txt.
const NULL_DEVICE: u64 = (1 << 8) | 3;

pub(crate) fn open_null() -> Result<OwnedFd, Stop> {
    let null = file::open(c"/dev/null", O_PATH, 0)?;
    let found = file::status(&null, c"")?;
    if found.is(S_IFCHR) && found.device == NULL_DEVICE {
        return Ok(null);
    }
    Err(Flaw::NotNull.into())
}

/// What covers the path is cloned from descriptors of the host, never opened by a path that
/// the container could have prepared (CVE-2025-31133).
pub(crate) fn mask(slots: &Slots, path: &RootPath) -> Step {
    let Some(found) = look_up_present(slots.get(Slot::Root)?, path)? else {
        return Ok(());
    };
    let cover = if file::status(&found, c"")?.is(S_IFDIR) {
        Slot::Empty
    } else {
        Slot::Null
    };
    let cover = mount::clone_tree(slots.get(cover)?, c"", Depth::Single)?;
    mount::attach(&cover, &found)?;
    slots.spend(cover);
    slots.spend(found);
    Ok(())
}

pub(crate) fn lock(slots: &Slots, path: &RootPath) -> Step {
    let Some(found) = look_up_present(slots.get(Slot::Root)?, path)? else {
        return Ok(());
    };
    let tree = mount::clone_tree(&found, c"", Depth::Recursive)?;
    let read_only = Change {
        set: mount::MOUNT_ATTR_RDONLY,
        ..Change::default()
    };
    mount::change(&tree, read_only, Depth::Single)?;
    mount::attach(&tree, &found)?;
    slots.spend(tree);
    slots.spend(found);
    Ok(())
}

/// Only a path that does not exist is left alone; any other failure to see it must not leave it
/// uncovered (CVE-2025-31133).
fn look_up_present(root: BorrowedFd<'_>, path: &RootPath) -> Result<Option<OwnedFd>, Stop> {
    match rootpath::look_up(root, path) {
        Err(error) if error.errno == Errno::ENOENT => Ok(None),
        other => Ok(Some(other?)),
    }
}

/// The name is not looked up any further: neither a link nor a path leads elsewhere.
pub(crate) fn unmount(slots: &Slots, directory: &RootPath, name: &CStr) -> Step {
    let holder = rootpath::look_up(slots.get(Slot::Root)?, directory)?;
    file::fchdir(&holder)?;
    Ok(mount::detach_here(name)?)
}
