//! The caller's own attributes: identity, capabilities, limits, signals, scheduling.

use std::fs;

use serde_json::{Map, Value, json};

use crate::kernel;

/// capabilities(7), by number.
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// getrlimit(2), by number.
const RLIMITS: [&str; 16] = [
    "CPU",
    "FSIZE",
    "DATA",
    "STACK",
    "CORE",
    "RSS",
    "NPROC",
    "NOFILE",
    "MEMLOCK",
    "AS",
    "LOCKS",
    "SIGPENDING",
    "MSGQUEUE",
    "NICE",
    "RTPRIO",
    "RTTIME",
];

/// signal(7) on x86 and ARM, from number 1 on.
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// The name without SIG, or the number of a real-time signal.
pub fn signal_name(number: i32) -> String {
    let index = usize::try_from(number).ok().and_then(|n| n.checked_sub(1));
    index
        .and_then(|i| SIGNALS.get(i))
        .map_or_else(|| number.to_string(), ToString::to_string)
}

/// One field of /proc/self/status.
fn status_field(name: &str) -> Option<String> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text
        .lines()
        .find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

/// A set of signals as /proc/self/status prints it.
fn signal_set(field: &str) -> Option<Vec<String>> {
    let bits = u64::from_str_radix(&status_field(field)?, 16).ok()?;
    Some(
        (0..64)
            .filter(|n| bits & (1 << n) != 0)
            .map(|n| signal_name(n + 1))
            .collect(),
    )
}

/// Blocked, ignored and caught signals.
pub fn signals() -> Value {
    json!({
        "blocked": signal_set("SigBlk"),
        "ignored": signal_set("SigIgn"),
        "caught": signal_set("SigCgt"),
    })
}

/// Ids and the family of processes.
pub fn identity() -> Value {
    let (sid, pgid, ppid) = kernel::family();
    let [uid, euid, suid] = kernel::user_ids();
    let [gid, egid, sgid] = kernel::group_ids();
    json!({
        "pid": std::process::id(), "ppid": ppid, "sid": sid, "pgid": pgid,
        "uid": {"real": uid, "effective": euid, "saved": suid},
        "gid": {"real": gid, "effective": egid, "saved": sgid},
        "groups": kernel::groups().ok(),
        "umask": kernel::umask(),
    })
}

/// The names of a bit set.
fn capability_names(has: impl Fn(u64) -> bool) -> Vec<String> {
    let numbered = (0u64..).zip(CAPABILITIES);
    numbered
        .filter(|(n, _)| has(*n))
        .map(|(_, name)| format!("CAP_{name}"))
        .collect()
}

/// The five sets; asked of the kernel directly, so that a missing /proc does not matter.
pub fn capabilities() -> Value {
    let [effective, permitted, inheritable] = kernel::capabilities().unwrap_or_default();
    let in_set = |set: u64| capability_names(move |n| set & (1 << n) != 0);
    let ambient = u64::from(libc::PR_CAP_AMBIENT_IS_SET.unsigned_abs());
    json!({
        "effective": in_set(effective),
        "permitted": in_set(permitted),
        "inheritable": in_set(inheritable),
        "bounding": capability_names(|n| {
            matches!(kernel::prctl_capability(libc::PR_CAPBSET_READ, n, 0), Ok(1))
        }),
        "ambient": capability_names(|n| {
            matches!(kernel::prctl_capability(libc::PR_CAP_AMBIENT, ambient, n), Ok(1))
        }),
    })
}

/// Every limit as `{"RLIMIT_X": {"soft": …, "hard": …}}`; infinity is the greatest u64.
pub fn rlimits() -> Value {
    let mut all = Map::new();
    for (number, name) in (0u32..).zip(RLIMITS) {
        if let Ok((soft, hard)) = kernel::rlimit(number) {
            all.insert(
                format!("RLIMIT_{name}"),
                json!({"soft": soft, "hard": hard}),
            );
        }
    }
    Value::Object(all)
}

/// Privileges, scheduling and the rest of what hangs on a task.
pub fn task() -> Value {
    let scheduler = kernel::scheduler().ok().map(
        |(policy, priority, nice)| json!({"policy": policy, "priority": priority, "nice": nice}),
    );
    let io = kernel::io_priority()
        .ok()
        .map(|(class, p)| json!({"class": class, "priority": p}));
    let adjusted = fs::read_to_string("/proc/self/oom_score_adj").ok();
    json!({
        "no_new_privs": kernel::prctl(libc::PR_GET_NO_NEW_PRIVS).ok().map(|v| v == 1),
        "seccomp": status_field("Seccomp").and_then(|v| v.parse::<i32>().ok()),
        "seccomp_filters": status_field("Seccomp_filters").and_then(|v| v.parse::<i32>().ok()),
        "dumpable": kernel::prctl(libc::PR_GET_DUMPABLE).ok(),
        "oom_score_adj": adjusted.and_then(|v| v.trim().parse::<i32>().ok()),
        "personality": kernel::personality().ok(),
        "scheduler": scheduler,
        "io_priority": io,
        "affinity": kernel::affinity().ok(),
        "timer_slack": kernel::prctl(libc::PR_GET_TIMERSLACK).ok(),
        "timer": kernel::has_timer().ok(),
        "parent_death_signal": kernel::parent_death_signal().ok(),
        "securebits": kernel::prctl(libc::PR_GET_SECUREBITS).ok(),
        "keyring": kernel::session_keyring().ok(),
    })
}
