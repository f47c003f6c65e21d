//! Hooks in the container's namespaces: createContainer and startContainer.

use crate::exec::{decimal, pointers};
use crate::outcome::{Step, Stop};
use alloc::vec::Vec;
use core::ffi::{CStr, c_char};
use core::ptr;
use core::time::Duration;
use kan_op::init::Stream;
use kan_op::{Flaw, InitStep, Slot};
use kan_sys::fd::{AsFd, BorrowedFd, OwnedFd};
use kan_sys::file::{self, O_WRONLY};
use kan_sys::io::Standard;
use kan_sys::process::{self, Ended, Strings};
use kan_sys::waiting::{self, Watch};
use kan_sys::{Errno, io, memory, signal};

/// signal(7)
const SIGPIPE: u32 = 13;
const SIGKILL: i32 = 9;

/// argv and environment of each hook, in the order of the steps. Made before the clone.
#[derive(Debug)]
pub(crate) struct HookStrings(pub(crate) Vec<(Vec<*const c_char>, Vec<*const c_char>)>);

impl HookStrings {
    /// `home` is the entry of HOME, which is filled in later.
    pub(crate) fn new(steps: &[InitStep], home: *const c_char) -> Self {
        let hooks = steps.iter().filter_map(|step| match step {
            InitStep::RunHook(hook) => {
                let home = hook.with_home.then_some(home);
                Some((ended(&hook.args, None), ended(&hook.env, home)))
            }
            _ => None,
        });
        Self(hooks.collect())
    }
}

fn ended(strings: &[alloc::ffi::CString], last: Option<*const c_char>) -> Vec<*const c_char> {
    let mut all = pointers(strings);
    all.extend(last);
    all.push(ptr::null());
    all
}

/// A hook, with its strings as execve(2) takes them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HookRun<'a> {
    pub(crate) kind: &'static str,
    pub(crate) index: usize,
    pub(crate) path: &'a CStr,
    pub(crate) args: &'a [*const c_char],
    pub(crate) env: &'a [*const c_char],
    pub(crate) state_before: &'a [u8],
    pub(crate) state_after: &'a [u8],
    pub(crate) timeout: Option<u64>,
    pub(crate) stdout: Stream,
    pub(crate) stderr: Stream,
    pub(crate) in_root: bool,
}

/// What the forked child needs.
struct Launch<'a> {
    hook: &'a HookRun<'a>,
    directory: Option<BorrowedFd<'a>>,
    stdin: OwnedFd,
    stdout: Output<'a>,
    stderr: Output<'a>,
}

/// A [`Stream`] with its descriptor.
enum Output<'a> {
    Inherited,
    Null,
    Into(BorrowedFd<'a>),
}

impl Output<'_> {
    fn put_onto(&self, standard: Standard) -> kan_sys::Result<()> {
        match self {
            Self::Inherited => Ok(()),
            Self::Null => io::dup_onto(file::open(c"/dev/null", O_WRONLY, 0)?, standard),
            Self::Into(file) => io::dup_onto(file, standard),
        }
    }
}

/// Runs a hook and waits for it. `descriptor` is what a slot holds; `kan` is at its end when kan is,
/// which then ends the wait.
pub(crate) fn run<'f>(
    hook: &HookRun<'_>,
    descriptor: impl Fn(Slot) -> Result<BorrowedFd<'f>, Stop>,
    kan: Option<BorrowedFd<'_>>,
) -> Step {
    let output = |stream| {
        Ok::<_, Stop>(match stream {
            Stream::Inherited => Output::Inherited,
            Stream::Null => Output::Null,
            Stream::Into(slot) => Output::Into(descriptor(slot)?),
        })
    };
    let (stdout, stderr) = (output(hook.stdout)?, output(hook.stderr)?);
    let directory = match hook.in_root {
        true => Some(descriptor(Slot::Root)?),
        false => None,
    };
    let (stdin, state) = io::pipe()?;
    let mut launch = Launch {
        hook,
        directory,
        stdin,
        stdout,
        stderr,
    };
    let until = hook.timeout.map(|seconds| {
        memory::monotonic_ns().saturating_add(seconds.saturating_mul(1_000_000_000))
    });
    let child = process::fork_plainly(crate::alone::alone(), &mut launch, become_hook)?;
    drop(launch);
    let in_time = Talk::new(hook, state)?.until_end(&child.pidfd, kan, until);
    if !matches!(in_time, Ok(true)) {
        process::pidfd_send_signal(&child.pidfd, SIGKILL)?;
    }
    let ended = process::wait(&child.pidfd)?;
    if !in_time? {
        return Err(Flaw::HookTimedOut.into());
    }
    judge(ended)
}

