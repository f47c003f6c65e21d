//! The kinds of arguments that many commands have.

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use std::path::PathBuf;

/// A flag that is there or is not.
pub(crate) fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .action(ArgAction::SetTrue)
        .help(help)
}

/// An option with a path.
pub(crate) fn path(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    text(name, value, help).value_parser(value_parser!(PathBuf))
}

/// An option with a value.
pub(crate) fn text(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

/// An option that may be given more than once.
pub(crate) fn many(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    text(name, value, help).action(ArgAction::Append)
}

/// The container's id.
pub(crate) fn id_arg() -> Arg {
    Arg::new("id")
        .value_name("ID")
        .required(true)
        .help("the container's id")
}

/// `--bundle`
pub(crate) fn bundle_arg() -> Arg {
    path(
        "bundle",
        "DIR",
        "the bundle directory, which contains config.json",
    )
    .short('b')
    .default_value(".")
}

/// `--config`
pub(crate) fn config_arg() -> Arg {
    path(
        "config",
        "FILE",
        "a config to use instead of the bundle's config.json",
    )
    .short('f')
}

/// `--preserve-fds`
pub(crate) fn preserve_fds() -> Arg {
    text(
        "preserve-fds",
        "N",
        "pass N more descriptors to the container, besides stdio and $LISTEN_FDS",
    )
    .value_parser(value_parser!(u32))
    .default_value("0")
}

/// What [`id_arg`] holds.
pub(crate) fn id(matches: &ArgMatches) -> &str {
    matches.get_one::<String>("id").map_or("", String::as_str)
}

/// What [`bundle_arg`] holds.
pub(crate) fn bundle(matches: &ArgMatches) -> PathBuf {
    given_path(matches, "bundle").unwrap_or_else(|| PathBuf::from("."))
}

/// What [`path`] holds.
pub(crate) fn given_path(matches: &ArgMatches, name: &str) -> Option<PathBuf> {
    matches.get_one::<PathBuf>(name).cloned()
}

/// Relative paths are the caller's, also where kan changes its directory.
pub(crate) fn absolute(matches: &ArgMatches, name: &str) -> std::io::Result<Option<PathBuf>> {
    let given = given_path(matches, name);
    given.map(std::path::absolute).transpose()
}

/// All the values of an option that may be given more than once.
pub(crate) fn all_of<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> Vec<T> {
    let values = matches.get_many::<T>(name).into_iter().flatten();
    values.cloned().collect()
}

/// Whether a flag was given; one that the command does not have was not.
pub(crate) fn has(matches: &ArgMatches, name: &str) -> bool {
    let found = matches.try_get_one::<bool>(name).ok().flatten();
    found.copied().unwrap_or(false)
}
