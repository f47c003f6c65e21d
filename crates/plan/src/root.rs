//! `root` and `linux.rootfsPropagation`: config.md, Root.

use crate::builder::Builder;
use kan_op::init::{MountChange, MountTarget, RootEntry, TreeSource};
use kan_op::{InitStep, Slot};
use kan_spec::config::{NamespaceType, RootfsPropagation};
use linux_raw_sys::general::{MOUNT_ATTR_RDONLY, MS_PRIVATE, MS_SHARED, MS_SLAVE, MS_UNBINDABLE};

use std::ffi::CStr;

/// Init: a mount tree of the root file system, attached at root.path in init's mount namespace,
/// so that hooks find it there and bind sources may lie in it.
pub(crate) fn prepare(b: &mut Builder<'_>) {
    let Some(root) = &b.config.root else { return };
    let path = b.bundle_path(&root.path);
    let host_path = b.c_string("root.path", path);
    if b.makes_namespace(NamespaceType::Mount) {
        cut_off(b, &host_path);
    }
    let source = TreeSource::Host(host_path.clone());
    b.init(
        "root.path",
        InitStep::CloneTree {
            out: Slot::Root,
            source,
            recursive: true,
        },
    );
    if !b.has_namespace(NamespaceType::Mount) {
        // The container's mounts lie on the host's then, and only there.
        propagate(b, MountTarget::Slot(Slot::Root), MS_PRIVATE, true);
    }
    crate::linux::masks::prepare(b, &host_path);
    b.init(
        "root.path",
        InitStep::AttachOnHost {
            tree: Slot::Root,
            at: host_path,
        },
    );
}

/// What the mounts that init got become before anything is mounted. Without the field mounts come
/// in from the host and none go out, as in runc. With `shared` the host's stay as they are, but
/// for the one that holds the root: pivot_root(2) wants that, and the container's mounts must not
/// appear there. Unbindable ones could not be cloned.
fn cut_off(b: &mut Builder<'_>, root: &CStr) {
    use RootfsPropagation as P;
    let wanted = b.linux().and_then(|linux| linux.rootfs_propagation);
    let (propagation, recursive) = match wanted {
        None | Some(P::Slave | P::RecursiveSlave) => (MS_SLAVE, true),
        Some(P::Shared) => (MS_SHARED, false),
        Some(P::RecursiveShared) => (MS_SHARED, true),
        Some(P::Private | P::RecursivePrivate | P::Unbindable | P::RecursiveUnbindable) => {
            (MS_PRIVATE, true)
        }
    };
    propagate(b, MountTarget::HostRoot, propagation, recursive);
    if propagation == MS_SHARED {
        propagate(b, MountTarget::Holding(root.into()), MS_PRIVATE, false);
    }
}

fn propagate(b: &mut Builder<'_>, target: MountTarget, propagation: u32, recursive: bool) {
    let change = MountChange {
        propagation,
        recursive,
        ..MountChange::default()
    };
    b.init(
        "linux.rootfsPropagation",
        InitStep::ChangeMount { target, change },
    );
}

/// What the root itself becomes once it is `/`. The others it has already, by its origin; and the
/// mounts in it have what their own options say.
fn late_propagation(b: &Builder<'_>) -> Option<u32> {
    use RootfsPropagation as P;
    match b.linux().and_then(|linux| linux.rootfs_propagation)? {
        P::Shared | P::RecursiveShared => Some(MS_SHARED),
        P::Unbindable | P::RecursiveUnbindable => Some(MS_UNBINDABLE),
        P::Slave | P::RecursiveSlave | P::Private | P::RecursivePrivate => None,
    }
}

/// Init: the root becomes `/`.
pub(crate) fn enter(b: &mut Builder<'_>) {
    let Some(root) = &b.config.root else { return };
    if root.readonly {
        let change = MountChange {
            set: MOUNT_ATTR_RDONLY,
            ..MountChange::default()
        };
        let target = MountTarget::Slot(Slot::Root);
        b.init("root.readonly", InitStep::ChangeMount { target, change });
    }
    let entry = if !b.has_namespace(NamespaceType::Mount) {
        RootEntry::Chroot
    } else if b.request.no_pivot {
        RootEntry::Move
    } else {
        RootEntry::Pivot {
            slave_first: late_propagation(b) == Some(MS_SHARED),
        }
    };
    let field = if entry == RootEntry::Move {
        "--no-pivot"
    } else {
        "root.path"
    };
    b.init(field, InitStep::EnterRoot(entry));
    if let Some(propagation) = late_propagation(b)
        && entry != RootEntry::Chroot
    {
        propagate(b, MountTarget::EnteredRoot, propagation, false);
    }
}
