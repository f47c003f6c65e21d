//! Starts programs, waits for them with a limit, and takes the time.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};

/// No single command of a benchmark may take longer.
const LIMIT: Timespec = Timespec {
    tv_sec: 10,
    tv_nsec: 0,
};

/// Where programs write their standard error: a file, since a container started by `create` keeps
/// it open, and a pipe would not end.
pub struct Stderr(File);

impl Stderr {
    /// An unnamed file in `directory`.
    pub fn new(directory: &std::path::Path) -> Result<Self, String> {
        let path = directory.join("stderr");
        let open = File::options()
            .read(true)
            .append(true)
            .create(true)
            .open(&path);
        open.map(Self)
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    /// The last line written since the last call.
    fn last_line(&self) -> String {
        let mut text = Vec::new();
        let mut file = &self.0;
        let read = file
            .seek(SeekFrom::Start(0))
            .and_then(|_| file.read_to_end(&mut text));
        // What can't be read or emptied costs a message its detail, nothing else.
        let _ = read.and_then(|_| self.0.set_len(0));
        String::from_utf8_lossy(&text)
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or_default()
            .to_owned()
    }
}

/// The exit status of the program in measured containers: proof that it ran.
pub const PAYLOAD_STATUS: i32 = 42;

/// Runs the command to its end and returns how long that took, from before it is started until it
/// has been waited for. Anything but exit status 0 is an error.
pub fn timed(command: &mut Command, stderr: &Stderr) -> Result<Duration, String> {
    timed_until(command, stderr, 0)
}

/// The same for a command that hands on the exit status of the container's program.
pub fn timed_payload(command: &mut Command, stderr: &Stderr) -> Result<Duration, String> {
    timed_until(command, stderr, PAYLOAD_STATUS)
}

fn timed_until(command: &mut Command, stderr: &Stderr, expected: i32) -> Result<Duration, String> {
    attach(command, stderr)?;
    let start = Instant::now();
    let status = wait_limited(spawn(command)?)?;
    let duration = start.elapsed();
    check(status, expected, stderr).map(|()| duration)
}

/// Runs all commands at once, each handing on the container's program's exit status, and returns
/// how long it took until the last one ended.
pub fn timed_together(commands: &mut [Command], stderr: &Stderr) -> Result<Duration, String> {
    for command in &mut *commands {
        attach(command, stderr)?;
    }
    let start = Instant::now();
    let children: Vec<_> = commands.iter_mut().map(spawn).collect();
    // All are waited for, whatever became of one of them.
    let ended: Vec<_> = children
        .into_iter()
        .map(|child| child.and_then(wait_limited))
        .collect();
    let duration = start.elapsed();
    for status in ended {
        check(status?, PAYLOAD_STATUS, stderr)?;
    }
    Ok(duration)
}

fn attach(command: &mut Command, stderr: &Stderr) -> Result<(), String> {
    let handle = stderr
        .0
        .try_clone()
        .map_err(|error| format!("dup: {error}"))?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(handle)
        .process_group(0);
    Ok(())
}

fn spawn(command: &mut Command) -> Result<Child, String> {
    let child = command.spawn();
    child.map_err(|error| format!("{}: {error}", command.get_program().display()))
}

fn check(status: ExitStatus, expected: i32, stderr: &Stderr) -> Result<(), String> {
    match status.code() == Some(expected) {
        true => Ok(()),
        false => Err(format!(
            "{status} where {expected} was due: {}",
            stderr.last_line()
        )),
    }
}

/// Waits for a child, and kills it with what it started when [`LIMIT`] is over.
fn wait_limited(mut child: Child) -> Result<ExitStatus, String> {
    let pid = Pid::from_child(&child);
    let ended = wait_for_exit(pid)?;
    if !ended {
        let killed = rustix::process::kill_process_group(pid, Signal::KILL);
        killed.map_err(|error| format!("kill: {error}"))?;
    }
    let status = child.wait().map_err(|error| format!("wait: {error}"))?;
    match ended {
        true => Ok(status),
        false => Err(format!("killed after {} seconds", LIMIT.tv_sec)),
    }
}

/// Blocks until the process has ended; `false` if it has not within [`LIMIT`]. Does not reap it.
fn wait_for_exit(pid: Pid) -> Result<bool, String> {
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())
        .map_err(|error| format!("pidfd_open: {error}"))?;
    poll_exit(pidfd.as_fd())
}

