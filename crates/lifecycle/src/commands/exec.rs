//! `exec`: another process in a container.

use crate::error::during;
use crate::host::Host;
use crate::host::descriptors;
use crate::host::facts;
use crate::host::terminal::foreground::{Foreground, size_terminal};
use crate::os::waiting;
use crate::state::container::Container;
use crate::{Error, Result, Store, Timeline};
use kan_cgroup::Below;
use kan_plan::{Attachment, Plan, Request, plan_exec};
use kan_spec::bytes;
use kan_spec::config::{Capabilities, Config, Process};
use kan_spec::state::Status;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What the command line says of a process to execute.
#[derive(Clone, Debug, Default)]
pub struct ExecOptions {
    /// The container.
    pub id: String,
    /// `--process`: the text of a process document, instead of the flags below.
    pub document: Option<Vec<u8>>,
    /// The program and its arguments.
    pub args: Vec<OsString>,
    /// `--env`, added to the container's.
    pub env: Vec<OsString>,
    /// `--cwd`
    pub cwd: Option<OsString>,
    /// `--user`: uid, and gid if given.
    pub user: Option<(u32, Option<u32>)>,
    /// `--additional-gids`
    pub additional_gids: Vec<u32>,
    /// `--cap`: added to the bounding, effective and permitted sets.
    pub capabilities: Vec<String>,
    /// `--cgroup`
    pub cgroup: Option<Below>,
    /// `--tty`
    pub terminal: bool,
    /// `--process-label`: an SELinux context.
    pub process_label: Option<String>,
    /// `--apparmor`: a profile.
    pub apparmor: Option<String>,
    /// `--no-new-privs`
    pub no_new_privileges: bool,
    /// `--detach`
    pub detach: bool,
    /// `--ignore-paused`
    pub ignore_paused: bool,
    /// `--pid-file`
    pub pid_file: Option<PathBuf>,
    /// `--console-socket`
    pub console_socket: Option<PathBuf>,
    /// `--pidfd-socket`
    pub pidfd_socket: Option<PathBuf>,
    /// `--preserve-fds`
    pub preserve_fds: u32,
}

/// Executes a process in a container, and unless it is detached stays until it ends: its exit
/// code, 128 + n for signal n. `started` is called once its program runs.
///
/// # Errors
/// [`Error::Unknown`]; [`Error::Status`] for a container that is stopped or paused; whatever
/// stands in the way of the process, by field.
pub fn exec(
    store: &Store,
    options: &ExecOptions,
    timeline: &mut Timeline,
    started: impl FnOnce(&Timeline),
) -> Result<i32> {
    let container = store.find(&options.id)?;
    check_status(&container, options)?;
    let warning = descriptors::check(0, options.preserve_fds)?;
    timeline.warnings.extend(warning);
    let mut record = container
        .record
        .clone()
        .ok_or_else(|| Error::Unknown(options.id.clone()))?;
    let mut config = timeline.phase("read the config", || config_with(&container, options))?;
    if !options.detach {
        size_terminal(&mut config);
    }
    if let Some(below) = &options.cgroup {
        record.cgroups = record.cgroups.below(below)?;
    }
    let facts = facts::of_container(&record, &config)?;
    let request = request(options, record.own_keyring);
    let mut plan: Plan = plan_exec(&config, &facts, &request).map_err(Error::Plan)?;
    timeline.warnings.append(&mut plan.warnings);
    waiting::take_over()?;
    let foreground = if options.detach {
        None
    } else {
        Some(Foreground::prepare(false)?)
    };
    let mut host = Host::new(&plan, store, record, &[], timeline.is_wanted())?;
    host.may_be_frozen = options.ignore_paused;
    host.is_below = options.cgroup.is_some();
    let made = host.perform_all(timeline);
    let made = made.and_then(|()| timeline.phase("wait for exec", || host.wait_for_exec()));
    host.add_init_to(timeline);
    timeline.warnings.append(&mut host.warnings);
    if let (Err(_), Some(path)) = (&made, &options.pid_file) {
        let _ = std::fs::remove_file(path);
    }
    made?;
    started(timeline);
    let console = host.console.take();
    let Some((foreground, child)) = foreground.zip(host.finish()) else {
        return Ok(0);
    };
    let ended = foreground.stay(&child, console, None);
    Ok(ended.map_err(during("wait for the process"))?.code())
}

