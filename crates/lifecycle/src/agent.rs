//! The seccomp agent: config-linux.md, Seccomp, listenerPath; seccomp_unotify(2).

use crate::error::{during, lowercase};
use crate::{Error, Result};
use kan_spec::state::{ContainerProcessState, State};
use kan_sys::fd::OwnedFd;
use kan_sys::process::{Child, pidfd_getfd};
use kan_sys::socket;
use std::ffi::CString;
use std::os::unix::net::UnixStream;

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
    let agent = UnixStream::connect(path).map_err(|error| {
        let why = lowercase(&error);
        Error::Step(format!(
            "failed to connect with seccomp agent specified in the seccomp profile: {path}: {why}"
        ))
    })?;
    let told = ContainerProcessState {
        oci_version: state.oci_version.clone(),
        fds: vec![ContainerProcessState::SECCOMP_FD],
        pid,
        metadata,
        state,
    };
    let text = CString::new(told.compact()).unwrap_or_default();
    socket::send_descriptor(agent, &text, listener).map_err(during("tell the seccomp agent"))
}
