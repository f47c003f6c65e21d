//! `check`: everything that would make `create` or `start` of a bundle fail on this host.

use super::report::{self, Report};
use crate::ExitCode;
use crate::args::shapes::{bundle, bundle_arg, config_arg, flag, given_path, has};
use crate::verb::{Call, Count, Outcome, Verb};
use clap::{Arg, value_parser};
use kan_lifecycle::{Checked, Finding, Verdict};
use std::path::{Path, PathBuf};

pub(super) const VERB: Verb = Verb {
    name: "check",
    about: "report everything that would make create or start fail on this host",
    examples: &[
        "kan check --bundle /containers/web",
        "kan check --json | jq '.[].about'",
    ],
    count: Count::Between(0, 1),
    args: |command| {
        command.args([
            bundle_arg(),
            config_arg(),
            flag("json", "as JSON"),
            Arg::new("directory")
                .value_name("BUNDLE")
                .value_parser(value_parser!(PathBuf))
                .conflicts_with("bundle")
                .help("the same as --bundle BUNDLE"),
        ])
    },
    run,
};

/// The exit code is 1 if `create` or `start` would fail.
fn run(call: &Call<'_>) -> Outcome {
    let named = given_path(call.matches, "directory");
    let bundle = named.unwrap_or_else(|| bundle(call.matches));
    let config = given_path(call.matches, "config");
    let mut checked = kan_lifecycle::check(&bundle, config.as_deref(), call.globals.cgroups)?;
    checked
        .findings
        .extend(kan_lifecycle::check_store(&call.store));
    let findings = checked.findings.iter().take(MOST);
    let mut reports: Vec<_> = findings.map(|one| located(&checked, one)).collect();
    reports.sort_by_key(|report| report.position);
    let is_fine = !has_failures(&checked.findings);
    let text = if has(call.matches, "json") {
        report::json(&reports)
    } else if reports.is_empty() {
        format!(
            "{}: nothing is wrong with it here\n",
            kan_spec::printable(&checked.file.to_string_lossy())
        )
    } else {
        report::lines(&reports) + &rest(checked.findings.len())
    };
    crate::output::print_coloured(&text);
    Ok(if is_fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Nobody reads more, and to find the place of each takes a look at the whole document.
const MOST: usize = 100;

fn rest(count: usize) -> String {
    match count.saturating_sub(MOST) {
        0 => String::new(),
        more => format!("and {more} more\n"),
    }
}

fn has_failures(findings: &[Finding]) -> bool {
    findings.iter().any(|one| one.verdict == Verdict::Fails)
}

fn located<'c>(checked: &'c Checked, finding: &'c Finding) -> Report<'c> {
    let position = kan_spec::position(&checked.text, &finding.about);
    Report {
        file: Some(file_name(&checked.file)),
        position: position.filter(|_| !finding.about.is_empty()),
        finding,
    }
}

fn file_name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("config.json")
}
