//! `linux.cgroupsPath` and the container's way into its cgroup.

use crate::builder::Builder;
use crate::{CgroupFact, Cgroups};
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

pub(crate) fn directory(fact: &CgroupFact) -> CgroupDirectory {
    CgroupDirectory {
        mount: fact.mount.clone(),
        path: fact.path.clone(),
    }
}

/// Host: makes the directories.
pub(crate) fn make(b: &mut Builder<'_>) {
    let directories = match &b.facts.cgroups {
        Cgroups::Unified(fact) => vec![directory(fact)],
        Cgroups::Legacy(facts) => facts.iter().map(directory).collect(),
        Cgroups::Absent => return,
    };
    b.host("linux.cgroupsPath", HostStep::MakeCgroup(directories));
}

/// Host: moves the child where the clone could not put it.
pub(crate) fn join(b: &mut Builder<'_>) {
    if matches!(b.facts.cgroups, Cgroups::Legacy(_)) {
        b.host("linux.cgroupsPath", HostStep::JoinCgroup);
        b.host("", HostStep::Tell(Sync::CgroupJoined));
    }
}

/// Init: where the clone could not put it into its cgroup, it waits for the host to do so.
pub(crate) fn await_move(b: &mut Builder<'_>) {
    if matches!(b.facts.cgroups, Cgroups::Legacy(_)) {
        b.init("", InitStep::Wait(Sync::CgroupJoined));
    }
}

/// Init: the namespace made after the move is rooted at the container's cgroup,
/// cgroup_namespaces(7).
pub(crate) fn enter_namespace(b: &mut Builder<'_>) {
    await_move(b);
    if matches!(b.facts.cgroups, Cgroups::Legacy(_)) && b.makes_namespace(NamespaceType::Cgroup) {
        b.init(
            "linux.namespaces",
            InitStep::Unshare {
                flags: CLONE_NEWCGROUP,
            },
        );
    }
}
