//! `help`: of kan, or of one command.

use crate::ExitCode;
use crate::output;
use crate::verb::{Call, Count, Outcome, Verb, failure};
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
    let text = (call.help)(name.map(String::as_str)).map_err(failure)?;
    output::print(&text);
    Ok(ExitCode::SUCCESS)
}
