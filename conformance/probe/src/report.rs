//! `probe report`: everything the probe can see, as one JSON object.

use std::fs;
use std::io::{self, Write as _};

use serde_json::{Map, Value, json};

use crate::{files, kernel, mounts, status};

/// The masked and read-only paths that `spec` writes into a default config.
const GUARDED: [&str; 15] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
    "/proc/scsi",
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Prints the report on standard output.
pub fn print() -> Result<(), String> {
    write_line(&collect())
}

/// Writes the report to a file, for those whose standard output nobody reads.
pub fn write(file: &str) -> Result<(), String> {
    let report = collect();
    fs::write(file, report.to_string()).map_err(|e| format!("{file}: {e}"))
}

/// Prints what can be done with each of the paths.
pub fn print_paths(paths: &[&str]) -> Result<(), String> {
    write_line(&files::paths(paths))
}

/// One line of JSON.
fn write_line(value: &Value) -> Result<(), String> {
    writeln!(io::stdout(), "{value}").map_err(|e| format!("stdout: {e}"))
}

/// The whole report. Descriptors come first, before anything here opens one.
fn collect() -> Value {
    let fds = files::descriptors();
    let names = kernel::host_and_domain_name().ok();
    let mut all = json!({
        "fds": fds,
        "cwd": std::env::current_dir().ok().map(|d| d.to_string_lossy().into_owned()),
        "argv": std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect::<Vec<_>>(),
        "env": environment(),
        "hostname": names.as_ref().map(|n| &n.0),
        "domainname": names.as_ref().map(|n| &n.1),
        "capabilities": status::capabilities(),
        "rlimits": status::rlimits(),
        "signals": status::signals(),
        "mounts": mounts::table(),
        "namespaces": namespaces(),
        "cgroups": cgroups(),
        "controlling_tty": controlling_tty(),
        "processes": processes(),
        "dev": files::devices(),
        "guarded": files::paths(&GUARDED),
        "root": files::paths(&["/"]),
    });
    for part in [status::identity(), status::task()] {
        if let (Value::Object(all), Value::Object(part)) = (&mut all, part) {
            all.extend(part);
        }
    }
    all
}

/// The environment as `K=V`, in its own order and with duplicates.
fn environment() -> Vec<String> {
    std::env::vars_os()
        .map(|(k, v)| format!("{}={}", k.to_string_lossy(), v.to_string_lossy()))
        .collect()
}

/// Inode numbers by namespace, from /proc/self/ns.
fn namespaces() -> Value {
    let Ok(entries) = fs::read_dir("/proc/self/ns") else {
        return Value::Null;
    };
    let mut all = Map::new();
    for entry in entries.flatten() {
        let Ok(target) = fs::read_link(entry.path()) else {
            continue;
        };
        let target = target.to_string_lossy().into_owned();
        let inode = target
            .split(['[', ']'])
            .nth(1)
            .and_then(|i| i.parse::<u64>().ok());
        all.insert(
            entry.file_name().to_string_lossy().into_owned(),
            json!(inode),
        );
    }
    Value::Object(all)
}

/// /proc/self/cgroup: `hierarchy:controllers:path`.
fn cgroups() -> Value {
    let Ok(text) = fs::read_to_string("/proc/self/cgroup") else {
        return Value::Null;
    };
    let one = |line: &str| {
        let mut parts = line.splitn(3, ':');
        Some(
            json!({"hierarchy": parts.next()?, "controllers": parts.next()?, "path": parts.next()?}),
        )
    };
    text.lines().filter_map(one).collect()
}

/// Device number of the controlling terminal, 0 for none (proc_pid_stat(5), field 7).
fn controlling_tty() -> Option<i64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in field 2 may hold anything but ends at the last parenthesis.
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(4)?.parse().ok()
}

/// The process ids that /proc lists.
fn processes() -> Value {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Value::Null;
    };
    let mut pids: Vec<u32> = entries
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids.into()
}
