//! Namespaces: new ones, and those that are joined.

use crate::harness::{Test, start, tests};
use crate::scene::{Scene, clone, namespace_of, with_scene};
use kan_op::host::Joined;
use kan_op::{HostStep, InitStep, NamespaceSlot, Slot, Sync};
use kan_sys::namespace::{self, CLONE_NEWNET, CLONE_NEWUTS};
use std::path::PathBuf;
use std::time::Duration;

pub const TESTS: [Test; 5] = tests![
    new_namespaces_come_with_the_clone,
    a_namespace_is_joined_before_the_clone,
    a_file_of_another_kind_is_refused,
    a_network_is_made_beside_init,
    a_container_is_opened_and_joined,
];

fn new_namespaces_come_with_the_clone() {
    with_scene(|scene| {
        let done = scene.perform([clone(CLONE_NEWUTS)], |seen| {
            let child = Some(seen.child);
            assert_ne!(namespace_of(child, "uts"), namespace_of(None, "uts"));
            assert_eq!(namespace_of(child, "net"), namespace_of(None, "net"));
        });
        done.unwrap();
    });
}

/// A process in a UTS namespace of its own, until the test ends.
fn neighbour() -> i32 {
    let before = namespace_of(None, "uts");
    let beside = start(|| {
        namespace::unshare(CLONE_NEWUTS).unwrap();
        std::thread::sleep(Duration::from_secs(30));
    });
    while namespace_of(Some(beside.child.pid), "uts") == before {
        std::thread::sleep(Duration::from_millis(1));
    }
    beside.child.pid
}

fn open(pid: i32, flag: u32) -> HostStep {
    HostStep::OpenNamespace {
        slot: Slot::Namespace(NamespaceSlot::Uts),
        path: format!("/proc/{pid}/ns/uts"),
        flag,
    }
}

fn a_namespace_is_joined_before_the_clone() {
    with_scene(|scene| {
        let pid = neighbour();
        let joining = HostStep::Clone {
            flags: 0,
            into_cgroup: false,
            join: vec![Joined {
                slot: Slot::Namespace(NamespaceSlot::Uts),
                flag: CLONE_NEWUTS,
            }],
            hidden: false,
        };
        let steps = [open(pid, CLONE_NEWUTS), joining];
        let joined = scene.perform(steps, |seen| namespace_of(Some(seen.child), "uts"));
        assert_eq!(joined.unwrap(), namespace_of(Some(pid), "uts"));
    });
}

fn a_file_of_another_kind_is_refused() {
    with_scene(|scene| {
        let own = i32::try_from(std::process::id()).unwrap();
        let error = scene
            .perform([open(own, CLONE_NEWNET)], |_| ())
            .unwrap_err();
        assert!(error.contains("namespace"), "{error}");
    });
}

fn a_network_is_made_beside_init() {
    with_scene(|scene| {
        scene.init_steps = vec![
            InitStep::EnterNetwork,
            InitStep::Tell(Sync::Ready),
            InitStep::Wait(Sync::Saved),
        ];
        let own = namespace_of(None, "net");
        let steps = [clone(0), HostStep::MakeNetwork, HostStep::Wait(Sync::Ready)];
        let made = scene.perform(steps, |seen| namespace_of(Some(seen.child), "net"));
        assert_ne!(made.unwrap(), own);
        assert_eq!(namespace_of(None, "net"), own, "kan is back");
    });
}

/// The state of a container whose init is this process.
fn held_by(scene: &mut Scene, pid: i32) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let start = stat.rsplit(')').next().unwrap().split(' ').nth(20).unwrap();
    scene.init = format!(r#"{{"pid": {pid}, "start_time": {start}}}"#);
}

fn a_container_is_opened_and_joined() {
    with_scene(|scene| {
        let pid = neighbour();
        held_by(scene, pid);
        scene.init_steps = vec![
            InitStep::Join {
                slot: Slot::Namespace(NamespaceSlot::Uts),
                flags: CLONE_NEWUTS,
            },
            InitStep::Tell(Sync::Ready),
            InitStep::Wait(Sync::Saved),
        ];
        let steps = || {
            let open = HostStep::OpenContainer {
                namespaces: CLONE_NEWUTS,
                with_root: true,
            };
            [open, clone(0), HostStep::Wait(Sync::Ready)]
        };
        let joined: PathBuf = scene
            .perform(steps(), |seen| namespace_of(Some(seen.child), "uts"))
            .unwrap();
        assert_eq!(joined, namespace_of(Some(pid), "uts"));
        // The same pid, started at another time, is another process.
        scene.init = format!(r#"{{"pid": {pid}, "start_time": 1}}"#);
        let error = scene.perform(steps(), |_| ()).unwrap_err();
        assert!(error.contains("stopped container"), "{error}");
    });
}
