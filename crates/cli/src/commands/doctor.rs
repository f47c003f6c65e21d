//! `doctor`: what this host can do for containers.

use super::report::{self, Report};
use crate::ExitCode;
use crate::args::shapes::{flag, has};
use crate::verb::{Call, Count, Outcome, Verb};
use kan_lifecycle::Verdict;

pub(super) const VERB: Verb = Verb {
    name: "doctor",
    about: "report what this host can do for containers, and how to fix what it cannot",
    examples: &["kan doctor", "kan doctor --json"],
    count: Count::Exactly(0),
    args: |command| command.arg(flag("json", "as JSON")),
    run,
};

/// The exit code is 1 if no container can run.
fn run(call: &Call<'_>) -> Outcome {
    let findings = kan_lifecycle::examine();
    let reports: Vec<_> = findings
        .iter()
        .map(|finding| Report {
            file: None,
            position: None,
            finding,
        })
        .collect();
    let text = if has(call.matches, "json") {
        report::json(&reports)
    } else {
        report::table(&reports)
    };
    crate::output::print_coloured(&text);
    let is_ill = findings.iter().any(|one| one.verdict == Verdict::Fails);
    Ok(if is_ill {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