fn poll_exit(pidfd: std::os::fd::BorrowedFd<'_>) -> Result<bool, String> {
    let mut polled = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    let ready =
        rustix::event::poll(&mut polled, Some(&LIMIT)).map_err(|error| format!("poll: {error}"))?;
    Ok(ready == 1)
}

/// A container's first process, which becomes our child when the runtime that made it ends,
/// because we are a subreaper, as conmon and containerd's shim are.
pub struct ContainerProcess(std::os::fd::OwnedFd);

impl ContainerProcess {
    /// Holds the process that a pid file names.
    pub fn from_pid_file(path: &std::path::Path) -> Result<(Self, Pid), String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let pid = text
            .trim()
            .parse()
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| format!("not a pid: {text:?}"))?;
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty());
        Ok((
            Self(pidfd.map_err(|error| format!("pidfd_open {text}: {error}"))?),
            pid,
        ))
    }

    /// Waits until it has ended, and reaps it. The exit status, unless a signal ended it.
    pub fn wait(&self) -> Result<Option<i32>, String> {
        if !poll_exit(self.0.as_fd())? {
            return Err(format!(
                "the container did not end within {} seconds",
                LIMIT.tv_sec
            ));
        }
        let reaped = rustix::process::waitid(WaitId::PidFd(self.0.as_fd()), WaitIdOptions::EXITED);
        let reaped = reaped.map(|reaped| reaped.and_then(|status| status.exit_status()));
        reaped.map_err(|error| format!("waitid: {error}"))
    }
}

/// Reaps what is left of ended containers. Only to be called while no command runs.
pub fn reap_orphans() {
    while let Ok(Some(_)) = rustix::process::wait(rustix::process::WaitOptions::NOHANG) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stderr(name: &str) -> Stderr {
        let directory =
            std::env::temp_dir().join(format!("kan-bench-test-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let stderr = Stderr::new(&directory).unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
        stderr
    }

    #[test]
    fn time_passes_until_the_end_of_the_command() {
        let duration = timed(Command::new("sleep").arg("0.05"), &stderr("sleep")).unwrap();
        assert!(duration >= Duration::from_millis(50), "{duration:?}");
    }

    #[test]
    fn a_failure_comes_with_its_last_words() {
        let stderr = stderr("words");
        let mut command = Command::new("sh");
        command.args(["-c", "echo first >&2; echo last >&2; exit 3"]);
        assert_eq!(
            timed(&mut command, &stderr).unwrap_err(),
            "exit status: 3 where 0 was due: last"
        );
        command.args(["-c", "exit 3"]);
        let mut silent = Command::new("false");
        assert_eq!(
            timed(&mut silent, &stderr).unwrap_err(),
            "exit status: 1 where 0 was due: "
        );
    }

    #[test]
    fn a_runtime_that_does_nothing_is_no_fast_runtime() {
        let error = timed_payload(&mut Command::new("true"), &stderr("nothing")).unwrap_err();
        assert_eq!(error, "exit status: 0 where 42 was due: ");
        let mut command = Command::new("sh");
        command.args(["-c", "exit 42"]);
        assert!(timed_payload(&mut command, &stderr("payload")).is_ok());
    }

    #[test]
    fn together_is_as_long_as_the_longest_and_one_failure_fails_all() {
        let sleep = |status: i32| {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("sleep 0.2; exit {status}")]);
            command
        };
        let stderr = stderr("together");
        let duration = timed_together(&mut [42, 42, 42, 42].map(sleep), &stderr).unwrap();
        assert!(duration >= Duration::from_millis(200), "{duration:?}");
        assert!(duration < Duration::from_millis(800), "{duration:?}");
        let error = timed_together(&mut [42, 1, 42].map(sleep), &stderr).unwrap_err();
        assert_eq!(error, "exit status: 1 where 42 was due: ");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = timed(&mut Command::new("/nowhere/kan"), &stderr("missing")).unwrap_err();
        assert!(error.starts_with("/nowhere/kan: No such file"), "{error}");
    }
}
