//! External programs that kan runs and waits for: hooks, newuidmap(1), newgidmap(1), ps(1).
//!
//! This is the only place that starts one. The program has the three standard descriptors and no
//! other, so it can't keep the lock of a container, and its signals are reset. kan can be told to
//! stop while it waits for one: the program is then killed.

use crate::error::{during, lowercase, with};
use crate::os::helper::{self, Helper};
use crate::os::waiting::{self, Watched};
use crate::{Error, Result};
use kan_sys::fd::{AsFd, AsRawFd, OwnedFd};
use kan_sys::file::{self, O_RDWR};
use kan_sys::io::{self, Standard};
use kan_sys::process::{self, Ended, Orphan};
use kan_sys::{Errno, Sysno, start};
use std::ffi::{CString, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::Instant;

/// The variable with which kan marks that it executes itself from its sealed copy, so that it does so
/// only once ([`crate::seal`]). Other programs do not get it.
pub(crate) const SEALING: &str = "_KAN_SEALING";

/// How much is read at once, bytes.
const PIECE: usize = 4096;

/// How often pipes are read after the program's end. That empties those of 2 MiB; a process that
/// the program has left behind could fill them for ever.
const ROUNDS: u32 = 512;

/// What is run.
pub(crate) struct Program<'p> {
    /// What kan waits for meanwhile, in errors.
    pub what: &'static str,
    /// A path, or a name that is looked up in kan's own `PATH`, execvp(3).
    pub path: &'p str,
    /// With the zeroth, which is the program's name.
    pub args: Vec<String>,
    /// `NAME=value`; `None` for kan's own environment.
    pub env: Option<Vec<String>>,
    /// Where it starts; kan's own working directory otherwise.
    pub directory: Option<&'p Path>,
    /// What happens to it when kan ends.
    pub orphan: Orphan,
    /// What it can read on its standard input.
    pub input: Vec<u8>,
    /// Its standard output.
    pub output: Output,
    /// Its standard error.
    pub errors: Output,
}

/// Where output goes.
pub(crate) enum Output {
    /// `/dev/null`
    Discard,
    /// This file.
    To(File),
    /// [`Finished`], up to so many bytes. The rest is read and discarded, so that the program does
    /// not block.
    Keep(usize),
}

/// How a program came to its end.
pub(crate) struct Finished {
    pub ended: Ended,
    pub output: Vec<u8>,
    pub errors: Vec<u8>,
}

impl Program<'_> {
    /// Runs it to its end, or until `end`: `None` then, and it was killed. Output that a process which it
    /// leaves behind writes later is lost.
    ///
    /// # Errors
    /// It can't be executed. [`Error::Interrupted`] if kan is told to stop: the program is killed.
    pub(crate) fn run(mut self, end: Option<Instant>) -> Result<Option<Finished>> {
        let (status, tells) = io::pipe().map_err(during(self.what))?;
        let (stdin, input) = self.open_input()?;
        let (output, stdout) = open_output(self.what, &mut self.output)?;
        let (errors, stderr) = open_output(self.what, &mut self.errors)?;
        let mut image = self.image([stdin, stdout, stderr], tells)?;
        let kept = image.descriptors();
        let helper = helper::fork(self.what, 0, self.orphan, &kept, &mut image, execute)?;
        drop(image);
        let mut talk = Talk {
            what: self.what,
            input: Input {
                to: input,
                bytes: self.input,
                written: 0,
            },
            output,
            errors,
        };
        if !talk.until_end(&helper, end)? {
            return Ok(None);
        }
        let ended = helper.finish()?;
        executed(&status).map_err(|error| not_executed(self.path, self.directory, error))?;
        Ok(Some(Finished {
            ended,
            output: talk.output.kept,
            errors: talk.errors.kept,
        }))
    }

    /// The program's end, and kan's where there is something to read.
    fn open_input(&self) -> Result<(OwnedFd, Option<OwnedFd>)> {
        if self.input.is_empty() {
            return Ok((null(self.what)?, None));
        }
        let (theirs, ours) = io::pipe().map_err(during(self.what))?;
        // Beyond /proc/sys/fs/pipe-max-size there is none without CAP_SYS_RESOURCE.
        let _ = io::make_room(&ours, self.input.len());
        io::set_nonblocking(&ours).map_err(during(self.what))?;
        Ok((theirs, Some(ours)))
    }

    fn image(&self, standard: [OwnedFd; 3], tells: OwnedFd) -> Result<Image> {
        let directory = self.directory.map(|path| path.as_os_str().to_owned());
        let strings = |all: &[String]| -> Result<Vec<CString>> {
            all.iter().map(|one| c_string(one.as_str())).collect()
        };
        Ok(Image {
            standard,
            tells,
            candidates: candidates(self.path)?,
            args: strings(&self.args)?,
            env: match &self.env {
                Some(env) => strings(env)?,
                None => own_environment()?,
            },
            directory: directory.map(c_string).transpose()?,
        })
    }
}

