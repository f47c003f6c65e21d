//! Handing a cgroup of v2 over to the container: cgroups(7), Delegating a hierarchy; config-linux.md,
//! Cgroup ownership.

use std::path::Path;

use rustix::fs::{Mode, Uid, chown, mkdir};
use rustix::io::Errno;
use rustix::process::Pid;

use crate::error::{Error, Operation, Result};
use crate::file;
use crate::locate::place::{Directory, Placement};
use crate::tree::controllers;

/// The files that go with a cgroup's directory, by name; since Linux 4.15.
const LIST: &str = "/sys/kernel/cgroup/delegate";

/// Gives the container's v2 cgroup to a user of the host: the directory, and the files that the
/// kernel lists for this. Nothing where there is no v2.
///
/// # Errors
/// The call that failed, with the path.
pub fn give(placement: &Placement, uid: u32) -> Result<()> {
    match placement.v2() {
        Some(dir) => give_directory(&dir.path(), uid),
        None => Ok(()),
    }
}

fn give_directory(path: &Path, uid: u32) -> Result<()> {
    let names = file::read(Path::new(LIST))?;
    let owner = Some(Uid::from_raw(uid));
    let files = names.lines().map(|name| path.join(name));
    for one in [path.to_path_buf()].into_iter().chain(files) {
        match chown(&one, owner, None) {
            // A controller that is not enabled has none.
            Err(Errno::NOENT) => {}
            other => other.map_err(|errno| Error::call(Operation::GiveTo(uid), &one, errno))?,
        }
    }
    Ok(())
}

/// Makes a cgroup below the container's v2 one, to which no limit of its own applies, and moves a
/// process there. It is given to `owner`, if there is one.
///
/// # Errors
/// As [`give`].
pub fn delegate(placement: &Placement, name: &str, owner: Option<u32>, pid: Pid) -> Result<()> {
    let Some(dir) = placement.v2() else {
        return Ok(());
    };
    let inner: Directory = dir.at(dir.below().join(name));
    let path = inner.path();
    match mkdir(&path, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(Error::call(Operation::Create, &path, errno)),
    }
    if let Some(uid) = owner {
        give_directory(&path, uid)?;
    }
    let procs = path.join("cgroup.procs");
    let text = pid.as_raw_nonzero().to_string();
    file::put(&procs, &text).map_err(|errno| Error::call(Operation::Join(pid), &procs, errno))?;
    // Now that the cgroup above is empty it can pass its controllers on.
    controllers::enable(&inner)
}
