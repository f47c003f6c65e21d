//! cgroup v1: one controller after the other, cgroup-v1/*.rst.

use std::path::Path;

use super::keyed::{device, flat, list, number, text};
use crate::locate::place::Directory;
use crate::stats::report::{BlkioEntry, Hugetlb, MemoryEntry, Stats};

/// The nanoseconds of a tick of `cpuacct.stat`: USER_HZ is 100 on every architecture.
const TICK: u64 = 10_000_000;

pub(super) fn of_hierarchy(hierarchy: &Directory, dir: &Path, stats: &mut Stats) {
    for controller in hierarchy.controllers() {
        match controller.as_str() {
            "cpu" => throttling(dir, stats),
            "cpuacct" => usage(dir, stats),
            "cpuset" => sets(dir, stats),
            "memory" => memory(dir, stats),
            "pids" => {
                stats.pids.current = number(dir, "pids.current", 0);
                stats.pids.limit = number(dir, "pids.max", 0);
            }
            "blkio" => block_io(dir, stats),
            "hugetlb" => huge_pages(dir, stats),
            _ => {}
        }
    }
}

fn throttling(dir: &Path, stats: &mut Stats) {
    let all = flat(&text(dir, "cpu.stat"));
    let get = |key| all.get(key).copied().unwrap_or(0);
    let throttling = &mut stats.cpu.throttling;
    throttling.periods = get("nr_periods");
    throttling.throttled_periods = get("nr_throttled");
    throttling.throttled_time = get("throttled_time");
}

fn usage(dir: &Path, stats: &mut Stats) {
    let usage = &mut stats.cpu.usage;
    usage.total = number(dir, "cpuacct.usage", 0);
    let ticks = flat(&text(dir, "cpuacct.stat"));
    let time = |key| ticks.get(key).map_or(0, |ticks| ticks.saturating_mul(TICK));
    (usage.user, usage.kernel) = (time("user"), time("system"));
    let percpu = text(dir, "cpuacct.usage_percpu");
    usage.percpu = percpu
        .split_whitespace()
        .filter_map(|n| n.parse().ok())
        .collect();
    // A line a CPU: its number, time outside and inside the kernel.
    for line in text(dir, "cpuacct.usage_all").lines().skip(1) {
        let mut numbers = line.split(' ').skip(1).map(|n| n.parse().unwrap_or(0));
        usage.percpu_user.extend(numbers.next());
        usage.percpu_kernel.extend(numbers.next());
    }
}

fn sets(dir: &Path, stats: &mut Stats) {
    let get = |name: &str| number(dir, &format!("cpuset.{name}"), 0);
    let sets = &mut stats.cpuset;
    sets.cpus = list(&text(dir, "cpuset.cpus"));
    sets.mems = list(&text(dir, "cpuset.mems"));
    sets.cpu_exclusive = get("cpu_exclusive");
    sets.mem_hardwall = get("mem_hardwall");
    sets.mem_exclusive = get("mem_exclusive");
    sets.memory_migrate = get("memory_migrate");
    sets.memory_spread_page = get("memory_spread_page");
    sets.memory_spread_slab = get("memory_spread_slab");
    sets.memory_pressure = get("memory_pressure");
    sets.sched_load_balance = get("sched_load_balance");
    let level = text(dir, "cpuset.sched_relax_domain_level");
    sets.sched_relax_domain_level = level.trim().parse().unwrap_or(0);
}

fn memory(dir: &Path, stats: &mut Stats) {
    let entry = |name: &str| {
        let get = |what: &str| number(dir, &format!("memory{name}.{what}"), 0);
        MemoryEntry {
            limit: get("limit_in_bytes"),
            usage: get("usage_in_bytes"),
            max: get("max_usage_in_bytes"),
            failcnt: get("failcnt"),
        }
    };
    let memory = &mut stats.memory;
    memory.raw = flat(&text(dir, "memory.stat"));
    memory.cache = memory.raw.get("cache").copied().unwrap_or(0);
    memory.usage = entry("");
    memory.swap = entry(".memsw");
    memory.kernel = entry(".kmem");
    memory.kernel_tcp = entry(".kmem.tcp");
}

/// BFQ counts what went through it; the throttling layer, all. The one that has counted is shown.
fn block_io(dir: &Path, stats: &mut Stats) {
    let entries = |what: &str| -> Vec<BlkioEntry> {
        let files = ["bfq", "throttle"].map(|layer| format!("blkio.{layer}.{what}_recursive"));
        let lists = files.iter().map(|file| entries(&text(dir, file)));
        lists
            .into_iter()
            .find(|list| !list.is_empty())
            .unwrap_or_default()
    };
    stats.blkio.io_service_bytes_recursive = entries("io_service_bytes");
    stats.blkio.io_serviced_recursive = entries("io_serviced");
}

/// `8:0 Read 4096`; the last line is a sum of all devices.
fn entries(text: &str) -> Vec<BlkioEntry> {
    let entry = |line: &str| {
        let mut words = line.split(' ');
        let (major, minor) = device(words.next()?)?;
        Some(BlkioEntry {
            major,
            minor,
            op: words.next()?.to_owned(),
            value: words.next()?.parse().ok()?,
        })
    };
    text.lines().filter_map(entry).collect()
}

fn huge_pages(dir: &Path, stats: &mut Stats) {
    for size in super::v2::page_sizes(dir, ".usage_in_bytes") {
        let get = |what: &str| number(dir, &format!("hugetlb.{size}.{what}"), 0);
        let pages = Hugetlb {
            usage: get("usage_in_bytes"),
            max: get("max_usage_in_bytes"),
            failcnt: get("failcnt"),
        };
        stats.hugetlb.insert(size, pages);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn block_devices_without_the_sum() {
        let entries = super::entries("254:0 Read 4096\n254:0 Total 4096\nTotal 4096\n");
        assert_eq!(entries.len(), 2);
        assert_eq!(
            (entries[0].major, &*entries[0].op, entries[0].value),
            (254, "Read", 4096)
        );
    }
}
