//! Commands with a timeout, whose output goes to files: a pipe would stay open in a detached
//! container, and reading it would never end.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::bundle::read;
use super::foresight::Foresight;
use super::outcome::{Fault, Outcome, check, equal, fail};
use super::reaper;
use super::runtime::Runtime;

/// Longest time that any single command may take.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// A command that has ended.
#[derive(Debug)]
pub struct Done {
    /// The command line, for messages.
    pub what: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Everything that it wrote to standard output until it ended.
    pub stdout: String,
    /// The same for standard error.
    pub stderr: String,
    /// Whether texts can be compared.
    comparable: bool,
    /// Where its standard output went, and that of a container that it left behind goes.
    output: PathBuf,
}

impl Done {
    /// Waits until standard output contains a text, which a detached container may write.
    ///
    /// # Errors
    /// After [`TIMEOUT`].
    pub fn wait_for(&self, text: &str) -> Outcome {
        until(&format!("{:?} on stdout of {}", text, self.what), || {
            Ok(read(&self.output)?.contains(text))
        })
    }

    /// Standard output until now.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn stdout_now(&self) -> Result<String, Fault> {
        read(&self.output)
    }

    /// The file of its standard error, and that of a container that it left behind.
    pub fn errors(&self) -> PathBuf {
        self.output.with_extension("err")
    }

    /// Fails unless the exit code is 0.
    ///
    /// # Errors
    /// With the output of the command.
    pub fn ok(self) -> Result<Self, Fault> {
        self.exits(0)
    }

    /// Fails unless it exited with this code.
    ///
    /// # Errors
    /// With the output of the command.
    pub fn exits(self, code: i32) -> Result<Self, Fault> {
        if self.status.code() == Some(code) {
            return Ok(self);
        }
        fail!(
            "{}: {}, want exit code {code}\nstdout: {}\nstderr: {}",
            self.what,
            self.status,
            self.stdout.trim_end(),
            self.stderr.trim_end()
        )
    }

    /// Fails unless it exited with code 1 and an error that contains one of the texts.
    ///
    /// # Errors
    /// With the output of the command.
    pub fn refuses(self, texts: &[&str]) -> Outcome {
        self.refuses_with(1, texts)
    }

    /// The same with another exit code: a failure of `exec` itself is 255, which programs rarely
    /// answer. Of crun either will do.
    ///
    /// # Errors
    /// With the output of the command.
    pub fn refuses_with(self, code: i32, texts: &[&str]) -> Outcome {
        let other = !self.comparable && matches!(self.status.code(), Some(1 | 255));
        let done = if other { self } else { self.exits(code)? };
        check!(
            !done.stderr.trim().is_empty(),
            "{}: fails without a word",
            done.what
        );
        // runc writes its text log, with quoted values, to standard error.
        let plain = done.stderr.replace("\\\"", "\"");
        let said = texts.iter().any(|text| plain.contains(text));
        check!(
            said || !done.comparable,
            "{}: stderr lacks {texts:?}: {}",
            done.what,
            done.stderr.trim_end()
        );
        Ok(())
    }

    /// Fails unless it succeeded without a word on standard error.
    ///
    /// # Errors
    /// With the output of the command.
    pub fn quiet(self) -> Result<Self, Fault> {
        let done = self.ok()?;
        equal(&format!("{}: stderr", done.what), done.stderr.as_str(), "")?;
        Ok(done)
    }
}

/// A command that is being put together.
pub struct Cmd {
    argv: Vec<OsString>,
    cwd: PathBuf,
    env: Vec<(String, String)>,
    streams: [Option<Stdio>; 3],
    /// Directory and stem of the files that take the output.
    output: PathBuf,
    comparable: bool,
    /// Whether `check` is asked first.
    is_checked: bool,
}

impl Cmd {
    /// A command whose output goes to `output`.out and `output`.err.
    pub fn new(argv: Vec<OsString>, cwd: &Path, output: PathBuf, runtime: &Runtime) -> Self {
        let comparable = runtime.speaks_like_runc();
        let streams = [Some(Stdio::null()), None, None];
        Self {
            argv,
            cwd: cwd.into(),
            env: Vec::new(),
            streams,
            output,
            comparable,
            is_checked: false,
        }
    }

