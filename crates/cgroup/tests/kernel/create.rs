//! Making cgroups and putting processes into them.

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;

use kan_cgroup::{Error, Placement};

use crate::scratch::Scratch;

#[test]
fn create_makes_every_directory_and_join_moves_a_process() {
    let Some(mut scratch) = Scratch::new("join") else {
        return;
    };
    let created = kan_cgroup::create(&scratch.placement).unwrap();
    assert_eq!(created.directories(), scratch.paths(""));
    let pid = scratch.run("exec sleep 1000");
    assert_eq!(scratch.processes()[0], pid);
    for path in scratch.paths("cgroup.procs") {
        let procs = fs::read_to_string(&path).unwrap();
        assert!(
            procs.lines().any(|line| line == pid.to_string()),
            "{path:?}"
        );
    }
}

#[test]
fn join_v1_leaves_v2_alone() {
    let Some(mut scratch) = Scratch::made("join-v1") else {
        return;
    };
    let pid = scratch.run_joined("exec sleep 1000", |placement, pid| {
        kan_cgroup::join_v1(placement, pid).unwrap();
    });
    for dir in scratch.placement.directories() {
        let procs = fs::read_to_string(dir.path().join("cgroup.procs")).unwrap();
        let inside = procs.lines().any(|line| line == pid.to_string());
        assert_eq!(inside, !dir.is_v2(), "{dir:?}");
    }
}

#[test]
fn join_names_process_and_file() {
    let Some(scratch) = Scratch::new("join-missing") else {
        return;
    };
    let error = kan_cgroup::join(&scratch.placement, rustix::process::getpid()).unwrap_err();
    let start = format!("adding process {} to /sys/fs/cgroup", std::process::id());
    let end = "cgroup.procs: no such file or directory";
    let text = error.to_string();
    assert!(text.starts_with(&start) && text.ends_with(end), "{text}");
}

#[test]
fn open_gives_the_v2_directory_closed_on_exec() {
    let Some(scratch) = Scratch::made("open") else {
        return;
    };
    let Some(dir) = scratch.placement.v2() else {
        assert!(scratch.placement.open().unwrap().is_none());
        return;
    };
    let fd = scratch.placement.open().unwrap().unwrap();
    let opened = rustix::fs::fstat(fd.as_fd()).unwrap().st_ino;
    assert_eq!(opened, rustix::fs::stat(dir.path()).unwrap().st_ino);
    let flags = rustix::io::fcntl_getfd(&fd).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
}

#[test]
fn a_cgroup_with_processes_is_refused() {
    let Some(mut scratch) = Scratch::made("not-empty") else {
        return;
    };
    let pid = scratch.run("exec sleep 1000");
    let error = kan_cgroup::create(&scratch.placement).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("container's cgroup is not empty: 1 process(es) found")
    );
    // Also if they are in a cgroup below it.
    let below = scratch.below("sub");
    let _ = kan_cgroup::create(&below).unwrap();
    kan_cgroup::join(&below, pid).unwrap();
    let error = kan_cgroup::create(&scratch.placement).unwrap_err();
    assert!(matches!(error, Error::NotEmpty { count: 1, .. }), "{error}");
}

