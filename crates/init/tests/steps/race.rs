//! Somebody who shares the root swaps a directory and a link that leads out, while init works in
//! it (CVE-2021-30465, CVE-2024-45310): nothing may appear outside.

use crate::harness::{Test, alone, start, tests};
use crate::scene::{OUTSIDE, ROOT, at, inside, mounts, names, perform, root_slots, set};
use crate::scene::{perform_with, tmpfs};
use kan_op::init::{MountPoint, NodeKind, TreeSource};
use kan_op::{InitStep, Slot};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs;
use std::os::unix::fs::symlink;

pub const TESTS: &[Test] = &tests![
    crate::race::directories_stay_inside,
    crate::race::mounts_stay_inside,
    crate::race::nodes_stay_inside,
    crate::race::links_stay_inside_and_replace_nothing_outside,
];

const ROUNDS: usize = 2_000;

/// Where the link leads in the container, and must lead for init.
const LINKED: &str = "mnt/outside";

/// A root in which `swap` is now a directory, now a link to a decoy outside.
fn racing_root() {
    set();
    fs::write(format!("{OUTSIDE}/decoy"), "untouched").unwrap();
    fs::create_dir(inside("swap")).unwrap();
    fs::create_dir_all(inside(LINKED)).unwrap();
    symlink(OUTSIDE, inside("other")).unwrap();
    start(|| {
        let (one, two) = (format!("{ROOT}/swap"), format!("{ROOT}/other"));
        loop {
            renameat_with(CWD, &one, CWD, &two, RenameFlags::EXCHANGE).unwrap();
        }
    });
}

/// Performs a step for each round. Some may fail, since half of what they find has just moved
/// on; both places must have been hit, or there was no race.
fn race(step: impl Fn(usize) -> Vec<InitStep>) {
    let done = (0..ROUNDS).filter(|round| perform(&step(*round)).is_ok());
    let done = done.count();
    assert!(done > ROUNDS / 4, "{done} rounds succeeded");
    hold_still();
    let directory = if inside("swap").is_symlink() {
        "other"
    } else {
        "swap"
    };
    let (swapped, linked) = (names(inside(directory)), names(inside(LINKED)));
    assert!(!swapped.is_empty(), "none in the directory of {done}");
    assert!(!linked.is_empty(), "none through the link of {done}");
    assert_eq!(names(OUTSIDE), ["decoy"]);
    let decoy = fs::read_to_string(format!("{OUTSIDE}/decoy")).unwrap();
    assert_eq!(decoy, "untouched");
}

/// The racer is the only other process of the pid namespace.
fn hold_still() {
    use rustix::process::{Pid, Signal, kill_process, test_kill_process};
    let racer = (2..100)
        .filter_map(Pid::from_raw)
        .find(|pid| test_kill_process(*pid).is_ok());
    kill_process(racer.unwrap(), Signal::STOP).unwrap();
}

fn directories_stay_inside() {
    alone(|| {
        racing_root();
        race(|round| {
            let at = at(&format!("/swap/{round}/deep"));
            vec![InitStep::MakeDirectory { at }]
        });
    });
}

fn mounts_stay_inside() {
    alone(|| {
        racing_root();
        let on_host = InitStep::AttachOnHost {
            tree: Slot::Tree,
            at: c"/srv".into(),
        };
        perform_with(&[tmpfs(Slot::Tree), on_host], root_slots()).unwrap();
        race(|round| {
            let clone = InitStep::CloneTree {
                out: Slot::Tree,
                source: TreeSource::Host(c"/srv".into()),
                recursive: false,
            };
            let attach = InitStep::Attach {
                tree: Slot::Tree,
                at: at(&format!("/swap/{round}")),
                point: MountPoint::Any,
            };
            vec![clone, attach]
        });
        let outside = mounts()
            .iter()
            .any(|mount| mount.point.starts_with(OUTSIDE));
        assert!(!outside);
    });
}

fn nodes_stay_inside() {
    alone(|| {
        racing_root();
        race(|round| {
            vec![InitStep::MakeNode {
                at: at(&format!("/swap/{round}")),
                kind: NodeKind::Character { major: 1, minor: 3 },
                mode: 0o666,
                uid: 5,
                gid: 5,
            }]
        });
    });
}

fn links_stay_inside_and_replace_nothing_outside() {
    alone(|| {
        racing_root();
        race(|_| {
            vec![InitStep::MakeLink {
                at: at("/swap/decoy"),
                target: c"pts/ptmx".into(),
                replace: true,
            }]
        });
    });
}
