//! Each command: its flags to a call, its result to output and an exit code.

use crate::args::Globals;
use crate::log::Log;
use crate::{output, trace};
use clap::ArgMatches;
use kan_lifecycle::{CreateOptions, ExecOptions, Store, Timeline};
use kan_op::Side;
use std::path::PathBuf;
use std::process::ExitCode;

/// Why a command failed, and kan's exit code for it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) code: u8,
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            message: error.to_string(),
            code: 1,
        }
    }
}

type Outcome = Result<ExitCode, Failure>;

fn failure(message: impl Into<String>) -> Failure {
    Failure {
        message: message.into(),
        code: 1,
    }
}

/// Runs the command that the user named.
pub(crate) fn dispatch(matches: &ArgMatches, globals: &Globals, log: &Log) -> Outcome {
    let store = Store::new(&globals.root);
    let makes_cgroup = matches!(matches.subcommand_name(), Some("create" | "run"));
    if globals.systemd_cgroup && makes_cgroup {
        return Err(failure(
            "--systemd-cgroup: is not supported by this version of kan",
        ));
    }
    match matches.subcommand() {
        Some(("create", m)) => create(&store, m, globals, log),
        Some(("run", m)) => run(&store, m, globals, log),
        Some(("start", m)) => start(&store, m, globals, log),
        Some(("state", m)) => state(&store, m),
        Some(("kill", m)) => kill(&store, m),
        Some(("delete", m)) => delete(&store, m, log),
        Some(("exec", m)) => exec(&store, m, globals, log),
        Some(("pause", m)) => done(kan_lifecycle::pause(&store, id(m))),
        Some(("resume", m)) => done(kan_lifecycle::resume(&store, id(m))),
        Some(("spec", m)) => spec(m),
        Some(("plan", m)) => plan(m),
        _ => Err(failure("no command given")),
    }
}

fn id(matches: &ArgMatches) -> &str {
    matches.get_one::<String>("id").map_or("", String::as_str)
}

fn path(matches: &ArgMatches, name: &str) -> Option<PathBuf> {
    matches.get_one::<PathBuf>(name).cloned()
}

/// Relative paths are the caller's, also where kan changes its directory.
fn absolute(matches: &ArgMatches, name: &str) -> Result<Option<PathBuf>, Failure> {
    let given = path(matches, name);
    Ok(given.map(std::path::absolute).transpose()?)
}

fn bundle(matches: &ArgMatches) -> PathBuf {
    path(matches, "bundle").unwrap_or_else(|| PathBuf::from("."))
}

fn create_options(matches: &ArgMatches) -> Result<CreateOptions, Failure> {
    let flag = |name: &str| {
        matches
            .try_get_one::<bool>(name)
            .ok()
            .flatten()
            .copied()
            .unwrap_or(false)
    };
    Ok(CreateOptions {
        id: id(matches).to_owned(),
        bundle: bundle(matches),
        pid_file: absolute(matches, "pid-file")?,
        console_socket: absolute(matches, "console-socket")?,
        preserve_fds: matches.get_one::<u32>("preserve-fds").copied().unwrap_or(0),
        no_pivot: flag("no-pivot"),
        no_new_keyring: flag("no-new-keyring"),
        detach: flag("detach"),
        keep: flag("keep"),
        no_subreaper: flag("no-subreaper"),
    })
}

/// Before kan may enter any namespace of a container.
fn seal() -> Result<(), Failure> {
    if cfg!(feature = "unsealed") {
        return Ok(());
    }
    Ok(kan_lifecycle::seal::ensure()?)
}

/// Writes down when what happened, whether it went well or not.
fn record(globals: &Globals, log: &Log, timeline: &Timeline) -> Result<(), Failure> {
    for span in timeline.spans().iter().filter(|_| log.wants_debug()) {
        let side = if span.side == Side::Host {
            "host"
        } else {
            "init"
        };
        let micros = span.end.saturating_sub(span.start) / 1000;
        let field = if span.field.is_empty() {
            String::new()
        } else {
            format!(" [{}]", span.field)
        };
        log.debug(&format!("{side}: {}{field} ({micros} µs)", span.text));
    }
    let Some(path) = &globals.trace else {
        return Ok(());
    };
    trace::write(path, timeline)
        .map_err(|error| failure(format!("--trace: {}: {error}", path.display())))
}

/// Only after success: a failure is one record and no more, for those who parse the whole log.
fn warn(log: &Log, timeline: &Timeline) {
    for warning in &timeline.warnings {
        log.warning(warning);
    }
    for note in &timeline.notes {
        log.debug(note);
    }
    for key in &timeline.ignored {
        log.debug(&format!("config.json: {key}: unknown key, ignored"));
    }
}

fn timeline(globals: &Globals) -> Timeline {
    Timeline::new(globals.debug || globals.trace.is_some())
}

fn create(store: &Store, matches: &ArgMatches, globals: &Globals, log: &Log) -> Outcome {
    seal()?;
    let options = create_options(matches)?;
    let mut timeline = timeline(globals);
    let made = kan_lifecycle::create(store, &options, &mut timeline);
    let recorded = record(globals, log, &timeline);
    made?;
    warn(log, &timeline);
    recorded.map(|()| ExitCode::SUCCESS)
}

fn run(store: &Store, matches: &ArgMatches, globals: &Globals, log: &Log) -> Outcome {
    seal()?;
    let options = create_options(matches)?;
    let mut timeline = timeline(globals);
    let ran = kan_lifecycle::run(store, &options, &mut timeline);
    let recorded = record(globals, log, &timeline);
    let code = u8::try_from(ran?).unwrap_or(u8::MAX);
    warn(log, &timeline);
    recorded.map(|()| ExitCode::from(code))
}

