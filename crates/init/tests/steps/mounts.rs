//! `NewFilesystem`, `CloneTree`, `ChangeMount`, `AttachOnHost`, `Close`.

use crate::harness::{Test, alone, tests};
use crate::scene::{
    at, attach, c, clone_host, filesystem, flawed, inside, mount_at, mount_on, path_fd, perform,
    perform_then, perform_with, refused, refused_in_part, root_slots, set, tmpfs,
};
use kan_init::Slots;
use kan_op::init::{MountChange, MountTarget, TreeSource};
use kan_op::{Flaw, InitStep, Slot};
use kan_sys::fd::{AsRawFd, OwnedFd};
use kan_sys::mount::{self, Depth, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_RDONLY};
use kan_sys::namespace::CLONE_NEWUSER;
use kan_sys::process::{self, Alone};
use kan_sys::{Errno, Sysno, file, io, resource};
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};

pub const TESTS: &[Test] = &tests![
    crate::mounts::a_new_filesystem_has_what_was_asked_for,
    crate::mounts::a_refused_parameter_is_named_by_its_index,
    crate::mounts::what_the_whole_refuses_has_the_last_part,
    crate::mounts::an_unknown_type_is_refused,
    crate::mounts::a_clone_comes_from_host_container_and_slot,
    crate::mounts::a_recursive_clone_takes_what_is_below,
    crate::mounts::a_missing_source_is_refused,
    crate::mounts::ids_are_mapped_as_in_a_namespace,
    crate::mounts::change_reaches_slot_container_and_host,
    crate::mounts::a_recursive_change_reaches_what_is_below,
    crate::mounts::attach_on_host_keeps_the_slot,
    crate::mounts::what_is_mounted_goes_away,
    crate::mounts::what_is_not_mounted_is_refused,
    crate::mounts::many_mounts_need_few_descriptors,
    crate::mounts::close_closes_one_slot,
    crate::mounts::closing_an_empty_slot_is_out_of_step,
];

pub fn a_new_filesystem_has_what_was_asked_for() {
    alone(|| {
        set();
        let parameters = ["source=mine", "size=64k", "mode=1750"];
        let attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV;
        let steps = [filesystem("tmpfs", &parameters, attributes), attach("/t")];
        assert_eq!(perform(&steps), Ok(()));
        let mount = mount_on(inside("t")).unwrap();
        assert_eq!(mount.fstype, "tmpfs");
        assert_eq!(mount.options, "ro,nodev,relatime");
        assert!(mount.super_options.contains("size=64k"), "{mount:?}");
        assert_eq!(fs::metadata(inside("t")).unwrap().mode(), 0o41750);
    });
}

fn a_refused_parameter_is_named_by_its_index() {
    alone(|| {
        set();
        let steps = [filesystem("tmpfs", &["size=1m", "mode=banana"], 0)];
        let expected = refused_in_part(0, 1, Sysno::fsconfig, Errno::EINVAL);
        assert_eq!(perform(&steps), expected);
        let flag = [tmpfs(Slot::Tree), filesystem("tmpfs", &["nonsense"], 0)];
        let expected = refused_in_part(1, 0, Sysno::fsconfig, Errno::EINVAL);
        assert_eq!(perform(&flag), expected);
    });
}

/// An overlay needs a lower directory, and only misses it when it is created.
fn what_the_whole_refuses_has_the_last_part() {
    alone(|| {
        set();
        let found = perform(&[filesystem("overlay", &["metacopy=off"], 0)]);
        if found == refused(0, Sysno::fsopen, Errno::ENODEV) {
            crate::harness::skip("this kernel has no overlay file system");
        }
        let expected = refused_in_part(0, 1, Sysno::fsconfig, Errno::EINVAL);
        assert_eq!(found, expected);
    });
}

fn an_unknown_type_is_refused() {
    alone(|| {
        set();
        let found = perform(&[filesystem("nosuchfs", &[], 0)]);
        assert_eq!(found, refused(0, Sysno::fsopen, Errno::ENODEV));
    });
}

fn clone(source: TreeSource, out: Slot, recursive: bool) -> InitStep {
    InitStep::CloneTree {
        out,
        source,
        recursive,
    }
}

pub fn a_clone_comes_from_host_container_and_slot() {
    alone(|| {
        set();
        fs::create_dir(inside("source")).unwrap();
        fs::write(inside("source/file"), "one").unwrap();
        let path = inside("source");
        let host = clone(
            TreeSource::Host(c(path.to_str().unwrap())),
            Slot::Tree,
            false,
        );
        let container = clone(TreeSource::Container(at("/source")), Slot::Tree, false);
        let first = clone_host(path.to_str().unwrap(), Slot::Empty);
        let on_host = InitStep::AttachOnHost {
            tree: Slot::Empty,
            at: c("/srv"),
        };
        let slot = clone(TreeSource::Slot(Slot::Empty), Slot::Tree, false);
        let steps = [
            host,
            attach("/a"),
            container,
            attach("/b"),
            first,
            on_host,
            slot,
            attach("/c"),
        ];
        assert_eq!(perform(&steps), Ok(()));
        for path in ["a/file", "b/file", "c/file"] {
            assert_eq!(fs::read_to_string(inside(path)).unwrap(), "one", "{path}");
        }
    });
}