    /// Asks `check` first where this is `create` or `run`, and fails if that was wrong.
    #[must_use]
    pub fn checked(mut self, is_checked: bool) -> Self {
        self.is_checked = is_checked;
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.argv.push(arg.into());
        self
    }

    /// Puts a program in front that runs the rest: `env`, `setsid`, a shell with `exec "$@"`.
    #[must_use]
    pub fn wrapped(mut self, wrap: &[&str]) -> Self {
        self.argv.splice(0..0, wrap.iter().map(OsString::from));
        self
    }

    /// Runs it in another directory.
    #[must_use]
    pub fn cwd(mut self, dir: &Path) -> Self {
        self.cwd = dir.into();
        self
    }

    /// Sets an environment variable; the environment is empty but for PATH otherwise.
    #[must_use]
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Standard input from a file descriptor.
    #[must_use]
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.streams[0] = Some(stdin.into());
        self
    }

    /// All three standard streams; nothing is collected then.
    #[must_use]
    pub fn streams(mut self, stdin: Stdio, stdout: Stdio, stderr: Stdio) -> Self {
        self.streams = [Some(stdin), Some(stdout), Some(stderr)];
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn spawn(self) -> Result<Running, Fault> {
        let foresight = self
            .is_checked
            .then(|| Foresight::of(&self.argv, &self.cwd, &self.env));
        let words: Vec<_> = self.argv.iter().map(|a| a.to_string_lossy()).collect();
        let what = words.join(" ");
        let files = ["out", "err"].map(|ext| self.output.with_extension(ext));
        let [stdin, stdout, stderr] = self.streams;
        let sink = |stream: Option<Stdio>, path: &Path| match stream {
            Some(stream) => Ok(stream),
            None => File::create(path).map(Stdio::from),
        };
        let mut command = Command::new(&self.argv[0]);
        command
            .args(&self.argv[1..])
            .current_dir(&self.cwd)
            .env_clear();
        command
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(self.env);
        command.stdin(stdin.unwrap_or_else(Stdio::null));
        command
            .stdout(sink(stdout, &files[0])?)
            .stderr(sink(stderr, &files[1])?);
        let mut register = reaper::register();
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => fail!("{what}: {error}"),
        };
        register.own(child.id().cast_signed());
        drop(register);
        Ok(Running {
            what,
            child,
            files,
            comparable: self.comparable,
            foresight: foresight.flatten(),
        })
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// If it cannot be started or takes longer than [`TIMEOUT`].
    pub fn run(self) -> Result<Done, Fault> {
        self.spawn()?.wait()
    }
}

/// A command that runs.
pub struct Running {
    what: String,
    child: Child,
    files: [PathBuf; 2],
    comparable: bool,
    foresight: Option<Foresight>,
}

