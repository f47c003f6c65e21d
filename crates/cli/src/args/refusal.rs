//! What is said of a command line that can't be read: one line.

use crate::args::words::Words;
use crate::commands;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What is wrong, in runc's words where engines and suites match them.
pub(crate) fn refusal(words: &Words, error: &clap::Error) -> String {
    let name = words.verb.map_or("", |verb| verb.name);
    let surplus = matches!(error.kind(), ErrorKind::UnknownArgument)
        && context(error, ContextKind::InvalidArg).is_some_and(|word| !word.starts_with('-'));
    let missing = matches!(error.kind(), ErrorKind::MissingRequiredArgument);
    match words.verb {
        Some(verb) if surplus || missing => format!("{name:?} {}", verb.count.text(surplus)),
        _ if error.kind() == ErrorKind::UnknownArgument => {
            let option = context(error, ContextKind::InvalidArg).unwrap_or_default();
            let near = context(error, ContextKind::SuggestedArg);
            unknown_option(name, &option, near.as_deref())
        }
        _ if error.kind() == ErrorKind::InvalidUtf8 => not_utf8(words),
        _ => one_line(error),
    }
}

/// An option before the command that kan does not have: the word after it may be its value.
pub(crate) fn unknown_global_option(option: &str) -> String {
    let all = super::globals::all();
    let names = all.iter().filter_map(clap::Arg::get_long);
    let given = option.trim_start_matches('-');
    let near = names.map(|name| (distance(given, name), name));
    let near = near.filter(|(distance, _)| *distance <= 2).min();
    unknown_option(
        "",
        option,
        near.map(|(_, name)| format!("--{name}")).as_deref(),
    )
}

fn unknown_option(command: &str, option: &str, near: Option<&str>) -> String {
    match near {
        Some(near) => format!("unknown option {option}: did you mean {near}?"),
        None => {
            let space = if command.is_empty() { "" } else { " " };
            format!("unknown option {option} (kan {command}{space}--help lists all)")
        }
    }
}

/// Names the argument, whose bytes that are no text are shown as `\xNN`.
fn not_utf8(words: &Words) -> String {
    let broken = words.all.iter().find(|word| word.to_str().is_none());
    let shown = broken.map(|word| word.as_encoded_bytes().escape_ascii().to_string());
    format!("argument \"{}\" is not UTF-8", shown.unwrap_or_default())
}

/// A command that kan does not have.
pub(crate) fn unknown_command(name: &str) -> String {
    let near = commands::ALL
        .iter()
        .map(|verb| (distance(name, verb.name), verb.name));
    let near = near.filter(|(distance, _)| *distance <= 2).min();
    match near {
        Some((_, known)) => format!("No help topic for '{name}' (did you mean '{known}'?)"),
        None => format!("No help topic for '{name}'"),
    }
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// clap's message: what is wrong, and its tip.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let mut parts: Vec<&str> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("Usage:") || line.starts_with("NAME:") || line.starts_with("For more") {
            break;
        }
        if !line.is_empty() {
            parts.push(line.strip_prefix("error: ").unwrap_or(line));
        }
    }
    parts.join(" ")
}

/// How many letters must be put in, taken out, changed or exchanged to come from one word to the
/// other: the restricted Damerau-Levenshtein distance.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows = vec![(0..=to.len()).collect::<Vec<_>>()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let changed = usize::from(from[i - 1] != to[j - 1]);
            let mut least = (rows[i - 1][j] + 1)
                .min(row[j - 1] + 1)
                .min(rows[i - 1][j - 1] + changed);
            let swapped = i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
            if swapped {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn refused(words: &[&str]) -> String {
        let (words, command) = Words::read(words.iter().map(OsString::from));
        let error = crate::args::read(&words, command).unwrap_err();
        refusal(&words, &error)
    }

    #[test]
    fn a_wrong_count_is_said_in_runcs_words() {
        let exactly =
            |name: &str, count: u32| format!("\"{name}\" requires exactly {count} argument(s)");
        assert_eq!(refused(&["kan", "create"]), exactly("create", 1));
        assert_eq!(refused(&["kan", "create", "a", "b"]), exactly("create", 1));
        assert_eq!(
            refused(&["kan", "kill"]),
            "\"kill\" requires a minimum of 1 argument(s)"
        );
        assert_eq!(
            refused(&["kan", "kill", "a", "b", "c"]),
            "\"kill\" requires a maximum of 2 argument(s)"
        );
    }

    #[test]
    fn a_mistyped_flag_is_named_with_its_neighbour() {
        let text = refused(&["kan", "create", "--bundel", "x", "y"]);
        assert!(
            text == "unknown option --bundel: did you mean --bundle?",
            "{text}"
        );
        assert_eq!(
            refused(&["kan", "state", "--frobnicate", "y"]),
            "unknown option --frobnicate (kan state --help lists all)"
        );
    }

    #[test]
    fn a_mistyped_global_option_is_to_blame_rather_than_its_value() {
        let line = ["kan", "--rot", "/x", "list"].map(OsString::from);
        let (words, _) = Words::read(line.into_iter());
        assert_eq!(words.odd.as_deref(), Some("--rot"));
        assert_eq!(
            unknown_global_option("--rot"),
            "unknown option --rot: did you mean --root?"
        );
        let line = ["kan", "--root", "--odd", "list"].map(OsString::from);
        assert_eq!(Words::read(line.into_iter()).0.odd, None);
    }

    #[test]
    fn a_mistyped_command_is_named_with_its_neighbour() {
        assert_eq!(
            unknown_command("sttae"),
            "No help topic for 'sttae' (did you mean 'state'?)"
        );
        assert_eq!(
            unknown_command("frobnicate"),
            "No help topic for 'frobnicate'"
        );
    }

    #[test]
    fn a_distance_counts_letters() {
        for (from, to, letters) in [
            ("", "ab", 2),
            ("state", "state", 0),
            ("ab", "ba", 1),
            ("kil", "kill", 1),
        ] {
            assert_eq!(distance(from, to), letters, "{from} {to}");
        }
    }
}
