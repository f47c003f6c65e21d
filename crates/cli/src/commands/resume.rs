//! `resume`.

use crate::args::shapes::{id, id_arg};
use crate::verb::{Call, Count, Outcome, Verb, done};

pub(super) const VERB: Verb = Verb {
    name: "resume",
    about: "resume a paused container",
    examples: &["kan resume web"],
    count: Count::Exactly(1),
    args: |command| command.arg(id_arg()),
    run,
};

fn run(call: &Call<'_>) -> Outcome {
    done(kan_lifecycle::resume(&call.store, id(call.matches)))
}
