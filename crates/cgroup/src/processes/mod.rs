//! `cgroup.procs`: putting processes into a cgroup and listing those it holds.

pub(crate) mod adopt;
pub(crate) mod freeze;
pub(crate) mod kill;
pub(crate) mod pidfd;

use std::path::Path;

use rustix::fs::CWD;
use rustix::io::{self, Errno};
use rustix::process::Pid;

use crate::error::{Error, Operation, Result};
use crate::file;
use crate::locate::place::{Directory, Placement};
use crate::processes::pidfd::Held;
use crate::tree;

const PROCS: &str = "cgroup.procs";

/// Processes held at once, well below the usual limit of 1,024 descriptors.
pub(crate) const HELD: usize = 256;

/// Moves a process into the container's cgroup in each hierarchy.
///
/// # Errors
/// The write that failed, with the file; [`Error::hint`] knows the usual causes. Failing to join
/// `name=systemd`, or v2 on a hybrid host, is no error, as in runc.
pub fn join(placement: &Placement, pid: Pid) -> Result<()> {
    join_where(placement, pid, |_| true)
}

/// As [`join`], but for a process that was cloned into the v2 cgroup ([`Placement::open`]).
///
/// # Errors
/// As [`join`].
pub fn join_v1(placement: &Placement, pid: Pid) -> Result<()> {
    join_where(placement, pid, |dir| !dir.is_v2())
}

fn join_where(placement: &Placement, pid: Pid, chosen: impl Fn(&Directory) -> bool) -> Result<()> {
    let text = pid.as_raw_nonzero().to_string();
    for dir in placement.directories().iter().filter(|dir| chosen(dir)) {
        let path = dir.path().join(PROCS);
        match file::put(&path, &text) {
            Err(errno) if !dir.is_optional() => {
                return Err(Error::call(Operation::Join(pid), &path, errno));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The processes of the container's cgroup and of all cgroups below it, in ascending order. On v1
/// the devices hierarchy speaks for all, as in runc. None if the cgroup does not exist.
///
/// In a threaded cgroup (v2) these are thread ids: the kernel tells no others. Processes that are
/// not visible in the caller's PID namespace are left out.
///
/// # Errors
/// The call that failed, with the cgroup.
pub fn processes(placement: &Placement) -> Result<Vec<Pid>> {
    match placement.v1_holder().or(placement.v2()) {
        Some(dir) => processes_in(&dir.path()),
        None => Ok(Vec::new()),
    }
}

/// The processes of one cgroup and all below it.
pub(crate) fn processes_in(cgroup: &Path) -> Result<Vec<Pid>> {
    list(cgroup).map_err(|errno| Error::call(Operation::List, cgroup, errno))
}

fn list(cgroup: &Path) -> io::Result<Vec<Pid>> {
    let top = match file::open_dir(CWD, cgroup) {
        Err(errno) if file::vanished(errno) => return Ok(Vec::new()),
        other => other?,
    };
    // The first cgroup decides: a threaded one has no process list. Threaded cgroups below
    // another kind are covered by the process list of their domain (cgroups(7)).
    let mut source = None;
    let mut pids = Vec::new();
    tree::walk(top, &mut |dir| {
        let text = match source {
            Some(name) => file::whole(dir, name),
            None => file::whole(dir, PROCS),
        };
        match text {
            Err(Errno::OPNOTSUPP) if source.is_none() => {
                source = Some("cgroup.threads");
                pids.extend(parse(&file::whole(dir, "cgroup.threads")?));
            }
            Err(Errno::OPNOTSUPP) => {}
            Err(errno) if file::vanished(errno) => {}
            text => {
                source.get_or_insert(PROCS);
                pids.extend(parse(&text?));
            }
        }
        Ok(())
    })?;
    // cgroup v1 may name a process twice (cgroup-v1/cgroups.rst).
    pids.sort_unstable_by_key(number);
    pids.dedup();
    Ok(pids)
}

/// One number a line. A process outside the reader's PID namespace is `0`, which kill(2) would
/// take for the caller's process group: it is no [`Pid`] and drops out here.
pub(crate) fn parse(text: &str) -> impl Iterator<Item = Pid> {
    text.lines().filter_map(|line| {
        let number = line.parse::<u32>().ok()?;
        Pid::from_raw(i32::try_from(number).ok()?)
    })
}

/// Takes hold of some of the processes just listed in a cgroup.
pub(crate) fn hold(cgroup: &Path, pids: &[Pid]) -> Result<Vec<Held>> {
    let mut held = Vec::new();
    for pid in pids.iter().take(HELD) {
        let taken =
            Held::take(*pid).map_err(|errno| Error::call(Operation::Wait, cgroup, errno))?;
        held.extend(taken);
    }
    // A number may have passed to a stranger between listing and holding. From here on
    // it cannot: what is still listed is what is held.
    let still = processes_in(cgroup)?;
    held.retain(|process| contains(&still, process.pid));
    Ok(held)
}

/// Refuses to go on if the calling process is among those to be killed or waited for.
pub(crate) fn refuse_own(cgroup: &Path, pids: &[Pid]) -> Result<()> {
    match contains(pids, rustix::process::getpid()) {
        true => Err(Error::Own {
            path: cgroup.to_path_buf(),
        }),
        false => Ok(()),
    }
}

fn number(pid: &Pid) -> i32 {
    pid.as_raw_nonzero().get()
}

fn contains(sorted: &[Pid], pid: Pid) -> bool {
    sorted.binary_search_by_key(&number(&pid), number).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_processes_and_nonsense_are_no_pids() {
        let pids: Vec<i32> = parse("12\n0\n7\n\n-3\nx\n4294967295\n")
            .map(|pid| pid.as_raw_nonzero().get())
            .collect();
        assert_eq!(pids, [12, 7]);
    }
}
