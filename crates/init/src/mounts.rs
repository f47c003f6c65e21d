//! The container's mounts.

use crate::rootpath::{self, INSIDE, Make};
use crate::{Slots, Step, Stop};
use core::ffi::CStr;
use kan_op::init::{
    MountChange, MountPoint, MountTarget, Parameter, RootEntry, RootPath, TreeSource,
};
use kan_op::{Flaw, Slot};
use kan_sys::fd::{AsFd, BorrowedFd, OwnedFd};
use kan_sys::file::{self, O_DIRECTORY, O_PATH, RESOLVE_NO_SYMLINKS, S_IFCHR, S_IFDIR};
use kan_sys::mount::{self, Change, Depth};
use kan_sys::{Errno, Error};

fn depth(recursive: bool) -> Depth {
    if recursive {
        Depth::Recursive
    } else {
        Depth::Single
    }
}

fn as_sys(change: MountChange) -> Change {
    Change {
        set: change.set,
        clear: change.clear,
        propagation: change.propagation,
    }
}

pub(crate) fn change(slots: &Slots, target: &MountTarget, change: MountChange) -> Step {
    let (what, depth) = (as_sys(change), depth(change.recursive));
    match target {
        MountTarget::HostRoot => Ok(mount::change_at_path(c"/", what, depth)?),
        MountTarget::Slot(slot) => Ok(mount::change(slots.get(*slot)?, what, depth)?),
        MountTarget::Container(path) => {
            let found = rootpath::look_up(slots.get(Slot::Root)?, path)?;
            Ok(mount::change(found, what, depth)?)
        }
    }
}

/// The failing parameter's index is the failure's part.
pub(crate) fn new_filesystem(
    fstype: &CStr,
    parameters: &[Parameter],
    attributes: u32,
) -> Result<OwnedFd, Stop> {
    let context = mount::fsopen(fstype)?;
    for (index, parameter) in parameters.iter().enumerate() {
        let set = match &parameter.value {
            Some(value) => mount::fsconfig_string(&context, &parameter.key, value),
            None => mount::fsconfig_flag(&context, &parameter.key),
        };
        set.map_err(|error| Stop::from(error).in_part(index))?;
    }
    let whole = parameters.len();
    let created = mount::fsconfig_create(&context);
    created.map_err(|error| Stop::from(error).in_part(whole))?;
    mount::fsmount(&context, attributes).map_err(|error| Stop::from(error).in_part(whole))
}

pub(crate) fn clone_tree(
    slots: &Slots,
    source: &TreeSource,
    recursive: bool,
) -> Result<OwnedFd, Stop> {
    let depth = depth(recursive);
    Ok(match source {
        TreeSource::Host(path) => mount::clone_tree_at_path(path, depth)?,
        TreeSource::Container(path) => {
            let found = rootpath::look_up(slots.get(Slot::Root)?, path)?;
            mount::clone_tree(found, c"", depth)?
        }
        TreeSource::Slot(slot) => mount::clone_tree(slots.get(*slot)?, c"", depth)?,
    })
}

/// The mount point is made as a directory or a file, as the tree's own root is.
pub(crate) fn attach(
    root: BorrowedFd<'_>,
    tree: &OwnedFd,
    at: &RootPath,
    point: MountPoint,
) -> Step {
    let is_directory = file::status(tree, c"")?.is(S_IFDIR);
    let make = if is_directory {
        Make::Directory
    } else {
        Make::File
    };
    let onto = match point {
        MountPoint::Any => rootpath::look_up_or_make(root, at, make)?,
        MountPoint::Ordinary => ordinary_directory(root, at)?,
    };
    Ok(mount::attach(tree, &onto)?)
}

fn ordinary_directory(root: BorrowedFd<'_>, at: &RootPath) -> Result<OwnedFd, Stop> {
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
            rootpath::make_directory(root, at)?;
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

pub(crate) fn attach_on_host(tree: BorrowedFd<'_>, at: &CStr) -> Step {
    let onto = file::open(at, O_PATH, 0)?;
    Ok(mount::attach(tree, onto)?)
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
    Ok(mount::attach(&cover, &found)?)
}

pub(crate) fn lock(root: BorrowedFd<'_>, path: &RootPath) -> Step {
    let Some(found) = look_up_present(root, path)? else {
        return Ok(());
    };
    let tree = mount::clone_tree(&found, c"", Depth::Recursive)?;
    let read_only = Change {
        set: mount::MOUNT_ATTR_RDONLY,
        ..Change::default()
    };
    mount::change(&tree, read_only, Depth::Single)?;
    Ok(mount::attach(&tree, &found)?)
}

/// Only a path that does not exist is left alone; any other failure to see it must not leave it
/// uncovered (CVE-2025-31133).
fn look_up_present(root: BorrowedFd<'_>, path: &RootPath) -> Result<Option<OwnedFd>, Stop> {
    match rootpath::look_up(root, path) {
        Err(error) if error.errno == Errno::ENOENT => Ok(None),
        other => Ok(Some(other?)),
    }
}

pub(crate) fn enter_root(root: OwnedFd, entry: RootEntry) -> Step {
    file::fchdir(&root)?;
    drop(root);
    match entry {
        RootEntry::Pivot { slave_first } => pivot(slave_first)?,
        RootEntry::Move => {
            let here = file::open(c".", O_PATH | O_DIRECTORY, 0)?;
            let over = file::open(c"/", O_PATH | O_DIRECTORY, 0)?;
            mount::attach(here.as_fd(), over)?;
            file::chroot(c".")?;
        }
        RootEntry::Chroot => file::chroot(c".")?,
    }
    Ok(file::chdir(c"/")?)
}

/// With `.` for both, the old root lies on top of the new one, and `.` is the old one:
/// pivot_root(2), notes.
fn pivot(slave_first: bool) -> Result<(), Error> {
    mount::pivot_root(c".", c".")?;
    if slave_first {
        const MS_SLAVE: u32 = 1 << 19;
        let slave = Change {
            propagation: MS_SLAVE,
            ..Change::default()
        };
        mount::change_at_path(c".", slave, Depth::Recursive)?;
    }
    mount::detach(c".")
}
