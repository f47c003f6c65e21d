//! The words of a command line before clap reads them: which command they name, and long options
//! as Go programs take them.

use crate::args::declare::{root, with_args, with_verb};
use crate::commands;
use crate::log::{Destination, Format};
use crate::verb::Verb;
use clap::{Arg, Command};
use std::ffi::{OsStr, OsString};

/// The words, with two dashes before each long option, and the command that they name.
pub(crate) struct Words {
    pub(crate) all: Vec<OsString>,
    /// The first word that is no option, as far as it is a command.
    pub(crate) verb: Option<&'static Verb>,
    /// The first word that is no option, if it is no command.
    pub(crate) unknown: Option<String>,
    /// The first long option before the command that kan does not have.
    pub(crate) odd: Option<String>,
}

impl Words {
    /// Go's flag package takes `-name` for `--name` and `--name=true` for a flag, and what is
    /// written for it is written so: containerd has `-no-subreaper`.
    ///
    /// With the words comes the command line as far as they need it: to build all of it costs more
    /// than most commands do.
    pub(crate) fn read(words: impl Iterator<Item = OsString>) -> (Self, Command) {
        let mut rest = words;
        let mut all: Vec<OsString> = rest.next().into_iter().collect();
        let mut command = root();
        let name = Reader::new(&[&command], 1).read(&mut rest, &mut all);
        let odd = odd_option(&command, all.get(1..).unwrap_or_default());
        let name = name.map(|name| name.to_string_lossy().into_owned());
        let verb = name.as_deref().and_then(commands::find);
        if let Some(verb) = verb {
            let named = with_args(verb);
            let limit = words_before_a_program(&named);
            Reader::new(&[&named, &command], limit).read(&mut rest, &mut all);
            command = with_verb(command, named);
        }
        all.extend(rest);
        let unknown = name.filter(|_| verb.is_none());
        let words = Self {
            all,
            verb,
            unknown,
            odd,
        };
        (words, command)
    }
}

/// The first of the words that is a long option and none of the command's.
fn odd_option(command: &Command, words: &[OsString]) -> Option<String> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let text = word.to_str()?;
        let Some(option) = text.strip_prefix("--") else {
            continue;
        };
        let name = option.split('=').next().unwrap_or_default();
        let mut all = command.get_arguments();
        let Some(known) = all.find(|arg| arg.get_long() == Some(name)) else {
            return Some(format!("--{name}"));
        };
        if known.get_action().takes_values() && !option.contains('=') {
            words.next();
        }
    }
    None
}

/// The number of the first positional argument that is a program's.
fn words_before_a_program(command: &Command) -> usize {
    let mut positionals = command.get_positionals();
    let program = positionals.position(Arg::is_trailing_var_arg_set);
    program.map_or(usize::MAX, |before| before + 1)
}

/// Reads words as the options and positional arguments of a command.
struct Reader<'c> {
    commands: &'c [&'c Command],
    /// With the positional argument of this number, from 1, words stop being options.
    limit: usize,
}

impl<'c> Reader<'c> {
    const fn new(commands: &'c [&'c Command], limit: usize) -> Self {
        Self { commands, limit }
    }

    /// Moves words from `from` to `to`, up to and with the positional argument that is the limit,
    /// which is returned.
    fn read(
        &self,
        from: &mut impl Iterator<Item = OsString>,
        to: &mut Vec<OsString>,
    ) -> Option<OsString> {
        let mut positionals = 0;
        while let Some(word) = from.next() {
            if word == "--" {
                to.push(word);
                return None;
            }
            if is_option(&word) {
                if self.option(word, to) {
                    to.extend(from.next());
                }
                continue;
            }
            positionals += 1;
            to.push(word.clone());
            if positionals == self.limit {
                return Some(word);
            }
        }
        None
    }

    /// Takes one option; whether the next word is its value.
    fn option(&self, word: OsString, to: &mut Vec<OsString>) -> bool {
        let text = word.to_string_lossy();
        let name = text.trim_start_matches('-');
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (name, None),
        };
        let Some(arg) = self.long(name) else {
            let needs_value = self.cluster_needs_value(&text);
            to.push(word);
            return needs_value;
        };
        let takes_value = arg.get_action().takes_values();
        let needs_value = takes_value && value.is_none();
        match value {
            Some(value) if !takes_value && is_true(value) => to.push(format!("--{name}").into()),
            Some(value) if !takes_value && is_false(value) => {}
            _ if text.starts_with("--") => to.push(word.clone()),
            _ => to.push(with_dash(&word)),
        }
        needs_value
    }

    fn arguments(&self) -> impl Iterator<Item = &Arg> {
        let commands = self.commands.iter();
        commands.flat_map(|command| command.get_arguments())
    }

    fn long(&self, name: &str) -> Option<&Arg> {
        self.arguments().find(|arg| arg.get_long() == Some(name))
    }

    /// Whether the last of some short options, `-td`, waits for its value.
    fn cluster_needs_value(&self, text: &str) -> bool {
        if text.starts_with("--") {
            return false;
        }
        let mut letters = text.chars().skip(1);
        while let Some(letter) = letters.next() {
            let mut arguments = self.arguments();
            let found = arguments.find(|arg| arg.get_short() == Some(letter));
            if found.is_some_and(|arg| arg.get_action().takes_values()) {
                return letters.next().is_none();
            }
        }
        false
    }
}

