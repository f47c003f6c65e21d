//! `plan`: what `create` would do.

use crate::ExitCode;
use crate::args::shapes::{bundle, bundle_arg, config_arg, flag, given_path, has, id, id_arg};
use crate::output;
use crate::verb::{Call, Count, Outcome, Verb};
use kan_op::Side;

pub(super) const VERB: Verb = Verb {
    name: "plan",
    about: "print the steps of create, and the field of config.json behind each",
    examples: &[
        "kan plan --bundle /containers/web",
        r#"kan plan --json | jq '.[] | select(.half == "init")'"#,
    ],
    count: Count::Between(0, 1),
    args: |command| {
        command.args([
            bundle_arg(),
            config_arg(),
            flag("json", "as JSON"),
            flag("wide", "do not fold long lines on a terminal"),
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
        let width = output::width().filter(|_| !has(call.matches, "wide"));
        let table = kan_plan::table(&lines);
        width.map_or_else(|| table.clone(), |width| folded(&table, width))
    };
    output::print(&text);
    Ok(ExitCode::SUCCESS)
}

/// Each line at most as wide as the terminal: what does not fit ends in `…`.
fn folded(table: &str, width: usize) -> String {
    let fold = |line: &str| match line.char_indices().nth(width) {
        None => format!("{line}\n"),
        Some(_) => {
            let kept: String = line.chars().take(width.saturating_sub(1)).collect();
            format!("{kept}…\n")
        }
    };
    table.lines().map(fold).collect()
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

#[cfg(test)]
mod tests {
    use super::folded;

    #[test]
    fn lines_are_as_wide_as_the_terminal() {
        let table = "host\n12345678\n123456789\n";
        assert_eq!(folded(table, 8), "host\n12345678\n1234567…\n");
    }
}
