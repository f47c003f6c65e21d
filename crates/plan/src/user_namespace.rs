//! `linux.uidMappings`, `linux.gidMappings`: config-linux.md, User namespace mappings;
//! user_namespaces(7).

use crate::builder::Builder;
use kan_op::host::IdRange;
use kan_op::init::Ids;
use kan_op::{HostStep, InitStep, Sync};
use kan_spec::config::{IdMapping, NamespaceType};

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
    b.host("linux.uidMappings", HostStep::MapIds { uids, gids });
    b.host("", HostStep::Tell(Sync::IdsMapped));
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
    const FIELD: &str = "linux.uidMappings";
    if !is_used(b) {
        return;
    }
    if is_new(b) {
        b.init(FIELD, InitStep::Wait(Sync::IdsMapped));
    }
    let ids = Ids {
        uid: 0,
        gid: 0,
        groups: None,
    };
    b.init(FIELD, InitStep::SetIds(ids));
}
