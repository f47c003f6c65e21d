//! Which namespaces a container was given: their identities, as far as a later command compares
//! them.

use crate::Result;
use crate::error::during;
use crate::os::files::c_path;
use kan_sys::fd::OwnedFd;
use kan_sys::{Errno, file, namespace};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A namespace that `create` joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JoinedNamespace {
    /// Its CLONE_NEW* flag.
    pub(crate) flag: u32,
    /// Its inode in nsfs, which is its identity for as long as it exists.
    pub(crate) inode: u64,
    /// That of the user namespace that owns it; `None` if kan may not ask for it.
    pub(crate) owner: Option<u64>,
}

impl JoinedNamespace {
    pub(crate) fn inode(&self) -> u64 {
        self.inode
    }

    pub(crate) fn of(file: &OwnedFd, flag: u32) -> Result<Self> {
        Ok(Self {
            flag,
            inode: inode(file)?,
            owner: owner(file)?,
        })
    }
}

/// The inode of a process' user namespace; `self` for kan's own.
pub(crate) fn user_namespace_of(process: &str) -> Result<u64> {
    let path = c_path(Path::new(&format!("/proc/{process}/ns/user")))?;
    let found = file::status_of_path(&path).map_err(during("look at the user namespace"))?;
    Ok(found.inode)
}

fn inode(file: &OwnedFd) -> Result<u64> {
    let found = file::status(file, c"").map_err(during("look at a namespace"))?;
    Ok(found.inode)
}

/// The user namespace that owns a namespace, or if it is one itself its parent; `None` if kan may
/// not know.
fn owner(file: &OwnedFd) -> Result<Option<u64>> {
    match namespace::owner(file) {
        Ok(owner) => inode(&owner).map(Some),
        Err(error) if error.errno == Errno::EPERM => Ok(None),
        Err(error) => Err(during("look at a namespace's owner")(error)),
    }
}
