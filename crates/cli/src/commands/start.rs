//! `start`.

use super::timed::{record, timeline, warn};
use crate::ExitCode;
use crate::args::shapes::{id, id_arg};
use crate::verb::{Call, Count, Outcome, Verb};

pub(super) const VERB: Verb = Verb {
    name: "start",
    about: "start a container that create has created",
    examples: &["kan start web"],
    count: Count::Exactly(1),
    args: |command| command.arg(id_arg()),
    run,
};

fn run(call: &Call<'_>) -> Outcome {
    let mut timeline = timeline(call);
    let started = kan_lifecycle::start(&call.store, id(call.matches), &mut timeline);
    let recorded = record(call, &timeline);
    started?;
    warn(call, &timeline);
    recorded.map(|()| ExitCode::SUCCESS)
}