fn until_closed(hears: &mut OwnedFd) -> ! {
    let _ = io::read(&*hears, &mut [0]);
    process::exit(0)
}

/// Puts a user namespace, in which user 5 is 1000, at a path.
fn user_namespace_at(path: &str) {
    let (mut hears, tells) = io::pipe().unwrap();
    let alone = Alone::check().unwrap();
    let child = process::fork(alone, CLONE_NEWUSER.into(), None, &mut hears, until_closed).unwrap();
    let of_child = format!("/proc/{}", child.pid);
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("{of_child}/{map}"), "5 1000 1").unwrap();
    }
    fs::write(path, "").unwrap();
    let file = file::open(&c(&format!("{of_child}/ns/user")), file::O_RDONLY, 0).unwrap();
    mount::attach(
        mount::clone_tree(&file, c"", Depth::Single).unwrap(),
        path_fd(path),
    )
    .unwrap();
    drop(tells);
}

pub fn ids_are_mapped_as_in_a_namespace() {
    alone(|| {
        set();
        fs::create_dir_all("/mnt/source/below").unwrap();
        mount_at("tmpfs", "/mnt/source/below");
        let files = ["file", "below/file"];
        for file in files {
            let file = format!("/mnt/source/{file}");
            fs::write(&file, "").unwrap();
            chown(&file, Some(5), Some(5)).unwrap();
        }
        user_namespace_at("/mnt/ids");
        let map = |namespace: &str, recursive| InitStep::MapIds {
            tree: Slot::Tree,
            namespace: c(namespace),
            recursive,
        };
        let source = || clone(TreeSource::Host(c("/mnt/source")), Slot::Tree, true);
        let mapped = |recursive, at| [source(), map("/mnt/ids", recursive), attach(at)];
        let found = perform(&mapped(false, "/top"));
        if found == refused(1, Sysno::mount_setattr, Errno::EINVAL) {
            crate::harness::skip("this kernel maps no ids of a tmpfs");
        }
        assert_eq!(found, Ok(()));
        assert_eq!(perform(&mapped(true, "/all")), Ok(()));
        let owner = |path: String| fs::metadata(inside(&path)).unwrap().uid();
        let owners = |at: &str| files.map(|file| owner(format!("{at}/{file}")));
        assert_eq!(owners("top"), [1000, 5]);
        assert_eq!(owners("all"), [1000, 1000]);
        let missing = [source(), map("/mnt/missing", false)];
        let expected = refused(1, Sysno::openat, Errno::ENOENT);
        assert_eq!(perform(&missing), expected);
    });
}

fn a_recursive_clone_takes_what_is_below() {
    alone(|| {
        set();
        fs::create_dir_all("/mnt/source/below").unwrap();
        mount_at("tmpfs", "/mnt/source/below");
        fs::write("/mnt/source/below/file", "").unwrap();
        let source = || TreeSource::Host(c("/mnt/source"));
        let steps = [
            clone(source(), Slot::Tree, true),
            attach("/with"),
            clone(source(), Slot::Tree, false),
            attach("/without"),
        ];
        assert_eq!(perform(&steps), Ok(()));
        assert!(inside("with/below/file").exists());
        assert!(!inside("without/below/file").exists());
    });
}

fn a_missing_source_is_refused() {
    alone(|| {
        set();
        let host = perform(&[clone_host("/mnt/missing", Slot::Tree)]);
        assert_eq!(host, refused(0, Sysno::open_tree, Errno::ENOENT));
        let source = TreeSource::Container(at("/missing"));
        let container = perform(&[clone(source, Slot::Tree, false)]);
        assert_eq!(container, refused(0, Sysno::openat2, Errno::ENOENT));
        let source = TreeSource::Slot(Slot::Empty);
        let slot = perform(&[clone(source, Slot::Tree, false)]);
        assert_eq!(slot, flawed(0, Flaw::OutOfStep));
    });
}

fn change(target: MountTarget, change: MountChange) -> InitStep {
    InitStep::ChangeMount { target, change }
}

pub fn change_reaches_slot_container_and_host() {
    alone(|| {
        set();
        let options = |set: u32, clear: u32| MountChange {
            set,
            clear,
            ..MountChange::default()
        };
        let shared = MountChange {
            propagation: 1 << 20,
            recursive: true,
            ..MountChange::default()
        };
        let steps = [
            filesystem("tmpfs", &[], MOUNT_ATTR_NOEXEC),
            change(
                MountTarget::Slot(Slot::Tree),
                options(MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOEXEC),
            ),
            attach("/a"),
            tmpfs(Slot::Tree),
            attach("/b"),
            change(
                MountTarget::Container(at("/b")),
                options(MOUNT_ATTR_NODEV, 0),
            ),
        ];
        assert_eq!(perform(&steps), Ok(()));
        assert_eq!(mount_on(inside("a")).unwrap().options, "ro,relatime");
        assert_eq!(mount_on(inside("b")).unwrap().options, "rw,nodev,relatime");
        assert_eq!(mount_on("/").unwrap().propagation, "");
        assert_eq!(perform(&[change(MountTarget::HostRoot, shared)]), Ok(()));
        for point in ["/", "/mnt"] {
            let found = mount_on(point).unwrap().propagation;
            assert!(found.starts_with("shared:"), "{point}: {found}");
        }
    });
}

