//! Hooks in the runtime's namespaces: config.md, POSIX-platform hooks.

use crate::{Error, Result};
use kan_op::host::HostHook;
use kan_spec::state::State;
use kan_sys::process::{pidfd_open, pidfd_send_signal};
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};

/// Runs a hook with the state on its stdin.
///
/// # Errors
/// The hook can't be executed, fails, or takes longer than its timeout; its stderr is in the text.
pub(crate) fn run(hook: &HostHook, state: &State) -> Result<()> {
    let failed = |why: String| {
        Error::Step(format!(
            "error running {} hook #{}: {why}",
            hook.kind, hook.index
        ))
    };
    let mut child = command(hook).spawn().map_err(|error| {
        failed(format!(
            "{}: {}",
            hook.path,
            crate::error::lowercase(&error)
        ))
    })?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook need not read it; SIGPIPE is ignored here.
        let _ = stdin.write_all(state.compact().as_bytes());
    }
    let in_time = wait(&child, hook.timeout);
    if !in_time {
        kill(&child);
    }
    let mut errors = String::new();
    if let Some(mut stderr) = child.stderr.take().filter(|_| in_time) {
        let _ = stderr.read_to_string(&mut errors);
    }
    let ended = child.wait().map_err(|error| failed(error.to_string()))?;
    if !in_time {
        let seconds = hook.timeout.unwrap_or(0);
        return Err(failed(format!(
            "hook ran past specified timeout of {seconds}s"
        )));
    }
    match (ended.code(), ended.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(failed(format!("exit status {code}{}", said(&errors)))),
        (None, signal) => {
            let signal = signal.unwrap_or(0);
            Err(failed(format!("ended by signal {signal}{}", said(&errors))))
        }
    }
}

fn command(hook: &HostHook) -> Command {
    let mut command = Command::new(&hook.path);
    if let Some((name, rest)) = hook.args.split_first() {
        command.arg0(name).args(rest);
    }
    if !hook.env.is_empty() {
        command.env_clear();
        command.envs(hook.env.iter().filter_map(|entry| entry.split_once('=')));
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// What a hook wrote, in one line for the error.
pub(crate) fn said(errors: &str) -> String {
    let lines: Vec<_> = errors
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    if lines.is_empty() {
        String::new()
    } else {
        format!(", stderr: {}", lines.join(" | "))
    }
}

/// Whether the child ends within the time it has.
fn wait(child: &Child, timeout: Option<u64>) -> bool {
    let Ok(pid) = i32::try_from(child.id()) else {
        return true;
    };
    match pidfd_open(pid) {
        Ok(pidfd) => kan_sys::io::wait_readable(&pidfd, timeout).unwrap_or(true),
        Err(_) => true,
    }
}

fn kill(child: &Child) {
    let pidfd = i32::try_from(child.id())
        .ok()
        .and_then(|pid| pidfd_open(pid).ok());
    if let Some(pidfd) = pidfd {
        let _ = pidfd_send_signal(&pidfd, nix::libc::SIGKILL);
    }
}
