//! `help`: of kan, or of one command.

use super::{Call, Count, Outcome, Verb, failure, find};
use crate::ExitCode;
use crate::{args, output};
use clap::Arg;

pub(super) const VERB: Verb = Verb {
    name: "help",
    about: "print the help of kan or of a command",
    examples: &["kan help create"],
    count: Count::Between(0, 1),
    args: |command| command.arg(Arg::new("command").value_name("COMMAND").help("a command")),
    run,
};

fn run(call: &Call<'_>) -> Outcome {
    let name = call.matches.get_one::<String>("command");
    let verb = match name {
        Some(name) => Some(find(name).ok_or_else(|| failure(args::unknown_command(name)))?),
        None => None,
    };
    output::print(&args::help(verb));
    Ok(ExitCode::SUCCESS)
}
