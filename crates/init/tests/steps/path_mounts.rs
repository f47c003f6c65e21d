//! `MountByPath`, and what mount points may be beside directories and files.

use crate::harness::{Test, alone, tests};
use crate::scene::{
    at, attach, c, filesystem, inside, mount_at, mount_on, perform, refused, set, tmpfs,
};
use kan_op::init::{MountChange, MountPoint, MountTarget, NewMount, TreeSource};
use kan_op::{InitStep, Slot};
use kan_sys::mount::{MOUNT_ATTR_NODEV, MS_REMOUNT};
use kan_sys::{Errno, Sysno};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

pub const TESTS: &[Test] = &tests![
    crate::path_mounts::mounted_and_remounted_by_path,
    crate::path_mounts::a_remount_of_nothing_is_refused,
    crate::path_mounts::a_tmpfs_takes_the_mode_it_covers,
    crate::path_mounts::what_is_not_permitted_is_cloned_instead,
    crate::path_mounts::a_link_is_a_mount_point_if_it_has_to_be,
    crate::path_mounts::a_link_is_made_anew,
    crate::path_mounts::the_mount_that_holds_a_path_changes,
];

const MS_RDONLY: u32 = 1;
const MS_NOSUID: u32 = 2;

fn by_path(fstype: &str, flags: u32, data: &str) -> InitStep {
    InitStep::MountByPath {
        fstype: c(fstype),
        source: c("mine"),
        flags,
        data: c(data),
        at: at("/deep/point"),
    }
}

pub fn mounted_and_remounted_by_path() {
    alone(|| {
        set();
        mount_at("proc", "/proc");
        let long = format!("{}mode=0750,size=64k", "uid=0,".repeat(60));
        let steps = [by_path("tmpfs", MS_NOSUID, &long)];
        assert_eq!(perform(&steps), Ok(()));
        let mount = mount_on(inside("deep/point")).unwrap();
        assert_eq!(mount.options, "rw,nosuid,relatime");
        assert!(mount.super_options.contains("size=64k"), "{mount:?}");
        let steps = [by_path("", MS_REMOUNT | MS_RDONLY, "size=128k")];
        assert_eq!(perform(&steps), Ok(()));
        let mount = mount_on(inside("deep/point")).unwrap();
        assert_eq!(mount.options, "ro,relatime");
        assert!(mount.super_options.contains("size=128k"), "{mount:?}");
    });
}

fn a_remount_of_nothing_is_refused() {
    alone(|| {
        set();
        mount_at("proc", "/proc");
        let missing = perform(&[by_path("", MS_REMOUNT, "")]);
        assert_eq!(missing, refused(0, Sysno::openat2, Errno::ENOENT));
        fs::create_dir_all(inside("deep/point")).unwrap();
        let no_mount = perform(&[by_path("", MS_REMOUNT, "")]);
        assert_eq!(no_mount, refused(0, Sysno::mount, Errno::EINVAL));
    });
}

fn a_tmpfs_takes_the_mode_it_covers() {
    alone(|| {
        set();
        fs::create_dir(inside("there")).unwrap();
        fs::set_permissions(inside("there"), fs::Permissions::from_mode(0o2751)).unwrap();
        let like = |path: &str| {
            let new = NewMount {
                mode_of: Some(at(path)),
                ..NewMount::plain(Slot::Tree, c("tmpfs"))
            };
            [InitStep::NewFilesystem(new), attach(path)]
        };
        for (path, mode) in [("/there", 0o2751), ("/new", 0o1777)] {
            assert_eq!(perform(&like(path)), Ok(()));
            let found = fs::metadata(inside(path)).unwrap().mode() & 0o7777;
            assert_eq!(found, mode, "{path}");
        }
    });
}

