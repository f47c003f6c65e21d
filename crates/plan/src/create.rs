//! `create` and `run`: the order of everything.

use crate::annotations;
use crate::builder::Builder;
use crate::linux::cgroups;
use crate::linux::devices;
use crate::linux::masks;
use crate::linux::namespaces;
use crate::linux::net_devices;
use crate::linux::resctrl;
use crate::linux::resources;
use crate::linux::seccomp;
use crate::linux::sysctl;
use crate::linux::user_namespace;
use crate::process::capabilities;
use crate::process::labels;
use crate::process::program;
use crate::process::schedule;
use crate::process::terminal;
use crate::{Facts, Plan, Request, hooks, mounts};
use crate::{process, root};
use kan_op::{HostStep, InitStep, Sync};
use kan_spec::Problem;
use kan_spec::config::{Config, NamespaceType};
use std::ffi::CStr;

/// Plans `create` (or `run`) of a container.
///
/// # Errors
/// Every field that cannot be honoured, all at once.
pub fn plan_create(
    config: &Config,
    facts: &Facts,
    request: &Request,
) -> Result<Plan, Vec<Problem>> {
    match plan_create_unsound(config, facts, request) {
        (plan, problems) if problems.is_empty() => Ok(plan),
        (_, problems) => Err(problems),
    }
}

/// The same with every field that cannot be honoured beside a plan without them, which is for
/// looking at, never for a container.
#[must_use]
pub fn plan_create_unsound(
    config: &Config,
    facts: &Facts,
    request: &Request,
) -> (Plan, Vec<Problem>) {
    let mut builder = Builder::new(config, facts, request);
    builder.clones = namespaces::joins_pids(&builder);
    builder.hidden = namespaces::hides(&builder);
    check_version(&mut builder);
    program::require(&mut builder);
    labels::check(&mut builder);
    user_namespace::check(&mut builder);
    terminal::check(&mut builder);
    host_half(&mut builder);
    init_half(&mut builder);
    let Builder { plan, problems, .. } = builder;
    (plan, problems.finish(()).err().unwrap_or_default())
}

fn check_version(b: &mut Builder<'_>) {
    let version = &b.config.oci_version;
    if !kan_spec::version::is_exact(version) {
        let warning = format!(
            "ociVersion: {version:?} is not a version in the form of SemVer 2.0.0: taken as 1.x"
        );
        b.plan.warnings.push(warning);
    }
}

/// The state is saved before anything that would have to be cleaned up is made, so that
/// `delete --force` finds it whenever kan is killed; and again before init may go on without kan.
/// What need not come before the clone comes after it, while init is at work.
fn host_half(b: &mut Builder<'_>) {
    let id = b.request.id.clone();
    b.host("", HostStep::MakeContainer { id });
    b.host("", HostStep::SaveState);
    if b.request.wait_for_start {
        b.host("", HostStep::MakeFifo);
    }
    if b.request.notify {
        let listen = !b.request.wait_for_start;
        b.host("", HostStep::MakeNotifySocket { listen });
    }
    terminal::connect(b);
    hooks::open_outputs(b);
    namespaces::open(b);
    cgroups::make(b);
    mounts::stage(b);
    resctrl::make(b);
    process::lend_oom_score_adj(b);
    namespaces::clone(b);
    resctrl::join(b);
    cgroups::join(b);
    cgroups::give(b);
    namespaces::await_made(b);
    user_namespace::map(b);
    process::oom_score_adj_from_outside(b);
    namespaces::make_network(b);
    b.host("", HostStep::SaveState);
    b.host("", HostStep::SaveConfig);
    net_devices::move_all(b);
    resources::limit_devices_at_once(b);
    hooks::in_runtime(b);
    if b.clones {
        let before = b.plan.host.steps().len();
        cgroups::delegate(b);
        process::limits_from_outside(b);
        if b.plan.host.steps().len() > before {
            b.host("", HostStep::Tell(Sync::MayClone));
        }
    }
    receive_process(b, true);
    if b.clones {
        b.host("", HostStep::SaveState);
    }
    when_ready(b, |b| {
        if !b.clones {
            cgroups::delegate(b);
            process::limits_from_outside(b);
        }
        if b.request.wait_for_start {
            b.host("", HostStep::PublishFifo);
        }
        publish(b, c"standard");
        send_pidfd_if_annotated(b, c"standard");
    });
}

/// Host: the end of `create` and of `exec`, with the steps that init has to have come so far for. Where
/// there are none it is not waited for, and need not wait for kan: it finds the answer there.
pub(crate) fn when_ready<'a>(b: &mut Builder<'a>, last: impl FnOnce(&mut Builder<'a>)) {
    let before = b.plan.host.steps().len();
    last(b);
    let last = b.plan.host.split_off(before);
    // While kan waits it reads what init's hooks say.
    let reads = b.plan.host.steps().contains(&HostStep::MakeHookPipe);
    if reads || !last.is_empty() {
        b.host("", HostStep::Wait(Sync::Ready));
    }
    for (step, field) in last {
        b.host(field, step);
    }
    b.host("", HostStep::Tell(Sync::Saved));
}

/// Host: the container's process, where init clones it; and the listener of its filter goes to the
/// agent. The agent is told the pid of that process, so where init loads the filter the listener waits
/// for it. `forks` says whether that process still forks hooks.
pub(crate) fn receive_process(b: &mut Builder<'_>, forks: bool) {
    let is_early = seccomp::is_loaded_before_clone(b);
    if is_early {
        seccomp::take_listener(b);
    }
    if b.clones {
        b.host("", HostStep::ReceiveProcess);
        schedule::scheduler_from_outside(b, forks);
    }
    if is_early {
        seccomp::send_taken_listener(b);
    } else {
        seccomp::send_listener(b);
    }
}

