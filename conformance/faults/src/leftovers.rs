//! What is on the host: compared before a container and after its `delete`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, wait};

/// Root of the cgroup hierarchies.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Where to look.
#[derive(Debug)]
pub struct Place {
    /// Every container's id, bundle path or environment contains it.
    pub mark: String,
    /// Holds the bundle and the state directory.
    pub dir: PathBuf,
    /// The directory in each hierarchy, below which the containers' cgroups are.
    pub cgroups: Vec<PathBuf>,
}

/// Mounts, cgroups, files and processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot(Vec<String>);

impl Place {
    /// The place of containers whose cgroups are children of `parent` in every hierarchy.
    pub fn new(mark: &str, dir: &Path, parent: &str) -> Self {
        let mut cgroups = vec![Path::new(CGROUPS).join(parent)];
        let hierarchies = fs::read_dir(CGROUPS).into_iter().flatten().flatten();
        let real = hierarchies.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        cgroups.extend(real.map(|entry| entry.path().join(parent)));
        Self {
            mark: mark.into(),
            dir: dir.into(),
            cgroups,
        }
    }

    /// Looks at everything but processes, which need a moment to go.
    pub fn snapshot(&self) -> Snapshot {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mut all: Vec<String> = mounts
            .lines()
            .map(|line| format!("mount: {line}"))
            .collect();
        for parent in &self.cgroups {
            directories(parent, &mut |dir| {
                all.push(format!("cgroup: {}", dir.display()))
            });
        }
        everything(&self.dir, &mut |path, kind| {
            all.push(format!("file: {} {kind}", path.display()));
        });
        all.sort();
        Snapshot(all)
    }

    /// The processes that belong to a container, zombies left out.
    pub fn processes(&self) -> Vec<(Pid, String)> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let own = rustix::process::getpid();
        pids.filter_map(Pid::from_raw)
            .filter(|pid| *pid != own)
            .filter_map(|pid| Some((pid, self.belongs(pid)?)))
            .collect()
    }

    /// How a process belongs here, if it does.
    fn belongs(&self, pid: Pid) -> Option<String> {
        let proc = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
        for file in ["cmdline", "environ", "cgroup"] {
            let bytes = fs::read(proc.join(file)).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
            if text.contains(&self.mark) && !is_over(&proc) {
                let pid = pid.as_raw_nonzero();
                return Some(format!("process {pid}: {file}: {}", text.trim()));
            }
        }
        for link in ["root", "cwd"] {
            let target = fs::read_link(proc.join(link)).unwrap_or_default();
            if target.starts_with(&self.dir) {
                let pid = pid.as_raw_nonzero();
                return Some(format!("process {pid}: {link}: {}", target.display()));
            }
        }
        None
    }

    /// Waits for processes on their way out; those that stay are the answer.
    pub fn settled_processes(&self, patience: Duration) -> Vec<String> {
        reap();
        for (pid, _) in self.processes() {
            await_exit(pid, patience);
        }
        reap();
        self.processes().into_iter().map(|(_, how)| how).collect()
    }

    /// Ends and removes what a failed case left, so that it disturbs no other.
    pub fn clear(&self) {
        for (pid, _) in self.processes() {
            let _ = kill_process(pid, Signal::KILL);
            await_exit(pid, Duration::from_secs(5));
        }
        for parent in &self.cgroups {
            let mut below = Vec::new();
            directories(parent, &mut |dir| below.push(dir.to_owned()));
            for dir in below.iter().rev() {
                let _ = fs::remove_dir(dir);
            }
        }
    }

    /// Removes the parents as well, also for a case whose process is gone.
    pub fn remove(&self) {
        self.clear();
        for parent in &self.cgroups {
            let _ = fs::remove_dir(parent);
        }
    }
}

impl Snapshot {
    /// What is there now and was not before, and the reverse.
    pub fn changes(&self, before: &Self) -> Vec<String> {
        let new = self.0.iter().filter(|line| !before.0.contains(line));
        let lost = before.0.iter().filter(|line| !self.0.contains(line));
        new.map(|line| format!("left: {line}"))
            .chain(lost.map(|line| format!("gone: {line}")))
            .collect()
    }
}

/// Visits every directory below one, parents first.
fn directories(dir: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            visit(&entry.path());
            directories(&entry.path(), visit);
        }
    }
}

/// Visits every file and directory below one.
fn everything(dir: &Path, visit: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let kind = entry.file_type().ok();
        let is_dir = kind.is_some_and(|kind| kind.is_dir());
        visit(&entry.path(), if is_dir { "directory" } else { "file" });
        if is_dir {
            everything(&entry.path(), visit);
        }
    }
}

/// Whether a process has ended and only waits for its parent, proc(5).
fn is_over(proc: &Path) -> bool {
    let stat = fs::read_to_string(proc.join("stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().unwrap_or_default().trim();
    state.is_empty() || state.starts_with(['Z', 'X'])
}

/// Waits until a process has ended, up to a time: whether it has.
pub fn await_exit(pid: Pid, patience: Duration) -> bool {
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else {
        return true;
    };
    let timeout = Timespec::try_from(patience).ok();
    poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], timeout.as_ref()) == Ok(1)
}

/// Collects the children that have ended: this process adopts the containers that kan leaves.
/// Never called while a command of this process runs.
pub fn reap() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

/// As [`reap`], but for one child that somebody else waits for.
pub fn reap_others(spared: Pid) {
    use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
    let no_hang = WaitPidFlag::WNOHANG;
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | no_hang;
    while let Ok(Some(pid)) = waitid(Id::All, look).map(|ended| ended.pid()) {
        // It may hide others behind it, but its own end is what its waiter wants to see.
        if pid.as_raw() == spared.as_raw_nonzero().get() {
            return;
        }
        let _ = waitpid(pid, Some(no_hang));
    }
}
