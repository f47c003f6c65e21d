//! `delete`.

use super::select::{first_error, ids, regex};
use crate::ExitCode;
use crate::args::shapes::{all_of, flag, has, id_arg};
use crate::verb::{Call, Count, Outcome, Verb};

pub(super) const VERB: Verb = Verb {
    name: "delete",
    about: "delete a stopped container",
    examples: &["kan delete web", "kan delete --force web db"],
    count: Count::AtLeast(1),
    args: |command| {
        command.args([
            flag("force", "kill the container first if it is running").short('f'),
            regex(),
            id_arg().num_args(1..),
        ])
    },
    run,
};

/// Every container is tried; the first error is the one that is told.
fn run(call: &Call<'_>) -> Outcome {
    let force = has(call.matches, "force");
    let ids = ids(call, all_of(call.matches, "id"))?;
    let each = ids.iter();
    let deleted = each.map(|id| kan_lifecycle::delete(&call.store, id, force));
    for warning in first_error(deleted.collect())?.into_iter().flatten() {
        call.log.warning(&warning.to_string());
    }
    Ok(ExitCode::SUCCESS)
}
