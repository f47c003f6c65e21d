//! `ps`: a container's processes, as ps(1) of the host shows them, or as numbers.

use crate::ExitCode;
use crate::args::shapes::{all_of, id, id_arg, text};
use crate::output;
use crate::verb::{Call, Count, Outcome, Verb, failure};
use clap::Arg;

pub(super) const VERB: Verb = Verb {
    name: "ps",
    about: "list the processes of a container",
    examples: &["kan ps web", "kan ps web -o pid,user,args"],
    count: Count::AtLeast(1),
    args: |command| {
        command.args([
            text("format", "FORMAT", "table or json")
                .short('f')
                .default_value("table"),
            id_arg(),
            Arg::new("options")
                .value_name("PS-OPTIONS")
                .num_args(0..)
                .trailing_var_arg(true)
                .allow_hyphen_values(true)
                .help("options for the host's ps(1) [-ef]; its output must have a column PID"),
        ])
    },
    run,
};

fn run(call: &Call<'_>) -> Outcome {
    let format = call.matches.get_one::<String>("format");
    let pids = kan_lifecycle::processes(&call.store, id(call.matches))?;
    let text = match format.map(String::as_str) {
        Some("json") => serde_json::to_string(&pids)? + "\n",
        Some("table") | None => {
            let mut options = all_of(call.matches, "options");
            if options.is_empty() {
                options.push("-ef".into());
            }
            let table = kan_lifecycle::ps_table(&options)?;
            kan_lifecycle::filter_ps(&table, &pids)?
        }
        Some(_) => return Err(failure("invalid format option")),
    };
    output::print(&text);
    Ok(ExitCode::SUCCESS)
}
