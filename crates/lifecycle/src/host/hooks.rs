//! Hooks in the runtime's namespaces: config.md, POSIX-platform hooks.

use crate::error::{during, with};
use crate::os::waiting::{self, Watched};
use crate::state::record::Record;
use crate::{Error, Result};
use kan_op::host::HostHook;
use kan_spec::state::{State, Status};
use kan_sys::fd::OwnedFd;
use kan_sys::process::{self, Ended, pidfd_open};
use kan_sys::start::{self, with_callers_umask};
use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// The poststart hooks of a container: runtime.md, Lifecycle, step 9.
///
/// # Errors
/// The first that fails; the others do not run.
pub(crate) fn run_poststart(record: &Record) -> Result<()> {
    let state = record.state(Status::Running);
    let mut hooks = record.poststart.iter().enumerate();
    hooks.try_for_each(|(index, hook)| run(&hook.at("poststart", index), &state))
}

/// The poststop hooks of a container: runtime.md, Lifecycle, step 12. One that fails does not keep
/// the others from running. The errors are returned.
pub(crate) fn run_poststop(record: &Record) -> Vec<Error> {
    let state = record.state(Status::Stopped);
    let hooks = record.poststop.iter().enumerate();
    let ended = hooks.map(|(index, hook)| run(&hook.at("poststop", index), &state));
    ended.filter_map(Result::err).collect()
}

/// Runs a hook with the state on its stdin. Its time counts from the start.
///
/// # Errors
/// The hook can't be executed, fails, or takes longer than its timeout; its stderr is in the text.
/// [`Error::Interrupted`] if kan is told to stop: the hook is killed then.
pub(crate) fn run(hook: &HostHook, state: &State) -> Result<()> {
    let failed = |why: String| {
        Error::Step(format!(
            "error running {} hook #{}: {why}",
            hook.kind, hook.index
        ))
    };
    let end = hook
        .timeout
        .map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut command = command(hook).map_err(|error| failed(error.to_string()))?;
    // As in runc, which enters the bundle in `create`, where it runs poststart hooks as well.
    if hook.kind != "poststop" {
        command.current_dir(&state.bundle);
    }
    let mut child = with_callers_umask(|| command.spawn()).map_err(|error| {
        failed(format!(
            "{}: {}",
            hook.path,
            crate::error::lowercase(&error)
        ))
    })?;
    let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
    let pidfd = pidfd_open(pid).map_err(|error| failed(error.to_string()))?;
    let mut talk = Talk::begin(&mut child, state);
    let in_time = talk.until_end(&pidfd, end);
    if !matches!(in_time, Ok(true)) {
        waiting::end(&pidfd);
    }
    if !in_time? {
        let seconds = hook.timeout.unwrap_or(0);
        return Err(failed(format!(
            "hook ran past specified timeout of {seconds}s"
        )));
    }
    let errors = String::from_utf8_lossy(&talk.errors);
    match process::wait(&pidfd).map_err(|error| failed(error.to_string()))? {
        Ended::Exited(0) => Ok(()),
        Ended::Exited(code) => Err(failed(format!("exit status {code}{}", said(&errors)))),
        Ended::Signalled(signal) => {
            Err(failed(format!("ended by signal {signal}{}", said(&errors))))
        }
    }
}

fn command(hook: &HostHook) -> Result<Command> {
    // What kan's caller leaked to kan is no business of a hook (CVE-2024-21626's class).
    let marked = kan_sys::io::close_range_on_exec(3, u32::MAX);
    marked.map_err(during("mark descriptors close-on-exec"))?;
    start::reset_signals_of_hooks().map_err(during("reset signals"))?;
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

/// What goes in and out of a hook while it runs.
struct Talk {
    /// Closed when all of the state is written, or nobody reads it.
    stdin: Option<ChildStdin>,
    state: Vec<u8>,
    written: usize,
    stderr: Option<ChildStderr>,
    /// The beginning of what the hook wrote to it.
    errors: Vec<u8>,
}

impl Talk {
    fn begin(child: &mut Child, state: &State) -> Self {
        let stdin = child.stdin.take();
        let state = state.compact().into_bytes();
        if let Some(stdin) = &stdin {
            // Beyond /proc/sys/fs/pipe-max-size there is none without CAP_SYS_RESOURCE.
            let _ = kan_sys::io::make_room(stdin, state.len());
            // A hook need not read it. This end of the pipe is nobody else's.
            let _ = kan_sys::io::set_nonblocking(stdin);
        }
        Self {
            stdin,
            state,
            written: 0,
            stderr: child.stderr.take(),
            errors: Vec::new(),
        }
    }

    /// Whether the hook ends in time. It is given the state meanwhile, and what it says is read, so that
    /// it never waits for a reader; what a process that it leaves behind says later is nobody's.
    fn until_end(&mut self, pidfd: &OwnedFd, end: Option<Instant>) -> Result<bool> {
        loop {
            self.write();
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let nothing = Watched::end(pidfd.as_fd());
            let stdin = self.stdin.as_ref().map(|fd| Watched::write(fd.as_fd()));
            let stderr = self.stderr.as_ref().map(|fd| Watched::read(fd.as_fd()));
            let mut watched = [
                Watched::read(pidfd.as_fd()),
                stderr.unwrap_or(nothing),
                stdin.unwrap_or(nothing),
            ];
            if !waiting::wait(&mut watched, left, "a hook")? {
                return Ok(false);
            }
            let (has_ended, speaks) = (watched[0].is_ready(), watched[1].is_ready());
            if let Some(from) = self.stderr.take_if(|_| speaks) {
                self.stderr = keep_some(&from, &mut self.errors).then_some(from);
            } else if has_ended {
                return Ok(true);
            }
        }
    }

    /// Writes as much of the state as there is room for; SIGPIPE is ignored.
    fn write(&mut self) {
        while let Some(stdin) = &self.stdin {
            match kan_sys::io::write(stdin, &self.state[self.written..]) {
                Ok(count) if self.written + count < self.state.len() => self.written += count,
                Err(error) if error.errno == kan_sys::Errno::EAGAIN => return,
                Ok(_) | Err(_) => self.stdin = None,
            }
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
