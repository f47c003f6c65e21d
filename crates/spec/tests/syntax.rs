//! Texts that are not JSON: where, and why.
#![allow(missing_docs, clippy::unwrap_used)]

use kan_spec::{Error, parse_config};

fn complaint(text: &[u8]) -> String {
    let error = parse_config(text).unwrap_err();
    assert!(matches!(error, Error::Syntax { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn bad_json_has_its_line_and_column() {
    let cases: [(&[u8], &str); 9] = [
        (b"", "config.json: line 1, column 0: the file is empty"),
        (
            b"{\n  \"root\": }",
            "config.json: line 2, column 11: expected value",
        ),
        (
            b"{\"root\": {}",
            "config.json: line 1, column 11: EOF while parsing an object",
        ),
        (
            b"{\"a\": 1,}",
            "config.json: line 1, column 9: trailing comma",
        ),
        (
            b"{} {}",
            "config.json: line 1, column 4: trailing characters",
        ),
        (
            b"{\"a\": 'b'}",
            "config.json: line 1, column 7: expected value",
        ),
        (
            b"{\"a\": \"\xff\"}",
            "config.json: line 1, column 8: not valid UTF-8",
        ),
        (
            b"{\"a\": 01}",
            "config.json: line 1, column 8: invalid number",
        ),
        (
            b"{1: 2}",
            "config.json: line 1, column 2: key must be a string",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(
            complaint(text),
            expected,
            "{}",
            String::from_utf8_lossy(text)
        );
    }
}

#[test]
fn depth_is_limited_before_the_stack_is() {
    let deep = "[".repeat(1_000_000);
    assert!(complaint(deep.as_bytes()).ends_with("recursion limit exceeded"));
}
