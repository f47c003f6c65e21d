//! For conformance/fuzz: a command line, as far as it is read before anything is done.

use crate::args;
use std::ffi::OsString;

/// Reads the words and, where they are wrong, words the refusal.
///
/// # Panics
/// If a refusal says nothing, or has more than one line.
pub fn command_line(words: Vec<OsString>) {
    let _ = args::version_alone(&words);
    let (words, command) = args::Words::read(words.into_iter());
    let _ = args::log_flags(&words.all);
    if let Some(name) = &words.unknown {
        let _ = args::unknown_command(name);
        return;
    }
    match args::read(&words, command) {
        Ok(matches) => drop(args::Globals::of(&matches)),
        Err(error) if error.exit_code() == 0 => drop(error.render().to_string()),
        Err(error) => assert!(!args::refusal(&words, &error).is_empty()),
    }
}
