//! Hooks in the container's namespaces: createContainer and startContainer.

use crate::exec::pointers;
use crate::{Init, Step, Stop};
use alloc::vec::Vec;
use core::ffi::c_char;
use core::ptr;
use kan_op::init::{InitHook, Stream};
use kan_op::{Flaw, InitStep};
use kan_sys::fd::{AsFd, BorrowedFd, OwnedFd};
use kan_sys::file::{self, O_WRONLY};
use kan_sys::process::{self, Ended, Strings};
use kan_sys::{io, signal};

/// signal(7)
const SIGPIPE: u32 = 13;
const SIGKILL: i32 = 9;

/// argv and environment of each hook, in the order of the steps. Made before the clone.
#[derive(Debug)]
pub(crate) struct HookStrings(Vec<(Vec<*const c_char>, Vec<*const c_char>)>);

impl HookStrings {
    pub(crate) fn new(steps: &[InitStep]) -> Self {
        let hooks = steps.iter().filter_map(|step| match step {
            InitStep::RunHook(hook) => Some((ended(&hook.args), ended(&hook.env))),
            _ => None,
        });
        Self(hooks.collect())
    }
}

fn ended(strings: &[alloc::ffi::CString]) -> Vec<*const c_char> {
    let mut all = pointers(strings);
    all.push(ptr::null());
    all
}

/// What the forked child needs.
struct Launch<'a> {
    hook: &'a InitHook,
    args: &'a [*const c_char],
    env: &'a [*const c_char],
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
    fn put_onto(&self, standard: i32) -> kan_sys::Result<()> {
        match self {
            Self::Inherited => Ok(()),
            Self::Null => io::dup_onto(file::open(c"/dev/null", O_WRONLY, 0)?, standard),
            Self::Into(file) => io::dup_onto(file, standard),
        }
    }
}

impl Init<'_> {
    pub(crate) fn run_hook(&mut self, hook: &InitHook) -> Step {
        let output = |stream| {
            Ok::<_, Stop>(match stream {
                Stream::Inherited => Output::Inherited,
                Stream::Null => Output::Null,
                Stream::Into(slot) => Output::Into(self.slots.get(slot)?),
            })
        };
        let (stdout, stderr): (Output<'_>, Output<'_>) =
            (output(hook.stdout)?, output(hook.stderr)?);
        let (args, env) = self
            .hooks
            .0
            .get(self.hooks_run)
            .ok_or(Stop::from(Flaw::OutOfStep))?;
        let (stdin, state) = io::pipe()?;
        let mut launch = Launch {
            hook,
            args,
            env,
            stdin,
            stdout,
            stderr,
        };
        let child = process::fork_plainly(&mut launch, become_hook)?;
        drop(launch);
        tell_state(hook, state)?;
        self.hooks_run += 1;
        await_hook(hook, &child.pidfd)
    }
}

/// A hook need not read its state: that it does not must neither end init nor let it wait for
/// longer than the hook may take.
fn tell_state(hook: &InitHook, to: OwnedFd) -> Step {
    signal::ignore(SIGPIPE)?;
    let length = hook.state_before.len() + 10 + hook.state_after.len();
    // Beyond /proc/sys/fs/pipe-max-size there is none without CAP_SYS_RESOURCE.
    let _ = io::make_room(&to, length);
    let mut digits = [0; 10];
    let pid = decimal(process::own_pid(), &mut digits);
    for part in [&hook.state_before, pid, &hook.state_after] {
        write_all(&to, part);
    }
    drop(to);
    Ok(signal::set_default(SIGPIPE)?)
}

fn write_all(to: &OwnedFd, mut bytes: &[u8]) {
    while let Ok(count @ 1..) = io::write(to, bytes) {
        bytes = bytes.get(count..).unwrap_or_default();
        if bytes.is_empty() {
            return;
        }
    }
}

pub(crate) fn decimal(number: i32, buffer: &mut [u8; 10]) -> &[u8] {
    let (mut rest, mut start) = (number.unsigned_abs(), buffer.len());
    loop {
        start -= 1;
        buffer[start] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            return &buffer[start..];
        }
    }
}

fn await_hook(hook: &InitHook, pidfd: &OwnedFd) -> Step {
    if !io::wait_readable(pidfd, hook.timeout)? {
        process::pidfd_send_signal(pidfd, SIGKILL)?;
        process::wait(pidfd)?;
        return Err(Flaw::HookTimedOut.into());
    }
    let stop = |flaw: Flaw, number: i32| {
        Err(Stop::from(flaw).in_part(usize::try_from(number).unwrap_or(0)))
    };
    match process::wait(pidfd)? {
        Ended::Exited(0) => Ok(()),
        Ended::Exited(code) => stop(Flaw::HookExited, code),
        Ended::Signalled(signal) => stop(Flaw::HookSignalled, signal),
    }
}

/// The child: stdin is the pipe, the others where they are wanted; everything else is
/// close-on-exec.
fn become_hook(launch: &mut Launch<'_>) -> ! {
    let ready = io::dup_onto(launch.stdin.as_fd(), 0)
        .and_then(|()| launch.stderr.put_onto(2))
        .and_then(|()| launch.stdout.put_onto(1));
    if ready.is_ok() {
        // SAFETY: both arrays end in null, and their strings live in the plan.
        let (args, env) = unsafe { (Strings::new(launch.args), Strings::new(launch.env)) };
        let error = process::execve(&launch.hook.path, args, env);
        complain(error.errno.description().unwrap_or("unknown error"));
    }
    process::exit(127)
}

/// In lower case: engines match Go's spelling.
fn complain(text: &str) {
    let mut line = [0; 64];
    let length = text.len().min(line.len());
    line[..length].copy_from_slice(&text.as_bytes()[..length]);
    line[0].make_ascii_lowercase();
    let _ = io::write(io::standard(2), &line[..length]);
}
