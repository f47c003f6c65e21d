//! Statistics and news of being out of memory.

use std::time::Duration;

use kan_cgroup::{OomWatch, oom_kills, stats};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::scratch::{Scratch, wait_until};

/// Whether this view has a controller, in either version.
fn has(scratch: &Scratch, controller: &str) -> bool {
    if scratch.placement.v1(controller).is_some() {
        return true;
    }
    let dir = scratch.placement.directories().last().unwrap().path();
    let offered = std::fs::read_to_string(dir.join("cgroup.controllers"));
    offered.is_ok_and(|list| list.split_whitespace().any(|name| name == controller))
}

#[test]
fn what_processes_use_is_counted() {
    let Some(mut scratch) = Scratch::made("stats") else {
        return;
    };
    scratch
        .run("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; sleep 1000 & sleep 1000 & wait");
    scratch.wait_for(3);
    let found = stats(&scratch.placement);
    let is_counted = |controller: &str, number: u64| {
        assert_eq!(number > 0, has(&scratch, controller), "{controller}");
    };
    if has(&scratch, "cpuacct") || scratch.placement.v1("cpu").is_none() {
        // v2 counts time without any controller, in nanoseconds here.
        assert!(found.cpu.usage.total > 1_000_000, "{found:?}");
        assert!(found.cpu.usage.total < 60_000_000_000, "{found:?}");
    }
    is_counted("pids", found.pids.current);
    is_counted("memory", found.memory.usage.usage);
    is_counted("memory", found.memory.usage.limit);
    assert_eq!(found.memory.raw.is_empty(), !has(&scratch, "memory"));
    if has(&scratch, "pids") {
        assert_eq!(found.pids.current, 3);
    }
}

fn is_ready(watch: &OomWatch, within: Duration) -> bool {
    let timeout = Timespec::try_from(within).unwrap();
    poll(&mut [PollFd::new(watch, PollFlags::IN)], Some(&timeout)).unwrap() > 0
}

#[test]
fn being_out_of_memory_is_told_and_counted() {
    let Some(mut scratch) = Scratch::made("stats-oom") else {
        return;
    };
    if !has(&scratch, "memory") {
        assert!(OomWatch::new(&scratch.placement).unwrap().is_none());
        return;
    }
    let dir = scratch.placement.v1("memory").or(scratch.placement.v2());
    let dir = dir.unwrap().path();
    for (file, value) in [
        ("memory.limit_in_bytes", "8388608"),
        ("memory.max", "8388608"),
    ] {
        if dir.join(file).exists() {
            std::fs::write(dir.join(file), value).unwrap();
        }
    }
    let mut watch = OomWatch::new(&scratch.placement).unwrap().unwrap();
    assert!(!is_ready(&watch, Duration::ZERO));
    assert_eq!(oom_kills(&scratch.placement), 0);
    scratch.run("exec dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null");
    assert!(is_ready(&watch, Duration::from_secs(20)));
    wait_until(|| oom_kills(&scratch.placement) > 0);
    assert!(watch.take());
    wait_until(|| scratch.processes().is_empty());
    while is_ready(&watch, Duration::ZERO) {
        watch.take();
    }
    // What raises the event when the cgroup goes is no news of memory.
    kan_cgroup::remove(&scratch.placement).unwrap();
    if is_ready(&watch, Duration::from_millis(200)) {
        assert!(!watch.take());
    }
}

#[test]
fn of_a_cgroup_that_vanished_there_is_nothing() {
    let Some(scratch) = Scratch::made("stats-vanished") else {
        return;
    };
    kan_cgroup::remove(&scratch.placement).unwrap();
    let found = stats(&scratch.placement);
    assert_eq!((found.cpu.usage.total, found.pids.current), (0, 0));
    assert_eq!(oom_kills(&scratch.placement), 0);
    assert_eq!(scratch.processes(), []);
    kan_cgroup::thaw(&scratch.placement).unwrap();
    assert!(!kan_cgroup::frozen(&scratch.placement).unwrap());
    let error = kan_cgroup::freeze(&scratch.placement).unwrap_err();
    assert!(error.to_string().contains("kan-cgroup-test-"), "{error}");
}
