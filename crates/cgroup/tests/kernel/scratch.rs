//! A cgroup for one test, with processes in it, that leaves nothing behind.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kan_cgroup::{CgroupsPath, Created, Layout, Pid, Placement};

/// Whether cgroups may be made here.
pub fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("skipped: needs root");
    }
    root
}

/// Where a path is placed on this machine.
pub fn placed(cgroups_path: Option<&str>, id: &str) -> Placement {
    let wanted = CgroupsPath::parse(cgroups_path, id).unwrap();
    kan_cgroup::place(&Layout::detect(&wanted).unwrap(), &wanted).unwrap()
}

/// A cgroup `/kan-cgroup-test-PID-NAME` in every hierarchy, not made yet.
pub struct Scratch {
    pub path: String,
    pub placement: Placement,
    children: Vec<Child>,
}

impl Scratch {
    /// `None`, with the reason printed, where tests cannot run.
    pub fn new(name: &str) -> Option<Self> {
        let path = format!("/kan-cgroup-test-{}-{name}", std::process::id());
        let placement = placed(Some(&path), "unused");
        if placement.directories().is_empty() {
            println!("skipped: no cgroups on this host");
            return None;
        }
        is_root().then_some(Self {
            path,
            placement,
            children: Vec::new(),
        })
    }

    /// As [`Scratch::new`], and made.
    pub fn made(name: &str) -> Option<Self> {
        let scratch = Self::new(name)?;
        let _: Created = kan_cgroup::create(&scratch.placement).unwrap();
        Some(scratch)
    }

    /// A placement below this one.
    pub fn below(&self, path: &str) -> Placement {
        placed(Some(&format!("{}/{path}", self.path)), "unused")
    }

    /// Every directory, joined with a path.
    pub fn paths(&self, below: &str) -> Vec<PathBuf> {
        let directories = self.placement.directories().iter();
        directories.map(|dir| dir.path().join(below)).collect()
    }

    /// Runs a shell script that starts only after `join` has been called with its pid.
    pub fn run_joined(&mut self, script: &str, join: impl FnOnce(&Placement, Pid)) -> Pid {
        let mut child = Command::new("sh")
            .args(["-c", &format!("read line; {script}")])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = Pid::from_child(&child);
        join(&self.placement, pid);
        child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
        self.children.push(child);
        pid
    }

    /// Runs a shell script in the cgroup.
    pub fn run(&mut self, script: &str) -> Pid {
        self.run_joined(script, |placement, pid| {
            kan_cgroup::join(placement, pid).unwrap();
        })
    }

    pub fn processes(&self) -> Vec<Pid> {
        kan_cgroup::processes(&self.placement).unwrap()
    }

    /// Waits for the cgroup to hold this many processes.
    pub fn wait_for(&self, count: usize) {
        wait_until(|| self.processes().len() >= count);
    }

    /// Asserts that no directory is left.
    pub fn assert_gone(&self) {
        for path in self.paths("") {
            assert!(!path.exists(), "{} is left", path.display());
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // After a failed test, so that waiting for the children below ends.
        let _ = kan_cgroup::thaw(&self.placement);
        let done = kan_cgroup::kill_all(&self.placement)
            .and_then(|()| kan_cgroup::remove(&self.placement));
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        if !std::thread::panicking() {
            done.unwrap();
            self.assert_gone();
        }
    }
}

/// Waits for a condition that has no event in this program.
pub fn wait_until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process is running, a zombie not counting.
pub fn alive(pid: Pid) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().unwrap().starts_with('Z'))
}

/// Asserts that a process ends. It leaves its cgroup a moment before it is a zombie.
pub fn assert_dies(pid: Pid) {
    wait_until(|| !alive(pid));
}
