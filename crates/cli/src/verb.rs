//! What a command is, one use of it, and what comes of it.

use crate::ExitCode;
use crate::args::globals::Globals;
use crate::log::Log;
use clap::{ArgMatches, Command};
use kan_lifecycle::Store;
use std::ffi::OsString;
use std::path::Path;

/// A command of kan.
#[derive(Debug)]
pub(crate) struct Verb {
    pub(crate) name: &'static str,
    /// What it does, in a line that follows its name.
    pub(crate) about: &'static str,
    /// Commands that work, line by line.
    pub(crate) examples: &'static [&'static str],
    /// How many arguments it takes that are no options.
    pub(crate) count: Count,
    /// Declares what it takes.
    pub(crate) args: fn(Command) -> Command,
    pub(crate) run: fn(&Call<'_>) -> Outcome,
}

/// A number of arguments.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    Exactly(usize),
    AtLeast(usize),
    /// At least so many, and at most.
    Between(usize, usize),
}

impl Count {
    /// What a wrong number is answered with: runc's words.
    pub(crate) fn text(self, is_surplus: bool) -> String {
        match self {
            Self::Exactly(count) => format!("requires exactly {count} argument(s)"),
            Self::Between(_, most) if is_surplus => {
                format!("requires a maximum of {most} argument(s)")
            }
            Self::AtLeast(least) | Self::Between(least, _) => {
                format!("requires a minimum of {least} argument(s)")
            }
        }
    }
}

/// One use of a command.
pub(crate) struct Call<'c> {
    /// The whole command line.
    pub(crate) words: &'c [OsString],
    pub(crate) matches: &'c ArgMatches,
    pub(crate) globals: &'c Globals,
    pub(crate) log: &'c Log,
    pub(crate) store: Store,
    /// The help of kan, or of the command of this name; or that there is none.
    pub(crate) help: fn(Option<&str>) -> Result<String, String>,
}

/// Why a command failed, and kan's exit code for it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) code: u8,
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        failure(error.to_string())
    }
}

pub(crate) type Outcome = Result<ExitCode, Failure>;

/// A failure with the usual exit code, 1.
pub(crate) fn failure(message: impl Into<String>) -> Failure {
    Failure {
        message: message.into(),
        code: 1,
    }
}

/// A file, or stdin for `-`.
pub(crate) fn read_document(path: &Path) -> std::io::Result<Vec<u8>> {
    if path != Path::new("-") {
        return std::fs::read(path);
    }
    let read = kan_sys::io::read_to_end(kan_sys::io::standard(0));
    read.map_err(|error| std::io::Error::from_raw_os_error(error.errno.into_raw()))
}

/// Success, if that is what it was.
pub(crate) fn done(result: kan_lifecycle::Result<()>) -> Outcome {
    Ok(result.map(|()| ExitCode::SUCCESS)?)
}
