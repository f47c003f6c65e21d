//! `linux.uidMappings`, `linux.gidMappings`: config-linux.md, User namespace mappings;
//! user_namespaces(7).

use crate::builder::Builder;
use kan_op::host::IdRange;
use kan_op::init::Ids;
use kan_op::{HostStep, InitStep, Sync};
use kan_spec::config::{IdMapping, NamespaceType};
use linux_raw_sys::general::{CAP_SETGID, CAP_SYS_ADMIN};

/// Whether the container gets a user namespace of its own.
pub(crate) fn is_new(b: &Builder<'_>) -> bool {
    b.makes_namespace(NamespaceType::User)
}

/// Whether the container has a user namespace that is not kan's, new or joined.
pub(crate) fn is_used(b: &Builder<'_>) -> bool {
    b.has_namespace(NamespaceType::User)
}

/// Host: the child can't map ids that kan may not.
pub(crate) fn map(b: &mut Builder<'_>) {
    let Some(linux) = b.linux() else { return };
    if !is_new(b) {
        let has_some = !linux.uid_mappings.is_empty() || !linux.gid_mappings.is_empty();
        if has_some && is_used(b) {
            // containerd and CRI-O name them beside the path; runc passes over them as well.
            let note = "linux.uidMappings, linux.gidMappings: those of the joined namespace count";
            b.plan.notes.push(note.into());
        }
        return;
    }
    let (uids, gids) = (ranges(&linux.uid_mappings), ranges(&linux.gid_mappings));
    if uids.is_empty() || gids.is_empty() {
        let field = if uids.is_empty() {
            "linux.uidMappings"
        } else {
            "linux.gidMappings"
        };
        b.problem(field, "is required with a new user namespace");
    }
    let step = HostStep::MapIds {
        uids,
        gids,
        deny_groups: maps_own_group(b),
    };
    b.host("linux.uidMappings", step);
    b.host("", HostStep::Tell(Sync::IdsMapped));
}

/// Whether setgroups(2) has to be denied in the new namespace: a user may map his own group only
/// then, and alone; more takes newgidmap(1). Leaving a group could give what the group was denied
/// (CVE-2014-8989).
pub(crate) fn denies_groups(b: &Builder<'_>) -> bool {
    b.facts.denies_groups || maps_own_group(b)
}

fn maps_own_group(b: &Builder<'_>) -> bool {
    let Some(linux) = b.linux().filter(|_| is_new(b)) else {
        return false;
    };
    let is_own = |mapping: &IdMapping| mapping.size == 1 && mapping.host_id == b.facts.gid;
    !b.facts.has_capability(CAP_SETGID) && matches!(&linux.gid_mappings[..], [one] if is_own(one))
}

/// What takes a user namespace where kan's user is not root.
pub(crate) fn check(b: &mut Builder<'_>) {
    if !b.facts.has_capability(CAP_SYS_ADMIN) && !is_used(b) {
        b.problem(
            "linux.namespaces",
            "rootless container requires user namespaces",
        );
    }
    let groups = b
        .process()
        .map_or(0, |process| process.user.additional_gids.len());
    if denies_groups(b) && groups > 0 {
        let why = "cannot set any additional groups in a rootless container with one group";
        b.problem("process.user.additionalGids", why);
    }
}

/// setresuid(2), setresgid(2) and setgroups(2) refuse an id that the new namespace does not have,
/// but only once everything is made.
pub(crate) fn check_ids(b: &mut Builder<'_>) {
    let (Some(process), Some(linux)) = (b.process(), b.linux().filter(|_| is_new(b))) else {
        return;
    };
    let (uids, gids) = (&linux.uid_mappings, &linux.gid_mappings);
    let user = &process.user;
    let mut all = vec![
        ("process.user.uid".to_owned(), user.uid, "uid", uids),
        ("process.user.gid".to_owned(), user.gid, "gid", gids),
    ];
    for (index, gid) in user.additional_gids.iter().enumerate() {
        let at = format!("process.user.additionalGids[{index}]");
        all.push((at, *gid, "gid", gids));
    }
    for (at, id, kind, mappings) in all {
        if !mappings.is_empty() && !mappings.iter().any(|mapping| has(mapping, id)) {
            b.problem(at, format!("{id} is in none of linux.{kind}Mappings"));
        }
    }
}

fn has(mapping: &IdMapping, id: u32) -> bool {
    id.checked_sub(mapping.container_id)
        .is_some_and(|place| place < mapping.size)
}

/// The host's id of a user in the container; `None` if it has none that is known.
pub(crate) fn outside(b: &Builder<'_>, uid: u32) -> Option<u32> {
    if !is_used(b) {
        return Some(uid);
    }
    let mappings = b.linux().map_or(&[][..], |linux| &linux.uid_mappings);
    mappings.iter().find_map(|mapping| {
        let offset = uid.checked_sub(mapping.container_id)?;
        let outside = mapping.host_id.checked_add(offset)?;
        (offset < mapping.size).then_some(outside)
    })
}

pub(crate) fn ranges(mappings: &[IdMapping]) -> Vec<IdRange> {
    let range = |mapping: &IdMapping| IdRange {
        inside: mapping.container_id,
        outside: mapping.host_id,
        count: mapping.size,
    };
    mappings.iter().map(range).collect()
}

/// Init: until its ids are mapped it is nobody, and can make no file; from then on it is root
/// of its namespace.
pub(crate) fn become_root(b: &mut Builder<'_>) {
    if is_new(b) {
        b.init("linux.uidMappings", InitStep::Wait(Sync::IdsMapped));
    }
    become_root_of_joined(b);
}

/// Init: root of a user namespace whose ids are mapped.
pub(crate) fn become_root_of_joined(b: &mut Builder<'_>) {
    if !is_used(b) {
        return;
    }
    let ids = Ids {
        uid: 0,
        gid: 0,
        groups: None,
        groups_may_stay: false,
    };
    b.init("linux.uidMappings", InitStep::SetIds(ids));
}
