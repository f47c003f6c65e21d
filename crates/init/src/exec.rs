//! Finding and executing the container's program.

use crate::outcome::{Step, Stop};
use crate::reason::Reason;
use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::{CStr, c_char};
use core::ptr;
use kan_op::init::Program;
use kan_op::{Failure, Flaw, InitStep};
use kan_sys::file::{self, S_IFDIR};
use kan_sys::process::{self, Strings};
use kan_sys::{Errno, Error, FSTATAT, Sysno};

/// Room for `HOME=`, a path and a NUL.
pub(crate) const HOME_SIZE: usize = 5 + 4096;

/// What execve(2) needs, in the form in which the kernel takes it. Made before the clone.
#[derive(Debug)]
pub struct ExecStrings<'p> {
    program: Option<&'p Program>,
    args: Vec<*const c_char>,
    env: Vec<*const c_char>,
    pub(crate) home: Box<[u8; HOME_SIZE]>,
    found: Option<&'p CStr>,
    /// Whether another process executes it, which init clones.
    clones: bool,
}

impl<'p> ExecStrings<'p> {
    pub(crate) fn new(steps: &'p [InitStep]) -> Self {
        let program = steps.iter().find_map(|step| match step {
            InitStep::Execute(program) => Some(program),
            _ => None,
        });
        let mut home = Box::new([0; HOME_SIZE]);
        home[..6].copy_from_slice(b"HOME=/");
        let args = program.map_or(&[][..], |program| &program.args);
        let mut env = pointers(program.map_or(&[][..], |program| &program.env));
        if program.is_some_and(|program| program.with_home) {
            env.push(home.as_ptr().cast());
        }
        env.push(ptr::null());
        let mut args = pointers(args);
        args.push(ptr::null());
        Self {
            program,
            args,
            env,
            home,
            found: None,
            clones: steps
                .iter()
                .any(|step| matches!(step, InitStep::EnterPidNamespace)),
        }
    }

    /// execvp(3)'s rule: a candidate that may not be executed is passed over, and is the error
    /// only if no other is found.
    pub(crate) fn find_program(&mut self) -> Step {
        let program = self.program.ok_or(Stop::from(Flaw::OutOfStep))?;
        let mut refused = None;
        for candidate in &program.candidates {
            // In a procfs of the pid namespace that the process is yet to be cloned into, init has no
            // entry.
            if self.clones && is_below_own_entry(candidate) {
                self.found = Some(candidate);
                return Ok(());
            }
            match check(candidate) {
                Ok(()) => {
                    self.found = Some(candidate);
                    return Ok(());
                }
                Err(stop) if stop.is_missing() => {}
                Err(stop) => refused = refused.or(Some(stop)),
            }
        }
        Err(refused.unwrap_or(Flaw::NotFound.into()))
    }

    pub(crate) fn execute(&self) -> Step {
        let path = self.found.ok_or(Stop::from(Flaw::OutOfStep))?;
        // SAFETY: both arrays end in null, and their strings live in the plan and in `home`,
        // which outlive this process' image.
        let (args, env) = unsafe { (Strings::new(&self.args), Strings::new(&self.env)) };
        Err(process::execve(path, args, env).into())
    }

    /// Why the program, which was found, is not executed.
    pub(crate) fn look_at_program(&self, failure: Failure, reason: &Reason) {
        if let Some(path) = self.found {
            reason.look_at_program(path, Errno::new(failure.errno.into()));
        }
    }

    /// What failed after `create` had returned, in one line: `exec /x: no such file or directory`,
    /// or that a hook did, in the words that [`kan_op::init::InitHook`]'s failure before it has.
    pub(crate) fn complaint(
        &self,
        step: Option<&InitStep>,
        failure: Failure,
        reason: &Reason,
    ) -> Line {
        let line = match step {
            Some(InitStep::RunHook(hook)) => {
                Line::of_hook((hook.kind, hook.index, hook.timeout), failure)
            }
            Some(InitStep::Execute(_)) => Line::of_execution(self.found, failure),
            _ => Line::of_call(failure),
        };
        line.ended_with(reason)
    }

