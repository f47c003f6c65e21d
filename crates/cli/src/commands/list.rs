//! `list`: runc's table, or one line of JSON.

use crate::ExitCode;
use crate::args::shapes::{flag, has, text};
use crate::output::{self, Table};
use crate::verb::{Call, Count, Outcome, Verb, failure};
use kan_lifecycle::Found;

pub(super) const VERB: Verb = Verb {
    name: "list",
    about: "list containers",
    examples: &["kan list", "kan list --format json | jq '.[].id'"],
    count: Count::Exactly(0),
    args: |command| {
        command.args([
            text("format", "FORMAT", "table or json")
                .short('f')
                .default_value("table"),
            flag("quiet", "ids alone").short('q'),
        ])
    },
    run,
};

fn run(call: &Call<'_>) -> Outcome {
    let found = kan_lifecycle::list(&call.store, call.globals.root_is_given)?;
    for broken in &found {
        if let Found::Broken { id, why } = broken {
            call.log.warning(&format!("container {id:?}: {why}"));
        }
    }
    let format = call.matches.get_one::<String>("format");
    let text = match format.map(String::as_str) {
        _ if has(call.matches, "quiet") => {
            let ids = found.iter().map(|one| format!("{}\n", one.id()));
            ids.collect()
        }
        Some("json") => json(&found),
        Some("table") | None => table(&found),
        Some(_) => return Err(failure("invalid format option")),
    };
    output::print(&text);
    Ok(ExitCode::SUCCESS)
}

/// A container whose state can't be read is there all the same, to be seen and deleted.
const BROKEN: &str = "broken";

#[derive(serde::Serialize)]
struct Broken<'a> {
    id: &'a str,
    pid: i32,
    status: &'static str,
}

fn json(found: &[Found]) -> String {
    let each = found.iter().map(|one| match one {
        Found::Container(state) => state.compact(),
        Found::Broken { id, .. } => {
            let (pid, status) = (0, BROKEN);
            serde_json::to_string(&Broken { id, pid, status }).unwrap_or_default()
        }
    });
    format!("[{}]\n", each.collect::<Vec<_>>().join(","))
}

fn table(found: &[Found]) -> String {
    let mut table = Table::new(["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    for one in found {
        table.add(match one {
            Found::Container(state) => [
                state.id.clone(),
                state.pid.to_string(),
                state.status.name().into(),
                state.bundle.clone(),
                state.created.clone().unwrap_or_default(),
                state.owner.clone().unwrap_or_default(),
            ],
            Found::Broken { id, .. } => {
                let nothing = String::new;
                [
                    id.clone(),
                    "0".into(),
                    BROKEN.into(),
                    nothing(),
                    nothing(),
                    nothing(),
                ]
            }
        });
    }
    table.text()
}