fn is_option(word: &OsStr) -> bool {
    let bytes = word.as_encoded_bytes();
    bytes.len() > 1 && bytes[0] == b'-'
}

fn with_dash(word: &OsStr) -> OsString {
    let mut dashed = OsString::from("-");
    dashed.push(word);
    dashed
}

fn is_true(value: &str) -> bool {
    matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

fn is_false(value: &str) -> bool {
    matches!(value, "0" | "f" | "F" | "false" | "FALSE" | "False")
}

/// `--log` and `--log-format` out of a command line that could not be read.
pub(crate) fn log_flags(words: &[OsString]) -> (Option<Destination>, Format) {
    let value = |name: &str| {
        let with_equals = format!("{name}=");
        words.iter().enumerate().find_map(|(index, word)| {
            if word == name {
                return words.get(index + 1)?.to_str().map(str::to_owned);
            }
            word.to_str()?.strip_prefix(&with_equals).map(str::to_owned)
        })
    };
    let format = value("--log-format").and_then(|text| Format::parse(&text).ok());
    let log = value("--log").and_then(|text| Destination::parse(&text).ok());
    (log, format.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::globals;
    use super::*;
    use clap::ArgAction;

    fn read(words: &[&str]) -> Vec<String> {
        let (words, _) = Words::read(words.iter().map(OsString::from));
        let text = |word: OsString| word.into_string().unwrap();
        words.all.into_iter().map(text).collect()
    }

    #[test]
    fn one_dash_is_enough_for_every_long_option() {
        for verb in commands::ALL {
            let command = with_args(verb).args(globals::all());
            for arg in command.get_arguments() {
                let Some(long) = arg.get_long() else { continue };
                let mut words = vec!["kan".to_owned(), verb.name.to_owned(), format!("-{long}")];
                if arg.get_action().takes_values() {
                    words.push("-x".to_owned());
                }
                let given: Vec<_> = words.iter().map(String::as_str).collect();
                let mut expected = words.clone();
                expected[2] = format!("--{long}");
                assert_eq!(read(&given), expected);
            }
        }
    }

    #[test]
    fn a_global_option_may_have_one_dash() {
        assert_eq!(
            read(&["kan", "-log=x", "-root", "run", "run", "-b", "-keep"]),
            ["kan", "--log=x", "--root", "run", "run", "-b", "-keep"]
        );
    }

    #[test]
    fn a_flag_may_have_a_value() {
        assert_eq!(
            read(&[
                "kan",
                "--debug=true",
                "run",
                "--keep=false",
                "-detach=1",
                "x"
            ]),
            ["kan", "--debug", "run", "--detach", "x"]
        );
    }

    #[test]
    fn the_words_of_a_program_are_its_own() {
        assert_eq!(
            read(&["kan", "exec", "-tty", "x", "ls", "-tty", "--tty=true"]),
            ["kan", "exec", "--tty", "x", "ls", "-tty", "--tty=true"]
        );
    }

    #[test]
    fn the_command_is_the_first_word_that_is_no_option() {
        let verb = |words: &[&str]| {
            let (words, _) = Words::read(words.iter().map(OsString::from));
            (words.verb.map(|verb| verb.name), words.unknown)
        };
        assert_eq!(
            verb(&["kan", "--log", "state", "kill"]),
            (Some("kill"), None)
        );
        assert_eq!(
            verb(&["kan", "--log=x", "-debug", "kill"]),
            (Some("kill"), None)
        );
        assert_eq!(verb(&["kan", "--help"]), (None, None));
        assert_eq!(verb(&["kan", "stat"]), (None, Some("stat".into())));
    }

    #[test]
    fn the_log_is_found_in_a_broken_command_line() {
        let words = ["kan", "--log", "/x", "--log-format=json", "--bogus"].map(OsString::from);
        let (log, format) = log_flags(&words);
        assert_eq!(log, Some(Destination::File("/x".into())));
        assert_eq!(format, Format::Json);
    }

    #[test]
    fn help_is_there_for_every_command() {
        for verb in commands::ALL {
            let help = super::super::help(Some(verb));
            assert!(help.starts_with("NAME:\n   kan"), "{help}");
            assert!(help.contains(verb.about), "{help}");
        }
        let is_help = |arg: &Arg| matches!(arg.get_action(), ArgAction::Help);
        assert!(globals::all().iter().any(is_help));
    }
}