    /// The place of the program that was found among the candidates.
    pub(crate) fn found_at(&self) -> Option<usize> {
        let found = self.found?.as_ptr();
        let candidates = &self.program?.candidates;
        candidates
            .iter()
            .position(|candidate| candidate.as_ptr() == found)
    }
}

/// One line, written by one call so that others cannot write into it.
pub(crate) struct Line {
    bytes: [u8; 4200],
    length: usize,
}

impl Line {
    const fn new() -> Self {
        Self {
            bytes: [0; 4200],
            length: 0,
        }
    }

    /// That a hook of this kind and place, with this timeout in seconds, failed.
    pub(crate) fn of_hook(hook: (&str, usize, Option<u64>), failure: Failure) -> Self {
        let mut line = Self::new();
        line.push_hook(hook, failure);
        line
    }

    /// That the program could not be executed.
    pub(crate) fn of_execution(program: Option<&CStr>, failure: Failure) -> Self {
        let mut line = Self::new();
        line.push(b"exec ");
        line.push(program.map_or(&b""[..], CStr::to_bytes));
        line.push_errno(failure);
        line
    }

    /// That a system call failed.
    pub(crate) fn of_call(failure: Failure) -> Self {
        let mut line = Self::new();
        let call = Sysno::new(failure.call.into()).map_or("init", |call| call.name());
        line.push(call.as_bytes());
        line.push_errno(failure);
        line
    }

    /// The whole line: with the reason in brackets, if one is known.
    pub(crate) fn ended_with(mut self, reason: &Reason) -> Self {
        reason.tell(|text| {
            self.push(b" (");
            self.push(text);
            self.push(b")");
        });
        self.push(b"\n");
        self
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push_hook(&mut self, (kind, index, timeout): (&str, usize, Option<u64>), failure: Failure) {
        self.push(b"error running ");
        self.push(kind.as_bytes());
        self.push(b" hook #");
        self.push_number(index);
        match failure.flaw {
            Flaw::HookExited => self.push(b": exit status "),
            Flaw::HookSignalled => self.push(b": ended by signal "),
            Flaw::HookTimedOut => self.push(b": hook ran past specified timeout of "),
            _ => return self.push_errno(failure),
        }
        if failure.flaw == Flaw::HookTimedOut {
            let seconds = usize::try_from(timeout.unwrap_or(0)).unwrap_or(usize::MAX);
            self.push_number(seconds);
            return self.push(b"s");
        }
        self.push_number(failure.part.into());
    }

    fn push_number(&mut self, number: usize) {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        self.push(decimal(number, &mut [0; 10]));
    }

    /// In lower case: engines match Go's spelling.
    fn push_errno(&mut self, failure: Failure) {
        let errno = Errno::new(failure.errno.into());
        self.push(b": ");
        let begin = self.length;
        self.push(errno.description().unwrap_or("failed").as_bytes());
        if let Some(letter) = self.bytes.get_mut(begin) {
            letter.make_ascii_lowercase();
        }
    }

    fn push(&mut self, part: &[u8]) {
        let room = &mut self.bytes[self.length..];
        let count = room.len().min(part.len());
        room[..count].copy_from_slice(&part[..count]);
        self.length += count;
    }
}

pub(crate) fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    let mut all = Vec::with_capacity(strings.len() + 2);
    all.extend(strings.iter().map(|string| string.as_ptr()));
    all
}

fn is_below_own_entry(path: &CStr) -> bool {
    let path = path.to_bytes();
    path.starts_with(b"/proc/self/") || path.starts_with(b"/proc/thread-self/")
}

fn check(path: &CStr) -> Step {
    if file::status_of_path(path)?.is(S_IFDIR) {
        return Err(Flaw::IsDirectory.into());
    }
    Ok(file::may_execute(path)?)
}

impl Stop {
    fn is_missing(self) -> bool {
        matches!(
            self.error,
            Some(Error {
                call: FSTATAT,
                errno: Errno::ENOENT | Errno::ENOTDIR
            })
        )
    }
}

/// A number in decimal, at the end of the buffer.
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
