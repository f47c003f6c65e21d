//! What the planner needs to know of this host and process.

use crate::error::with;
use crate::process::read_small;
use crate::{Result, labels};
use kan_cgroup::{CgroupsPath, Kind, Layout, Placement};
use kan_plan::{AppArmor, CgroupFact, Cgroups, Facts};
use kan_spec::config::Config;
use std::path::Path;

/// Reads the facts, and where the container's cgroup will lie. Nothing is changed.
///
/// # Errors
/// A file of /proc or the cgroup file system can't be read, or `linux.cgroupsPath` is unusable.
pub fn gather(config: &Config, id: &str) -> Result<(Facts, Placement)> {
    let wanted = CgroupsPath::parse(kan_plan::cgroups_path(config), id)?;
    let placement = kan_cgroup::place(&Layout::detect(&wanted)?, &wanted)?;
    Ok((of_process(&placement, config)?, placement))
}

/// The facts, for a container whose cgroup is known.
pub(crate) fn of_process(placement: &Placement, config: &Config) -> Result<Facts> {
    let process = config.process.as_ref();
    let wants_apparmor = process.is_some_and(|process| process.apparmor_profile.is_some());
    let has_label = process.is_some_and(|process| process.selinux_label.is_some());
    let has_mount_label = config
        .linux
        .as_ref()
        .is_some_and(|linux| linux.mount_label.is_some());

    let (path, mut buffer) = ("/proc/self/status", [0; 8192]);
    let status = read_small(path, &mut buffer).map_err(with("read", Path::new(path)))?;
    let status = String::from_utf8_lossy(status);
    Ok(Facts {
        cgroups: cgroups(placement),
        permitted: hex(&status, "CapPrm:"),
        bounding: hex(&status, "CapBnd:"),
        ignored_signals: hex(&status, "SigIgn:"),
        apparmor: if wants_apparmor {
            labels::apparmor()
        } else {
            AppArmor::Absent
        },
        selinux: (has_label || has_mount_label) && labels::selinux(),
    })
}

pub(crate) fn cgroups(placement: &Placement) -> Cgroups {
    let mut facts: Vec<_> = placement.directories().iter().map(fact).collect();
    let is_unified = matches!(placement.directories(), [one] if one.kind() == Kind::Unified);
    match facts.pop() {
        None => Cgroups::Absent,
        Some(only) if is_unified => Cgroups::Unified(only),
        Some(last) => {
            facts.push(last);
            Cgroups::Legacy(facts)
        }
    }
}

fn fact(directory: &kan_cgroup::Directory) -> CgroupFact {
    CgroupFact {
        mount: directory.mount().to_string_lossy().into_owned(),
        path: directory.below().to_string_lossy().into_owned(),
        controllers: directory.controllers().to_vec(),
        is_v2: directory.is_v2(),
    }
}

/// A line of /proc/PID/status that holds a bit mask, proc(5).
fn hex(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
