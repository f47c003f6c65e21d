//! The seccomp agent: config-linux.md, Seccomp, listenerPath; seccomp_unotify(2).

use crate::error::{during, errno_text};
use crate::os::waiting::{self, Watched};
use crate::{Error, Result};
use kan_spec::state::{ContainerProcessState, State};
use kan_sys::fd::{AsFd, OwnedFd};
use kan_sys::process::{Child, pidfd_getfd};
use kan_sys::{Errno, io, socket};

/// A duplicate of the child's listener, which the child itself can't send: its filter may forbid
/// sendmsg(2), or have it wait for the very agent.
pub(crate) fn take_listener(child: &Child, number: i32) -> Result<OwnedFd> {
    pidfd_getfd(&child.pidfd, number).map_err(during("take the seccomp listener"))
}

/// Tells the agent of the container and gives it the listener; runc's words, which its suite
/// looks for.
pub(crate) fn send(
    path: &str,
    listener: &OwnedFd,
    pid: i32,
    state: State,
    metadata: Option<String>,
) -> Result<()> {
    let agent = kan_sys::waiting::connect(path.as_bytes()).map_err(|error| {
        waiting::stopped(error, "the seccomp agent").unwrap_or_else(|error| {
            let why = errno_text(error.errno.into_raw());
            Error::Step(format!(
                "failed to connect with seccomp agent specified in the seccomp profile: {path}: {why}"
            ))
        })
    })?;
    let told = ContainerProcessState {
        oci_version: state.oci_version.clone(),
        fds: vec![ContainerProcessState::SECCOMP_FD],
        pid,
        metadata,
        state,
    };
    send_all(&agent, told.compact().as_bytes(), listener)
}

/// An agent that does not read what is more than its socket holds is waited for, but not for ever:
/// kan may be told to stop.
fn send_all(agent: &OwnedFd, text: &[u8], listener: &OwnedFd) -> Result<()> {
    let failed = || during("notify the seccomp agent");
    io::set_nonblocking(agent).map_err(failed())?;
    let mut sent = 0;
    while sent < text.len() {
        let done = match sent {
            0 => socket::send_with_descriptor(agent, text, listener),
            _ => io::write(agent, &text[sent..]),
        };
        match done {
            Ok(count) => sent += count,
            Err(error) if error.errno == Errno::EAGAIN => {
                let mut watched = [Watched::write(agent.as_fd())];
                waiting::wait(&mut watched, None, "the seccomp agent")?;
            }
            Err(error) => return Err(failed()(error)),
        }
    }
    Ok(())
}
