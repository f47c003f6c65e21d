//! The namespaces of a container that `exec` and `mounts` enter: those that `create` gave it.
//!
//! A first process without any capability can create a user namespace, and in it a mount namespace
//! whose programs are its own (user_namespaces(7)); whoever joined that mount namespace with
//! privileges of the host would execute them with those. So each namespace is opened once, and the
//! descriptor that was checked is the one that is joined.

use crate::os::files::c_path;
use crate::state::namespaces::{JoinedNamespace, user_namespace_of};
use crate::state::record::Record;
use crate::{Error, Result};
use kan_op::{NamespaceSlot, Slot};
use kan_sys::fd::OwnedFd;
use kan_sys::file::{self, O_RDONLY};
use kan_sys::namespace;
use std::path::Path;

/// The file of each kind of namespace in /proc/PID/ns, its CLONE_NEW* flag and its slot.
const KINDS: [(&str, u32, NamespaceSlot); 8] = [
    ("cgroup", namespace::CLONE_NEWCGROUP, NamespaceSlot::Cgroup),
    ("ipc", namespace::CLONE_NEWIPC, NamespaceSlot::Ipc),
    ("mnt", namespace::CLONE_NEWNS, NamespaceSlot::Mount),
    ("net", namespace::CLONE_NEWNET, NamespaceSlot::Network),
    ("pid", namespace::CLONE_NEWPID, NamespaceSlot::Pid),
    ("time", namespace::CLONE_NEWTIME, NamespaceSlot::Time),
    ("user", namespace::CLONE_NEWUSER, NamespaceSlot::User),
    ("uts", namespace::CLONE_NEWUTS, NamespaceSlot::Uts),
];

/// A namespace of the container, opened.
pub(crate) struct Entered {
    name: &'static str,
    flag: u32,
    pub(crate) slot: Slot,
    pub(crate) file: OwnedFd,
}

/// Opens the namespaces of a process.
pub(crate) fn open(pid: i32, flags: u32) -> Result<Vec<Entered>> {
    let wanted = KINDS.iter().filter(|(_, flag, _)| flags & flag != 0);
    let open = |&(name, flag, slot): &(&'static str, u32, NamespaceSlot)| {
        let path = c_path(Path::new(&format!("/proc/{pid}/ns/{name}")))?;
        let opened = file::open(&path, O_RDONLY, 0);
        let file = opened.map_err(|error| {
            Error::Step(format!("open the container's {name} namespace: {error}"))
        })?;
        Ok(Entered {
            name,
            flag,
            slot: Slot::Namespace(slot),
            file,
        })
    };
    wanted.map(open).collect()
}

/// Makes sure that opened namespaces of the container's first process are those of `create`, or
/// belong to the same user namespace.
///
/// A process that has left a user namespace can't come back. So if it is in the one that it was
/// created in after all were opened, it was there before, and what it had joined by then took
/// CAP_SYS_ADMIN over that: nobody without privileges has chosen for it.
///
/// A warning, if the record has nothing to compare with.
///
/// # Errors
/// The namespace that is another's, by name.
pub(crate) fn check(record: &Record, pid: i32, all: &[Entered]) -> Result<Option<String>> {
    let Some(users) = record.user_namespace else {
        let why = "the container's state was saved by an older kan: its namespaces are entered \
                   without a check";
        return Ok(Some(why.into()));
    };
    if user_namespace_of(&pid.to_string())? == users {
        return Ok(None);
    }
    for one in all {
        if !is_ours(record, users, one)? {
            return Err(Error::Status(format!(
                "the container's first process has moved into a {} namespace of another user \
                 namespace, which kan does not enter",
                one.name
            )));
        }
    }
    Ok(None)
}

fn is_ours(record: &Record, users: u64, one: &Entered) -> Result<bool> {
    let found = JoinedNamespace::of(&one.file, one.flag)?;
    if one.flag == namespace::CLONE_NEWUSER {
        return Ok(found.inode == users);
    }
    let joined = record.joined.iter().find(|joined| joined.flag == one.flag);
    let expected = joined.map_or(Some(users), |joined| joined.owner);
    let is_same = joined.is_some_and(|joined| joined.inode == found.inode);
    Ok(is_same || found.owner == expected || found.owner == Some(users))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_in_the_user_namespace_of_its_own_files() {
        let own = user_namespace_of("self").unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let opened = open(pid, namespace::CLONE_NEWUSER | namespace::CLONE_NEWUTS).unwrap();
        assert_eq!(opened.len(), 2);
        let users = opened.iter().find(|one| one.name == "user").unwrap();
        assert_eq!(file::status(&users.file, c"").unwrap().inode, own);
    }
}
