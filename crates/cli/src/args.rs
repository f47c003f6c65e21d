//! The command line.

use crate::log::Format;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use std::ffi::OsString;
use std::path::PathBuf;

const TEMPLATE: &str = "NAME:\n   {name} - {about}\n\nUSAGE:\n   {usage}\n\n{all-args}\n";

/// The version lines: engines read the first and the third.
fn version() -> String {
    let commit = option_env!("KAN_COMMIT").unwrap_or("unknown");
    let spec = kan_spec::version::NEWEST;
    format!(
        "version {}\ncommit: {commit}\nspec: {spec}",
        env!("CARGO_PKG_VERSION")
    )
}

/// The whole command line.
pub(crate) fn command() -> Command {
    Command::new("kan")
        .about("an OCI container runtime for Linux")
        .version(version())
        .disable_version_flag(true)
        .help_template("NAME:\n   {name} - {about}\n\nUSAGE:\n   {usage}\n\nCOMMANDS:\n{subcommands}\n\nOPTIONS:\n{options}\n")
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .args(globals())
        .subcommands([
            create(),
            start(),
            run(),
            state(),
            kill(),
            delete(),
            exec(),
            pause(),
            resume(),
            spec(),
            plan(),
        ])
}

fn globals() -> [Arg; 7] {
    [
        path(
            "root",
            "DIR",
            "where containers are remembered [/run/kan, or $XDG_RUNTIME_DIR/kan]",
        )
        .global(true),
        path("log", "FILE", "append errors and warnings to a file").global(true),
        Arg::new("log-format")
            .long("log-format")
            .value_name("FORMAT")
            .value_parser(|text: &str| match text {
                "text" => Ok(Format::Text),
                "json" => Ok(Format::Json),
                other => Err(format!("invalid log-format: {other}")),
            })
            .help("text or json")
            .global(true),
        flag("debug", "say more, in the log").global(true),
        path(
            "trace",
            "FILE",
            "write a Chrome trace of every step (opens in Perfetto)",
        )
        .global(true),
        flag("systemd-cgroup", "let systemd make cgroups")
            .hide(true)
            .global(true),
        Arg::new("version")
            .long("version")
            .short('v')
            .action(ArgAction::Version)
            .help("print the version"),
    ]
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .action(ArgAction::SetTrue)
        .help(help)
}

fn path(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value)
        .value_parser(value_parser!(PathBuf))
        .help(help)
}

fn id() -> Arg {
    Arg::new("id")
        .value_name("ID")
        .required(true)
        .help("the container's id")
}

fn bundle() -> Arg {
    path("bundle", "DIR", "the bundle: a folder with config.json")
        .short('b')
        .default_value(".")
}

fn subcommand(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).help_template(TEMPLATE)
}

fn preserve_fds() -> Arg {
    Arg::new("preserve-fds")
        .long("preserve-fds")
        .value_name("N")
        .value_parser(value_parser!(u32))
        .default_value("0")
        .help("hand descriptors 3 to 2+N on to the container")
}

/// What `create` and `run` have in common.
fn making(command: Command) -> Command {
    command.args([
        bundle(),
        path("pid-file", "FILE", "write the container's pid to a file"),
        path(
            "console-socket",
            "SOCKET",
            "send the terminal's master over this socket",
        ),
        preserve_fds(),
        flag(
            "no-pivot",
            "don't use pivot_root, for hosts that run from an initramfs",
        ),
        flag("no-new-keyring", "keep the caller's session keyring"),
        id(),
    ])
}

fn create() -> Command {
    making(subcommand(
        "create",
        "make a container that waits for start",
    ))
}

fn run() -> Command {
    making(subcommand("run", "make and start a container")).args([
        flag("detach", "return once the container runs").short('d'),
        flag("keep", "don't delete the container when it ends"),
        flag("no-subreaper", "don't adopt the container's orphans"),
    ])
}

fn start() -> Command {
    subcommand("start", "start a container that was made by create").arg(id())
}

fn state() -> Command {
    subcommand("state", "print a container's state as JSON").arg(id())
}

fn kill() -> Command {
    subcommand("kill", "send a signal to a container").args([
        id(),
        Arg::new("signal")
            .value_name("SIGNAL")
            .default_value("TERM")
            .help("a name or a number"),
        flag("all", "to all of its processes").short('a'),
    ])
}

fn delete() -> Command {
    subcommand("delete", "delete a container that has stopped").args([
        flag("force", "end it first if it runs").short('f'),
        id().num_args(1..),
    ])
}

fn pause() -> Command {
    subcommand("pause", "freeze a container's processes").arg(id())
}

fn resume() -> Command {
    subcommand("resume", "let a paused container's processes go on").arg(id())
}

fn many(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value)
        .action(ArgAction::Append)
        .help(help)
}

fn exec() -> Command {
    subcommand("exec", "execute a process in a container").args([
        path(
            "process",
            "FILE",
            "the process as JSON, instead of the flags below",
        )
        .short('p'),
        Arg::new("cwd")
            .long("cwd")
            .value_name("DIR")
            .help("its working directory"),
        many("env", "NAME=VALUE", "added to the container's environment").short('e'),
        flag("tty", "give it a terminal").short('t'),
        Arg::new("user")
            .long("user")
            .short('u')
            .value_name("UID[:GID]")
            .value_parser(user)
            .help("its user and group"),
        many("additional-gids", "GID", "its supplementary groups")
            .short('g')
            .value_parser(value_parser!(u32)),
        many("cap", "CAPABILITY", "added to its capabilities").short('c'),
        flag("no-new-privs", "let it gain no privileges by execve"),
        flag("detach", "return once it runs").short('d'),
        flag("ignore-paused", "also in a paused container"),
        path("pid-file", "FILE", "write its pid to a file"),
        path(
            "console-socket",
            "SOCKET",
            "send its terminal's master over this socket",
        ),
        preserve_fds(),
        id(),
        Arg::new("args")
            .value_name("COMMAND")
            .num_args(0..)
            .trailing_var_arg(true)
            .allow_hyphen_values(true)
            .help("the program and its arguments"),
    ])
}

