//! `linux.namespaces`, `hostname`, `domainname`: config-linux.md, Namespaces.

use crate::builder::Builder;
use crate::linux::cgroups;
use crate::linux::resources;
use crate::linux::user_namespace;
use kan_op::host::Joined;
use kan_op::{HostStep, InitStep, NamespaceSlot, Slot, Sync};
use kan_spec::config::{Config, NamespaceType};
use linux_raw_sys::general::{
    CAP_NET_ADMIN, CAP_SYS_ADMIN, CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS,
    CLONE_NEWPID, CLONE_NEWTIME, CLONE_NEWUSER, CLONE_NEWUTS,
};

pub(crate) const fn flag(kind: NamespaceType) -> u32 {
    match kind {
        NamespaceType::Pid => CLONE_NEWPID,
        NamespaceType::Network => CLONE_NEWNET,
        NamespaceType::Mount => CLONE_NEWNS,
        NamespaceType::Ipc => CLONE_NEWIPC,
        NamespaceType::Uts => CLONE_NEWUTS,
        NamespaceType::User => CLONE_NEWUSER,
        NamespaceType::Cgroup => CLONE_NEWCGROUP,
        NamespaceType::Time => CLONE_NEWTIME,
    }
}

const fn slot(kind: NamespaceType) -> Slot {
    Slot::Namespace(match kind {
        NamespaceType::Pid => NamespaceSlot::Pid,
        NamespaceType::Network => NamespaceSlot::Network,
        NamespaceType::Mount => NamespaceSlot::Mount,
        NamespaceType::Ipc => NamespaceSlot::Ipc,
        NamespaceType::Uts => NamespaceSlot::Uts,
        NamespaceType::User => NamespaceSlot::User,
        NamespaceType::Cgroup => NamespaceSlot::Cgroup,
        NamespaceType::Time => NamespaceSlot::Time,
    })
}

/// Whether the container's processes outlive its first one, which only the init of a new pid
/// namespace takes along: pid_namespaces(7).
#[must_use]
pub fn shares_pids(config: &Config) -> bool {
    config
        .namespace(NamespaceType::Pid)
        .is_none_or(|namespace| namespace.path.is_some())
}

/// Host: opens the namespaces that are joined, so that a missing one stops nothing half-way.
pub(crate) fn open(b: &mut Builder<'_>) {
    for (index, kind, path) in joined(b) {
        let step = HostStep::OpenNamespace {
            slot: slot(kind),
            path,
            flag: flag(kind),
        };
        b.host(format!("linux.namespaces[{index}].path"), step);
    }
}

/// Whether `create` joins a pid namespace, in which others see the container's process: init clones
/// that only when it needs no more than the program.
pub(crate) fn joins_pids(b: &Builder<'_>) -> bool {
    b.has_namespace(NamespaceType::Pid) && !b.makes_namespace(NamespaceType::Pid)
}

/// Whether the joined pid namespace is joined only after all else. A process that has entered a new
/// user namespace can't join one of kan's; it joins that first, and then can't mount its procfs
/// either, which takes privileges over it.
fn joins_pids_late(b: &Builder<'_>) -> bool {
    joins_pids(b) && !user_namespace::is_new(b)
}

/// The joined pid namespace, where it is open and init is not in it.
pub(crate) fn pids_beside(b: &Builder<'_>) -> Option<Slot> {
    joins_pids_late(b).then_some(slot(NamespaceType::Pid))
}

/// Init: joins the pid namespace, while it still may. What it clones from here on is in there.
pub(crate) fn join_pids(b: &mut Builder<'_>) {
    if b.clones && joins_pids_late(b) {
        let mut all = joined(b);
        all.retain(|(_, kind, _)| *kind == NamespaceType::Pid);
        join_in_order(b, all);
    }
}

