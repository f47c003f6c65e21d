//! Freezing a container's processes, and asking whether they are frozen.
//!
//! v1 has the freezer controller (cgroup-v1/freezer-subsystem.rst), v2 `cgroup.freeze` in every
//! cgroup (cgroup-v2.rst). A hybrid host's containers are frozen through v1, where engines look;
//! through v2 only if there is no freezer hierarchy.

use std::path::Path;
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::PATIENCE;
use crate::error::{Error, Operation, Result};
use crate::file;
use crate::locate::place::{Directory, Placement};
use crate::stats::events::Events;
use crate::tree;
use crate::wait::{Deadline, pause};

/// Whether the container was frozen: by itself, not by way of a parent. A cgroup that does not
/// exist is not frozen.
///
/// # Errors
/// The call that failed, with the file.
pub fn frozen(placement: &Placement) -> Result<bool> {
    freezer(placement).map_or(Ok(false), is_frozen)
}

/// Whether the container's processes stand still, be it by way of a parent. Where the cgroup is gone
/// they do not.
///
/// # Errors
/// The call that failed, with the file.
pub fn halted(placement: &Placement) -> Result<bool> {
    let Some(dir) = freezer(placement) else {
        return Ok(false);
    };
    let path = dir.path();
    if !dir.is_v2() {
        let path = path.join("freezer.state");
        return match file::value(&path) {
            Ok(state) => Ok(state == "FROZEN"),
            Err(errno) if file::vanished(errno) => Ok(false),
            Err(errno) => Err(Error::call(Operation::Read, &path, errno)),
        };
    }
    match Events::open(&path).and_then(|events| events.get("frozen")) {
        Err(errno) if file::vanished(errno) => Ok(false),
        other => other.map_err(|errno| Error::call(Operation::Read, &path, errno)),
    }
}

/// Freezes the container's processes and waits until all have stopped.
///
/// # Errors
/// [`Error::NoFreezer`] if the host cannot; [`Error::NotFreezing`] after [`PATIENCE`], the
/// container being thawed again; [`Error::Thawed`] if somebody else did that; else the call that
/// failed, with the file.
pub fn freeze(placement: &Placement) -> Result<()> {
    let dir = freezer(placement).ok_or(Error::NoFreezer)?;
    let deadline = Deadline::after(PATIENCE);
    let result = match dir.is_v2() {
        true => freeze_v2(dir, &deadline),
        false => freeze_v1(dir, &deadline),
    };
    if result.is_err() {
        let _ = set(dir, false);
    }
    result
}

/// Lets the container's processes go on. It does not wait for them. A cgroup that does not exist
/// needs no thawing.
///
/// # Errors
/// The call that failed, with the file.
pub fn thaw(placement: &Placement) -> Result<()> {
    match freezer(placement).map(|dir| set(dir, false)) {
        Some(Err(error)) if !error.errno().is_some_and(file::vanished) => Err(error),
        _ => Ok(()),
    }
}

/// Thaws the cgroups below as well: what a container that rules cgroups of its own has frozen
/// there. On v1 alone, where the frozen do not die; as far as possible.
pub fn thaw_below(placement: &Placement) {
    let Some(dir) = placement.v1("freezer") else {
        return;
    };
    let Ok(top) = file::open_dir(CWD, dir.path()) else {
        return;
    };
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let _ = tree::walk(top, &mut |cgroup| {
        if let Ok(state) = openat(cgroup, "freezer.state", flags, Mode::empty()) {
            let _ = rustix::io::write(&state, b"THAWED");
        }
        Ok(())
    });
}

/// Starts freezing without waiting, so that no process comes to fork any more; as far as possible.
pub(crate) fn halt(placement: &Placement) {
    if let Some(dir) = freezer(placement) {
        let _ = set(dir, true);
    }
}

fn freezer(placement: &Placement) -> Option<&Directory> {
    placement.v1("freezer").or(placement.v2())
}

/// Whether this directory's own setting is frozen. Hierarchies that cannot freeze say no.
pub(crate) fn is_frozen(dir: &Directory) -> Result<bool> {
    let name = match dir.is_v2() {
        true => "cgroup.freeze",
        // Set as soon as FROZEN was written, and not by a frozen parent.
        false if dir.has("freezer") => "freezer.self_freezing",
        false => return Ok(false),
    };
    let path = dir.path().join(name);
    match file::value(&path) {
        Ok(value) => Ok(value == "1"),
        Err(errno) if file::vanished(errno) => Ok(false),
        Err(errno) => Err(Error::call(Operation::Read, &path, errno)),
    }
}

fn set(dir: &Directory, frozen: bool) -> Result<()> {
    let (name, value) = match (dir.is_v2(), frozen) {
        (true, true) => ("cgroup.freeze", "1"),
        (true, false) => ("cgroup.freeze", "0"),
        (false, true) => ("freezer.state", "FROZEN"),
        (false, false) => ("freezer.state", "THAWED"),
    };
    file::write(&dir.path().join(name), value)
}

fn freeze_v2(dir: &Directory, deadline: &Deadline) -> Result<()> {
    set(dir, true)?;
    let path = dir.path();
    let waiting = |errno| Error::call(Operation::Wait, &path, errno);
    let events = Events::open(&path).map_err(waiting)?;
    loop {
        let soon = deadline.within(LOOK_AGAIN);
        if events.wait("frozen", true, &soon).map_err(waiting)? {
            return Ok(());
        }
        if !is_frozen(dir)? {
            return Err(Error::Thawed { path });
        }
        if deadline.passed() {
            return Err(not_freezing(&path, deadline));
        }
    }
}

/// How long to wait before looking whether somebody else has thawed the cgroup again, as `kill` does:
/// it is told to nobody.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// v1 stays FREEZING while processes appear in the cgroup or cannot be stopped yet. It makes progress
/// when the state is written and read, and tells nobody.
fn freeze_v1(dir: &Directory, deadline: &Deadline) -> Result<()> {
    let path = dir.path();
    loop {
        set(dir, true)?;
        if file::read(&path.join("freezer.state"))? == "FROZEN" {
            return Ok(());
        }
        if deadline.passed() {
            return Err(not_freezing(&path, deadline));
        }
        pause().map_err(|errno| Error::call(Operation::Wait, &path, errno))?;
    }
}

fn not_freezing(path: &Path, deadline: &Deadline) -> Error {
    Error::NotFreezing {
        path: path.to_path_buf(),
        waited: deadline.patience(),
    }
}