/// Host: tells whoever asked for it of the new process.
pub(crate) fn publish(b: &mut Builder<'_>, what: &'static CStr) {
    if let Some(path) = b.request.pid_file.clone() {
        b.host("--pid-file", HostStep::WritePidFile { path });
    }
    send_pidfd(b, what);
}

fn init_half(b: &mut Builder<'_>) {
    leave_the_caller(b);
    if b.clones {
        cgroups::await_move(b);
        namespaces::make(b);
    } else {
        namespaces::make(b);
        cgroups::await_move(b);
    }
    cgroups::enter_namespace(b);
    namespaces::tell_made(b);
    schedule::time_namespace(b);
    user_namespace::become_root(b);
    b.init("", InitStep::HideMemory);
    if !b.clones {
        b.init("", InitStep::NewSession);
    }
    keyring(b);
    schedule::reset_affinity(b);
    namespaces::join(b);
    namespaces::raise_loopback(b);
    net_devices::wait(b);
    namespaces::names(b);
    sysctl::write(b);
    b.init("", InitStep::SetUmask(0));
    root::prepare(b);
    let late = mounts::all(b);
    devices::make(b);
    masks::apply_early(b);
    mounts::last(b, late);
    process::make_directory(b);
    process::umask_of_hooks(b);
    hooks::in_container(b);
    terminal::open(b);
    terminal::bind_console(b);
    terminal::send(b);
    mounts::lock_late(b);
    masks::apply(b);
    labels::of_program(b);
    root::enter(b);
    terminal::use_as_stdio(b);
    schedule::io_priority(b);
    schedule::scheduler_before_hooks(b);
    namespaces::join_pids(b);
    become_the_process(b);
    hooks::before_program(b);
    program::execute(b);
}

/// The end of every init half, of `create` and of `exec`, but for the execution itself.
pub(crate) fn become_the_process(b: &mut Builder<'_>) {
    schedule::personality(b);
    schedule::memory_policy(b);
    process::limits(b);
    process::umask(b);
    process::enter_directory(b);
    if b.plan
        .host
        .steps()
        .contains(&HostStep::Tell(Sync::MayClone))
    {
        b.init("", InitStep::Wait(Sync::MayClone));
    }
    seccomp::before_capabilities(b);
    capabilities::drop_bounding(b);
    program::find_home(b);
    process::ids(b);
    capabilities::set(b);
    process::confirm_directory(b);
    process::no_new_privileges(b);
    program::find(b);
    show_memory(b);
    if b.clones {
        enter_pid_namespace(b);
    } else {
        b.init("", InitStep::LeaveMemory);
    }
    seccomp::at_the_end(b);
    capabilities::set_last(b);
    if b.plan.host.steps().contains(&HostStep::Wait(Sync::Ready)) {
        b.init("", InitStep::Tell(Sync::Ready));
    }
    b.init("", InitStep::Wait(Sync::Saved));
    if b.request.wait_for_start {
        b.init("", InitStep::AwaitStart);
    }
}

/// Init: from here on it is in the container's pid namespace, where others see it. Credentials that
/// change make memory visible again, prctl(2), so it is hidden once more.
fn enter_pid_namespace(b: &mut Builder<'_>) {
    b.init("", InitStep::HideMemory);
    b.init("linux.namespaces", InitStep::EnterPidNamespace);
    b.init("", InitStep::NewSession);
    if b.process().is_some_and(|process| process.terminal) {
        b.init("process.terminal", InitStep::ControlTerminal);
    }
}

/// Init: setns(2) into the namespaces of a process that hides its memory takes CAP_SYS_PTRACE where
/// kan was executed, which a user does not have; so he could not enter the container before its
/// program runs. Its memory is shown where nobody but he can be in there, for it made the
/// namespaces.
fn show_memory(b: &mut Builder<'_>) {
    let is_new = |kind| b.makes_namespace(kind);
    let is_alone = is_new(NamespaceType::User) && is_new(NamespaceType::Pid);
    if b.request.wait_for_start && b.facts.uid != 0 && is_alone {
        b.init("", InitStep::ShowMemory);
    }
}

/// The beginning of every init half.
pub(crate) fn leave_the_caller(b: &mut Builder<'_>) {
    let ignored = b.facts.ignored_signals;
    b.init("", InitStep::ResetSignals { ignored });
    let preserved = b.request.preserve_fds;
    b.init("", InitStep::CloseInherited { preserved });
    process::oom_score_adj(b);
}

/// Host: `--pidfd-socket`, with the words that runc sends along for a container and for a process
/// in one.
fn send_pidfd(b: &mut Builder<'_>, what: &'static CStr) {
    if let Some(path) = b.request.pidfd_socket.clone() {
        b.host("--pidfd-socket", HostStep::SendPidfd { path, what });
    }
}

/// Host: crun's annotation with that meaning.
fn send_pidfd_if_annotated(b: &mut Builder<'_>, what: &'static CStr) {
    if let Some(path) = annotations::value(b.config, annotations::PIDFD_RECEIVER) {
        let (field, path) = (
            annotations::field(annotations::PIDFD_RECEIVER),
            path.to_owned(),
        );
        b.host(field, HostStep::SendPidfd { path, what });
    }
}

pub(crate) fn keyring(b: &mut Builder<'_>) {
    if b.request.new_keyring {
        let name = b.c_string("", format!("_ses.{}", b.request.id));
        labels::of_keyring(b, InitStep::NewKeyring { name });
    }
}
