//! `state`: runtime.md, Query State.

use crate::ExitCode;
use crate::args::shapes::{id, id_arg};
use crate::output;
use crate::verb::{Call, Count, Outcome, Verb};

pub(super) const VERB: Verb = Verb {
    name: "state",
    about: "print the state of a container as JSON",
    examples: &["kan state web | jq -r .status"],
    count: Count::Exactly(1),
    args: |command| command.arg(id_arg()),
    run,
};

fn run(call: &Call<'_>) -> Outcome {
    let state = call.store.find(id(call.matches))?.state()?;
    output::print(&(state.pretty() + "\n"));
    Ok(ExitCode::SUCCESS)
}
