//! Waiting, as the whole of this crate does it: [`kan_sys::waiting`], with the errors of this crate.
//!
//! From [`take_over`] on SIGTERM, SIGINT and SIGHUP end a wait, and with it the command, whose
//! failure then takes back what it has made so far. A second one ends kan at once.

use crate::{Error, Result};
use kan_sys::Errno;
use kan_sys::fd::{AsFd, OwnedFd};
use kan_sys::process::{self, Ended};
use kan_sys::waiting::{self, Watch};
use std::time::Duration;

pub(crate) use kan_sys::waiting::Watch as Watched;

/// How long is waited for what happens without anybody's help, such as the end of a process that
/// was killed.
pub(crate) const PATIENCE: Duration = kan_cgroup::PATIENCE;

/// How long, and how often, is looked whether a dead process is still traced.
const TRACED: Duration = Duration::from_millis(300);
const LOOK: Duration = Duration::from_millis(5);

/// From here on signals that end kan end what it waits for.
///
/// # Errors
/// One has come already, for an earlier part of the command; the kernel's.
pub(crate) fn take_over() -> Result<()> {
    waiting::take_over().map_err(|source| Error::Call {
        what: "take over signals",
        source,
    })?;
    go_on("begin")
}

/// Whether kan was told to stop: not while it waited here, but where others did, who may have taken
/// it for a failure that is none of the command's.
pub(crate) fn go_on(what: &str) -> Result<()> {
    match waiting::caught() {
        Some(signal) => Err(interrupted(signal, what)),
        None => Ok(()),
    }
}

/// The same, and looks whether a signal has come that nothing has waited for.
pub(crate) fn check(what: &str) -> Result<()> {
    waiting::check().map_err(in_wait(what))
}

/// Waits for one of these, or until the time has passed: whether one is ready.
pub(crate) fn wait(watched: &mut [Watch<'_>], limit: Option<Duration>, what: &str) -> Result<bool> {
    waiting::wait(watched, limit).map_err(in_wait(what))
}

/// Lets time pass.
pub(crate) fn pause(length: Duration, what: &str) -> Result<()> {
    waiting::pause(length).map_err(in_wait(what))
}

/// A wait that failed, because of a signal mostly.
pub(crate) fn in_wait(what: &str) -> impl FnOnce(kan_sys::Error) -> Error {
    move |error| match stopped(error, what) {
        Ok(stopped) => stopped,
        Err(error) => Error::Step(format!("wait for {what}: {error}")),
    }
}

/// Whether it was a signal that ended a wait, or else what did.
pub(crate) fn stopped(
    error: kan_sys::Error,
    what: &str,
) -> std::result::Result<Error, kan_sys::Error> {
    match waiting::caught() {
        Some(signal) if error.errno == Errno::EINTR => Ok(interrupted(signal, what)),
        _ => Err(error),
    }
}

fn interrupted(signal: i32, what: &str) -> Error {
    Error::Interrupted {
        signal,
        what: what.to_owned(),
    }
}

/// Kills a child of kan's and reaps it: how it ended. `None` if it is not gone after
/// [`PATIENCE`], as one in a frozen cgroup of v1 or in a system call that no signal ends, or
/// [`TRACED`] later, as one that a process of the container traces and does not let go of, ptrace(2);
/// it is left to die by itself then.
pub(crate) fn end(child: &OwnedFd) -> Option<Ended> {
    let _ = process::pidfd_send_signal(child, nix::libc::SIGKILL);
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        let left = end.saturating_duration_since(std::time::Instant::now());
        match waiting::until_readable(child.as_fd(), Some(left)) {
            Ok(true) => return reap(child),
            // Told to stop for the first time: this is the cleaning up.
            Err(error) if error.errno == Errno::EINTR => {}
            Ok(false) | Err(_) => return None,
        }
    }
}

/// Reaps a dead process. Its pidfd does not tell when the tracer lets go of it.
fn reap(child: &OwnedFd) -> Option<Ended> {
    let begin = std::time::Instant::now();
    loop {
        let ended = process::reap(child).ok()?;
        if ended.is_some() || begin.elapsed() > TRACED {
            return ended;
        }
        std::thread::sleep(LOOK);
    }
}
