//! The command line of kan as clap knows it: the options of all commands, and those of each.

use crate::args::globals;
use crate::commands;
use crate::verb::Verb;
use clap::Command;
use std::ffi::OsString;

const TEMPLATE: &str =
    "NAME:\n   {name} - {about}\n\nUSAGE:\n   {usage}\n\n{all-args}{after-help}\n";

const ROOT_TEMPLATE: &str = "NAME:\n   {name} - {about}\n\nUSAGE:\n   {usage}\n\n\
    COMMANDS:\n{subcommands}\n\nOPTIONS:\n{options}\n";

/// The version lines: engines read the first and the third.
fn version() -> String {
    let commit = option_env!("KAN_COMMIT").unwrap_or("unknown");
    let spec = kan_spec::version::NEWEST;
    format!(
        "version {}\ncommit: {commit}\nspec: {spec}",
        env!("CARGO_PKG_VERSION")
    )
}

/// kan without its commands.
pub(super) fn root() -> Command {
    Command::new("kan")
        .about("an OCI container runtime for Linux")
        .version(version())
        .disable_version_flag(true)
        .disable_help_flag(true)
        .help_template(ROOT_TEMPLATE)
        .disable_help_subcommand(true)
        // A flag given twice is real: podman's `checkpoint --leave-running --leave-running`.
        .args_override_self(true)
        .args(globals::all())
}

/// A command with all that it takes.
pub(crate) fn with_args(verb: &Verb) -> Command {
    let command = without_args(verb).after_help(examples(verb));
    (verb.args)(command.help_template(TEMPLATE).args_override_self(true))
}

/// kan with one command, whose help does not repeat what all commands take.
pub(crate) fn with_verb(kan: Command, verb: Command) -> Command {
    let kan = kan.mut_args(|arg| {
        let is_common = arg.get_help_heading() == Some(globals::HEADING);
        arg.hide(is_common)
    });
    kan.subcommand(verb)
}

/// The examples of a command, line by line.
#[must_use]
pub fn examples_of(name: &str) -> &'static [&'static str] {
    match commands::find(name) {
        Some(verb) => verb.examples,
        None if name == "kan" => &["kan run --bundle bundles/hello hello"],
        None => &[],
    }
}

/// The end of a command's help.
fn examples(verb: &Verb) -> String {
    let lines = verb.examples.iter().map(|line| format!("   {line}\n"));
    let lines: String = lines.collect();
    format!("EXAMPLES:\n{lines}\nOptions that all commands take: kan --help")
}

pub(super) fn without_args(verb: &Verb) -> Command {
    Command::new(verb.name)
        .about(verb.about)
        .disable_help_flag(true)
}

/// The whole command line, for completions, manual pages and tests.
#[must_use]
pub fn command() -> Command {
    root().subcommands(commands::ALL.iter().map(with_args))
}

/// What `--version` prints, if nothing else is asked for: engines do so often.
pub(crate) fn version_alone(words: &[OsString]) -> Option<String> {
    let [_, word] = words else { return None };
    (word == "--version" || word == "-v").then(|| format!("kan {}\n", version()))
}

/// The help of a command, or of kan.
pub(crate) fn help(verb: Option<&Verb>) -> String {
    match verb {
        Some(verb) => {
            let mut kan = with_verb(root(), with_args(verb));
            kan.build();
            let found = kan.find_subcommand_mut(verb.name);
            found.map_or_else(String::new, |command| command.render_help().to_string())
        }
        None => {
            let mut kan = root().subcommands(commands::ALL.iter().map(without_args));
            kan.render_help().to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}
