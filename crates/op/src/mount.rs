//! Mounts as steps see them.

use crate::Slot;
use alloc::ffi::CString;
use alloc::vec::Vec;

/// A path inside the container, absolute as the container sees it. It is resolved below the
/// root's descriptor at the moment of use, never earlier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootPath(pub CString);

/// A parameter of a new file system, fsconfig(2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub key: CString,
    /// Its value; `None` for a flag.
    pub value: Option<CString>,
    /// The index of the option in config.json that gave it, if one did.
    pub option: Option<u16>,
}

/// A new file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMount {
    /// Where the mount goes.
    pub out: Slot,
    /// Its type as in /proc/filesystems.
    pub fstype: CString,
    /// Its parameters, in order.
    pub parameters: Vec<Parameter>,
    /// MOUNT_ATTR_* of the mount.
    pub attributes: u32,
    /// The directory, if there is one, whose permission bits become the parameter `mode`.
    pub mode_of: Option<RootPath>,
    /// What is cloned from the host, with what is mounted below, where this one is not
    /// permitted: sysfs in a user namespace that does not own the network namespace.
    pub instead: Option<CString>,
    /// The pid namespace that a procfs shows, where it is not the one that init is in.
    pub pids: Option<Slot>,
}

impl NewMount {
    /// A file system without parameters and attributes.
    #[must_use]
    pub const fn plain(out: Slot, fstype: CString) -> Self {
        Self {
            out,
            fstype,
            parameters: Vec::new(),
            attributes: 0,
            mode_of: None,
            instead: None,
            pids: None,
        }
    }
}

/// Where a cloned mount tree comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeSource {
    /// A path of the host, seen from init before it leaves the host's root.
    Host(CString),
    /// Likewise, and if it is a symbolic link, the link itself.
    HostLink(CString),
    /// A tree that the host half made before the clone, by its name in init's first working
    /// directory.
    Staged(CString),
    /// A path inside the container.
    Container(RootPath),
    /// The tree in a slot, which must be attached somewhere.
    Slot(Slot),
}

/// What mount_setattr(2) changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MountChange {
    /// MOUNT_ATTR_* to switch on.
    pub set: u32,
    /// MOUNT_ATTR_* to switch off.
    pub clear: u32,
    /// MOUNT_ATTR_* to switch off unless they are locked: mount_namespaces(7), Restrictions on mount
    /// namespaces.
    pub clear_unlocked: u32,
    /// 0, or one of MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE.
    pub propagation: u32,
    /// Whether the mounts below change as well.
    pub recursive: bool,
}

/// The mount whose attributes change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountTarget {
    /// The tree in a slot.
    Slot(Slot),
    /// The mount at a path inside the container.
    Container(RootPath),
    /// All that init sees before it leaves the host's root.
    HostRoot,
    /// The mount of the host's that holds a path.
    Holding(CString),
    /// The container's root, once it is `/`.
    EnteredRoot,
}

/// Which mount points are acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountPoint {
    /// Any path below the root; links are followed inside it, what is missing is made.
    Any,
    /// As `Any`, made as a directory without a look at the tree: a new file system's root is one.
    Directory,
    /// A directory reached without links, made if missing: for /proc and /sys (CVE-2019-19921).
    Ordinary,
    /// As `Any`, but a link that is the last part of the path is the mount point itself.
    Link,
    /// As `Any`; a tree that is a symbolic link is not mounted, the same link is made.
    CopiedLink,
}
