//! JSON documents.

use kan_spec::json::Json;
use kan_spec::{Error, position};

/// config.json, and what `update --resources` and `mounts add` take.
pub fn config(data: &[u8]) {
    syntax(data);
    refusal(data, kan_spec::parse_config(data).map(drop));
    refusal(data, kan_spec::resources::parse(data).map(drop));
    refusal(data, kan_spec::mounts::parse(data).map(drop));
}

/// What `exec --process` takes.
pub fn process(data: &[u8]) {
    refusal(data, kan_spec::process::parse(data).map(drop));
}

/// A container's state.json.
pub fn state(data: &[u8]) {
    kan_lifecycle::fuzzing::state(data);
}

/// What was read is written and read again as the same.
fn syntax(data: &[u8]) {
    if let Ok(json) = Json::parse(data) {
        let text = json.pretty(" ");
        assert_eq!(Json::parse(text.as_bytes()).as_ref(), Ok(&json));
    }
}

/// A refusal is a line, or one for each problem, and the place of each can be looked for.
fn refusal(data: &[u8], read: Result<(), Error>) {
    let Err(error) = read else { return };
    assert!(!error.to_string().is_empty());
    for problem in error.problems() {
        assert!(!problem.why.is_empty());
        let _ = position(data, &problem.at);
    }
}
