//! The command line: what is declared once for all commands, and the reading of it.
//!
//! What a command takes stands with the command, in [`crate::commands`].

mod declare;
pub(crate) mod globals;
mod refusal;
pub(crate) mod shapes;
mod words;

pub(crate) use globals::Globals;
pub(crate) use refusal::{refusal, unknown_command, unknown_global_option};
pub(crate) use words::{Words, log_flags};

pub use declare::{command, examples_of};
pub(crate) use declare::{help, version_alone};

use crate::commands;
use clap::{ArgMatches, Command};
use declare::without_args;

/// Reads the words. Without a command among them there is nothing but help and version, and help
/// lists the commands.
pub(crate) fn read(words: &Words, command: Command) -> Result<ArgMatches, clap::Error> {
    let command = match words.verb {
        Some(_) => command,
        None => command.subcommands(commands::ALL.iter().map(without_args)),
    };
    command.try_get_matches_from(&words.all)
}
