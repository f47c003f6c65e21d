//! Freezing and thawing.

use std::fs;
use std::path::PathBuf;

use kan_cgroup::{Placement, freeze, frozen, thaw};

use crate::scratch::{Scratch, wait_until};

/// What the kernel says of a cgroup, and what it says when frozen.
fn kernels_word(placement: &Placement) -> (PathBuf, &'static str) {
    match placement.v1("freezer") {
        Some(dir) => (dir.path().join("freezer.state"), "FROZEN\n"),
        None => {
            let dir = placement.v2().unwrap();
            (dir.path().join("cgroup.events"), "populated 1\nfrozen 1\n")
        }
    }
}

#[test]
fn processes_stop_and_go_on() {
    let Some(mut scratch) = Scratch::made("freeze") else {
        return;
    };
    let pid = scratch.run("while :; do :; done");
    let ticks = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.split(' ').nth(13).unwrap().parse::<u64>().unwrap()
    };
    let (file, says) = kernels_word(&scratch.placement);
    assert!(!frozen(&scratch.placement).unwrap());
    freeze(&scratch.placement).unwrap();
    assert!(frozen(&scratch.placement).unwrap());
    assert_eq!(fs::read_to_string(&file).unwrap(), says);
    let stopped = ticks();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(ticks(), stopped);
    thaw(&scratch.placement).unwrap();
    assert!(!frozen(&scratch.placement).unwrap());
    wait_until(|| ticks() > stopped);
}

#[test]
fn many_processes_that_fork_are_frozen() {
    let Some(mut scratch) = Scratch::made("freeze-fork") else {
        return;
    };
    scratch.run("for i in 1 2 3 4; do while :; do /bin/true; done & done; wait");
    scratch.wait_for(5);
    let (file, says) = kernels_word(&scratch.placement);
    for _ in 0..20 {
        freeze(&scratch.placement).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), says);
        thaw(&scratch.placement).unwrap();
    }
}

#[test]
fn an_empty_cgroup_freezes_and_a_missing_one_is_not_frozen() {
    let Some(scratch) = Scratch::made("freeze-empty") else {
        return;
    };
    freeze(&scratch.placement).unwrap();
    assert!(frozen(&scratch.placement).unwrap());
    thaw(&scratch.placement).unwrap();
    let missing = scratch.below("missing");
    assert!(!frozen(&missing).unwrap());
    thaw(&missing).unwrap();
    assert!(
        freeze(&missing)
            .unwrap_err()
            .to_string()
            .contains("no such file")
    );
}

#[test]
fn a_frozen_parent_does_not_make_the_child_frozen() {
    let Some(scratch) = Scratch::made("freeze-parent") else {
        return;
    };
    let child = scratch.below("child");
    let _ = kan_cgroup::create(&child).unwrap();
    freeze(&scratch.placement).unwrap();
    assert!(!frozen(&child).unwrap());
    thaw(&scratch.placement).unwrap();
}

/// `kill` thaws what it kills, without waiting for a `pause` that is under way.
#[test]
fn freezing_ends_when_somebody_thaws() {
    let Some(mut scratch) = Scratch::made("freeze-thawed") else {
        return;
    };
    if scratch.placement.v1("freezer").is_some() {
        println!("skipped: version 1 writes FROZEN again until it is");
        return;
    }
    scratch.run("while :; do :; done");
    let file = scratch.placement.v2().unwrap().path().join("cgroup.freeze");
    let begin = std::time::Instant::now();
    let thawing = std::thread::spawn(move || {
        while begin.elapsed() < std::time::Duration::from_secs(2) {
            fs::write(&file, "0").unwrap();
        }
    });
    let mut said = String::new();
    while said.is_empty() && !thawing.is_finished() {
        if let Err(error) = freeze(&scratch.placement) {
            said = error.to_string();
        }
    }
    assert!(said.ends_with("thawed meanwhile"), "{said}");
    assert!(begin.elapsed() < std::time::Duration::from_secs(2));
    thawing.join().unwrap();
}
