//! `linux.seccomp`: config-linux.md, Seccomp; seccomp(2).

use crate::annotations;
use crate::builder::{Builder, Compiled};
use kan_op::init::{FilterInstruction, Listener};
use kan_op::{HostStep, InitStep, Slot, Sync};
use kan_seccomp::{
    Actions, Filter, Scope, SeccompData, Syscall, Target, compile, flags, native, number, run,
};
use kan_spec::config::{SeccompArch, SeccompProfile};

/// When init loads the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// Before capabilities are dropped, since the kernel wants CAP_SYS_ADMIN; what follows runs
    /// under the filter.
    BeforeCapabilities,
    /// With no_new_privs, as late as a failure can still fail `create`.
    AtTheEnd,
    /// By the process that executes the program, which keeps CAP_SYS_ADMIN until then: the filter
    /// would not let init do what comes before. Where init clones that process, this is the one
    /// moment at which a process that the container sees has more than the container.
    BeforeLastCapabilities,
}

/// `None` without a profile.
fn moment(b: &Builder<'_>) -> Option<Moment> {
    b.linux()?.seccomp.as_ref()?;
    if b.process().is_some_and(|process| process.no_new_privileges) {
        return Some(Moment::AtTheEnd);
    }
    let filter = compiled(b)?.as_ref().ok();
    let lets_go_on = filter.is_none_or(|filter| allows_all(filter, &calls_until_execution()));
    Some(if lets_go_on {
        Moment::BeforeCapabilities
    } else {
        Moment::BeforeLastCapabilities
    })
}

/// The calls, with their arguments, that follow a filter which is loaded before capabilities are
/// dropped, up to execve(2): of init, and of the process that it may clone.
fn calls_until_execution() -> Vec<(&'static str, [u64; 6])> {
    use linux_raw_sys::general::SIGCHLD;
    /// linux/sched.h
    const CLONE_PARENT: u32 = 0x8000;
    /// linux/prctl.h: PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_CAPBSET_DROP, PR_CAP_AMBIENT.
    const PRCTLS: [u64; 4] = [4, 8, 24, 47];
    /// asm-generic/ioctls.h
    const TIOCSCTTY: u64 = 0x540e;
    const PLAIN: [&str; 20] = [
        "capset",
        "chdir",
        "close",
        "close_range",
        "execve",
        "exit_group",
        "faccessat2",
        "fstat",
        "getcwd",
        "madvise",
        "munmap",
        "openat",
        "read",
        "setgroups",
        "setresgid",
        "setresuid",
        "setsid",
        "statx",
        "write",
        "sendmsg",
    ];
    let mut all: Vec<_> = PLAIN.iter().map(|name| (*name, [0; 6])).collect();
    let stat = if number_here("newfstatat").is_some() {
        "newfstatat"
    } else {
        "fstatat64"
    };
    all.push((stat, [0; 6]));
    all.extend(PRCTLS.map(|option| ("prctl", [option, 0, 0, 0, 0, 0])));
    all.push(("clone", [u64::from(CLONE_PARENT | SIGCHLD), 0, 0, 0, 0, 0]));
    all.push(("ioctl", [0, TIOCSCTTY, 0, 0, 0, 0]));
    all
}

fn number_here(name: &str) -> Option<u32> {
    number(native()?, name)
}

/// Whether a filter lets all of these calls through, without asking an agent.
fn allows_all(filter: &Filter, calls: &[(&str, [u64; 6])]) -> bool {
    let Some(native) = native() else { return false };
    calls.iter().all(|(name, arguments)| {
        // A call that this architecture does not have is not made.
        let Some(number) = number(native, name) else {
            return true;
        };
        let call = SeccompData::new(native, number, *arguments);
        run(&filter.program, &call).is_ok_and(|run| lets_through(run.answer))
    })
}

/// SECCOMP_RET_ALLOW and SECCOMP_RET_LOG, seccomp(2).
const fn lets_through(answer: u32) -> bool {
    matches!(answer & 0xffff_0000, 0x7fff_0000 | 0x7ffc_0000)
}

/// Init: see [`Moment::BeforeCapabilities`].
pub(crate) fn before_capabilities(b: &mut Builder<'_>) {
    if moment(b) == Some(Moment::BeforeCapabilities) {
        load(b);
    }
}

/// Init: see [`Moment::AtTheEnd`] and [`Moment::BeforeLastCapabilities`].
pub(crate) fn at_the_end(b: &mut Builder<'_>) {
    match moment(b) {
        Some(Moment::AtTheEnd | Moment::BeforeLastCapabilities) => load(b),
        Some(Moment::BeforeCapabilities) | None => {}
    }
}

/// Whether the process that init clones keeps CAP_SYS_ADMIN to load the filter.
pub(crate) fn is_loaded_with_privilege(b: &Builder<'_>) -> bool {
    moment(b) == Some(Moment::BeforeLastCapabilities)
}

/// Whether init loads the filter and then clones the container's process.
pub(crate) fn is_loaded_before_clone(b: &Builder<'_>) -> bool {
    b.clones && moment(b) == Some(Moment::BeforeCapabilities)
}

