//! JSON documents.

use kan_spec::json::{Json, Number};
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
        match Json::parse(text.as_bytes()) {
            Ok(again) => assert!(is_same(&again, &json), "{again:?} was {json:?}"),
            Err(error) => panic!("{error:?} in what was written of {json:?}"),
        }
    }
}

/// Fractions, which no field takes, may differ in their last bit: serde_json rounds so.
fn is_same(one: &Json<'_>, other: &Json<'_>) -> bool {
    match (one, other) {
        (Json::Number(Number::Float(one)), Json::Number(Number::Float(other))) => {
            (one - other).abs() <= one.abs() * 1e-15
        }
        (Json::List(one), Json::List(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| is_same(one, other))
        }
        (Json::Object(one), Json::Object(other)) => {
            let mut pairs = one.iter().zip(other);
            one.len() == other.len()
                && pairs.all(|(one, other)| one.0 == other.0 && is_same(&one.1, &other.1))
        }
        _ => one == other,
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