/// Numbers only: what is not wholly a number must not become root (CVE-2016-3697,
/// CVE-2026-30892).
fn user(text: &str) -> Result<(u32, Option<u32>), String> {
    let number = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let number = part
            .parse::<u32>()
            .ok()
            .filter(|number| digits && *number != u32::MAX);
        number.ok_or_else(|| format!("{part:?} is not a user or group number"))
    };
    match text.split_once(':') {
        Some((uid, gid)) => Ok((number(uid)?, Some(number(gid)?))),
        None => Ok((number(text)?, None)),
    }
}

fn spec() -> Command {
    subcommand("spec", "write a config.json to start from")
        .args([bundle(), flag("rootless", "for a user who is not root")])
}

fn plan() -> Command {
    subcommand(
        "plan",
        "print what create would do, and which field asks for it",
    )
    .args([
        bundle(),
        flag("json", "as JSON"),
        Arg::new("id")
            .value_name("ID")
            .default_value("example")
            .help("the container's id"),
    ])
}

/// The flags of every command.
#[derive(Clone, Debug)]
pub(crate) struct Globals {
    pub(crate) root: PathBuf,
    pub(crate) log: Option<PathBuf>,
    pub(crate) log_format: Format,
    pub(crate) debug: bool,
    pub(crate) trace: Option<PathBuf>,
    pub(crate) systemd_cgroup: bool,
}

impl Globals {
    pub(crate) fn of(matches: &ArgMatches) -> Self {
        let path = |name: &str| matches.get_one::<PathBuf>(name).cloned();
        Self {
            root: path("root").unwrap_or_else(kan_lifecycle::default_root),
            log: path("log"),
            log_format: matches
                .get_one::<Format>("log-format")
                .copied()
                .unwrap_or_default(),
            debug: matches.get_flag("debug"),
            trace: path("trace"),
            systemd_cgroup: matches.get_flag("systemd-cgroup"),
        }
    }
}

/// Go programs take long options with one dash as well, and containerd sends one so:
/// `-no-subreaper`.
pub(crate) fn normalise(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    words
        .map(|word| match word.to_str() {
            Some(text) if is_one_dash_long(text) => OsString::from(format!("-{text}")),
            _ => word,
        })
        .collect()
}

fn is_one_dash_long(text: &str) -> bool {
    const LONG: [&str; 29] = [
        "root",
        "log",
        "log-format",
        "debug",
        "trace",
        "systemd-cgroup",
        "bundle",
        "pid-file",
        "console-socket",
        "preserve-fds",
        "no-pivot",
        "no-new-keyring",
        "detach",
        "keep",
        "no-subreaper",
        "process",
        "cwd",
        "env",
        "tty",
        "user",
        "cap",
        "additional-gids",
        "no-new-privs",
        "ignore-paused",
        "all",
        "force",
        "rootless",
        "version",
        "help",
    ];
    let name = text.strip_prefix('-').unwrap_or_default();
    LONG.contains(&name.split('=').next().unwrap_or_default())
}

/// `--log` and `--log-format` out of a command line that could not be read.
pub(crate) fn log_flags(words: &[OsString]) -> (Option<PathBuf>, Format) {
    let value = |name: &str| {
        let with_equals = format!("{name}=");
        words.iter().enumerate().find_map(|(index, word)| {
            if word == name {
                return words.get(index + 1).cloned();
            }
            word.to_str()?
                .strip_prefix(&with_equals)
                .map(OsString::from)
        })
    };
    let json = value("--log-format").is_some_and(|format| format == "json");
    (
        value("--log").map(PathBuf::from),
        if json { Format::Json } else { Format::Text },
    )
}

/// clap's message in one line: what is wrong, and its tip.
pub(crate) fn one_line(error: &clap::Error) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn one_dash_is_enough_for_a_long_option() {
        let words = ["kan", "-no-subreaper", "-log=x", "-b", "--keep"].map(OsString::from);
        let expected = ["kan", "--no-subreaper", "--log=x", "-b", "--keep"].map(OsString::from);
        assert_eq!(normalise(words.into_iter()), expected);
    }

    #[test]
    fn a_user_is_a_number_or_an_error() {
        assert_eq!(user("1"), Ok((1, None)));
        assert_eq!(user("1:2"), Ok((1, Some(2))));
        assert_eq!(user("65534"), Ok((65534, None)));
        for text in [
            "",
            "-1",
            "1x",
            "+1",
            "1:",
            ":1",
            "99999999999",
            "4294967295",
            "root",
            " 1",
        ] {
            assert!(user(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_log_is_found_in_a_broken_command_line() {
        let words = ["kan", "--log", "/x", "--log-format=json", "--bogus"].map(OsString::from);
        assert_eq!(log_flags(&words), (Some(PathBuf::from("/x")), Format::Json));
    }
}
