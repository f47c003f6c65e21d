//! After each case: are there mounts, cgroups, processes or state that the runtime forgot?

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use super::command::send;
use super::command::wait_for_exit;
use super::reaper;

/// Root of the cgroup hierarchies.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Everything on the host that still belongs to a case, one sentence each.
pub fn find(id: &str, dir: &Path, state: &Path) -> Vec<String> {
    let mut left = Vec::new();
    left.extend(
        mounts(&dir.to_string_lossy())
            .into_iter()
            .map(|m| format!("mount: {m}")),
    );
    left.extend(
        cgroups(id)
            .iter()
            .map(|c| format!("cgroup: {}", c.display())),
    );
    left.extend(settled_processes(id, dir).into_iter().map(|(_, what)| what));
    left.extend(
        state_entries(id, state)
            .iter()
            .map(|s| format!("state: {}", s.display())),
    );
    left
}

/// Ends what `find` found, so that one failing case does not disturb others.
pub fn clear(id: &str, dir: &Path) {
    for (pid, _) in processes(id, dir) {
        // It may be gone by now, and then there is nothing to do.
        let _ = send(pid, Signal::KILL);
        let _ = wait_for_exit(pid, Duration::from_secs(5));
    }
    reaper::collect();
    unmount_below(dir);
    for cgroup in cgroups(id).iter().rev() {
        let _ = fs::remove_dir(cgroup);
    }
}

/// Lines of the host's mount table that name a path below `dir`.
fn mounts(dir: &str) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table
        .lines()
        .filter(|line| line.contains(dir))
        .map(str::to_owned)
        .collect()
}

/// Detaches whatever is mounted below a directory, last mount first: removing the directory would
/// otherwise remove what is mounted, which may be the host's own.
fn unmount_below(dir: &Path) {
    let dir = dir.to_string_lossy();
    for line in mounts(&dir).iter().rev() {
        let point = line
            .split(' ')
            .nth(4)
            .filter(|point| point.starts_with(&*dir));
        if let Some(point) = point {
            let _ = rustix::mount::unmount(point, rustix::mount::UnmountFlags::DETACH);
        }
    }
}

/// Whether anything is still mounted below a directory.
pub fn has_mounts(dir: &Path) -> bool {
    !mounts(&dir.to_string_lossy()).is_empty()
}

/// Cgroup directories, in any hierarchy, whose name contains the id; parents first.
pub fn cgroups(id: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(Path::new(CGROUPS), &mut |dir| {
        if dir.to_string_lossy().contains(id) {
            found.push(dir.to_owned());
        }
    });
    found
}

/// Visits every directory below one.
fn walk(dir: &Path, visit: &mut impl FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            visit(&entry.path());
            walk(&entry.path(), visit);
        }
    }
}

/// Processes of a case that are still there after a moment: the last helper of a foreground
/// command may be on its way out.
fn settled_processes(id: &str, dir: &Path) -> Vec<(i32, String)> {
    reaper::collect();
    for (pid, _) in processes(id, dir) {
        let _ = wait_for_exit(pid, Duration::from_millis(500));
    }
    reaper::collect();
    processes(id, dir)
}

/// Processes whose environment, command line, cgroup, root or executable names the case.
fn processes(id: &str, dir: &Path) -> Vec<(i32, String)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    let own = std::process::id().cast_signed();
    pids.filter(|pid| *pid != own)
        .filter_map(|pid| belongs(pid, id, dir).map(|how| (pid, format!("process {pid}: {how}"))))
        .collect()
}

/// How a process belongs to the case, if it does.
fn belongs(pid: i32, id: &str, dir: &Path) -> Option<String> {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    for file in ["cmdline", "environ", "cgroup"] {
        let bytes = fs::read(proc.join(file)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
        if text.contains(id) {
            return Some(format!("{file}: {}", text.trim()));
        }
    }
    for link in ["root", "exe", "cwd"] {
        let target = fs::read_link(proc.join(link)).unwrap_or_default();
        if target.starts_with(dir) {
            return Some(format!("{link}: {}", target.display()));
        }
    }
    None
}

/// Entries of the state directory that name the id.
fn state_entries(id: &str, state: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(state) else {
        return Vec::new();
    };
    let paths = entries.flatten().map(|entry| entry.path());
    paths
        .filter(|path| path.to_string_lossy().contains(id))
        .collect()
}

/// The host as it is before and after the whole run.
#[derive(PartialEq, Eq)]
pub struct Snapshot {
    mounts: Vec<String>,
    cgroups: Vec<PathBuf>,
}

impl Snapshot {
    /// Looks at the host.
    pub fn take() -> Self {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mut cgroups = Vec::new();
        walk(Path::new(CGROUPS), &mut |dir| cgroups.push(dir.to_owned()));
        Self {
            mounts: table.lines().map(str::to_owned).collect(),
            cgroups,
        }
    }

    /// What has been added since an earlier look, except other people's containers: cgroups
    /// count only if their name is the suite's.
    pub fn added_since(&self, earlier: &Self) -> Vec<String> {
        let mounts = self.mounts.iter().filter(|m| !earlier.mounts.contains(m));
        let ours = format!("suite-{}", std::process::id());
        let new = self.cgroups.iter().filter(|c| !earlier.cgroups.contains(c));
        let named = new.filter(|c| c.to_string_lossy().contains(&ours));
        mounts
            .map(|m| format!("mount: {m}"))
            .chain(named.map(|c| format!("cgroup: {}", c.display())))
            .collect()
    }
}
