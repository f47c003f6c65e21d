//! Hooks in the runtime's namespaces: config.md, POSIX-platform hooks.

use crate::error::{during, with};
use crate::{Error, Result};
use kan_op::host::HostHook;
use kan_spec::state::State;
use kan_sys::process::{pidfd_open, pidfd_send_signal};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
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
    let mut command = command(hook).map_err(|error| failed(error.to_string()))?;
    let mut child = command.spawn().map_err(|error| {
        failed(format!(
            "{}: {}",
            hook.path,
            crate::error::lowercase(&error)
        ))
    })?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook need not read it, and is not waited for here; SIGPIPE is ignored.
        let state = state.compact();
        // Beyond /proc/sys/fs/pipe-max-size there is none without CAP_SYS_RESOURCE.
        let _ = kan_sys::io::make_room(&stdin, state.len());
        let _ = stdin.write_all(state.as_bytes());
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

fn command(hook: &HostHook) -> Result<Command> {
    // What kan's caller leaked to kan is no business of a hook (CVE-2024-21626's class).
    let marked = kan_sys::io::close_range_on_exec(3, u32::MAX);
    marked.map_err(during("mark descriptors close-on-exec"))?;
    let mut command = Command::new(&hook.path);
    if let Some((name, rest)) = hook.args.split_first() {
        command.arg0(name).args(rest);
    }
    if !hook.env.is_empty() {
        command.env_clear();
        command.envs(hook.env.iter().filter_map(|entry| entry.split_once('=')));
    }
    let stdout = output(hook.stdout.as_deref())?.unwrap_or_else(Stdio::null);
    let stderr = output(hook.stderr.as_deref())?.unwrap_or_else(Stdio::piped);
    command.stdin(Stdio::piped()).stdout(stdout).stderr(stderr);
    Ok(command)
}

/// A file of `run.oci.hooks.stdout` or `run.oci.hooks.stderr`.
fn output(path: Option<&str>) -> Result<Option<Stdio>> {
    let file = path.map(|path| open_output(Path::new(path))).transpose()?;
    Ok(file.map(Stdio::from))
}

/// Opens a file that the output of hooks is added to; made if need be.
pub(crate) fn open_output(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    let opened = options.append(true).create(true).mode(0o600).open(path);
    opened.map_err(with("open", path))
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
    let Some(pidfd) = pidfd else {
        return true;
    };
    let stderr = child.stderr.take();
    let end = timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut stderr = stderr.as_ref();
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let limit = left.map_or(PollTimeout::NONE, |left| {
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        let mut watched = vec![PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        watched.extend(stderr.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        match poll(&mut watched, limit) {
            Ok(0) => return false,
            Err(Errno::EINTR) => continue,
            Err(_) => return true,
            Ok(_) => {}
        }
        let ended = watched[0].any().unwrap_or(true);
        let speaks = watched.get(1).is_some_and(|fd| fd.any().unwrap_or(false));
        if let Some(from) = stderr.filter(|_| speaks) {
            stderr = stderr.filter(|_| keep_some(from, errors));
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
