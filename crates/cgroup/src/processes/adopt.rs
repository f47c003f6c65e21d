//! Entering a cgroup that systemd has made.

use rustix::fs::{Mode, mkdir};
use rustix::io::Errno;
use rustix::process::Pid;

use crate::error::{Error, Operation, Result};
use crate::locate::place::{Directory, Kind, Placement};
use crate::processes::join;
use crate::tree::controllers;
use crate::tree::cpuset;

/// Makes what is missing of a placement whose unit runs, and moves the unit's process there:
/// hierarchies and controllers that systemd does not know, and a cgroup below the unit's.
///
/// # Errors
/// The call that failed, with its path. `name=systemd`, and v2 on a hybrid host, may fail.
pub fn adopt(placement: &Placement, pid: Pid) -> Result<()> {
    for dir in placement.directories() {
        match make(dir) {
            Err(Error::Call { .. }) if dir.is_optional() => {}
            other => other?,
        }
    }
    join(placement, pid)?;
    // A cgroup passes controllers on only once it holds no process itself (cgroup-v2.rst, No
    // Internal Process Constraint).
    let unified = placement.directories().iter();
    unified
        .filter(|dir| dir.kind() == Kind::Unified)
        .try_for_each(controllers::enable)
}

fn make(dir: &Directory) -> Result<()> {
    let mut path = dir.mount().to_path_buf();
    let mut is_new = false;
    for name in dir.below() {
        path.push(name);
        is_new = match mkdir(&path, Mode::from_raw_mode(0o755)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => return Err(Error::call(Operation::Create, &path, errno)),
        };
    }
    if dir.has("cpuset") {
        cpuset::fill(dir, is_new)?;
    }
    Ok(())
}
