//! `plan`: what `create` would do.

use super::{Call, Count, Outcome, Verb};
use crate::ExitCode;
use crate::args::{bundle, bundle_arg, config_arg, flag, given_path, has, id, id_arg};
use crate::output;
use kan_op::Side;

pub(super) const VERB: Verb = Verb {
    name: "plan",
    about: "print what create would do, and which field asks for it",
    count: Count::Between(0, 1),
    args: |command| {
        command.args([
            bundle_arg(),
            config_arg(),
            flag("json", "as JSON"),
            id_arg().required(false).default_value("example"),
        ])
    },
    run,
};

/// With this host's facts, so that it is what `create` would do here.
fn run(call: &Call<'_>) -> Outcome {
    let plan = kan_lifecycle::plan_only(
        &bundle(call.matches),
        given_path(call.matches, "config").as_deref(),
        id(call.matches),
        call.globals.cgroups,
    )?;
    let lines = kan_plan::lines(&plan);
    let text = if has(call.matches, "json") {
        plan_json(&lines)
    } else {
        kan_plan::table(&lines)
    };
    output::print(&text);
    Ok(ExitCode::SUCCESS)
}

#[derive(serde::Serialize)]
struct Step<'a> {
    half: &'static str,
    index: usize,
    step: &'a str,
    field: &'a str,
}

fn plan_json(lines: &[kan_plan::Line]) -> String {
    let hosts = lines.iter().filter(|line| line.side == Side::Host).count();
    let steps: Vec<_> = lines
        .iter()
        .enumerate()
        .map(|(index, line)| match line.side {
            Side::Host => ("host", index, line),
            Side::Init => ("init", index - hosts, line),
        })
        .map(|(half, index, line)| Step {
            half,
            index,
            step: &line.text,
            field: &line.field,
        })
        .collect();
    serde_json::to_string_pretty(&steps).unwrap_or_default() + "\n"
}
