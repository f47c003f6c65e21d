//! Processes that the kernel killed because a container's memory limit was reached.

use crate::file;
use crate::place::Placement;

/// How many processes of the container were killed for want of memory since its cgroup was made;
/// 0 also where that cannot be read. `memory.events` of v2 counts all cgroups below too
/// (cgroup-v2.rst), `memory.oom_control` of v1 the cgroup alone.
#[must_use]
pub fn oom_kills(placement: &Placement) -> u64 {
    let (dir, name) = match placement.v1("memory") {
        Some(dir) => (Some(dir), "memory.oom_control"),
        None => (placement.v2(), "memory.events"),
    };
    let text = dir.and_then(|dir| file::value(&dir.path().join(name)).ok());
    text.as_deref().map_or(0, count)
}

fn count(text: &str) -> u64 {
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_versions_count() {
        assert_eq!(
            super::count("low 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 1\n"),
            2
        );
        assert_eq!(
            super::count("oom_kill_disable 0\nunder_oom 0\noom_kill 4"),
            4
        );
        assert_eq!(super::count(""), 0);
    }
}
