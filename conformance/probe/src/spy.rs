//! `probe spy`: a process of the container that looks over the shoulder of every other, as an
//! attacker waits for a runtime that enters with something of the host in its hands.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;

use crate::kernel;

/// Reads descriptors, root and working directory of all processes until TERM. Prints a line
/// `found …` for each that leads out of standard streams and the container's root, and in the
/// end how many processes are left beside it, and how many it looked at.
pub fn until_term() -> Result<i32, String> {
    kernel::block_all_signals();
    let (mut looked, mut found) = (BTreeSet::new(), BTreeSet::new());
    say("ready");
    while !kernel::is_pending(libc::SIGTERM) {
        for pid in others() {
            looked.insert(pid);
            found.extend(look_at(pid));
        }
    }
    for what in found {
        say(&format!("found {what}"));
    }
    say(&format!("left {}", others().len()));
    say(&format!("looked at {}", looked.len()));
    Ok(0)
}

/// The processes that /proc shows, but for the probe itself.
fn others() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let own = std::process::id();
    let names = entries.flatten().map(|entry| entry.file_name());
    names
        .filter_map(|name| name.to_str()?.parse().ok())
        .filter(|pid| *pid != own)
        .collect()
}

/// What can be reached through a process. Its standard streams are the host's by intention.
fn look_at(pid: u32) -> Vec<String> {
    let dir = format!("/proc/{pid}");
    let mut found = Vec::new();
    for entry in fs::read_dir(format!("{dir}/fd"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let fd = entry.file_name().to_string_lossy().parse().unwrap_or(0);
        if fd > 2
            && let Ok(target) = fs::read_link(entry.path())
        {
            found.push(format!("{pid}: descriptor {fd} is {}", target.display()));
        }
    }
    // By identity: the name of what lies outside may be the same.
    let own = fs::metadata("/").map(|meta| (meta.dev(), meta.ino())).ok();
    for link in ["root", "cwd"] {
        let place = fs::metadata(format!("{dir}/{link}")).ok();
        let place = place.map(|meta| (meta.dev(), meta.ino()));
        if place.is_some() && place != own {
            found.push(format!("{pid}: {link} is elsewhere: {place:?}"));
        }
    }
    found
}

/// One line, written at once.
fn say(line: &str) {
    println!("{line}");
    let _ = std::io::stdout().flush();
}
