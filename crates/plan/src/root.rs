//! `root` and `linux.rootfsPropagation`: config.md, Root.

use crate::builder::Builder;
use kan_op::init::{MountChange, MountTarget, Parameter, RootEntry, TreeSource};
use kan_op::{InitStep, Slot};
use kan_spec::config::{NamespaceType, RootfsPropagation};
use linux_raw_sys::general::{
    MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MS_PRIVATE,
    MS_SHARED, MS_SLAVE, MS_UNBINDABLE,
};

const NO_ROOT: &str = "/";

/// Init: a mount tree of the root file system, attached at root.path in init's mount namespace,
/// so that hooks find it there and bind sources may lie in it.
pub(crate) fn prepare(b: &mut Builder<'_>) {
    let Some(root) = &b.config.root else { return };
    let path = b.bundle_path(&root.path);
    let host_path = b.c_string("root.path", path);
    if b.makes_namespace(NamespaceType::Mount) {
        let propagation = propagation(b);
        let change = MountChange {
            propagation,
            recursive: true,
            ..MountChange::default()
        };
        let target = MountTarget::HostRoot;
        b.init(
            "linux.rootfsPropagation",
            InitStep::ChangeMount { target, change },
        );
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
    crate::masks::prepare(b, &host_path);
    b.init(
        "root.path",
        InitStep::AttachOnHost {
            tree: Slot::Root,
            at: host_path,
        },
    );
}

/// What the mount table that init got becomes before anything is mounted. Without the field
/// mounts come in from the host and none go out, as in runc.
fn propagation(b: &Builder<'_>) -> u32 {
    use RootfsPropagation as P;
    match b.linux().and_then(|linux| linux.rootfs_propagation) {
        None | Some(P::Slave | P::RecursiveSlave) => MS_SLAVE,
        Some(P::Private | P::RecursivePrivate) => MS_PRIVATE,
        Some(P::Shared | P::RecursiveShared) => MS_SHARED,
        Some(P::Unbindable | P::RecursiveUnbindable) => MS_UNBINDABLE,
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
            slave_first: propagation(b) == MS_SHARED,
        }
    };
    let field = if entry == RootEntry::Move {
        "--no-pivot"
    } else {
        "root.path"
    };
    b.init(field, InitStep::EnterRoot(entry));
}

/// The steps that make an empty, read-only file system, for masking directories.
pub(crate) fn empty_filesystem(b: &mut Builder<'_>) -> InitStep {
    let parameter = |key: &str, value: &str, b: &mut Builder<'_>| Parameter {
        key: b.c_string(NO_ROOT, key),
        value: Some(b.c_string(NO_ROOT, value)),
        option: None,
    };
    let parameters = vec![parameter("nr_inodes", "2", b), parameter("mode", "0755", b)];
    InitStep::NewFilesystem {
        out: Slot::Empty,
        fstype: c"tmpfs".into(),
        parameters,
        attributes: MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
    }
}