fn check_status(container: &Container, options: &ExecOptions) -> Result<()> {
    match container.status_for_entering()? {
        (Status::Stopped | Status::Creating, _) => {
            Err(Error::Status("cannot exec in a stopped container".into()))
        }
        (Status::Paused, _) if !options.ignore_paused => Err(Error::Status(
            "cannot exec in a paused container (use --ignore-paused to override)".into(),
        )),
        (_, true) => Err(Error::Status(
            "cannot exec in a container whose program is not executed yet".into(),
        )),
        _ => Ok(()),
    }
}

/// The container's own config, with the new process as its process.
fn config_with(container: &Container, options: &ExecOptions) -> Result<Config> {
    let mut config = container.config()?;
    let own = config.process.take().unwrap_or_default();
    let mut process = match &options.document {
        Some(text) => from_document(text, encoded(own))?,
        None => from_flags(encoded(own), options)?,
    };
    if options.document.is_some() {
        process = encoded(process);
    }
    config.process = Some(process);
    Ok(config)
}

/// What the planner of `exec` decodes: flags may hold bytes that are no text, documents not.
fn encoded(mut process: Process) -> Process {
    let encode = |text: &mut String| *text = bytes::encode(text.as_bytes());
    process.args.iter_mut().for_each(encode);
    process.env.iter_mut().for_each(encode);
    encode(&mut process.cwd);
    process
}

/// A document says everything but what it leaves out altogether, which is the container's.
fn from_document(text: &[u8], own: Process) -> Result<Process> {
    let mut process = kan_spec::process::parse(text)?.value;
    process.capabilities = process.capabilities.or(own.capabilities);
    process.oom_score_adj = process.oom_score_adj.or(own.oom_score_adj);
    process.apparmor_profile = process.apparmor_profile.or(own.apparmor_profile);
    process.selinux_label = process.selinux_label.or(own.selinux_label);
    process.scheduler = process.scheduler.or(own.scheduler);
    process.io_priority = process.io_priority.or(own.io_priority);
    process.exec_cpu_affinity = process.exec_cpu_affinity.or(own.exec_cpu_affinity);
    if process.rlimits.is_empty() {
        process.rlimits = own.rlimits;
    }
    Ok(process)
}

fn from_flags(own: Process, options: &ExecOptions) -> Result<Process> {
    let mut process = own;
    process.terminal = options.terminal;
    process.console_size = None;
    let encode = |text: &OsString| bytes::encode(text.as_bytes());
    process.args = options.args.iter().map(encode).collect();
    for entry in &options.env {
        let entry = encode(entry);
        kan_spec::check_environment(&entry).map_err(|why| Error::Step(format!("--env: {why}")))?;
        process.env.push(entry);
    }
    process.no_new_privileges |= options.no_new_privileges;
    if let Some(label) = &options.process_label {
        process.selinux_label = Some(label.clone());
    }
    if let Some(profile) = &options.apparmor {
        process.apparmor_profile = Some(profile.clone());
    }
    if process.cwd.is_empty() {
        process.cwd = "/".into();
    }
    if let Some(cwd) = &options.cwd {
        if !cwd.as_bytes().starts_with(b"/") {
            return Err(Error::Step("--cwd: Cwd must be an absolute path".into()));
        }
        process.cwd = encode(cwd);
    }
    if let Some((uid, gid)) = options.user {
        process.user.uid = uid;
        process.user.gid = gid.unwrap_or(process.user.gid);
    }
    process
        .user
        .additional_gids
        .extend(&options.additional_gids);
    add_capabilities(&mut process, &options.capabilities);
    Ok(process)
}

/// Never inheritable, and ambient only where the config lets capabilities be inherited:
/// CVE-2022-29162.
fn add_capabilities(process: &mut Process, names: &[String]) {
    if names.is_empty() {
        return;
    }
    let sets = process
        .capabilities
        .get_or_insert_with(Capabilities::default);
    for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
        set.extend(names.iter().cloned());
    }
    if !sets.inheritable.is_empty() {
        sets.ambient.extend(names.iter().cloned());
    }
}

fn request(options: &ExecOptions, own_keyring: bool) -> Request {
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    Request {
        id: options.id.clone(),
        bundle: String::new(),
        wait_for_start: false,
        attachment: if options.detach {
            Attachment::Detached
        } else {
            Attachment::Foreground
        },
        pid_file: options.pid_file.as_ref().map(text),
        console_socket: options.console_socket.as_ref().map(text),
        pidfd_socket: options.pidfd_socket.as_ref().map(text),
        notify: false,
        preserve_fds: options.preserve_fds,
        no_pivot: false,
        new_keyring: own_keyring,
    }
}
