//! `pause`.

use crate::args::shapes::{id, id_arg};
use crate::verb::{Call, Count, Outcome, Verb, done};

pub(super) const VERB: Verb = Verb {
    name: "pause",
    about: "freeze all processes of a container",
    examples: &["kan pause web", "kan resume web"],
    count: Count::Exactly(1),
    args: |command| command.arg(id_arg()),
    run,
};

fn run(call: &Call<'_>) -> Outcome {
    done(kan_lifecycle::pause(&call.store, id(call.matches)))
}
