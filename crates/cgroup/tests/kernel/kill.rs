//! Killing everything in a cgroup.

use std::process::{Command, Stdio};

use kan_cgroup::{Error, Pid, kill_all};

use crate::scratch::{Scratch, alive, assert_dies};
use crate::view;

const CROWD: &str = "i=1; while [ $i -lt 200 ]; do sleep 1000 & i=$((i+1)); done; wait";

#[test]
fn two_hundred_processes_die_and_a_neighbour_lives() {
    let (Some(mut scratch), Some(mut neighbour)) =
        (Scratch::made("kill"), Scratch::made("kill-neighbour"))
    else {
        return;
    };
    let outside = neighbour.run("exec sleep 1000");
    scratch.run(CROWD);
    scratch.wait_for(200);
    let pids = scratch.processes();
    kill_all(&scratch.placement).unwrap();
    assert_eq!(scratch.processes(), []);
    pids.into_iter().for_each(assert_dies);
    assert!(alive(outside));
}

/// More than are held at once, and their cgroup goes.
#[test]
fn a_thousand_processes_die() {
    let Some(mut scratch) = Scratch::made("kill-thousand") else {
        return;
    };
    scratch.run("i=1; while [ $i -lt 1000 ]; do sleep 1000 & i=$((i+1)); done; wait");
    scratch.wait_for(1000);
    kill_all(&scratch.placement).unwrap();
    kan_cgroup::remove(&scratch.placement).unwrap();
    scratch.assert_gone();
}

/// As a container does that rules cgroups of its own.
#[test]
fn processes_that_are_frozen_in_a_nested_cgroup_die() {
    let Some(mut scratch) = Scratch::made("kill-nested-frozen") else {
        return;
    };
    let below = scratch.below("a/b");
    let _ = kan_cgroup::create(&below).unwrap();
    let pid = scratch.run_joined("exec sleep 1000", |_, pid| {
        kan_cgroup::join(&below, pid).unwrap();
    });
    kan_cgroup::freeze(&below).unwrap();
    kill_all(&scratch.placement).unwrap();
    assert_dies(pid);
    kan_cgroup::remove(&scratch.placement).unwrap();
    scratch.assert_gone();
}

#[test]
fn processes_of_nested_cgroups_die() {
    let Some(mut scratch) = Scratch::made("kill-nested") else {
        return;
    };
    let below = scratch.below("a/b");
    let _ = kan_cgroup::create(&below).unwrap();
    let pid = scratch.run_joined("exec sleep 1000", |_, pid| {
        kan_cgroup::join(&below, pid).unwrap();
    });
    assert_eq!(scratch.processes()[0], pid);
    kill_all(&scratch.placement).unwrap();
    assert_dies(pid);
}

/// Processes that live just long enough to fork the next: a list of pids is old when it is read.
#[test]
fn chains_of_forks_die() {
    let Some(mut scratch) = Scratch::made("kill-forks") else {
        return;
    };
    scratch.run("f() { f & }; i=0; while [ $i -lt 50 ]; do f; i=$((i+1)); done; sleep 1000");
    scratch.wait_for(20);
    let before = scratch.processes();
    crate::scratch::wait_until(|| scratch.processes().iter().any(|pid| !before.contains(pid)));
    kill_all(&scratch.placement).unwrap();
    assert_eq!(scratch.processes(), []);
}

/// Killed while it doubles and doubles; left alone it stops at about a thousand processes.
#[test]
fn a_fork_bomb_dies() {
    let Some(mut scratch) = Scratch::made("kill-bomb") else {
        return;
    };
    scratch.run("f() { [ $1 -gt 8 ] || { f $(($1+1)) & f $(($1+1)) & }; sleep 1000; }; f 0");
    scratch.wait_for(50);
    kill_all(&scratch.placement).unwrap();
    assert_eq!(scratch.processes(), []);
}

#[test]
fn frozen_processes_die() {
    let Some(mut scratch) = Scratch::made("kill-frozen") else {
        return;
    };
    let pid = scratch.run("exec sleep 1000");
    kan_cgroup::freeze(&scratch.placement).unwrap();
    kill_all(&scratch.placement).unwrap();
    assert_dies(pid);
}

#[test]
fn a_process_that_is_only_in_v1_dies() {
    let Some(mut scratch) = Scratch::made("kill-v1") else {
        return;
    };
    if scratch.placement.v1("devices").is_none() {
        return;
    }
    let pid = scratch.run_joined("exec sleep 1000", |placement, pid| {
        kan_cgroup::join_v1(placement, pid).unwrap();
    });
    kill_all(&scratch.placement).unwrap();
    assert_dies(pid);
}

#[test]
fn nothing_to_kill_is_fine() {
    let Some(scratch) = Scratch::new("kill-nothing") else {
        return;
    };
    kill_all(&scratch.placement).unwrap();
    let _ = kan_cgroup::create(&scratch.placement).unwrap();
    kill_all(&scratch.placement).unwrap();
}

/// The caller must not die of its own `kill`, nor remove its neighbours before it notices.
#[test]
fn the_callers_own_cgroup_is_refused() {
    if view::is("own") {
        return in_own();
    }
    let Some(scratch) = Scratch::made("kill-own") else {
        return;
    };
    let name = "kill::the_callers_own_cgroup_is_refused";
    let mut command = Command::new("sh");
    command
        .args(["-c", "read line && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(view::VIEW, "own")
        .env("KAN_CGROUP_PATH", &scratch.path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut joined: Option<Pid> = None;
    view::passes(command, 1, |pid| {
        kan_cgroup::join(&scratch.placement, pid).unwrap();
        joined = Some(pid);
    });
    assert!(joined.is_some());
}

fn in_own() {
    let path = std::env::var("KAN_CGROUP_PATH").unwrap();
    let own = crate::scratch::placed(Some(&path), "unused");
    let sibling = crate::scratch::placed(Some(&format!("{path}/sibling")), "unused");
    let created = kan_cgroup::create(&sibling).unwrap();
    assert!(matches!(kill_all(&own), Err(Error::Own { .. })));
    assert!(matches!(kan_cgroup::remove(&own), Err(Error::Own { .. })));
    for dir in sibling.directories() {
        assert!(dir.path().exists());
    }
    created.undo();
}
