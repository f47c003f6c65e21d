//! `kill`.

use super::select::{first_error, ids, regex};
use crate::ExitCode;
use crate::args::shapes::{flag, has, id, id_arg};
use crate::verb::{Call, Count, Outcome, Verb};
use clap::Arg;

pub(super) const VERB: Verb = Verb {
    name: "kill",
    about: "send a signal to the init process of a container",
    examples: &["kan kill web TERM", "kan kill --all web KILL"],
    count: Count::Between(1, 2),
    args: |command| {
        command.args([
            id_arg(),
            Arg::new("signal")
                .value_name("SIGNAL")
                .default_value("TERM")
                .help("a name or a number"),
            flag("all", "send the signal to all processes of the container").short('a'),
            regex(),
        ])
    },
    run,
};

fn run(call: &Call<'_>) -> Outcome {
    let name = call.matches.get_one::<String>("signal");
    let signal = kan_lifecycle::signal::parse(name.map_or("TERM", String::as_str))?;
    let all = has(call.matches, "all");
    let ids = ids(call, vec![id(call.matches).to_owned()])?;
    let each = ids.iter();
    first_error(
        each.map(|id| kan_lifecycle::kill(&call.store, id, signal, all))
            .collect(),
    )?;
    Ok(ExitCode::SUCCESS)
}
