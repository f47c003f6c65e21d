//! Numbers of the kernel by the names that people know.

use linux_raw_sys::general as raw;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Names that somebody chose, as a list of a bounded length. A config.json can have half a million
/// of them.
pub(crate) fn some_of(names: &BTreeSet<&str>) -> String {
    /// As many as are shown, and the characters that are shown of each.
    const MOST: usize = 10;
    const LONGEST: usize = 32;
    let cut = |name: &&str| match name.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => (*name).to_owned(),
    };
    let shown: Vec<_> = names.iter().take(MOST).map(cut).collect();
    match names.len().saturating_sub(MOST) {
        0 => shown.join(" "),
        rest => format!("{} and {rest} more", shown.join(" ")),
    }
}

pub(crate) fn signals(ignored: u64) -> String {
    if ignored == 0 {
        return String::new();
    }
    let numbers = (1..=64).filter(|signal| ignored >> (signal - 1) & 1 == 1);
    let numbers: Vec<_> = numbers.map(|signal: u32| signal.to_string()).collect();
    format!(", of which the caller ignores {}", numbers.join(" "))
}

const NAMESPACES: [(u32, &str); 8] = [
    (raw::CLONE_NEWUSER, "user"),
    (raw::CLONE_NEWPID, "pid"),
    (raw::CLONE_NEWNS, "mount"),
    (raw::CLONE_NEWNET, "network"),
    (raw::CLONE_NEWUTS, "uts"),
    (raw::CLONE_NEWIPC, "ipc"),
    (raw::CLONE_NEWCGROUP, "cgroup"),
    (raw::CLONE_NEWTIME, "time"),
];

/// The namespaces of CLONE_NEW* flags, as config.json names them.
#[must_use]
pub fn namespaces(flags: u32) -> String {
    let names = NAMESPACES.iter().filter(|(flag, _)| flags & *flag != 0);
    let names: Vec<_> = names.map(|(_, name)| *name).collect();
    if names.is_empty() {
        "none".into()
    } else {
        names.join(" ")
    }
}

const ATTRIBUTES: [(u32, &str); 7] = [
    (raw::MOUNT_ATTR_RDONLY, "ro"),
    (raw::MOUNT_ATTR_NOSUID, "nosuid"),
    (raw::MOUNT_ATTR_NODEV, "nodev"),
    (raw::MOUNT_ATTR_NOEXEC, "noexec"),
    (raw::MOUNT_ATTR_NOATIME, "noatime"),
    (raw::MOUNT_ATTR_STRICTATIME, "strictatime"),
    (raw::MOUNT_ATTR_NODIRATIME, "nodiratime"),
];

pub(crate) fn flag_list(flags: u32) -> Vec<&'static str> {
    let names = ATTRIBUTES.iter().filter(|(flag, _)| flags & flag == *flag);
    let mut names: Vec<_> = names.map(|(_, name)| *name).collect();
    if flags & raw::MOUNT_ATTR_NOSYMFOLLOW != 0 {
        names.push("nosymfollow");
    }
    names
}

pub(crate) fn attribute_names(flags: u32) -> String {
    let names = flag_list(flags);
    if names.is_empty() {
        String::new()
    } else {
        format!(", {}", names.join(","))
    }
}

pub(crate) fn caps(set: u64) -> String {
    let known = (0..64).filter(|bit| set >> bit & 1 == 1);
    let names: Vec<_> = known.map(capability_name).collect();
    match names.len() {
        0 => "none".into(),
        count if count > 20 => format!("{count} of them"),
        _ => names.join(" "),
    }
}

pub(crate) fn capability_name(number: u32) -> String {
    static ALL: LazyLock<caps::CapsHashSet> = LazyLock::new(caps::all);
    let found = ALL
        .iter()
        .find(|capability| u32::from(capability.index()) == number);
    found.map_or_else(
        || number.to_string(),
        |capability| capability.to_string().replacen("CAP_", "", 1),
    )
}

pub(crate) fn limit(value: u64) -> String {
    if value == u64::MAX {
        "unlimited".into()
    } else {
        value.to_string()
    }
}

pub(crate) fn limit_name(resource: u32) -> &'static str {
    const NAMES: [&str; 16] = [
        "cpu",
        "fsize",
        "data",
        "stack",
        "core",
        "rss",
        "nproc",
        "nofile",
        "memlock",
        "as",
        "locks",
        "sigpending",
        "msgqueue",
        "nice",
        "rtprio",
        "rttime",
    ];
    usize::try_from(resource)
        .ok()
        .and_then(|index| NAMES.get(index))
        .unwrap_or(&"?")
}

/// A bit mask as a list; `all` where every bit of it is set.
pub(crate) fn bits(words: &[u64]) -> String {
    if words.iter().all(|word| *word == u64::MAX) && !words.is_empty() {
        return "all".into();
    }
    let numbers = (0..words.len() * 64).filter(|bit| words[bit / 64] >> (bit % 64) & 1 == 1);
    let numbers: Vec<_> = numbers.map(|bit| bit.to_string()).collect();
    numbers.join(",")
}

/// CPUs as a list, and as the mask that runc's log has.
pub(crate) fn affinity(words: &[u64]) -> String {
    let list = bits(words);
    if list == "all" {
        return list;
    }
    let digits: String = words
        .iter()
        .rev()
        .map(|word| format!("{word:016x}"))
        .collect();
    format!("{list} (affinity: 0x{})", digits.trim_start_matches('0'))
}

pub(crate) fn limit_text(resource: u32, soft: u64, hard: u64) -> String {
    format!(
        "limit {} to {}, at most {}",
        limit_name(resource),
        limit(soft),
        limit(hard)
    )
}
