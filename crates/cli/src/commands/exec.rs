//! `exec`: another process in a container.

use super::timed::{record, seal, timeline, warn};
use crate::ExitCode;
use crate::args::shapes::{
    self, absolute, all_of, flag, given_path, has, id, id_arg, many, path, text,
};
use crate::verb::{Call, Count, Failure, Outcome, Verb, failure};
use clap::{Arg, ArgMatches, Command, value_parser};
use kan_lifecycle::{Below, ExecOptions};
use kan_spec::config::{NO_ID, NO_ID_WHY};
use std::ffi::OsString;
use std::path::Path;

pub(super) const VERB: Verb = Verb {
    name: "exec",
    about: "execute a process in a container",
    examples: &[
        "kan exec web ps -ef",
        "kan exec --tty --user 1000:1000 --cwd /srv web sh",
    ],
    count: Count::AtLeast(1),
    args,
    run,
};

fn args(command: Command) -> Command {
    command.args([
        path(
            "process",
            "FILE",
            "read the process from a JSON file instead of the flags below",
        )
        .short('p'),
        text("cwd", "DIR", "working directory of the process")
            .value_parser(value_parser!(OsString)),
        many(
            "env",
            "NAME=VALUE",
            "add a variable to the container's environment",
        )
        .short('e')
        .value_parser(value_parser!(OsString)),
        flag("tty", "allocate a PTY").short('t'),
        text("user", "UID[:GID]", "user and group of the process")
            .short('u')
            .value_parser(user),
        many(
            "additional-gids",
            "GID",
            "supplementary groups of the process",
        )
        .short('g')
        .value_parser(user_or_group),
        many("cap", "CAPABILITY", "add a capability").short('c'),
        text("process-label", "LABEL", "SELinux label of the process"),
        text("apparmor", "PROFILE", "AppArmor profile of the process"),
        flag("no-new-privs", "set no_new_privs"),
        flag("detach", "return once the process runs").short('d'),
        flag("ignore-paused", "allow exec in a paused container"),
        path("pid-file", "FILE", "write the pid of the process to a file"),
        path(
            "console-socket",
            "SOCKET",
            "send the PTY master over this socket",
        ),
        path(
            "pidfd-socket",
            "SOCKET",
            "send a pidfd of the process over this socket",
        ),
        many(
            "cgroup",
            "[CONTROLLER:]PATH",
            "run the process in a cgroup below the container's",
        ),
        shapes::preserve_fds(),
        id_arg(),
        Arg::new("args")
            .value_name("COMMAND")
            .num_args(0..)
            .trailing_var_arg(true)
            .value_parser(value_parser!(OsString))
            .allow_hyphen_values(true)
            .help("the program and its arguments"),
    ])
}

/// Numbers only: what is not wholly a number must not become root (CVE-2016-3697,
/// CVE-2026-30892), and neither must [`NO_ID`].
fn user_or_group(text: &str) -> Result<u32, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    match number {
        Some(NO_ID) => Err(format!("{text}{NO_ID_WHY}")),
        Some(number) => Ok(number),
        None => Err(format!("{text:?} is not a user or group number")),
    }
}

fn user(text: &str) -> Result<(u32, Option<u32>), String> {
    match text.split_once(':') {
        Some((uid, gid)) => Ok((user_or_group(uid)?, Some(user_or_group(gid)?))),
        None => Ok((user_or_group(text)?, None)),
    }
}

fn document(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        let why = kan_lifecycle::io_error_text(&error);
        failure(format!("--process: {}: {why}", path.display()))
    })
}

fn cgroup(matches: &ArgMatches) -> Result<Option<Below>, Failure> {
    let values = all_of(matches, "cgroup");
    let below = (!values.is_empty()).then(|| Below::parse(&values));
    Ok(below.transpose()?)
}

fn options(matches: &ArgMatches) -> Result<ExecOptions, Failure> {
    let file = given_path(matches, "process");
    let document = file.as_deref().map(document).transpose()?;
    let args = all_of::<OsString>(matches, "args");
    if document.is_none() && args.is_empty() {
        return Err(failure("process args cannot be empty"));
    }
    Ok(ExecOptions {
        id: id(matches).to_owned(),
        document,
        args,
        env: all_of(matches, "env"),
        cwd: matches.get_one::<OsString>("cwd").cloned(),
        user: matches.get_one("user").copied(),
        additional_gids: all_of(matches, "additional-gids"),
        capabilities: all_of(matches, "cap"),
        cgroup: cgroup(matches)?,
        terminal: has(matches, "tty"),
        process_label: matches.get_one("process-label").cloned(),
        apparmor: matches.get_one("apparmor").cloned(),
        no_new_privileges: has(matches, "no-new-privs"),
        detach: has(matches, "detach"),
        ignore_paused: has(matches, "ignore-paused"),
        pid_file: absolute(matches, "pid-file")?,
        console_socket: absolute(matches, "console-socket")?,
        pidfd_socket: absolute(matches, "pidfd-socket")?,
        preserve_fds: matches.get_one("preserve-fds").copied().unwrap_or(0),
    })
}

/// kan's own failures have a code that a process rarely has, as with runc.
fn run(call: &Call<'_>) -> Outcome {
    let own = |failure: Failure| Failure {
        code: u8::MAX,
        ..failure
    };
    seal(call).map_err(own)?;
    let options = options(call.matches).map_err(own)?;
    let mut timeline = timeline(call);
    let warn = |timeline: &_| warn(call, timeline);
    let ran = kan_lifecycle::exec(&call.store, &options, &mut timeline, warn);
    let recorded = record(call, &timeline);
    let code = ran.map_err(|error| own(error.into()))?;
    recorded.map(|()| ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

#[cfg(test)]
mod tests {
    use super::user;

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
}
