//! Making a container's cgroup.

use std::path::{Path, PathBuf};

use rustix::fs::{Mode, mkdir, rmdir};
use rustix::io::Errno;

use crate::error::{Error, Operation, Result};
use crate::file;
use crate::locate::place::{Directory, Kind, Placement};
use crate::processes::freeze;
use crate::processes::processes_in;
use crate::stats::events::Events;
use crate::tree::controllers;
use crate::tree::cpuset;

/// What [`create`] made, for taking it back if the container fails to start.
#[derive(Debug, Default)]
#[must_use = "needed for undoing"]
pub struct Created {
    made: Vec<PathBuf>,
}

impl Created {
    /// The directories that did not exist before, parents first. Parents that a nested path needed
    /// stay behind when the container is removed, as with runc.
    #[must_use]
    pub fn directories(&self) -> &[PathBuf] {
        &self.made
    }

    /// Removes what was made, as far as it is unused. For the failure of a `create`, whose own error
    /// is the one to report.
    pub fn undo(self) {
        for path in self.made.iter().rev() {
            let _ = rmdir(path);
        }
    }
}

/// Makes the container's cgroup in each hierarchy, with parents where they are missing. In v2 the
/// host's controllers are enabled down to it; in v1 an empty cpuset takes its parent's values.
/// A cgroup that exists is used if it is empty. On failure nothing is left behind.
///
/// # Errors
/// [`Error::NotEmpty`] or [`Error::Frozen`] for a cgroup that exists and is in use; else the call
/// that failed, with its path. Failing to make `name=systemd`, or v2 on a hybrid host, is no error.
pub fn create(placement: &Placement) -> Result<Created> {
    let mut created = Created::default();
    for dir in placement.directories() {
        match make(placement, dir, &mut created) {
            Err(Error::Call { .. }) if dir.is_optional() => {}
            Err(error) => {
                created.undo();
                return Err(error);
            }
            Ok(()) => {}
        }
    }
    Ok(created)
}

/// Whether [`create`] would find that the cgroup, which may exist already, is in use. Nothing is changed.
///
/// # Errors
/// [`Error::NotEmpty`] or [`Error::Frozen`] if it is.
pub fn ensure_unused(placement: &Placement) -> Result<()> {
    for dir in placement.directories() {
        let path = dir.path();
        if path.exists() {
            ensure_vacant(placement, dir, &path)?;
        }
    }
    Ok(())
}

fn make(placement: &Placement, dir: &Directory, created: &mut Created) -> Result<()> {
    let path = dir.path();
    let mut new = created.mkdir(&path);
    if new == Err(Errno::NOENT) {
        make_parents(dir, created)?;
        new = created.mkdir(&path);
    }
    let new = new.map_err(|errno| Error::call(Operation::Create, &path, errno))?;
    if !new {
        ensure_vacant(placement, dir, &path)?;
    }
    if dir.kind() == Kind::Unified {
        controllers::enable(dir)?;
    }
    if dir.has("cpuset") {
        cpuset::fill(dir, new)?;
    }
    Ok(())
}

impl Created {
    /// mkdir(2), noting a directory that is new. Whether it is.
    fn mkdir(&mut self, path: &Path) -> rustix::io::Result<bool> {
        match mkdir(path, Mode::from_raw_mode(0o755)) {
            Ok(()) => {
                self.made.push(path.to_path_buf());
                Ok(true)
            }
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(errno),
        }
    }
}

fn make_parents(dir: &Directory, created: &mut Created) -> Result<()> {
    let mut path = dir.mount().to_path_buf();
    for name in dir.below().parent().into_iter().flatten() {
        path.push(name);
        created
            .mkdir(&path)
            .map_err(|errno| Error::call(Operation::Create, &path, errno))?;
    }
    Ok(())
}

/// Refuses a cgroup that holds processes or is frozen.
///
/// On v1 runc looks at one hierarchy, devices, and so does this. The v2 cgroup of a hybrid host is
/// looked at as well: killing the container kills everything in it (`cgroup.kill`).
fn ensure_vacant(placement: &Placement, dir: &Directory, path: &Path) -> Result<()> {
    let holds = match dir.is_v2() {
        true => populated(path)?,
        false => placement.v1_holder() == Some(dir),
    };
    if holds {
        let count = processes_in(path)?.len();
        if count > 0 || dir.is_v2() {
            let path = path.to_path_buf();
            return Err(Error::NotEmpty { path, count });
        }
    }
    match freeze::is_frozen(dir)? {
        true => Err(Error::Frozen {
            path: path.to_path_buf(),
        }),
        false => Ok(()),
    }
}

fn populated(path: &Path) -> Result<bool> {
    match Events::open(path).and_then(|events| events.get("populated")) {
        Err(errno) if file::vanished(errno) => Ok(false),
        other => other.map_err(|errno| Error::call(Operation::Read, path, errno)),
    }
}