/// The namespaces with a path: their place in the list, kind and path.
fn joined(b: &Builder<'_>) -> Vec<(usize, NamespaceType, String)> {
    let Some(linux) = b.linux() else {
        return Vec::new();
    };
    let all = linux.namespaces.iter().enumerate();
    all.filter_map(|(index, namespace)| Some((index, namespace.r#type, namespace.path.clone()?)))
        .collect()
}

/// Host: one clone3 makes all new namespaces but those that init makes; with a network that is made
/// apart it makes the rest meanwhile.
pub(crate) fn clone(b: &mut Builder<'_>) {
    let into_cgroup = b.facts.is_cloned_into_cgroup();
    let flags = new_at_once(b) & !by_init(b);
    let join = if joins_before(b) && !b.clones {
        let all = joined(b).into_iter();
        all.map(|(_, kind, _)| Joined {
            slot: slot(kind),
            flag: flag(kind),
        })
        .collect()
    } else {
        Vec::new()
    };
    b.host(
        "linux.namespaces",
        HostStep::Clone {
            flags,
            into_cgroup,
            join,
            hidden: b.hidden,
        },
    );
}

/// The new namespaces that init begins with. The cgroup namespace is rooted where the process is at that
/// moment, so it is one of them only where the clone puts init into its cgroup.
fn new_at_once(b: &Builder<'_>) -> u32 {
    let is_placed = b.facts.is_placed_by_clone();
    let apart = makes_network_apart(b);
    let all = b.linux().map_or(&[][..], |linux| &linux.namespaces);
    all.iter()
        .filter(|namespace| namespace.path.is_none())
        .filter(|namespace| namespace.r#type != NamespaceType::Time)
        .filter(|namespace| is_placed || namespace.r#type != NamespaceType::Cgroup)
        .filter(|namespace| !apart || namespace.r#type != NamespaceType::Network)
        .fold(0, |flags, namespace| flags | flag(namespace.r#type))
}

/// Those of them that init makes itself, while kan makes the network: until it is cloned kan can't
/// begin with that. Nobody sees init without them but who sees the host's processes. They are charged
/// to the memory cgroup of their maker, which with a copy of the host's mounts may be much for a small
/// limit.
fn by_init(b: &Builder<'_>) -> u32 {
    if b.clones {
        // They belong to a user namespace that is joined first.
        new_at_once(b)
    } else if makes_network_apart(b) && !resources::limit_memory(b) {
        new_at_once(b) & !CLONE_NEWPID
    } else {
        0
    }
}

/// Init: see [`by_init`].
pub(crate) fn make(b: &mut Builder<'_>) {
    if b.clones && joins_before(b) {
        let mut all = joined(b);
        all.retain(|(_, kind, _)| *kind != NamespaceType::Pid || !joins_pids_late(b));
        join_in_order(b, all);
    }
    let flags = by_init(b);
    if flags != 0 {
        b.init("linux.namespaces", InitStep::Unshare { flags });
    }
}

/// Init: see [`is_awaited`].
pub(crate) fn tell_made(b: &mut Builder<'_>) {
    if is_awaited(b) {
        b.init("linux.namespaces", InitStep::Tell(Sync::NamespacesMade));
    }
}

/// Whether kan can do something to init only once that has created its namespaces itself.
fn is_awaited(b: &Builder<'_>) -> bool {
    let has_devices = b.linux().is_some_and(|linux| !linux.net_devices.is_empty());
    b.clones && (user_namespace::is_new(b) || has_devices || cgroups::is_delegated(b))
}

/// Host: see [`is_awaited`].
pub(crate) fn await_made(b: &mut Builder<'_>) {
    if is_awaited(b) {
        b.host("linux.namespaces", HostStep::Wait(Sync::NamespacesMade));
    }
}

/// Init: joins opened namespaces. Those that belong to kan's user namespace can't be joined from
/// inside another one; a kan without privileges enters the others only from inside of the
/// container's.
fn join_in_order(b: &mut Builder<'_>, mut all: Vec<(usize, NamespaceType, String)>) {
    let is_privileged = b.facts.has_capability(CAP_SYS_ADMIN);
    all.sort_by_key(|(_, kind, _)| match kind {
        NamespaceType::User if is_privileged => 2,
        NamespaceType::User => 0,
        _ => 1,
    });
    for (index, kind, _) in all {
        let step = InitStep::Join {
            slot: slot(kind),
            flags: flag(kind),
        };
        b.init(format!("linux.namespaces[{index}].path"), step);
    }
}

/// Whether the network namespace is made by kan itself, beside init's work. One that belongs to a user
/// namespace is made in there, and one that devices are moved into is there from the beginning. So is
/// that of an init which others see in a joined pid namespace: /proc/PID/net would show them the host's
/// network, whatever init hides.
pub(crate) fn makes_network_apart(b: &Builder<'_>) -> bool {
    let has_devices = b.linux().is_some_and(|linux| !linux.net_devices.is_empty());
    let is_in_users = user_namespace::is_used(b) || b.facts.is_rootless;
    let is_seen = b.has_namespace(NamespaceType::Pid) && !b.makes_namespace(NamespaceType::Pid);
    b.makes_namespace(NamespaceType::Network) && !is_in_users && !has_devices && !is_seen
}

/// Host: see [`enter_network`].
pub(crate) fn make_network(b: &mut Builder<'_>) {
    if makes_network_apart(b) {
        b.host("linux.namespaces", HostStep::MakeNetwork);
    }
}

/// Init: before the first that is about the network, so late that it need not wait. The second time
/// it does nothing.
pub(crate) fn enter_network(b: &mut Builder<'_>) {
    if makes_network_apart(b) && !std::mem::replace(&mut b.is_network_entered, true) {
        b.init("linux.namespaces", InitStep::EnterNetwork);
    }
}

/// Init: `lo` of a new network namespace is up, as everywhere. kan does it where it makes that itself;
/// in a namespace that is joined it is for whoever made that.
pub(crate) fn raise_loopback(b: &mut Builder<'_>) {
    let is_new = b.makes_namespace(NamespaceType::Network) && !makes_network_apart(b);
    if is_new && (user_namespace::is_used(b) || b.facts.has_capability(CAP_NET_ADMIN)) {
        b.init("linux.namespaces", InitStep::RaiseLoopback);
    }
}

/// Whether init hides its memory from its first moment on, which it must where others who may
/// trace it see it: in namespaces that are joined (CVE-2016-9962). A kan that is not root can't do
/// so where something has to be written to init's files in /proc, which then are root's.
pub(crate) fn hides(b: &Builder<'_>) -> bool {
    let offsets = b
        .linux()
        .is_some_and(|linux| !linux.time_offsets.is_empty());
    let is_written_to = user_namespace::is_new(b) || offsets;
    !b.clones && !joined(b).is_empty() && (b.facts.uid == 0 || !is_written_to)
}

/// Whether namespaces are joined before init is made. Those of the host, such as a network
/// namespace that an engine has set up, can't be entered from inside a user namespace; and the new
/// ones of a container that joins a user namespace have to belong to that. A kan that is not root
/// could not come back from a pid namespace.
fn joins_before(b: &Builder<'_>) -> bool {
    (user_namespace::is_used(b) || b.facts.is_rootless) && !joined(b).is_empty()
}

/// Init: joins the opened namespaces, the mount namespace last, for it takes the host's paths
/// away.
pub(crate) fn join(b: &mut Builder<'_>) {
    if joins_before(b) {
        return;
    }
    let mut all = joined(b);
    all.retain(|(_, kind, _)| *kind != NamespaceType::Pid);
    all.sort_by_key(|(_, kind, _)| *kind == NamespaceType::Mount);
    for (index, kind, _) in all {
        let step = InitStep::Join {
            slot: slot(kind),
            flags: flag(kind),
        };
        b.init(format!("linux.namespaces[{index}].path"), step);
    }
}

/// The namespaces of a container that is there, CLONE_NEW* flags.
pub(crate) fn of_container(b: &Builder<'_>) -> u32 {
    let all = b.linux().map_or(&[][..], |linux| &linux.namespaces);
    all.iter()
        .fold(0, |flags, namespace| flags | flag(namespace.r#type))
}

/// Init of `exec`: joins the container's namespaces, as the host half has opened them. That of pids
/// counts for children only.
pub(crate) fn join_container(b: &mut Builder<'_>) {
    join_container_but(b, &[]);
}

/// The same without the user namespace and that of pids, where no process of kan's has a business.
pub(crate) fn join_container_as_host(b: &mut Builder<'_>) {
    join_container_but(b, &[NamespaceType::User, NamespaceType::Pid]);
}

fn join_container_but(b: &mut Builder<'_>, without: &[NamespaceType]) {
    let all = b.linux().map_or(&[][..], |linux| &linux.namespaces);
    let mut kinds: Vec<_> = all.iter().map(|namespace| namespace.r#type).collect();
    kinds.retain(|kind| !without.contains(kind));
    let is_privileged = b.facts.has_capability(CAP_SYS_ADMIN);
    kinds.sort_by_key(|kind| match kind {
        NamespaceType::User if is_privileged => 3,
        NamespaceType::User => 0,
        NamespaceType::Mount => 2,
        _ => 1,
    });
    for kind in kinds {
        let (slot, flags) = (slot(kind), flag(kind));
        b.init("linux.namespaces", InitStep::Join { slot, flags });
    }
}

/// Init: the names of the UTS namespace.
pub(crate) fn names(b: &mut Builder<'_>) {
    if let Some(name) = &b.config.hostname {
        let name = b.c_string("hostname", name.as_str());
        b.init("hostname", InitStep::SetHostname(name));
    }
    if let Some(name) = &b.config.domainname {
        let name = b.c_string("domainname", name.as_str());
        b.init("domainname", InitStep::SetDomainname(name));
    }
}
