//! `linux.cgroupsPath` and the container's way into its cgroup.

use crate::builder::Builder;
use crate::facts::directories;
use crate::linux::resources;
use crate::linux::systemd;
use crate::linux::user_namespace;
use crate::{Cgroups, annotations};
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

/// Host: makes the cgroup, with its limits, before anything runs in it. systemd wants a process
/// to make one for.
pub(crate) fn make(b: &mut Builder<'_>) {
    let directories = directories(b.facts);
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

/// Host: a container that has its own view of its cgroup and may write there owns it, by
/// config-linux.md, Cgroup ownership.
pub(crate) fn give(b: &mut Builder<'_>) {
    let is_new = b.makes_namespace(NamespaceType::Cgroup);
    let is_own = matches!(b.facts.cgroups, Cgroups::Unified(_)) && !b.facts.is_rootless;
    let mut mounts = b.config.mounts.iter();
    let is_writable = mounts.any(|mount| {
        let is_cgroup = matches!(mount.r#type.as_deref(), Some("cgroup" | "cgroup2"));
        is_cgroup && !mount.options.iter().any(|option| option == "ro")
    });
    let uid = b.process().map_or(0, |process| process.user.uid);
    match user_namespace::outside(b, uid) {
        Some(uid @ 1..) if is_new && is_own && is_writable => {
            b.host("linux.cgroupsPath", HostStep::GiveCgroup { uid });
        }
        _ => {}
    }
}

/// Whether the container's cgroup is delegated.
pub(crate) fn is_delegated(b: &Builder<'_>) -> bool {
    annotations::value(b.config, annotations::DELEGATE_CGROUP).is_some()
}

/// Host: `run.oci.delegate-cgroup`. Only after init has made its cgroup namespace, which is to be
/// rooted above.
pub(crate) fn delegate(b: &mut Builder<'_>) {
    let Some(name) = annotations::value(b.config, annotations::DELEGATE_CGROUP) else {
        return;
    };
    let field = annotations::field(annotations::DELEGATE_CGROUP);
    if !matches!(b.facts.cgroups, Cgroups::Unified(_)) {
        b.problem(
            field,
            "delegation is not safe on cgroup v1, and takes a cgroup",
        );
    } else if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
        b.problem(field, "is not a name");
    } else {
        let name = name.to_owned();
        let root = user_namespace::outside(b, 0);
        let uid = root.filter(|uid| *uid != 0 && !b.facts.is_rootless);
        b.host(field, HostStep::DelegateCgroup { name, uid });
    }
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
    if !b.facts.is_placed_by_clone() && b.makes_namespace(NamespaceType::Cgroup) {
        b.init(
            "linux.namespaces",
            InitStep::Unshare {
                flags: CLONE_NEWCGROUP,
            },
        );
    }
}