/// A hook that is given its state, piece by piece: it need not read it, and that it does not must
/// neither end init nor let it wait for longer than the hook may take.
struct Talk<'a> {
    hook: &'a HookRun<'a>,
    pid: [u8; 10],
    pid_begins: usize,
    to: Option<OwnedFd>,
    written: usize,
}

impl<'a> Talk<'a> {
    fn new(hook: &'a HookRun<'a>, to: OwnedFd) -> Result<Self, Stop> {
        let mut pid = [0; 10];
        let length = decimal(process::own_pid(), &mut pid).len();
        // Beyond /proc/sys/fs/pipe-max-size there is none without CAP_SYS_RESOURCE.
        let room = hook.state_before.len() + pid.len() + hook.state_after.len();
        let _ = io::make_room(&to, room);
        // This end of the pipe is nobody else's.
        io::set_nonblocking(&to)?;
        Ok(Self {
            hook,
            pid_begins: pid.len() - length,
            pid,
            to: Some(to),
            written: 0,
        })
    }

    /// Whether the hook has ended before `until`, nanoseconds of CLOCK_MONOTONIC. `kan` is at its end
    /// when kan is.
    fn until_end(
        &mut self,
        pidfd: &OwnedFd,
        kan: Option<BorrowedFd<'_>>,
        until: Option<u64>,
    ) -> Result<bool, Stop> {
        signal::ignore(SIGPIPE)?;
        loop {
            self.write();
            let left = until
                .map(|until| Duration::from_nanos(until.saturating_sub(memory::monotonic_ns())));
            let nothing = Watch::end(pidfd.as_fd());
            let to = self.to.as_ref().map(|to| Watch::write(to.as_fd()));
            let mut watched = [
                Watch::read(pidfd.as_fd()),
                to.unwrap_or(nothing),
                kan.map_or(nothing, Watch::end),
            ];
            let is_ready = waiting::wait(&mut watched, left)?;
            if !is_ready || watched[0].is_ready() {
                signal::set_default(SIGPIPE)?;
                return Ok(is_ready);
            }
            if kan.is_some() && watched[2].is_ready() {
                return Err(Flaw::OutOfStep.into());
            }
        }
    }

    /// Writes as much as there is room for.
    fn write(&mut self) {
        while let Some(to) = &self.to {
            match io::write(to, self.rest()) {
                Ok(count @ 1..) => self.written += count,
                Err(error) if error.errno == Errno::EAGAIN => return,
                Ok(_) | Err(_) => self.to = None,
            }
            if self.rest().is_empty() {
                self.to = None;
            }
        }
    }

    /// What is left of the part that is being written.
    fn rest(&self) -> &[u8] {
        let mut before = 0;
        let pid = self.pid.get(self.pid_begins..).unwrap_or_default();
        for part in [self.hook.state_before, pid, self.hook.state_after] {
            if let Some(rest @ [_, ..]) = part.get(self.written - before..) {
                return rest;
            }
            before += part.len();
        }
        &[]
    }
}

fn judge(ended: Ended) -> Step {
    let stop = |flaw: Flaw, number: i32| {
        Err(Stop::from(flaw).in_part(usize::try_from(number).unwrap_or(0)))
    };
    match ended {
        Ended::Exited(0) => Ok(()),
        Ended::Exited(code) => stop(Flaw::HookExited, code),
        Ended::Signalled(signal) => stop(Flaw::HookSignalled, signal),
    }
}

/// The child: stdin is the pipe, the others where they are wanted; everything else is
/// close-on-exec.
fn become_hook(launch: &mut Launch<'_>) -> ! {
    let entered = launch.directory.map_or(Ok(()), file::fchdir);
    let ready = entered
        .and_then(|()| io::dup_onto(launch.stdin.as_fd(), Standard::Input))
        .and_then(|()| launch.stderr.put_onto(Standard::Error))
        .and_then(|()| launch.stdout.put_onto(Standard::Output));
    if ready.is_ok() {
        // Those of --preserve-fds are for the program. Where the container's profile refuses the call,
        // they stay.
        // SAFETY: nothing is used from here on but the standard descriptors.
        let _ = unsafe { io::close_range(3, u32::MAX) };
        // SAFETY: both arrays end in null, and their strings live in the plan.
        let (args, env) = unsafe {
            (
                Strings::new(launch.hook.args),
                Strings::new(launch.hook.env),
            )
        };
        let error = process::execve(launch.hook.path, args, env);
        complain(error.errno.description().unwrap_or("unknown error"));
    }
    process::exit(127)
}

/// In lower case: engines match Go's spelling.
fn complain(text: &str) {
    let mut line = [0; 64];
    let length = text.len().min(line.len() - 1);
    line[..length].copy_from_slice(&text.as_bytes()[..length]);
    line[0].make_ascii_lowercase();
    line[length] = b'\n';
    let _ = io::write(io::standard(2), &line[..=length]);
}
