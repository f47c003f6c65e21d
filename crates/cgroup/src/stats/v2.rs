//! cgroup v2: everything in one directory, cgroup-v2.rst.

use std::path::Path;

use super::keyed::{device, flat, list, number, pressure, text};
use crate::stats::report::{BlkioEntry, Hugetlb, MemoryEntry, Stats};

pub(super) fn all(dir: &Path, stats: &mut Stats) {
    cpu(dir, stats);
    memory(dir, stats);
    stats.pids.current = number(dir, "pids.current", 0);
    stats.pids.limit = number(dir, "pids.max", 0);
    block_io(&text(dir, "io.stat"), stats);
    stats.cpuset.cpus = list(&text(dir, "cpuset.cpus.effective"));
    stats.cpuset.mems = list(&text(dir, "cpuset.mems.effective"));
    beside_v1(dir, stats);
}

/// What a v2 cgroup tells that v1 does not: pressure always, and huge pages if they are here.
pub(super) fn beside_v1(dir: &Path, stats: &mut Stats) {
    stats.cpu.psi = pressure(dir, "cpu.pressure");
    stats.memory.psi = pressure(dir, "memory.pressure");
    stats.blkio.psi = pressure(dir, "io.pressure");
    for size in page_sizes(dir, ".current") {
        let events = flat(&text(dir, &format!("hugetlb.{size}.events")));
        let pages = Hugetlb {
            usage: number(dir, &format!("hugetlb.{size}.current"), 0),
            max: 0,
            failcnt: events.get("max").copied().unwrap_or(0),
        };
        stats.hugetlb.insert(size, pages);
    }
}

/// Microseconds here, nanoseconds there.
fn cpu(dir: &Path, stats: &mut Stats) {
    let all = flat(&text(dir, "cpu.stat"));
    let get = |key| all.get(key).copied().unwrap_or(0);
    let nanoseconds = |key| get(key).saturating_mul(1000);
    let usage = &mut stats.cpu.usage;
    usage.total = nanoseconds("usage_usec");
    usage.user = nanoseconds("user_usec");
    usage.kernel = nanoseconds("system_usec");
    let throttling = &mut stats.cpu.throttling;
    throttling.periods = get("nr_periods");
    throttling.throttled_periods = get("nr_throttled");
    throttling.throttled_time = nanoseconds("throttled_usec");
}

/// Swap is counted alone here, and told together with memory as in v1.
fn memory(dir: &Path, stats: &mut Stats) {
    let memory = &mut stats.memory;
    memory.raw = flat(&text(dir, "memory.stat"));
    memory.cache = memory.raw.get("file").copied().unwrap_or(0);
    memory.event_count = flat(&text(dir, "memory.events"));
    memory.usage = MemoryEntry {
        limit: number(dir, "memory.max", u64::MAX),
        usage: number(dir, "memory.current", 0),
        max: number(dir, "memory.peak", 0),
        failcnt: memory.event_count.get("max").copied().unwrap_or(0),
    };
    let swap = text(dir, "memory.swap.max");
    if swap.is_empty() {
        return;
    }
    let both = |memory: u64, swap: u64| match (memory, swap) {
        (u64::MAX, _) | (_, u64::MAX) => u64::MAX,
        (memory, swap) => memory.saturating_add(swap),
    };
    memory.swap = MemoryEntry {
        limit: both(memory.usage.limit, number(dir, "memory.swap.max", u64::MAX)),
        usage: both(memory.usage.usage, number(dir, "memory.swap.current", 0)),
        max: both(memory.usage.max, number(dir, "memory.swap.peak", 0)),
        failcnt: 0,
    };
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`
pub(super) fn block_io(text: &str, stats: &mut Stats) {
    for line in text.lines() {
        let mut words = line.split(' ');
        let Some((major, minor)) = words.next().and_then(device) else {
            continue;
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let (list, op) = match key {
                "rbytes" => (&mut stats.blkio.io_service_bytes_recursive, "Read"),
                "wbytes" => (&mut stats.blkio.io_service_bytes_recursive, "Write"),
                "dbytes" => (&mut stats.blkio.io_service_bytes_recursive, "Discard"),
                "rios" => (&mut stats.blkio.io_serviced_recursive, "Read"),
                "wios" => (&mut stats.blkio.io_serviced_recursive, "Write"),
                "dios" => (&mut stats.blkio.io_serviced_recursive, "Discard"),
                _ => continue,
            };
            list.push(BlkioEntry {
                major,
                minor,
                op: op.to_owned(),
                value: value.parse().unwrap_or(0),
            });
        }
    }
}

/// The huge pages that a cgroup counts: those with such a file.
pub(super) fn page_sizes(dir: &Path, suffix: &str) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let size = name.strip_prefix("hugetlb.")?.strip_suffix(suffix)?;
        (!size.contains('.')).then(|| size.to_owned())
    });
    sizes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_io_becomes_entries() {
        let mut stats = Stats::default();
        block_io(
            "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n8:16 \n",
            &mut stats,
        );
        let bytes = &stats.blkio.io_service_bytes_recursive;
        assert_eq!(
            (bytes.len(), &*bytes[1].op, bytes[1].value, bytes[1].major),
            (3, "Write", 2, 8)
        );
        assert_eq!(stats.blkio.io_serviced_recursive[0].value, 3);
    }
}