fn null(what: &'static str) -> Result<OwnedFd> {
    file::open(c"/dev/null", O_RDWR, 0).map_err(during(what))
}

/// kan's end, if it reads it, and the program's.
fn open_output(what: &'static str, output: &mut Output) -> Result<(Reader, OwnedFd)> {
    let reader = |from, most| Reader {
        from,
        most,
        kept: Vec::new(),
    };
    match std::mem::replace(output, Output::Discard) {
        Output::Discard => Ok((reader(None, 0), null(what)?)),
        Output::To(file) => Ok((reader(None, 0), file.into())),
        Output::Keep(most) => {
            let (ours, theirs) = io::pipe().map_err(during(what))?;
            Ok((reader(Some(ours), most), theirs))
        }
    }
}

fn c_string(text: impl Into<OsString>) -> Result<CString> {
    CString::new(text.into().into_vec()).map_err(|error| {
        let text = String::from_utf8_lossy(&error.into_vec()).into_owned();
        Error::Step(format!("{text}: contains a NUL character"))
    })
}

/// The paths that are tried, as execvp(3) does.
fn candidates(path: &str) -> Result<Vec<CString>> {
    if path.contains('/') {
        return Ok(vec![c_string(path)?]);
    }
    let search = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let found = std::env::split_paths(&search);
    found.map(|dir| c_string(dir.join(path))).collect()
}

/// What kan's caller has given kan.
fn own_environment() -> Result<Vec<CString>> {
    let join = |(mut entry, value): (OsString, OsString)| {
        entry.push("=");
        entry.push(value);
        c_string(entry)
    };
    let callers = std::env::vars_os().filter(|(name, _)| name != SEALING);
    callers.map(join).collect()
}

/// What the child has.
struct Image {
    standard: [OwnedFd; 3],
    /// Closed by execve(2), or told why that failed.
    tells: OwnedFd,
    candidates: Vec<CString>,
    args: Vec<CString>,
    env: Vec<CString>,
    directory: Option<CString>,
}

impl Image {
    fn descriptors(&self) -> Vec<i32> {
        let all = self.standard.iter().chain([&self.tells]);
        all.map(AsRawFd::as_raw_fd).collect()
    }

    fn prepare(&self) -> kan_sys::Result<()> {
        for (fd, onto) in self.standard.iter().zip(Standard::ALL) {
            io::dup_onto(fd, onto)?;
        }
        if let Some(directory) = &self.directory {
            file::chdir(directory)?;
        }
        start::prepare_program()
    }

    /// execvp(3): a file that may not be executed does not end the search, but is its result if no
    /// other is found.
    fn execute(&self) -> kan_sys::Error {
        let mut result = kan_sys::Error {
            call: Sysno::execve,
            errno: Errno::ENOENT,
        };
        for path in &self.candidates {
            let error = process::execve_strings(path, &self.args, &self.env);
            match error.errno {
                Errno::ENOENT | Errno::ENOTDIR => {}
                Errno::EACCES => result = error,
                _ => return error,
            }
        }
        result
    }
}

/// In the child.
fn execute(image: &mut Image) -> ! {
    let error = match image.prepare() {
        Ok(()) => image.execute(),
        Err(error) => error,
    };
    let words = [error.call.id(), error.errno.into_raw()].map(i32::to_ne_bytes);
    let _ = io::write(&image.tells, words.as_flattened());
    process::exit(127)
}

