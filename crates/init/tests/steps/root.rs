//! `EnterRoot`: leaving the host's root.

use crate::harness::{Test, alone, tests, wait};
use crate::scene::{
    OUTSIDE, ROOT, at, c, inside, mount_at, mounts, names, perform, perform_with, set,
};
use kan_init::Slots;
use kan_op::init::{MountChange, MountTarget, RootEntry, TreeSource};
use kan_op::{InitStep, Slot};
use kan_sys::fd::IntoRawFd;
use kan_sys::namespace::CLONE_NEWNS;
use kan_sys::process::{self, Ended};
use kan_sys::{file, mount, namespace};
use std::fs;
use std::path::Path;

pub const TESTS: &[Test] = &tests![
    crate::root::pivot_leaves_the_old_root,
    crate::root::move_covers_the_old_root,
    crate::root::move_hides_every_procfs_of_the_host,
    crate::root::chroot_changes_the_root_alone,
    crate::root::a_clone_attached_at_its_own_place_becomes_the_root,
    crate::root::a_pivot_with_a_slave_takes_nothing_from_the_host,
    crate::root::the_root_is_opened,
];

/// A root with a file and a /proc.
fn prepared() {
    set();
    fs::write(inside("marker"), "").unwrap();
    fs::create_dir(inside("proc")).unwrap();
    mount_at("proc", inside("proc").to_str().unwrap());
}

fn assert_inside() {
    assert_eq!(names("/"), ["marker", "proc"]);
    assert_eq!(names("."), ["marker", "proc"], "the working directory");
    assert_eq!(names(".."), ["marker", "proc"]);
    assert!(!Path::new(ROOT).exists());
}

fn points() -> Vec<String> {
    mounts().into_iter().map(|mount| mount.point).collect()
}

pub fn pivot_leaves_the_old_root() {
    alone(|| {
        prepared();
        let entry = RootEntry::Pivot { slave_first: false };
        assert_eq!(perform(&[InitStep::EnterRoot(entry)]), Ok(()));
        assert_inside();
        assert_eq!(points(), ["/", "/proc"], "nothing else is mounted any more");
    });
}

fn move_covers_the_old_root() {
    alone(|| {
        prepared();
        assert_eq!(perform(&[InitStep::EnterRoot(RootEntry::Move)]), Ok(()));
        assert_inside();
    });
}

/// The kernel's mount_too_revealing asks for any procfs in the mount namespace.
fn move_hides_every_procfs_of_the_host() {
    alone(|| {
        prepared();
        let names = ["plain", "two words", "back\\slash"].map(|name| format!("{OUTSIDE}/{name}"));
        for name in &names {
            fs::create_dir(name).unwrap();
            mount_at("proc", name);
        }
        let outside = file::open(&c(OUTSIDE), file::O_PATH, 0)
            .unwrap()
            .into_raw_fd();
        assert_eq!(perform(&[InitStep::EnterRoot(RootEntry::Move)]), Ok(()));
        assert_inside();
        for name in &names {
            let left = name.replace(OUTSIDE, &format!("/proc/self/fd/{outside}"));
            assert_eq!(fs::read_dir(&left).unwrap().count(), 0, "{left}");
        }
        assert!(Path::new("/proc/self").exists(), "the container's own");
    });
}

fn chroot_changes_the_root_alone() {
    alone(|| {
        prepared();
        let own = file::open(c"/proc/self/ns/mnt", file::O_RDONLY, 0).unwrap();
        assert_eq!(perform(&[InitStep::EnterRoot(RootEntry::Chroot)]), Ok(()));
        assert_inside();
        // setns(2) leads to the root of the mount namespace, which is still the old one.
        namespace::setns(own, CLONE_NEWNS).unwrap();
        assert!(Path::new(ROOT).exists());
    });
}

fn change_all(propagation: u32) -> InitStep {
    let change = MountChange {
        propagation,
        recursive: true,
        ..MountChange::default()
    };
    let target = MountTarget::HostRoot;
    InitStep::ChangeMount { target, change }
}

/// As the plan has it: root.path is cloned and attached over itself.
fn enter_own_place(slave_first: bool) -> [InitStep; 3] {
    [
        InitStep::CloneTree {
            out: Slot::Root,
            source: TreeSource::Host(c(ROOT)),
            recursive: true,
        },
        InitStep::AttachOnHost {
            tree: Slot::Root,
            at: c(ROOT),
        },
        InitStep::EnterRoot(RootEntry::Pivot { slave_first }),
    ]
}

const MS_PRIVATE: u32 = 1 << 18;
const MS_SLAVE: u32 = 1 << 19;
const MS_SHARED: u32 = 1 << 20;

fn a_clone_attached_at_its_own_place_becomes_the_root() {
    for propagation in [MS_PRIVATE, MS_SLAVE] {
        alone(|| {
            prepared();
            assert_eq!(perform(&[change_all(propagation)]), Ok(()));
            let done = perform_with(&enter_own_place(false), Slots::default());
            assert_eq!(done, Ok(()));
            assert_inside();
        });
    }
}

/// Enters the root in a mount namespace that shares its mounts with this one, but for the one
/// in which the root lies: pivot_root(2) refuses a shared one.
fn enter_beside(slave_first: bool) {
    perform(&[change_all(MS_SHARED)]).unwrap();
    let private = mount::Change {
        propagation: MS_PRIVATE,
        ..mount::Change::default()
    };
    mount::change_at_path(&c(ROOT), private, mount::Depth::Single).unwrap();
    let mut steps = enter_own_place(slave_first);
    let child = process::fork(
        process::Alone::check().unwrap(),
        CLONE_NEWNS.into(),
        None,
        &mut steps,
        |steps| {
            let done = perform_with(steps, Slots::default());
            process::exit(i32::from(done.is_err()));
        },
    );
    assert_eq!(wait(&child.unwrap()), Ended::Exited(0));
}

/// The detaching of the old root spreads to a host that shares its mounts, unless they are made
/// slaves first.
fn a_pivot_with_a_slave_takes_nothing_from_the_host() {
    alone(|| {
        prepared();
        mount_at("tmpfs", "/srv");
        fs::write("/srv/file", "").unwrap();
        let before = points();
        enter_beside(true);
        assert_eq!(points(), before);
        enter_beside(false);
        let file = Path::new("/srv/file");
        assert!(!file.exists(), "this is what the slave is for");
    });
}

/// In a joined mount namespace `/` is the container's.
pub fn the_root_is_opened() {
    alone(|| {
        prepared();
        let entry = InitStep::EnterRoot(RootEntry::Pivot { slave_first: false });
        let directory = InitStep::MakeDirectory { at: at("/made") };
        assert_eq!(perform(&[entry, InitStep::OpenRoot, directory]), Ok(()));
        assert_eq!(names("/"), ["made", "marker", "proc"]);
    });
}
