//! `linux.seccomp`: config-linux.md, Seccomp; seccomp(2).

use crate::builder::Builder;
use kan_op::InitStep;
use kan_op::init::FilterInstruction;
use kan_seccomp::{Actions, Filter, Scope, Target, compile, flags, native};

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
    let Some(native) = native() else {
        return b.problem(
            "linux.seccomp",
            "kan does not know this machine's system calls",
        );
    };
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
    match compile(profile, &target) {
        Ok(filter) => add(b, filter),
        Err(problems) => problems
            .into_iter()
            .for_each(|problem| b.problems.push(problem)),
    }
}

fn add(b: &mut Builder<'_>, filter: Filter) {
    if filter.needs_listener {
        let why = "is not supported by this version of kan";
        return b.problem("linux.seccomp.listenerPath", why);
    }
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
        },
    );
}
