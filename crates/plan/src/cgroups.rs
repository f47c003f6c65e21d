//! `linux.cgroupsPath` and the container's way into its cgroup.

use crate::builder::Builder;
use crate::{CgroupFact, Cgroups, annotations, resources, systemd};
use kan_op::host::CgroupDirectory;
use kan_op::{HostStep, InitStep, Sync};
use kan_spec::config::{Config, NamespaceType};
use linux_raw_sys::general::CLONE_NEWCGROUP;

/// `linux.cgroupsPath`: where the container's cgroup shall lie. What that means on this host
/// comes back as a fact.
#[must_use]
pub fn cgroups_path(config: &Config) -> Option<&str> {
    config.linux.as_ref()?.cgroups_path.as_deref()
}

/// The cgroup below the unit's own in which the container is to be; empty for the unit's own.
#[must_use]
pub fn cgroup_below_unit(config: &Config) -> &str {
    annotations::value(config, annotations::SYSTEMD_SUBGROUP).unwrap_or_default()
}

pub(crate) fn directory(fact: &CgroupFact) -> CgroupDirectory {
    CgroupDirectory {
        mount: fact.mount.clone(),
        path: fact.path.clone(),
    }
}

/// The container's cgroup in each hierarchy.
pub(crate) fn directories(b: &Builder<'_>) -> Vec<CgroupDirectory> {
    match &b.facts.cgroups {
        Cgroups::Unified(fact) => vec![directory(fact)],
        Cgroups::Legacy(facts) => facts.iter().map(directory).collect(),
        Cgroups::Absent | Cgroups::Own { .. } => Vec::new(),
    }
}

/// Host: makes the cgroup, with its limits, before anything runs in it. systemd wants a process
/// to make one for.
pub(crate) fn make(b: &mut Builder<'_>) {
    let directories = directories(b);
    if b.facts.unit.is_none() && !directories.is_empty() {
        b.host("linux.cgroupsPath", HostStep::MakeCgroup(directories));
    }
    if b.facts.unit.is_none() {
        resources::limit(b);
        resources::limit_devices_by_files(b);
    }
}

/// Host: moves the child where the clone could not put it.
pub(crate) fn join(b: &mut Builder<'_>) {
    if b.facts.is_placed_by_clone() {
        return;
    }
    if b.facts.unit.is_some() {
        systemd::start(b);
    } else {
        b.host("linux.cgroupsPath", HostStep::JoinCgroup);
    }
    b.host("", HostStep::Tell(Sync::CgroupJoined));
}

/// Host, `exec`: the same, where the container's cgroup is in use.
pub(crate) fn join_running(b: &mut Builder<'_>) {
    if b.facts.is_placed_by_clone() {
        return;
    }
    let step = match &b.facts.unit {
        Some(unit) => HostStep::AttachToUnit {
            unit: unit.name.clone(),
        },
        None => HostStep::JoinCgroup,
    };
    b.host("linux.cgroupsPath", step);
    b.host("", HostStep::Tell(Sync::CgroupJoined));
}

/// Init: where the clone could not put it into its cgroup, it waits for the host to do so.
pub(crate) fn await_move(b: &mut Builder<'_>) {
    if !b.facts.is_placed_by_clone() {
        b.init("", InitStep::Wait(Sync::CgroupJoined));
    }
}

/// Init: the namespace made after the move is rooted at the container's cgroup,
/// cgroup_namespaces(7).
pub(crate) fn enter_namespace(b: &mut Builder<'_>) {
    await_move(b);
    if !b.facts.is_placed_by_clone() && b.makes_namespace(NamespaceType::Cgroup) {
        b.init(
            "linux.namespaces",
            InitStep::Unshare {
                flags: CLONE_NEWCGROUP,
            },
        );
    }
}