impl Running {
    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// What it and its descendants have written to standard output so far.
    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.files[0]).unwrap_or_default()
    }

    /// Waits until its standard output contains a text.
    ///
    /// # Errors
    /// After [`TIMEOUT`], or if it ended without.
    pub fn wait_for(&mut self, text: &str) -> Outcome {
        let file = self.files[0].clone();
        let what = self.what.clone();
        let errors = self.files[1].clone();
        until(&format!("{what}: {text:?} on stdout"), || {
            if read(&file)?.contains(text) {
                return Ok(true);
            }
            let ended = self.child.try_wait()?.is_some();
            check!(
                !ended || read(&file)?.contains(text),
                "{what}: ended without {text:?}: {}{}",
                read(&file)?,
                read(&errors)?
            );
            Ok(false)
        })
    }

    /// Whether it has not ended yet.
    ///
    /// # Errors
    /// The kernel's.
    pub fn is_running(&mut self) -> Result<bool, Fault> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// The kernel's.
    pub fn signal(&self, signal: Signal) -> Outcome {
        if let Some(pid) = Pid::from_raw(self.pid()) {
            kill_process(pid, signal)?;
        }
        Ok(())
    }

    /// Waits, meanwhile collecting orphans as init would: a command may be waiting for the end of
    /// a PID namespace, which ends only when the last of its dead has been collected.
    fn wait_reaping(&self) -> Result<bool, Fault> {
        let end = Instant::now() + TIMEOUT;
        while !wait_for_exit(self.pid(), Duration::from_millis(100))? {
            reaper::collect();
            if Instant::now() > end {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits for its end; kills it after [`TIMEOUT`].
    ///
    /// # Errors
    /// If it took too long.
    pub fn wait(mut self) -> Result<Done, Fault> {
        if !self.wait_reaping()? {
            self.child.kill()?;
            self.child.wait()?;
            reaper::register().disown(self.pid());
            let heard = self
                .files
                .each_ref()
                .map(|f| fs::read_to_string(f).unwrap_or_default());
            fail!("{}: still running after {TIMEOUT:?}: {heard:?}", self.what);
        }
        let status = self.child.wait()?;
        reaper::register().disown(self.pid());
        reaper::collect();
        let [stdout, stderr] = self.files.each_ref().map(|f| read_if_any(f));
        let what = self.what.clone();
        if let (Some(foresight), Some(code)) = (&self.foresight, status.code())
            && let Some(wrong) = foresight.was_wrong(code, &stderr)
        {
            fail!("{what}: exit code {code}: {}\n{wrong}", stderr.trim_end());
        }
        let (output, comparable) = (self.files[0].clone(), self.comparable);
        Ok(Done {
            what,
            status,
            stdout,
            stderr,
            comparable,
            output,
        })
    }
}

/// A case that fails half-way must not leave its commands running.
impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
            reaper::register().disown(self.pid());
        }
    }
}

/// A program beside the runtime's commands, until it is dropped.
pub struct Companion(Option<Child>);

impl Companion {
    /// Starts it.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self, Fault> {
        let mut register = reaper::register();
        let child = command.spawn()?;
        register.own(child.id().cast_signed());
        Ok(Self(Some(child)))
    }

    /// Its process id; 0 once it has been ended.
    pub fn pid(&self) -> i32 {
        self.0.as_ref().map_or(0, |child| child.id().cast_signed())
    }

    /// Kills it and waits for its end; the second time nothing is left to do.
    ///
    /// # Errors
    /// The kernel's.
    pub fn end(&mut self) -> Result<(), Fault> {
        if let Some(mut child) = self.0.take() {
            child.kill()?;
            child.wait()?;
            reaper::register().disown(child.id().cast_signed());
        }
        Ok(())
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// The text of an output file; streams that went elsewhere have none.
fn read_if_any(path: &Path) -> String {
    fs::read(path)
        .map(|b| String::from_utf8_lossy(&b).into_owned())
        .unwrap_or_default()
}

/// Waits for a process to end; false after the timeout, true also if there is none.
///
/// # Errors
/// The kernel's.
pub fn wait_for_exit(pid: i32, timeout: Duration) -> Result<bool, Fault> {
    let Some(pid) = Pid::from_raw(pid) else {
        return Ok(true);
    };
    let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        Err(rustix::io::Errno::SRCH) => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    let timeout = Timespec::try_from(timeout)?;
    Ok(poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout))? == 1)
}

/// Asks until the answer is yes; for what the kernel offers no event about.
///
/// # Errors
/// The condition's own, or after [`TIMEOUT`].
pub fn until(what: &str, mut condition: impl FnMut() -> Result<bool, Fault>) -> Outcome {
    let end = Instant::now() + TIMEOUT;
    while !condition()? {
        check!(Instant::now() < end, "{what}: not within {TIMEOUT:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Sends a signal to a process by its id.
///
/// # Errors
/// The kernel's.
pub fn send(pid: i32, signal: rustix::process::Signal) -> Outcome {
    match rustix::process::Pid::from_raw(pid) {
        Some(pid) => Ok(rustix::process::kill_process(pid, signal)?),
        None => fail!("not a process id: {pid}"),
    }
}
