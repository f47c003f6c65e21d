//! What is done to the child from outside.

use crate::harness::{Test, tests};
use crate::scene::{clone, proc_file, with_scene};
use kan_op::host::IdRange;
use kan_op::{HostStep, InitStep, Sync};
use kan_sys::namespace::CLONE_NEWUSER;

pub const TESTS: [Test; 7] = tests![
    an_oom_score_is_lent_for_the_clone,
    an_oom_score_is_set,
    a_limit_is_set,
    ids_are_mapped,
    the_halves_meet,
    a_child_that_fails_is_explained,
    the_pid_is_written,
];

fn score(pid: i32) -> String {
    proc_file(pid, "oom_score_adj").trim().to_owned()
}

fn own_score() -> String {
    score(std::process::id().try_into().unwrap())
}

fn an_oom_score_is_lent_for_the_clone() {
    with_scene(|scene| {
        let before = own_score();
        let steps = [HostStep::LendOomScoreAdj(321), clone(0)];
        let child = scene.perform(steps, |seen| score(seen.child)).unwrap();
        assert_eq!((child.as_str(), own_score()), ("321", before));
    });
}

fn an_oom_score_is_set() {
    with_scene(|scene| {
        let before = own_score();
        let steps = [clone(0), HostStep::SetOomScoreAdj(432)];
        let child = scene.perform(steps, |seen| score(seen.child)).unwrap();
        assert_eq!((child.as_str(), own_score()), ("432", before));
    });
}

fn a_limit_is_set() {
    with_scene(|scene| {
        let limit = HostStep::SetLimit {
            resource: 7,
            soft: 123,
            hard: 456,
        };
        let limits = scene.perform([clone(0), limit], |seen| proc_file(seen.child, "limits"));
        let limits = limits.unwrap();
        let files = limits
            .lines()
            .find(|line| line.starts_with("Max open files"));
        let words: Vec<_> = files.unwrap().split_whitespace().collect();
        assert_eq!(words[3..5], ["123", "456"]);
    });
}

fn ids_are_mapped() {
    with_scene(|scene| {
        let range = |outside| IdRange {
            inside: 0,
            outside,
            count: 10,
        };
        let map = |deny_groups| HostStep::MapIds {
            uids: vec![range(1000)],
            gids: vec![range(2000)],
            deny_groups,
        };
        for (deny_groups, wanted) in [(false, "allow"), (true, "deny")] {
            let steps = [clone(CLONE_NEWUSER), map(deny_groups)];
            let done = scene.perform(steps, |seen| {
                let numbers = |file| {
                    let text = proc_file(seen.child, file);
                    text.split_whitespace()
                        .map(str::to_owned)
                        .collect::<Vec<_>>()
                };
                assert_eq!(numbers("uid_map"), ["0", "1000", "10"]);
                assert_eq!(numbers("gid_map"), ["0", "2000", "10"]);
                assert_eq!(numbers("setgroups"), [wanted]);
            });
            done.unwrap();
        }
    });
}

fn the_halves_meet() {
    with_scene(|scene| {
        scene.init_steps = vec![
            InitStep::Wait(Sync::HooksRun),
            InitStep::Tell(Sync::Ready),
            InitStep::Wait(Sync::Saved),
        ];
        let steps = [
            clone(0),
            HostStep::Tell(Sync::HooksRun),
            HostStep::Wait(Sync::Ready),
        ];
        scene
            .perform(steps, |seen| assert!(seen.child > 0))
            .unwrap();
        // Out of order: the child says another thing than what is waited for.
        let steps = [
            clone(0),
            HostStep::Tell(Sync::HooksRun),
            HostStep::Wait(Sync::RootMounted),
        ];
        assert!(scene.perform(steps, |_| ()).is_err());
    });
}

fn a_child_that_fails_is_explained() {
    with_scene(|scene| {
        scene.init_steps = vec![
            InitStep::EnterDirectory(c"/no/such/directory".into()),
            InitStep::Tell(Sync::Ready),
        ];
        let steps = [clone(0), HostStep::Wait(Sync::Ready)];
        let error = scene.perform(steps, |_| ()).unwrap_err();
        assert!(error.contains("/no/such/directory"), "{error}");
        assert!(error.contains("no such file or directory"), "{error}");
    });
}

fn the_pid_is_written() {
    with_scene(|scene| {
        let path = scene.text("pid");
        let steps = [clone(0), HostStep::WritePidFile { path: path.clone() }];
        let child = scene.perform(steps, |seen| seen.child).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), child.to_string());
    });
}