fn a_recursive_change_reaches_what_is_below() {
    alone(|| {
        set();
        for point in ["one", "one/below", "two", "two/below"] {
            fs::create_dir(inside(point)).unwrap();
            mount_at("tmpfs", inside(point).to_str().unwrap());
        }
        let read_only = |path: &str, recursive: bool| {
            let target = MountTarget::Container(at(path));
            let what = MountChange {
                set: MOUNT_ATTR_RDONLY,
                recursive,
                ..MountChange::default()
            };
            change(target, what)
        };
        let steps = [read_only("/one", true), read_only("/two", false)];
        assert_eq!(perform(&steps), Ok(()));
        for (point, options) in [
            ("one", "ro,relatime"),
            ("one/below", "ro,relatime"),
            ("two", "ro,relatime"),
            ("two/below", "rw,relatime"),
        ] {
            assert_eq!(mount_on(inside(point)).unwrap().options, options, "{point}");
        }
    });
}

pub fn attach_on_host_keeps_the_slot() {
    alone(|| {
        set();
        let on_host = |path: &str| InitStep::AttachOnHost {
            tree: Slot::Tree,
            at: c(path),
        };
        let steps = [
            tmpfs(Slot::Tree),
            on_host("/srv"),
            InitStep::Close(Slot::Tree),
        ];
        assert_eq!(perform_with(&steps, Slots::default()), Ok(()));
        assert_eq!(mount_on("/srv").unwrap().fstype, "tmpfs");
        let missing = [tmpfs(Slot::Tree), on_host("/mnt/missing")];
        let expected = refused(1, Sysno::move_mount, Errno::ENOENT);
        assert_eq!(perform_with(&missing, Slots::default()), expected);
    });
}

/// What steps are done with is closed in one go: often enough for a process that may have few
/// descriptors, and before anything but mounts is made.
fn many_mounts_need_few_descriptors() {
    alone(|| {
        set();
        const RLIMIT_NOFILE: u32 = 7;
        resource::set_limit(RLIMIT_NOFILE, 48, 48).unwrap();
        let mut steps = vec![InitStep::CloseInherited { preserved: 0 }];
        for number in 0..41 {
            steps.push(tmpfs(Slot::Tree));
            steps.push(attach(&format!("/m{number}")));
        }
        let open = || (0..48).filter(|number| io::is_open(*number)).count();
        let waiting = |steps: &[InitStep]| {
            let mut count = 0;
            assert_eq!(perform_then(steps, root_slots(), || count = open()), Ok(()));
            count
        };
        assert!(waiting(&steps) > 4, "closed together, later");
        steps.push(InitStep::SetUmask(0o22));
        assert_eq!(waiting(&steps), 4, "stdio and the root");
    });
}

pub fn close_closes_one_slot() {
    alone(|| {
        set();
        let (one, two) = (path_fd("/"), path_fd("/"));
        let (closed, kept) = (one.as_raw_fd(), two.as_raw_fd());
        let mut slots = root_slots();
        slots.fill(Slot::Null, one);
        slots.fill(Slot::Empty, two);
        let done = perform_then(&[InitStep::Close(Slot::Null)], slots, || {
            assert!(!io::is_open(closed));
            assert!(io::is_open(kept));
        });
        assert_eq!(done, Ok(()));
    });
}

fn closing_an_empty_slot_is_out_of_step() {
    alone(|| {
        set();
        let done = perform(&[InitStep::Close(Slot::Null)]);
        assert_eq!(done, flawed(0, Flaw::OutOfStep));
    });
}

fn unmount(directory: &str, name: &str) -> InitStep {
    InitStep::Unmount {
        directory: at(directory),
        name: c(name),
    }
}

pub fn what_is_mounted_goes_away() {
    alone(|| {
        set();
        let steps = [
            tmpfs(Slot::Tree),
            attach("/a/b"),
            tmpfs(Slot::Tree),
            attach("/c"),
            unmount("/a/", "b"),
            unmount("/", "c"),
        ];
        assert_eq!(perform(&steps), Ok(()));
        for path in ["a/b", "c"] {
            assert!(inside(path).is_dir());
            assert!(mount_on(inside(path)).is_none(), "{path}");
        }
    });
}

fn what_is_not_mounted_is_refused() {
    alone(|| {
        set();
        fs::create_dir(inside("plain")).unwrap();
        let plain = perform(&[unmount("/", "plain")]);
        assert_eq!(plain, refused(0, Sysno::umount2, Errno::EINVAL));
        std::os::unix::fs::symlink("/mnt", inside("link")).unwrap();
        let link = perform(&[unmount("/", "link")]);
        assert_eq!(link, refused(0, Sysno::umount2, Errno::EINVAL));
    });
}
