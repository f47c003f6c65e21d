//! The command line of kan: flags to requests, the only printing, exit codes.
//!
//! A library besides the program, so that completions and manual pages can be made from
//! [`command`].
#![deny(
    clippy::disallowed_methods,
    reason = "external programs are started by kan-lifecycle"
)]

mod args;
mod commands;
mod exit;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod log;
mod output;
mod trace;
mod verb;

pub use args::{command, examples_of as examples};
pub use exit::ExitCode;

use clap::error::ErrorKind;
use std::ffi::OsString;

/// kan, from its command line, which begins with its own name, to its exit code.
#[must_use]
pub fn main(line: Vec<OsString>) -> ExitCode {
    if let Err(error) = kan_sys::start::prepare() {
        let (words, _) = args::Words::read(line.into_iter());
        let code = complain(&words, &format!("prepare kan's own descriptors: {error}"));
        return own_failure(&words, code);
    }
    if let Some(version) = args::version_alone(&line) {
        output::print(&version);
        return ExitCode::SUCCESS;
    }
    let (words, command) = args::Words::read(line.into_iter());
    if let Some(option) = &words.odd {
        return complain(&words, &args::unknown_global_option(option));
    }
    if let Some(name) = &words.unknown {
        return complain(&words, &args::unknown_command(name));
    }
    let matches = match args::read(&words, command) {
        Ok(matches) => matches,
        Err(error) => return refuse(&words, &error),
    };
    let globals = args::Globals::of(&matches);
    let log = log::Log::new(globals.log.clone(), globals.log_format, globals.log_level);
    if let Err(why) = log.check() {
        output::complain(&why);
        return own_failure(&words, ExitCode::FAILURE);
    }
    match dispatch(&words, &matches, &globals, &log) {
        Ok(code) => code,
        Err(verb::Failure { message, code }) => {
            log.failure(&message);
            // As a shell would have it, had kan been killed: 128 and the signal's number.
            let signal = kan_lifecycle::stopped_by().and_then(|signal| u8::try_from(signal).ok());
            ExitCode::from(signal.map_or(code, |signal| 128 + signal))
        }
    }
}

/// Help and version are no errors; anything else about flags is one line, in the log as well.
fn refuse(words: &args::Words, error: &clap::Error) -> ExitCode {
    if error.exit_code() == 0 {
        output::print(&error.render().to_string());
        return ExitCode::SUCCESS;
    }
    let code = complain(words, &args::refusal(words, error));
    // A value that makes no sense is a failure of exec's own, as with runc.
    match error.kind() {
        ErrorKind::ValueValidation => own_failure(words, code),
        _ => code,
    }
}

/// A failure of exec's own can be told from most programs' codes.
fn own_failure(words: &args::Words, code: ExitCode) -> ExitCode {
    match words.verb {
        Some(verb) if verb.name == "exec" => ExitCode::from(u8::MAX),
        _ => code,
    }
}

fn complain(words: &args::Words, message: &str) -> ExitCode {
    let (log, format) = args::log_flags(&words.all);
    log::Log::new(log, format, log::Level::default()).failure(message);
    ExitCode::FAILURE
}

/// Runs the command that the words name.
fn dispatch(
    words: &args::Words,
    matches: &clap::ArgMatches,
    globals: &args::Globals,
    log: &log::Log,
) -> verb::Outcome {
    let (Some(verb), Some((_, matches))) = (words.verb, matches.subcommand()) else {
        output::print(&args::help(None));
        return Ok(ExitCode::SUCCESS);
    };
    (verb.run)(&verb::Call {
        words: &words.all,
        matches,
        globals,
        log,
        store: kan_lifecycle::Store::new(&globals.root),
        help,
    })
}

/// The help of kan, or of the command of this name.
fn help(name: Option<&str>) -> Result<String, String> {
    match name {
        Some(name) => match commands::find(name) {
            Some(verb) => Ok(args::help(Some(verb))),
            None => Err(args::unknown_command(name)),
        },
        None => Ok(args::help(None)),
    }
}