fn done(result: kan_lifecycle::Result<()>) -> Outcome {
    Ok(result.map(|()| ExitCode::SUCCESS)?)
}

fn exec_options(matches: &ArgMatches) -> Result<ExecOptions, Failure> {
    let all = |name: &str| {
        matches
            .get_many::<String>(name)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    };
    let document = path(matches, "process").map(|path| {
        std::fs::read(&path).map_err(|error| {
            let why = kan_lifecycle::io_error_text(&error);
            failure(format!("--process: {}: {why}", path.display()))
        })
    });
    let args: Vec<String> = all("args");
    if document.is_none() && args.is_empty() {
        return Err(failure("process args cannot be empty"));
    }
    Ok(ExecOptions {
        id: id(matches).to_owned(),
        document: document.transpose()?,
        args,
        env: all("env"),
        cwd: matches.get_one::<String>("cwd").cloned(),
        user: matches.get_one("user").copied(),
        additional_gids: matches
            .get_many("additional-gids")
            .into_iter()
            .flatten()
            .copied()
            .collect(),
        capabilities: all("cap"),
        terminal: matches.get_flag("tty"),
        no_new_privileges: matches.get_flag("no-new-privs"),
        detach: matches.get_flag("detach"),
        ignore_paused: matches.get_flag("ignore-paused"),
        pid_file: absolute(matches, "pid-file")?,
        console_socket: absolute(matches, "console-socket")?,
        preserve_fds: matches.get_one("preserve-fds").copied().unwrap_or(0),
    })
}

/// kan's own failures have a code that a process rarely has, as with runc.
fn exec(store: &Store, matches: &ArgMatches, globals: &Globals, log: &Log) -> Outcome {
    let own = |failure: Failure| Failure {
        code: u8::MAX,
        ..failure
    };
    seal().map_err(own)?;
    let options = exec_options(matches).map_err(own)?;
    let mut timeline = timeline(globals);
    let ran = kan_lifecycle::exec(store, &options, &mut timeline);
    let recorded = record(globals, log, &timeline);
    let code = ran.map_err(|error| own(error.into()))?;
    warn(log, &timeline);
    recorded.map(|()| ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

fn start(store: &Store, matches: &ArgMatches, globals: &Globals, log: &Log) -> Outcome {
    let mut timeline = timeline(globals);
    let started = kan_lifecycle::start(store, id(matches), &mut timeline);
    let recorded = record(globals, log, &timeline);
    started?;
    recorded.map(|()| ExitCode::SUCCESS)
}

fn state(store: &Store, matches: &ArgMatches) -> Outcome {
    let state = store.find(id(matches))?.state()?;
    output::print(&(state.pretty() + "\n"));
    Ok(ExitCode::SUCCESS)
}

fn kill(store: &Store, matches: &ArgMatches) -> Outcome {
    let name = matches
        .get_one::<String>("signal")
        .map_or("TERM", String::as_str);
    let signal = kan_lifecycle::signal::parse(name)?;
    kan_lifecycle::kill(store, id(matches), signal, matches.get_flag("all"))?;
    Ok(ExitCode::SUCCESS)
}

/// Every container is tried; the first error is the one that is told.
fn delete(store: &Store, matches: &ArgMatches, log: &Log) -> Outcome {
    let ids = matches.get_many::<String>("id").into_iter().flatten();
    let force = matches.get_flag("force");
    let deleted: Vec<_> = ids
        .map(|id| kan_lifecycle::delete(store, id, force))
        .collect();
    for warning in deleted
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .flatten()
    {
        log.warning(&warning.to_string());
    }
    Ok(ExitCode::SUCCESS)
}

fn spec(matches: &ArgMatches) -> Outcome {
    let text = if matches.get_flag("rootless") {
        let (uid, gid) = kan_sys::credentials::effective_ids();
        kan_spec::rootless_config(uid, gid)
    } else {
        kan_spec::default_config()
    };
    let file = bundle(matches).join("config.json");
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).open(&file);
    let written = opened.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(failure("File config.json exists. Remove it first"))
        }
        Err(error) => Err(failure(format!("{}: {error}", file.display()))),
        Ok(()) => Ok(ExitCode::SUCCESS),
    }
}

/// With this host's facts, so that it is what `create` would do here.
fn plan(matches: &ArgMatches) -> Outcome {
    let plan = kan_lifecycle::plan_only(&bundle(matches), id(matches))?;
    let lines = kan_plan::lines(&plan);
    let text = if matches.get_flag("json") {
        plan_json(&lines)
    } else {
        kan_plan::table(&lines)
    };
    output::print(&text);
    Ok(ExitCode::SUCCESS)
}

#[derive(serde::Serialize)]
struct Step<'a> {
    half: &'static str,
    index: usize,
    step: &'a str,
    field: &'a str,
}

fn plan_json(lines: &[kan_plan::Line]) -> String {
    let hosts = lines.iter().filter(|line| line.side == Side::Host).count();
    let steps: Vec<_> = lines
        .iter()
        .enumerate()
        .map(|(index, line)| match line.side {
            Side::Host => ("host", index, line),
            Side::Init => ("init", index - hosts, line),
        })
        .map(|(half, index, line)| Step {
            half,
            index,
            step: &line.text,
            field: &line.field,
        })
        .collect();
    serde_json::to_string_pretty(&steps).unwrap_or_default() + "\n"
}
