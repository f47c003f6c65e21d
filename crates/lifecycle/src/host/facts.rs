//! What the planner needs to know of this host and process.

use crate::error::with;
use crate::host::cgroups::{Home, of_placement};
use crate::host::labels;
use crate::os::files;
use crate::os::files::read_small;
use crate::os::privilege::is_host_root;
use crate::state::record::Record;
use crate::{CgroupOptions, Result, resctrl};
use kan_plan::{AppArmor, Cgroups, Facts};
use kan_spec::config::Config;
use std::path::Path;

/// Reads the facts, and where the container's cgroup will lie. Nothing is changed.
pub(crate) fn gather(config: &Config, id: &str, options: CgroupOptions) -> Result<(Facts, Home)> {
    let home = Home::find(config, id, options)?;
    let facts = Facts {
        cgroups: home.facts.clone(),
        unit: home.unit_fact.clone(),
        is_rootless: home.is_rootless,
        ..of_process(config)?
    };
    Ok((facts, home))
}

/// The facts for another process of a container.
pub(crate) fn of_container(record: &Record, config: &Config) -> Result<Facts> {
    let users = record.unit.as_ref().filter(|unit| unit.user.is_some());
    Ok(Facts {
        cgroups: of_placement(&record.cgroups),
        unit: users.map(|unit| kan_plan::Unit {
            slice: String::new(),
            name: unit.name.clone(),
            is_users: true,
        }),
        is_rootless: !is_host_root()?,
        ..of_process(config)?
    })
}

/// The facts of kan's own process.
fn of_process(config: &Config) -> Result<Facts> {
    let process = config.process.as_ref();
    let wants_apparmor = process.is_some_and(|process| process.apparmor_profile.is_some());
    let has_label = process.is_some_and(|process| process.selinux_label.is_some());
    let has_mount_label = config
        .linux
        .as_ref()
        .is_some_and(|linux| linux.mount_label.is_some());
    let linux = config.linux.as_ref();
    let wants_resctrl = linux.is_some_and(|linux| linux.intel_rdt.is_some());
    // Its line of groups, of which a user may have 65536, comes before the capabilities.
    let path = Path::new("/proc/self/status");
    let status = files::read_whole(path, 8192).map_err(with("read", path))?;
    let status = String::from_utf8_lossy(&status);
    Ok(Facts {
        cgroups: Cgroups::Absent,
        unit: None,
        is_rootless: false,
        uid: effective(&status, "Uid:"),
        gid: effective(&status, "Gid:"),
        denies_groups: !is_host_root()? && denies_groups(),
        permitted: hex(&status, "CapPrm:"),
        bounding: hex(&status, "CapBnd:"),
        ignored_signals: hex(&status, "SigIgn:"),
        apparmor: if wants_apparmor {
            labels::apparmor()
        } else {
            AppArmor::Absent
        },
        resctrl: if wants_resctrl {
            resctrl::find()?
        } else {
            None
        },
        selinux: (has_label || has_mount_label) && labels::selinux(),
    })
}

/// A line of /proc/PID/status that holds the real, the effective and further ids, proc(5).
fn effective(status: &str, name: &str) -> u32 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|ids| ids.split_ascii_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}

/// user_namespaces(7), The /proc/pid/setgroups file.
fn denies_groups() -> bool {
    let mut buffer = [0; 8];
    read_small("/proc/self/setgroups", &mut buffer).is_ok_and(|text| text.starts_with(b"deny"))
}

/// A line of /proc/PID/status that holds a bit mask, proc(5).
fn hex(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
