//! Removing cgroups.

use std::fs;
use std::time::{Duration, Instant};

use kan_cgroup::{Error, remove, remove_unused, remove_within, wait_until_empty};
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};

use crate::scratch::Scratch;

#[test]
fn cgroups_that_the_container_made_go_too() {
    let Some(scratch) = Scratch::made("remove-nested") else {
        return;
    };
    for path in scratch
        .paths("a/b/c")
        .into_iter()
        .chain(scratch.paths("a/d"))
    {
        fs::create_dir_all(path).unwrap();
    }
    for n in 0..300 {
        fs::create_dir_all(scratch.paths(&format!("wide/{n}/x")).pop().unwrap()).unwrap();
    }
    remove(&scratch.placement).unwrap();
    scratch.assert_gone();
    // Gone already is fine.
    remove(&scratch.placement).unwrap();
}

#[test]
fn unused_cgroups_go_at_once_and_others_stay() {
    let Some(scratch) = Scratch::made("remove-unused") else {
        return;
    };
    let below = scratch.paths("below");
    below
        .iter()
        .for_each(|path| fs::create_dir_all(path).unwrap());
    assert!(!remove_unused(&scratch.placement));
    assert!(below.iter().all(|path| path.exists()));
    below.iter().for_each(|path| fs::remove_dir(path).unwrap());
    assert!(remove_unused(&scratch.placement));
    scratch.assert_gone();
    assert!(remove_unused(&scratch.placement), "gone already is fine");
}

#[test]
fn threaded_cgroups_go_too() {
    let Some(scratch) = Scratch::made("remove-threaded") else {
        return;
    };
    let Some(v2) = scratch.placement.v2() else {
        return;
    };
    for name in ["t", "t/u"] {
        let path = v2.path().join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("cgroup.type"), "threaded").unwrap();
    }
    let kind = fs::read_to_string(v2.path().join("cgroup.type")).unwrap();
    assert_eq!(kind, "domain threaded\n");
    remove(&scratch.placement).unwrap();
    scratch.assert_gone();
}

/// Deeper than a path can be long.
#[test]
fn a_very_deep_cgroup_goes() {
    let Some(scratch) = Scratch::made("remove-deep") else {
        return;
    };
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = scratch.placement.directories().last().unwrap().path();
    let mut dir = openat(CWD, top, flags, Mode::empty()).unwrap();
    for _ in 0..600 {
        mkdirat(&dir, "ten-bytes-", Mode::RWXU).unwrap();
        dir = openat(&dir, "ten-bytes-", flags, Mode::empty()).unwrap();
    }
    drop(dir);
    assert_eq!(scratch.processes(), []);
    remove(&scratch.placement).unwrap();
    scratch.assert_gone();
}

#[test]
fn a_process_that_is_about_to_end_is_waited_for() {
    let Some(mut scratch) = Scratch::made("remove-wait") else {
        return;
    };
    scratch.run("exec sleep 0.5");
    fs::create_dir(scratch.paths("sub").pop().unwrap()).unwrap();
    let start = Instant::now();
    remove(&scratch.placement).unwrap();
    let waited = start.elapsed();
    scratch.assert_gone();
    assert!(waited > Duration::from_millis(200), "{waited:?}");
    assert!(waited < Duration::from_secs(5), "{waited:?}");
}

#[test]
fn a_process_that_stays_is_named_and_nothing_below_is_removed() {
    let Some(mut scratch) = Scratch::made("remove-busy") else {
        return;
    };
    let pid = scratch.run("exec sleep 1000");
    let subs = scratch.paths("sub");
    for sub in &subs {
        fs::create_dir(sub).unwrap();
    }
    let error = remove_within(&scratch.placement, Duration::from_millis(300)).unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(&error, Error::Busy { pids, .. } if pids[..] == [pid]),
        "{text}"
    );
    assert!(text.contains(&format!("by process {pid}")), "{text}");
    assert!(subs.iter().all(|sub| sub.exists()));
}

#[test]
fn a_directory_that_is_no_cgroup_is_not_walked() {
    let text = r#"[{"mount":"/tmp","path":"NAME","kind":"unified"}]"#;
    let name = format!("kan-cgroup-test-{}", std::process::id());
    let inner = std::path::Path::new("/tmp").join(&name).join("inner");
    fs::create_dir_all(&inner).unwrap();
    let placement = serde_json::from_str(&text.replace("NAME", &name)).unwrap();
    let error = remove(&placement).unwrap_err();
    let kept = inner.exists();
    fs::remove_dir_all(inner.parent().unwrap()).unwrap();
    assert!(matches!(error, Error::NotCgroup { .. }), "{error}");
    assert!(kept);
}

#[test]
fn waiting_until_empty_ends_with_the_last_process_or_names_it() {
    let Some(mut scratch) = Scratch::made("wait-empty") else {
        return;
    };
    wait_until_empty(&scratch.placement, Duration::ZERO).unwrap();
    wait_until_empty(&scratch.below("missing"), Duration::ZERO).unwrap();
    let pid = scratch.run("exec sleep 0.5");
    let error = wait_until_empty(&scratch.placement, Duration::from_millis(50)).unwrap_err();
    assert!(
        matches!(&error, Error::Busy { pids, .. } if pids[..] == [pid]),
        "{error}"
    );
    let before = thread_time();
    wait_until_empty(&scratch.placement, Duration::from_secs(5)).unwrap();
    // Asleep meanwhile.
    assert!(thread_time() - before < Duration::from_millis(50));
    assert_eq!(scratch.processes(), []);
}

/// rmdir(2) says EBUSY for a moment though no process is left.
#[test]
fn cgroups_that_appear_meanwhile_go_too() {
    let Some(scratch) = Scratch::new("remove-race") else {
        return;
    };
    for _ in 0..10 {
        let _ = kan_cgroup::create(&scratch.placement).unwrap();
        let sub = scratch.paths("sub").pop().unwrap();
        let end = Instant::now() + Duration::from_millis(50);
        let maker = std::thread::spawn(move || {
            while Instant::now() < end {
                let _ = fs::create_dir(&sub);
            }
        });
        let removed = remove(&scratch.placement);
        maker.join().unwrap();
        removed.unwrap();
        scratch.assert_gone();
    }
}

/// The processor time of this thread.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.try_into().unwrap()
}
