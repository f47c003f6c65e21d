//! Changes of a document that some host plans.

use super::document::{at, candidates, leaves, put};
use kan_spec::json::Json;

/// What happens to a value: another of its kind, any value, or it goes.
#[derive(Clone, Debug)]
pub enum Change {
    Likely(usize),
    Odd(usize),
    Gone(usize),
}

fn odd(number: usize) -> Json<'static> {
    let texts = [
        "null",
        "-1",
        "18446744073709551615",
        "\"\"",
        "\"a\\u0000b\"",
        "[]",
        "{}",
        "\"/../..\"",
    ];
    Json::parse(texts[number].as_bytes()).unwrap()
}

/// A document that some host plans, with changes.
pub fn changed(mut document: Json<'static>, changes: &[(usize, Change)]) -> Vec<u8> {
    for (place, change) in changes {
        let ways = leaves(&document);
        let Some(way) = ways.get(place % ways.len().max(1)) else {
            continue;
        };
        let value = match change {
            // An entry, or a section with all that is in it.
            Change::Gone(depth) => {
                put(
                    &mut document,
                    &way[..(1 + depth % way.len()).max(2.min(way.len()))],
                    None,
                );
                continue;
            }
            Change::Odd(number) => Some(odd(*number)),
            Change::Likely(number) => {
                let all = at(&document, way).map(candidates).unwrap_or_default();
                match all.len() {
                    0 => None,
                    length => Some(all[number % length].clone()),
                }
            }
        };
        put(&mut document, way, value);
    }
    document.pretty(" ").into_bytes()
}
