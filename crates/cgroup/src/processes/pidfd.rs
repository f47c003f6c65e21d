//! Processes held by pidfd (pidfd_open(2)): a number may pass to another process, a pidfd not.

use std::os::fd::{AsFd, OwnedFd};

use kan_sys::waiting::Watch;
use rustix::io::{self, Errno};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use crate::wait::{Deadline, pause, ready};

/// A process, or a thread of one, found in a cgroup.
pub(crate) struct Held {
    pub pid: Pid,
    /// `None` for a thread: a threaded cgroup names threads, of which there is no pidfd before
    /// Linux 6.9.
    pidfd: Option<OwnedFd>,
}

impl Held {
    /// Takes hold of a process. `None` if it is gone.
    pub(crate) fn take(pid: Pid) -> io::Result<Option<Self>> {
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Some(Self {
                pid,
                pidfd: Some(pidfd),
            })),
            Err(Errno::SRCH) => Ok(None),
            Err(Errno::INVAL | Errno::NOENT) => Ok(Some(Self { pid, pidfd: None })),
            Err(errno) => Err(errno),
        }
    }

    /// Sends SIGKILL. One that is gone already is fine.
    pub(crate) fn kill(&self) -> io::Result<()> {
        let sent = match &self.pidfd {
            Some(pidfd) => pidfd_send_signal(pidfd, Signal::KILL),
            None => kill_process(self.pid, Signal::KILL),
        };
        match sent {
            Err(Errno::SRCH) => Ok(()),
            other => other,
        }
    }

    /// Sends any signal to a process, as far as that can be done. Threads are left alone.
    pub(crate) fn signal(&self, signal: i32) {
        if let Some(pidfd) = &self.pidfd {
            let _ = kan_sys::process::pidfd_send_signal(pidfd, signal);
        }
    }

    /// Waits for the process to end. Whether it did in time.
    fn ended(&self, deadline: &Deadline) -> io::Result<bool> {
        match &self.pidfd {
            Some(pidfd) => ready(Some(Watch::read(pidfd.as_fd())), deadline),
            None => pause().map(|()| true),
        }
    }
}

/// Waits for all to end, or for the deadline.
pub(crate) fn wait_for_all(processes: &[Held], deadline: &Deadline) -> io::Result<()> {
    for process in processes {
        if !process.ended(deadline)? {
            break;
        }
    }
    Ok(())
}
