//! Finding and executing the container's program.

use crate::{Step, Stop};
use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::{CStr, c_char};
use core::ptr;
use kan_op::{Failure, Flaw, InitStep, init::Program};
use kan_sys::file::{self, S_IFDIR};
use kan_sys::process::{self, Strings};
use kan_sys::{Errno, Error, Sysno, io};

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
        }
    }

    /// execvp(3)'s rule: a candidate that may not be executed is passed over, and is the error
    /// only if no other is found.
    pub(crate) fn find_program(&mut self) -> Step {
        let program = self.program.ok_or(Stop::from(Flaw::OutOfStep))?;
        let mut refused = None;
        for candidate in &program.candidates {
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

    /// `exec /x: no such file or directory`, or that a hook failed, on stderr.
    pub(crate) fn complain(&self, failure: Failure) {
        let mut line = Line {
            bytes: [0; 4200],
            length: 0,
        };
        if failure.call == Sysno::execve as u16 && failure.flaw == Flaw::Call {
            let path = self.found.map_or(&b""[..], CStr::to_bytes);
            let errno = Errno::new(failure.errno.into());
            let text = errno.description().unwrap_or("failed").as_bytes();
            for part in [b"exec ", path, b": ", text, b"\n"] {
                line.push(part);
            }
            line.lowercase_at(7 + path.len());
        } else if matches!(
            failure.flaw,
            Flaw::HookExited | Flaw::HookSignalled | Flaw::HookTimedOut
        ) {
            line.push(b"kan: a startContainer hook failed\n");
        }
        let _ = io::write(io::standard(2), &line.bytes[..line.length]);
    }
}

/// One line, written by one call so that it is not torn apart.
struct Line {
    bytes: [u8; 4200],
    length: usize,
}

impl Line {
    fn push(&mut self, part: &[u8]) {
        let room = &mut self.bytes[self.length..];
        let count = room.len().min(part.len());
        room[..count].copy_from_slice(&part[..count]);
        self.length += count;
    }

    fn lowercase_at(&mut self, place: usize) {
        if let Some(letter) = self.bytes.get_mut(place) {
            letter.make_ascii_lowercase();
        }
    }
}

pub(crate) fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    let mut all = Vec::with_capacity(strings.len() + 2);
    all.extend(strings.iter().map(|string| string.as_ptr()));
    all
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
                call: Sysno::newfstatat,
                errno: Errno::ENOENT | Errno::ENOTDIR
            })
        )
    }
}
