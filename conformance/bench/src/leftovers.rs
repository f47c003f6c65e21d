//! What failed containers and killed benchmarks leave behind.

use std::fs::DirEntry;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::process::reap_orphans;
use crate::view::CGROUP;

/// Every name that a benchmark gives: this and its pid.
pub const PREFIX: &str = "kan-bench-";

/// Removes the cgroups that this benchmark's failed containers left.
pub fn of_this_benchmark() {
    remove_cgroups(&|name| owner(name) == Some(std::process::id()));
}

/// Removes what benchmarks left that were killed before they could: cgroups, and what is in `directories`.
pub fn of_ended_benchmarks(directories: &[&Path]) {
    let ended =
        |name: &str| owner(name).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists());
    remove_cgroups(&ended);
    for entry in directories.iter().flat_map(|directory| entries(directory)) {
        if ended(&entry.file_name().to_string_lossy()) {
            // What can't be removed stays for the next one.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// The pid of the benchmark that gave this name.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

/// Removes what containers left whose names begin so: their cgroups, and their state below `root`.
pub fn of_containers(prefix: &str, root: &Path) {
    remove_cgroups(&|name| name.starts_with(prefix));
    for entry in entries(root) {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            // What can't be removed goes with the workspace.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Ends and removes the cgroups with such names, directly under the roots that are visible now. All
/// are ended before the first is waited for.
fn remove_cgroups(with_name: &dyn Fn(&str) -> bool) {
    let hierarchies = entries(Path::new(CGROUP))
        .into_iter()
        .map(|entry| entry.path());
    let found = hierarchies
        .chain([CGROUP.into()])
        .flat_map(|hierarchy| entries(&hierarchy))
        .filter(|entry| with_name(&entry.file_name().to_string_lossy()));
    let cgroups: Vec<PathBuf> = found.map(|entry| entry.path()).collect();
    for cgroup in &cgroups {
        kill_members(cgroup);
    }
    for cgroup in &cgroups {
        remove_cgroup(cgroup);
    }
}

fn kill_members(cgroup: &Path) {
    let members = std::fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    for pid in members
        .lines()
        .filter_map(|line| Pid::from_raw(line.parse().ok()?))
    {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

/// A killed process leaves its cgroup when it exits, which nothing announces in version 1.
fn remove_cgroup(cgroup: &Path) {
    for _ in 0..100 {
        reap_orphans();
        if std::fs::remove_dir(cgroup).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn entries(directory: &Path) -> Vec<DirEntry> {
    std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_owner() {
        assert_eq!(owner("kan-bench-17"), Some(17));
        assert_eq!(owner("kan-bench-17-crun"), Some(17));
        assert_eq!(owner("kan-bench-view"), None);
        assert_eq!(owner("kan-17"), None);
    }

    #[test]
    fn only_the_ended_lose_their_directories() {
        let directory =
            std::env::temp_dir().join(format!("kan-test-leftovers-{}", std::process::id()));
        let [ended, alive] =
            [u32::MAX, std::process::id()].map(|pid| directory.join(format!("{PREFIX}{pid}")));
        let other = directory.join("other");
        for kept in [&ended, &alive, &other] {
            std::fs::create_dir_all(kept.join("inside")).unwrap();
        }
        of_ended_benchmarks(&[&directory]);
        assert_eq!(
            [&ended, &alive, &other].map(|path| path.exists()),
            [false, true, true]
        );
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