#[test]
fn a_frozen_cgroup_is_refused() {
    let Some(scratch) = Scratch::made("create-frozen") else {
        return;
    };
    kan_cgroup::freeze(&scratch.placement).unwrap();
    let error = kan_cgroup::create(&scratch.placement).unwrap_err();
    let start = "container's cgroup unexpectedly frozen";
    assert!(error.to_string().starts_with(start), "{error}");
    kan_cgroup::thaw(&scratch.placement).unwrap();
    let created = kan_cgroup::create(&scratch.placement).unwrap();
    assert_eq!(created.directories(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn parents_are_made_and_stay_when_the_container_goes() {
    let Some(scratch) = Scratch::new("nested") else {
        return;
    };
    let leaf = scratch.below("pod/web");
    let created = kan_cgroup::create(&leaf).unwrap();
    let hierarchies = leaf.directories().len();
    assert_eq!(created.directories().len(), 3 * hierarchies);
    assert_usable(&leaf);
    kan_cgroup::remove(&leaf).unwrap();
    for path in scratch.paths("pod") {
        assert!(path.exists() && !path.join("web").exists(), "{path:?}");
    }
    created.undo();
    scratch.assert_gone();
}

/// The leaf has the host's v2 controllers, and v1 cpus and memory nodes.
fn assert_usable(leaf: &Placement) {
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    for dir in leaf.directories() {
        if dir.kind() == kan_cgroup::Kind::Unified {
            let names = read(&dir.mount().join("cgroup.controllers"));
            assert_eq!(read(&dir.path().join("cgroup.controllers")), names);
        }
        if dir.controllers().iter().any(|name| name == "cpuset") {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let expected = read(&dir.mount().join(file));
                assert_eq!(read(&dir.path().join(file)), expected);
            }
        }
    }
}

#[test]
fn a_failed_create_leaves_nothing() {
    let Some(scratch) = Scratch::new("rollback") else {
        return;
    };
    // The kernel takes no newline in a name, which shows only after the parents are made.
    let error = kan_cgroup::create(&scratch.below("pod/a\nb")).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("creating cgroup /sys/fs/cgroup"), "{text}");
    assert!(text.ends_with("pod/a\nb: invalid argument"), "{text}");
    scratch.assert_gone();
}

#[test]
fn a_cgroup_below_a_threaded_one_becomes_threaded() {
    let Some(mut scratch) = Scratch::made("threaded") else {
        return;
    };
    let Some(v2) = scratch.placement.v2().filter(|_| crate::view::is("v2")) else {
        return;
    };
    let kind = |below: &str| v2.path().join(below).join("cgroup.type");
    fs::create_dir(v2.path().join("t")).unwrap();
    fs::write(kind("t"), "threaded").unwrap();
    let leaf = scratch.below("t/web");
    let _ = kan_cgroup::create(&leaf).unwrap();
    assert_eq!(fs::read_to_string(kind("t/web")).unwrap(), "threaded\n");
    let pid = scratch.run_joined("exec sleep 1000", |_, pid| {
        kan_cgroup::join(&leaf, pid).unwrap();
    });
    // No cgroup.procs and no cgroup.kill here; still listed, killed and removed.
    assert_eq!(kan_cgroup::processes(&leaf).unwrap()[0], pid);
    kan_cgroup::kill_all(&leaf).unwrap();
    crate::scratch::assert_dies(pid);
    kan_cgroup::remove(&leaf).unwrap();
}

/// Of a cgroup that does not exist rmdir(2) says EROFS on a read-only mount, not ENOENT.
#[test]
fn on_a_read_only_mount_nothing_can_be_made_and_nothing_is_to_be_removed() {
    if crate::view::is("read-only") {
        return on_read_only();
    }
    if !crate::scratch::is_root() || std::env::var_os(crate::view::VIEW).is_some() {
        return;
    }
    let setup = "for m in /sys/fs/cgroup /sys/fs/cgroup/*/; do \
                 mount -o remount,bind,ro $m 2>/dev/null; done; true";
    let name = "create::on_a_read_only_mount_nothing_can_be_made_and_nothing_is_to_be_removed";
    let command = crate::view::again("read-only", setup, &["--exact", name]);
    crate::view::passes(command, 1, |_| {});
}

fn on_read_only() {
    let placement = crate::scratch::placed(Some("/kan-cgroup-test-read-only"), "unused");
    let error = kan_cgroup::create(&placement).unwrap_err();
    let text = error.to_string();
    assert!(text.ends_with(": read-only file system"), "{text}");
    assert!(error.is_permission() && error.hint().is_some());
    kan_cgroup::remove(&placement).unwrap();
}
