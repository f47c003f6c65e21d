//! Processes that are still traced when the command has ended.

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::moment::{Moment, Watch};
use crate::outcome::{Outcome, fail};

/// Tracees that this process has adopted: a process that is killed before it reports a clone leaves
/// a child that is traced and that nobody has announced.
pub fn adopted_tracees() -> Outcome<Vec<Pid>> {
    let own = std::process::id().to_string();
    let mut tracees = Vec::new();
    for task in std::fs::read_dir("/proc/self/task")? {
        let children = std::fs::read_to_string(task?.path().join("children"))?;
        for pid in children.split_whitespace() {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let value = |name| status.lines().find_map(|line| line.strip_prefix(name));
            let is_alive =
                value("State:").is_some_and(|state| !state.trim().starts_with(['Z', 'X']));
            if is_alive && value("TracerPid:").is_some_and(|tracer| tracer.trim() == own) {
                tracees.push(Pid::from_raw(pid.parse()?));
            }
        }
    }
    Ok(tracees)
}

/// The command may have ended before the report of a child's execve(2) or clone(2) came; cloned
/// children are added to `children`.
pub fn release(pid: Pid, mut watch: Option<&mut Watch<'_>>, children: &mut Vec<Pid>) -> Outcome {
    loop {
        let signal = match waitpid(pid, Some(WaitPidFlag::__WALL)) {
            Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) | Err(Errno::ECHILD) => {
                return Ok(());
            }
            Ok(WaitStatus::Stopped(_, signal)) => Some(signal),
            Ok(WaitStatus::PtraceEvent(_, _, nix::libc::PTRACE_EVENT_EXEC)) => {
                if let Some(watch) = watch.take() {
                    watch(pid, Moment::Executed);
                }
                None
            }
            Ok(WaitStatus::PtraceEvent(_, _, event)) if is_clone(event) => {
                if let Some(child) = ptrace::getevent(pid)
                    .ok()
                    .and_then(|pid| pid.try_into().ok())
                {
                    children.push(Pid::from_raw(child));
                }
                None
            }
            Ok(_) => None,
            Err(errno) => fail!("wait for init: {errno}"),
        };
        match ptrace::detach(pid, signal) {
            Err(Errno::ESRCH) => {}
            other => return Ok(other?),
        }
    }
}

/// Whether an event of ptrace(2) is the birth of a process.
pub fn is_clone(event: i32) -> bool {
    use nix::libc::{PTRACE_EVENT_CLONE, PTRACE_EVENT_FORK, PTRACE_EVENT_VFORK};
    matches!(
        event,
        PTRACE_EVENT_FORK | PTRACE_EVENT_CLONE | PTRACE_EVENT_VFORK
    )
}
