//! Whatever is in the file, reading it ends with a value or an error that names fields.
#![allow(missing_docs, clippy::unwrap_used)]

use kan_spec::{Error, json::Json, parse_config, process, resources};
use proptest::prelude::*;

const MAXIMAL: &str = include_str!("data/maximal.json");

/// What stands in for a value somewhere in the document.
fn replacements() -> Vec<Json<'static>> {
    let texts = [
        "null",
        "true",
        "-1",
        "0",
        "1.5",
        "1e300",
        "18446744073709551615",
        "99999999999999999999",
        "-9223372036854775808",
        "\"\"",
        "\"x\"",
        "\"a\\u0000b\"",
        "\"/\"",
        "\"\\ud83d\\ude00\"",
        "[]",
        "[[]]",
        "[null]",
        "{}",
        "{\"\": null}",
        "{\"a\": {}}",
        "[\"=\", \"é\"]",
    ];
    texts
        .map(|text| Json::parse(text.as_bytes()).unwrap())
        .into()
}

/// The number of values in a tree.
fn size(json: &Json<'_>) -> usize {
    1 + match json {
        Json::List(items) => items.iter().map(size).sum(),
        Json::Object(entries) => entries.iter().map(|(_, value)| size(value)).sum(),
        _ => 0,
    }
}

/// Replaces the value with this number, counted in document order.
fn replace<'a>(json: &mut Json<'a>, number: &mut usize, with: &Json<'a>) {
    if *number == 0 {
        *json = with.clone();
    }
    *number = number.wrapping_sub(1);
    match json {
        Json::List(items) => items
            .iter_mut()
            .for_each(|item| replace(item, number, with)),
        Json::Object(entries) => {
            entries
                .iter_mut()
                .for_each(|(_, value)| replace(value, number, with));
        }
        _ => {}
    }
}

fn read_everything(text: &[u8]) {
    for result in [
        parse_config(text).map(|_| ()),
        process::parse(text).map(|_| ()),
        resources::parse(text).map(|_| ()),
    ] {
        if let Err(error) = result {
            assert!(!error.to_string().is_empty());
            assert!(matches!(error, Error::Syntax { .. }) || !error.problems().is_empty());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn values_of_any_kind_anywhere(changes in prop::collection::vec((0..500_usize, 0..21_usize), 1..6)) {
        let mut document = Json::parse(MAXIMAL.as_bytes()).unwrap();
        for (place, what) in changes {
            let mut number = place % size(&document);
            replace(&mut document, &mut number, &replacements()[what]);
        }
        read_everything(document.pretty(" ").as_bytes());
    }

    #[test]
    fn bytes_of_any_kind_anywhere(changes in prop::collection::vec((0..MAXIMAL.len(), any::<u8>()), 1..4)) {
        let mut text = MAXIMAL.as_bytes().to_vec();
        for (place, byte) in changes {
            text[place] = byte;
        }
        read_everything(&text);
    }

    #[test]
    fn a_text_that_stops_anywhere(length in 0..MAXIMAL.len()) {
        read_everything(&MAXIMAL.as_bytes()[..length]);
    }
}
