//! kan runs from a copy of its own executable that nobody can write to.
//!
//! A container's process can open /proc/PID/exe of a kan that is in its namespaces, and once
//! that kan has ended write to what it opened (CVE-2019-5736). So before it enters any namespace
//! kan's executable becomes one on a detached, read-only clone of its own mount: the file is the
//! same, but it cannot be opened for writing through that mount, and a mount that is attached
//! nowhere cannot be changed by anybody once the descriptor of the clone is closed. On most runs the
//! program's first instructions have done this already (`early.rs` of the sys crate). Where they
//! could not, kan executes itself again: from such a clone, which takes 0.3 ms, or from a sealed
//! memfd(2), which takes 0.9 ms and no privilege.

use crate::error::during;
use crate::os::program::SEALING;
use crate::{Error, Result};
use kan_sys::file::{self, O_RDONLY};
use kan_sys::mount::{self, Change, Depth};
use kan_sys::{Errno, early, memory, process, start};
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;

/// Executes kan again from a sealed copy, with `words` as its command line, unless this is one already.
/// Returns only then.
///
/// # Errors
/// The copy can't be made or executed.
pub fn ensure(words: &[OsString]) -> Result<()> {
    if early::is_sealed() {
        return Ok(());
    }
    if is_sealed().map_err(during("look at kan's own executable"))? {
        // execveat(2) of a descriptor leaves its number behind.
        return process::set_name(c"kan").map_err(during("set kan's name"));
    }
    // The pid stays the same through exec, and is another one in every child.
    let mark = std::process::id().to_string();
    if std::env::var_os(SEALING).is_some_and(|value| value == *mark) {
        let why = "kan's sealed copy does not look sealed: is /proc the host's?";
        return Err(Error::Step(why.into()));
    }
    let sealed = match clone_own_mount() {
        Err(error) if error.errno == Errno::EPERM => memory_copy()?,
        other => other.map_err(during("seal kan's executable"))?,
    };
    let args = strings(words.iter().cloned());
    let env = std::env::vars_os();
    let env = env.map(|(mut entry, value)| {
        entry.push("=");
        entry.push(value);
        entry
    });
    let env = strings(env.chain([format!("{SEALING}={mark}").into()]));
    // What `start::prepare` has changed for kan alone is as the copy's start should find it.
    Err(Error::Call {
        what: "execute kan's sealed copy",
        source: start::with_callers_umask(|| process::execve_file(&sealed, &args, &env)),
    })
}

/// As execve(2) takes them. What comes from a command line or an environment has no NUL in it.
fn strings(all: impl Iterator<Item = OsString>) -> Vec<CString> {
    all.filter_map(|text| CString::new(text.into_vec()).ok())
        .collect()
}

/// A process that was executed from a detached clone of a mount reads `/` as its executable's
/// path, and finds the mount read-only; one from a memfd finds the seals.
fn is_sealed() -> kan_sys::Result<bool> {
    let mut path = [0; 64];
    let path = file::readlink(c"/proc/self/exe", &mut path)?;
    if path.starts_with(b"/memfd:") {
        return Ok(memory::is_sealed(file::open(
            c"/proc/self/exe",
            O_RDONLY,
            0,
        )?));
    }
    Ok(path == b"/" && mount::is_read_only(c"/proc/self/exe")?)
}

pub(crate) fn clone_own_mount() -> kan_sys::Result<kan_sys::fd::OwnedFd> {
    let tree = mount::clone_tree_at_path(c"/proc/self/exe", Depth::Single)?;
    let read_only = Change {
        set: mount::MOUNT_ATTR_RDONLY,
        ..Change::default()
    };
    mount::change(&tree, read_only, Depth::Single)?;
    Ok(tree)
}

/// The fallback of users who may not clone mounts.
fn memory_copy() -> Result<kan_sys::fd::OwnedFd> {
    let path = std::path::Path::new("/proc/self/exe");
    let text = std::fs::read(path).map_err(crate::error::with("read", path))?;
    memory::sealed_file(c"kan", &text).map_err(during("copy kan's executable"))
}