/// The filter, compiled once; `None` without a profile or for a machine whose calls kan does not
/// know.
fn compiled<'b>(b: &'b Builder<'_>) -> Option<&'b Compiled> {
    let compile = || {
        let profile = b.linux()?.seccomp.as_ref()?;
        Some(filter(profile, native()?))
    };
    b.filter.get_or_init(compile).as_ref()
}

fn load(b: &mut Builder<'_>) {
    let Some(profile) = b.linux().and_then(|linux| linux.seccomp.as_ref()) else {
        return;
    };
    refuse_unknown_calls(b, profile);
    match compiled(b).cloned() {
        None => b.problem(
            "linux.seccomp",
            "kan does not know this machine's system calls",
        ),
        Some(Ok(filter)) => add(b, filter),
        Some(Err(problems)) => problems
            .into_iter()
            .for_each(|problem| b.problems.push(problem)),
    }
}

fn filter(profile: &SeccompProfile, native: SeccompArch) -> Compiled {
    // What kan needs of the kernel, Linux 5.14, has all of them but WAIT_KILLABLE_RECV (5.19),
    // which the kernel then refuses by itself.
    let (flags, actions) = (flags::ALL, Actions::ALL);
    let target = Target {
        native,
        scope: Scope::Native,
        flags,
        actions,
        stub: true,
    };
    compile(profile, &target)
}

/// A user who is not root may not take a descriptor out of init, which is not dumpable; so init
/// sends it, if its own filter lets it.
fn handed(b: &Builder<'_>, filter: &Filter) -> Option<Listener> {
    if !filter.needs_listener {
        return None;
    }
    let is_allowed = allows_all(filter, &[("sendmsg", [0; 6])]);
    Some(if b.facts.is_rootless && is_allowed {
        Listener::Sent
    } else {
        Listener::Offered
    })
}

fn add(b: &mut Builder<'_>, filter: Filter) {
    let listener = handed(b, &filter);
    b.plan.notes.extend(filter.warnings);
    let instruction = |i: kan_seccomp::Instruction| FilterInstruction {
        code: i.code,
        jt: i.jt,
        jf: i.jf,
        k: i.k,
    };
    let program = filter.program.into_iter().map(instruction).collect();
    b.init(
        "linux.seccomp",
        InitStep::LoadFilter {
            program,
            flags: filter.flags,
            listener,
        },
    );
    // What follows may wait for the agent, so the host must have it first. Init lets go of the
    // listener: with an agent that died, calls must fail rather than wait.
    if listener.is_some() {
        b.init(LISTENER, InitStep::Tell(Sync::Listening));
        b.init(LISTENER, InitStep::Wait(Sync::ListenerTaken));
        b.init(LISTENER, InitStep::Close(Slot::Listener));
    }
}

const LISTENER: &str = "linux.seccomp.listenerPath";

/// Host: takes the listener and sends it to the agent. Without a rule that notifies there is none, and
/// `listenerPath` says nothing, as in runc.
pub(crate) fn send_listener(b: &mut Builder<'_>) {
    let Some(send) = sending(b) else { return };
    await_listener(b);
    b.host(LISTENER, HostStep::TakeListener);
    b.host(LISTENER, send);
    b.host(LISTENER, HostStep::Tell(Sync::ListenerTaken));
}

/// Host: the first part of that, where the agent has to wait for the container's process.
pub(crate) fn take_listener(b: &mut Builder<'_>) {
    if sending(b).is_some() {
        await_listener(b);
        b.host(LISTENER, HostStep::TakeListener);
        b.host(LISTENER, HostStep::Tell(Sync::ListenerTaken));
    }
}

/// Host: the second.
pub(crate) fn send_taken_listener(b: &mut Builder<'_>) {
    if let Some(send) = sending(b) {
        b.host(LISTENER, send);
    }
}

fn await_listener(b: &mut Builder<'_>) {
    let filter = compiled(b).and_then(|compiled| compiled.as_ref().ok());
    if filter.and_then(|filter| handed(b, filter)) == Some(Listener::Sent) {
        b.host(LISTENER, HostStep::ReceiveListener);
    }
    b.host(LISTENER, HostStep::Wait(Sync::Listening));
}

fn sending(b: &Builder<'_>) -> Option<HostStep> {
    let profile = b.linux()?.seccomp.as_ref()?;
    let path = profile.listener_path.clone();
    Some(HostStep::SendListener {
        path: path.filter(|_| flags::listens(profile))?,
        metadata: profile.listener_metadata.clone(),
    })
}

/// crun's annotation of that meaning: a name that no architecture has is an error.
fn refuse_unknown_calls(b: &mut Builder<'_>, profile: &SeccompProfile) {
    if annotations::value(b.config, annotations::FAIL_UNKNOWN_SYSCALL).is_none() {
        return;
    }
    for (index, rule) in profile.syscalls.iter().enumerate() {
        for (position, name) in rule.names.iter().enumerate() {
            if Syscall::named(name).is_none() {
                let at = format!("linux.seccomp.syscalls[{index}].names[{position}]");
                b.problem(at, format!("invalid seccomp syscall {name:?}"));
            }
        }
    }
}
