//! Text that terminals and logs can be given.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with its control characters written as JSON would, `\u001b`, so that nothing which
/// somebody else chose (a bundle's path, an argument, an annotation) moves a terminal's cursor or
/// begins a line of a log. In a JSON document the meaning stays.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    escape(text, is_control)
}

/// The same for a text of many lines: line breaks and tabs stay.
#[must_use]
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escape(text, |letter| {
        !matches!(letter, '\n' | '\t') && is_control(letter)
    })
}

/// C0, DEL and C1, of which U+009B is ECMA-48's CSI in one character; and the controls that make
/// a terminal show a text in another order (Unicode, UAX #9).
fn is_control(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escape(text: &str, is_refused: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_refused) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if is_refused(letter) {
            // All of them have at most sixteen bits. Writing to memory can't fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(letter));
        } else {
            escaped.push(letter);
        }
    }
    Cow::Owned(escaped)
}

/// A line that is no longer than a page can hold: of a longer one the middle is left out, for
/// what went wrong stands at its end.
#[must_use]
pub fn clipped(line: &str) -> Cow<'_, str> {
    /// What stays of the beginning and of the end, bytes.
    const HEAD: usize = 1200;
    const TAIL: usize = 600;
    if line.len() <= HEAD + TAIL {
        return Cow::Borrowed(line);
    }
    let head = line.floor_char_boundary(HEAD);
    let tail = line.ceil_char_boundary(line.len() - TAIL);
    let left_out = tail - head;
    let (head, tail) = (&line[..head], &line[tail..]);
    Cow::Owned(format!("{head} … ({left_out} bytes left out) … {tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_are_written_out() {
        assert_eq!(printable("a\u{1b}[2Jb"), "a\\u001b[2Jb");
        assert_eq!(
            printable("a\n\tb\u{7f}\u{9b}"),
            "a\\u000a\\u0009b\\u007f\\u009b"
        );
        assert_eq!(printable_lines("a\n\tb\r"), "a\n\tb\\u000d");
        assert_eq!(printable("a\u{202e}b"), "a\\u202eb");
        assert!(matches!(printable("größe ‘x’"), Cow::Borrowed("größe ‘x’")));
    }

    #[test]
    fn json_keeps_its_meaning() {
        let text = "a\u{9b}b\u{7f}\u{1b}";
        let document = serde_json::to_string_pretty(&[text]).unwrap();
        let printed = printable_lines(&document);
        assert!(printed.is_ascii());
        assert_eq!(
            serde_json::from_str::<Vec<String>>(&printed).unwrap(),
            [text]
        );
    }

    #[test]
    fn a_long_line_keeps_both_ends() {
        let short = "x".repeat(1800);
        assert_eq!(clipped(&short), short);
        let long = format!("begin{}end", "ü".repeat(100_000));
        let clipped = clipped(&long);
        assert!(clipped.len() < 1900, "{}", clipped.len());
        assert!(clipped.starts_with("begin") && clipped.ends_with("end"));
    }
}
