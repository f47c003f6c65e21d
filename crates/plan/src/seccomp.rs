//! `linux.seccomp`: config-linux.md, Seccomp; seccomp(2).

use crate::annotations;
use crate::builder::Builder;
use kan_op::init::{FilterInstruction, Listener};
use kan_op::{HostStep, InitStep, Slot, Sync};
use kan_seccomp::{
    Actions, Filter, Scope, SeccompData, Syscall, Target, compile, flags, native, number, run,
};
use kan_spec::Problem;
use kan_spec::config::{SeccompArch, SeccompProfile};

/// Init: without no_new_privs the kernel wants CAP_SYS_ADMIN, so that the filter comes before
/// capabilities are dropped, and what follows runs under it.
pub(crate) fn before_capabilities(b: &mut Builder<'_>) {
    if !no_new_privileges(b) {
        load(b);
    }
}

/// Init: with no_new_privs, as late as a failure can still fail `create`.
pub(crate) fn at_the_end(b: &mut Builder<'_>) {
    if no_new_privileges(b) {
        load(b);
    }
}

fn no_new_privileges(b: &Builder<'_>) -> bool {
    b.process().is_some_and(|process| process.no_new_privileges)
}

fn load(b: &mut Builder<'_>) {
    let Some(profile) = b.linux().and_then(|linux| linux.seccomp.as_ref()) else {
        return;
    };
    refuse_unknown_calls(b, profile);
    let Some(native) = native() else {
        return b.problem(
            "linux.seccomp",
            "kan does not know this machine's system calls",
        );
    };
    match filter(profile, native) {
        Ok(filter) => add(b, filter),
        Err(problems) => problems
            .into_iter()
            .for_each(|problem| b.problems.push(problem)),
    }
}

fn filter(profile: &SeccompProfile, native: SeccompArch) -> Result<Filter, Vec<Problem>> {
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
    const SECCOMP_RET_ALLOW: u32 = 0x7fff_0000;
    if !filter.needs_listener {
        return None;
    }
    let allows = |native| {
        let call = SeccompData::new(native, number(native, "sendmsg")?, [0; 6]);
        let answer = run(&filter.program, &call).ok()?.answer;
        Some(answer == SECCOMP_RET_ALLOW)
    };
    let is_allowed = native().and_then(allows).unwrap_or(false);
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
    // What follows may wait for the agent, so the agent must hear of it first. Init lets go of the
    // listener: with an agent that died, calls must fail rather than wait.
    if listener.is_some() {
        b.init(LISTENER, InitStep::Tell(Sync::Listening));
        b.init(LISTENER, InitStep::Wait(Sync::ListenerSent));
        b.init(LISTENER, InitStep::Close(Slot::Listener));
    }
}

const LISTENER: &str = "linux.seccomp.listenerPath";

/// Host: hands the listener to the agent. Without a rule that notifies there is none, and
/// `listenerPath` says nothing, as in runc.
pub(crate) fn send_listener(b: &mut Builder<'_>) {
    let Some(profile) = b.linux().and_then(|linux| linux.seccomp.as_ref()) else {
        return;
    };
    let Some(path) = profile
        .listener_path
        .clone()
        .filter(|_| flags::listens(profile))
    else {
        return;
    };
    let metadata = profile.listener_metadata.clone();
    let compiled = native().and_then(|native| filter(profile, native).ok());
    if compiled.and_then(|filter| handed(b, &filter)) == Some(Listener::Sent) {
        b.host(LISTENER, HostStep::ReceiveListener);
    }
    b.host(LISTENER, HostStep::Wait(Sync::Listening));
    b.host(LISTENER, HostStep::SendListener { path, metadata });
    b.host(LISTENER, HostStep::Tell(Sync::ListenerSent));
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