/// A file system of a namespace that is not one's own is not permitted: here sysfs in a new user
/// namespace.
fn what_is_not_permitted_is_cloned_instead() {
    alone(|| {
        set();
        mount_at("tmpfs", "/srv");
        fs::write("/srv/instead", "").unwrap();
        let new = |instead: bool| {
            let new = NewMount {
                attributes: MOUNT_ATTR_NODEV,
                instead: instead.then(|| c("/srv")),
                pids: None,
                ..NewMount::plain(Slot::Tree, c("sysfs"))
            };
            [InitStep::NewFilesystem(new), attach("/sys")]
        };
        let namespaces = kan_sys::namespace::CLONE_NEWUSER | kan_sys::namespace::CLONE_NEWNS;
        kan_sys::namespace::unshare(namespaces).unwrap();
        let found = perform(&new(false));
        assert_eq!(found, refused(0, Sysno::fsopen, Errno::EPERM));
        let steps = new(true);
        // The namespace maps nobody, who can make no directory: it is there already.
        assert_eq!(perform(&steps[..1]), Ok(()));
    });
}

fn clone_link(path: &str) -> InitStep {
    InitStep::CloneTree {
        out: Slot::Tree,
        source: TreeSource::HostLink(c(path)),
        recursive: false,
    }
}

fn attach_as(path: &str, point: MountPoint) -> InitStep {
    InitStep::Attach {
        tree: Slot::Tree,
        at: at(path),
        point,
    }
}

fn a_link_is_a_mount_point_if_it_has_to_be() {
    alone(|| {
        set();
        fs::write("/mnt/file", "one").unwrap();
        symlink("/mnt/file", "/mnt/link").unwrap();
        symlink("/nowhere", inside("link")).unwrap();
        let steps = [
            clone_link("/mnt/link"),
            attach_as("/link", MountPoint::Link),
        ];
        assert_eq!(perform(&steps), Ok(()));
        assert_eq!(
            fs::read_link(inside("link")).unwrap().to_str(),
            Some("/mnt/file")
        );
        assert!(!inside("nowhere").exists());
        let followed = [
            InitStep::CloneTree {
                out: Slot::Tree,
                source: TreeSource::Host(c("/mnt/link")),
                recursive: false,
            },
            attach_as("/deep/new", MountPoint::Link),
        ];
        assert_eq!(perform(&followed), Ok(()));
        assert_eq!(fs::read(inside("deep/new")).unwrap(), b"one");
    });
}

fn a_link_is_made_anew() {
    alone(|| {
        set();
        symlink("/some/where", "/mnt/link").unwrap();
        let steps = [
            clone_link("/mnt/link"),
            attach_as("/deep/link", MountPoint::CopiedLink),
        ];
        for _ in 0..2 {
            assert_eq!(perform(&steps), Ok(()));
            let target = fs::read_link(inside("deep/link")).unwrap();
            assert_eq!(target.to_str(), Some("/some/where"));
        }
        assert!(mount_on(inside("deep/link")).is_none());
        fs::remove_file(inside("deep/link")).unwrap();
        symlink("/else/where", inside("deep/link")).unwrap();
        assert_eq!(perform(&steps), refused(1, Sysno::symlinkat, Errno::EEXIST));
    });
}

fn the_mount_that_holds_a_path_changes() {
    alone(|| {
        set();
        fs::create_dir_all(inside("deep/down")).unwrap();
        let shared = MountChange {
            propagation: 1 << 20,
            ..MountChange::default()
        };
        let holding = InitStep::ChangeMount {
            target: MountTarget::Holding(c(inside("deep/down").to_str().unwrap())),
            change: shared,
        };
        assert_eq!(perform(&[holding]), Ok(()));
        let found = |point: &str| mount_on(point).unwrap().propagation;
        assert!(found(crate::scene::ROOT).starts_with("shared:"));
        assert_eq!(found("/mnt"), "");
        let root = InitStep::ChangeMount {
            target: MountTarget::EnteredRoot,
            change: shared,
        };
        assert_eq!(perform(&[tmpfs(Slot::Tree), root]), Ok(()));
        assert!(found("/").starts_with("shared:"));
        assert_eq!(found("/mnt"), "");
        assert_eq!(perform(&[filesystem("tmpfs", &[], 0)]), Ok(()));
    });
}
