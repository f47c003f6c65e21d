//! Hooks in the runtime's namespaces: config.md, POSIX-platform hooks.

use crate::{Error, Result};
use kan_op::host::HostHook;
use kan_spec::state::State;
use kan_sys::process::{pidfd_open, pidfd_send_signal};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

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
    let mut errors = Vec::new();
    let in_time = listen(&mut child, hook.timeout, &mut errors);
    if !in_time {
        kill(&child);
    }
    let errors = String::from_utf8_lossy(&errors);
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

/// How much of what a hook says is kept for the error, bytes.
const KEPT: usize = 4096;

/// Whether the child ends within the time it has. What it says meanwhile is read, so that it never
/// waits for a reader; what a process that it leaves behind says later is nobody's.
fn listen(child: &mut Child, timeout: Option<u64>, errors: &mut Vec<u8>) -> bool {
    let pidfd = i32::try_from(child.id())
        .ok()
        .and_then(|pid| pidfd_open(pid).ok());
    let (Some(pidfd), Some(stderr)) = (pidfd, child.stderr.take()) else {
        return true;
    };
    let end = timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut is_open = true;
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let limit = left.map_or(PollTimeout::NONE, |left| {
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        let mut watched = vec![PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        if is_open {
            watched.push(PollFd::new(stderr.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut watched, limit) {
            Ok(0) => return false,
            Err(Errno::EINTR) => continue,
            Err(_) => return true,
            Ok(_) => {}
        }
        let ended = watched[0].any().unwrap_or(true);
        if is_open && watched[1].any().unwrap_or(false) {
            is_open = keep_some(&stderr, errors);
        } else if ended {
            return true;
        }
    }
}

/// Reads a piece; whether more may come.
pub(crate) fn keep_some(from: &impl AsFd, errors: &mut Vec<u8>) -> bool {
    let mut piece = [0; KEPT];
    let count = kan_sys::io::read(from, &mut piece).unwrap_or(0);
    let room = KEPT.saturating_sub(errors.len());
    errors.extend_from_slice(&piece[..count.min(room)]);
    count > 0
}

fn kill(child: &Child) {
    let pidfd = i32::try_from(child.id())
        .ok()
        .and_then(|pid| pidfd_open(pid).ok());
    if let Some(pidfd) = pidfd {
        let _ = pidfd_send_signal(&pidfd, nix::libc::SIGKILL);
    }
}
