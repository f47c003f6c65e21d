//! `mounts add` and `mounts remove`, as crun has them.

use super::timed::seal;
use crate::args::shapes::{given_path, id, id_arg};
use crate::verb::{Call, Count, Failure, Outcome, Verb, done, failure, read_document};
use clap::{Arg, value_parser};
use kan_spec::config::Mount;
use std::path::{Path, PathBuf};

pub(super) const VERB: Verb = Verb {
    name: "mounts",
    about: "add mounts to a container, or remove mounts from it",
    examples: &[
        r#"echo '[{"destination": "/data", "source": "/srv/data", "type": "bind"}]' |"#,
        "    kan mounts add web -",
        "kan mounts remove web mounts.json",
    ],
    count: Count::Exactly(3),
    args: |command| {
        command.args([
            Arg::new("action")
                .value_name("add|remove")
                .value_parser(["add", "remove"])
                .required(true)
                .help("what to do"),
            id_arg(),
            Arg::new("file")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .required(true)
                .help("the mounts as in config.json, or - for stdin"),
        ])
    },
    run,
};

fn read(path: &Path) -> Result<Vec<Mount>, Failure> {
    let text = read_document(path).map_err(|error| {
        let why = kan_lifecycle::io_error_text(&error);
        failure(format!("{}: {why}", path.display()))
    })?;
    Ok(kan_spec::mounts::parse(&text)?)
}

fn run(call: &Call<'_>) -> Outcome {
    seal(call)?;
    let mounts = read(&given_path(call.matches, "file").unwrap_or_default())?;
    let id = id(call.matches);
    let action = call.matches.get_one::<String>("action");
    done(match action.map(String::as_str) {
        Some("remove") => kan_lifecycle::remove_mounts(&call.store, id, mounts),
        _ => kan_lifecycle::add_mounts(&call.store, id, mounts),
    })
}
