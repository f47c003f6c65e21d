//! The kan command: flags to requests, the only printing, exit codes.

mod args;
mod commands;
mod log;
mod output;
mod trace;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words = args::normalise(std::env::args_os());
    let matches = match args::command().try_get_matches_from(&words) {
        Ok(matches) => matches,
        Err(error) => return refuse(&words, &error),
    };
    let globals = args::Globals::of(&matches);
    let log = log::Log::new(globals.log.clone(), globals.log_format, globals.debug);
    match commands::dispatch(&matches, &globals, &log) {
        Ok(code) => code,
        Err(commands::Failure { message, code }) => {
            log.failure(&message);
            ExitCode::from(code)
        }
    }
}

/// Help and version are no errors; anything else about flags is one line, in the log as well.
fn refuse(words: &[std::ffi::OsString], error: &clap::Error) -> ExitCode {
    if error.exit_code() == 0 {
        output::print(&error.render().to_string());
        return ExitCode::SUCCESS;
    }
    let (file, format) = args::log_flags(words);
    log::Log::new(file, format, false).failure(&args::one_line(error));
    ExitCode::FAILURE
}