/// What the child has told about its execve(2).
fn executed(status: &OwnedFd) -> kan_sys::Result<()> {
    let mut told = [0; 8];
    if !io::wait_readable(status, Some(0))? || io::read(status, &mut told)? < told.len() {
        return Ok(());
    }
    let word = |at: usize| i32::from_ne_bytes([0, 1, 2, 3].map(|byte| told[at + byte]));
    let call = usize::try_from(word(0)).ok().and_then(Sysno::new);
    Err(kan_sys::Error {
        call: call.unwrap_or(Sysno::execve),
        errno: Errno::new(word(4)),
    })
}

fn not_executed(path: &str, directory: Option<&Path>, error: kan_sys::Error) -> Error {
    let source = std::io::Error::from_raw_os_error(error.errno.into_raw());
    match (error.call, directory) {
        (Sysno::execve, _) => Error::Step(format!("{path}: {}", lowercase(&source))),
        (Sysno::chdir, Some(directory)) => with("enter", directory)(source),
        _ => Error::Step(format!("{path}: {error}")),
    }
}

/// How a program ended, in words.
pub(crate) fn status(ended: Ended) -> String {
    match ended {
        Ended::Exited(code) => format!("exit status {code}"),
        Ended::Signalled(signal) => format!("ended by signal {signal}"),
    }
}

/// What goes in and out of a program while it runs.
struct Talk {
    what: &'static str,
    input: Input,
    output: Reader,
    errors: Reader,
}

impl Talk {
    /// Whether it ends in time.
    fn until_end(&mut self, helper: &Helper, end: Option<Instant>) -> Result<bool> {
        let pidfd = helper.pidfd()?;
        let mut rounds = 0;
        loop {
            self.input.write();
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let nothing = Watched::end(pidfd);
            let stdin = self.input.to.as_ref().map(|fd| Watched::write(fd.as_fd()));
            let mut watched = [
                Watched::read(pidfd),
                self.output.watch().unwrap_or(nothing),
                self.errors.watch().unwrap_or(nothing),
                stdin.unwrap_or(nothing),
            ];
            if !waiting::wait(&mut watched, left, self.what)? {
                return Ok(false);
            }
            let [has_ended, output, errors, _] = watched.map(|one| one.is_ready());
            // Both, whatever the first one says.
            let has_more = self.output.read(output) | self.errors.read(errors);
            rounds += u32::from(has_ended);
            if has_ended && !(has_more && rounds < ROUNDS) {
                return Ok(true);
            }
        }
    }
}

struct Input {
    /// `None` when all is written, or nobody reads it.
    to: Option<OwnedFd>,
    bytes: Vec<u8>,
    written: usize,
}

impl Input {
    /// Writes as much as there is room for; SIGPIPE is ignored. A program need not read it.
    fn write(&mut self) {
        while let Some(to) = &self.to {
            match io::write(to, &self.bytes[self.written..]) {
                Ok(count) if self.written + count < self.bytes.len() => self.written += count,
                Err(error) if error.errno == Errno::EAGAIN => return,
                Ok(_) | Err(_) => self.to = None,
            }
        }
    }
}

struct Reader {
    /// `None` at the end.
    from: Option<OwnedFd>,
    most: usize,
    kept: Vec<u8>,
}

impl Reader {
    fn watch(&self) -> Option<Watched<'_>> {
        self.from.as_ref().map(|fd| Watched::read(fd.as_fd()))
    }

    /// Reads a piece if there is one: whether there was.
    fn read(&mut self, is_ready: bool) -> bool {
        let Some(from) = self.from.take_if(|_| is_ready) else {
            return false;
        };
        if keep_some(&from, &mut self.kept, self.most) {
            self.from = Some(from);
        }
        true
    }
}

/// Reads a piece; whether more may come.
pub(crate) fn keep_some(from: &impl AsFd, kept: &mut Vec<u8>, most: usize) -> bool {
    let mut piece = [0; PIECE];
    let count = io::read(from, &mut piece).unwrap_or(0);
    let room = most.saturating_sub(kept.len());
    kept.extend_from_slice(&piece[..count.min(room)]);
    count > 0
}
