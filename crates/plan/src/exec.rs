//! `exec`: a process in a container that is there already, by the same steps as `create`.

use crate::builder::Builder;
use crate::create::{
    become_the_process, keyring, leave_the_caller, publish, receive_process, when_ready,
};
use crate::linux::cgroups;
use crate::linux::namespaces;
use crate::linux::resctrl;
use crate::linux::user_namespace;
use crate::process::labels;
use crate::process::program;
use crate::process::schedule;
use crate::process::terminal;
use crate::{Facts, Plan, Request, process};
use kan_op::init::RootEntry;
use kan_op::{HostStep, InitStep, Slot, Sync};
use kan_spec::Problem;
use kan_spec::config::{Config, NamespaceType};

/// Plans `exec`. `config` is the container's, with the new process as its `process`.
///
/// # Errors
/// Every field that cannot be honoured, all at once.
pub fn plan_exec(config: &Config, facts: &Facts, request: &Request) -> Result<Plan, Vec<Problem>> {
    let mut builder = Builder::new(config, facts, request);
    builder.clones = builder.has_namespace(NamespaceType::Pid);
    builder.has_bytes = true;
    program::require(&mut builder);
    labels::check(&mut builder);
    terminal::check(&mut builder);
    host_half(&mut builder);
    init_half(&mut builder);
    let Builder { plan, problems, .. } = builder;
    problems.finish(plan)
}

fn host_half(b: &mut Builder<'_>) {
    let with_root = !b.has_namespace(NamespaceType::Mount);
    let namespaces = namespaces::of_container(b);
    b.host(
        "",
        HostStep::OpenContainer {
            namespaces,
            with_root,
        },
    );
    terminal::connect(b);
    let into_cgroup = b.facts.is_cloned_into_cgroup();
    b.host(
        "",
        HostStep::Clone {
            flags: 0,
            into_cgroup,
            join: Vec::new(),
            hidden: false,
        },
    );
    let before = b.plan.host.steps().len();
    cgroups::join_running(b);
    resctrl::join(b);
    process::oom_score_adj_from_outside(b);
    if b.clones {
        process::limits_from_outside(b);
    }
    if b.plan.host.steps().len() > before {
        b.host("", HostStep::Tell(Sync::CgroupJoined));
    }
    receive_process(b, false);
    when_ready(b, |b| {
        if !b.clones {
            process::limits_from_outside(b);
        }
        publish(b, c"setns");
    });
}

fn init_half(b: &mut Builder<'_>) {
    leave_the_caller(b);
    if !b.clones {
        b.init("", InitStep::HideMemory);
    }
    schedule::initial_affinity(b);
    if b.plan
        .host
        .steps()
        .contains(&HostStep::Tell(Sync::CgroupJoined))
    {
        b.init("", InitStep::Wait(Sync::CgroupJoined));
    }
    schedule::final_affinity(b);
    if !b.clones {
        b.init("", InitStep::NewSession);
    }
    keyring(b);
    labels::of_program(b);
    namespaces::join_container(b);
    if !b.has_namespace(NamespaceType::Mount) {
        b.init("root.path", InitStep::EnterRoot(RootEntry::Chroot));
    }
    if b.process().is_some_and(|process| process.terminal) {
        // The terminal's owner is one of the namespace's users, whom only its root may choose.
        user_namespace::become_root_of_joined(b);
        b.init("process.terminal", InitStep::OpenRoot);
        terminal::open(b);
        terminal::send(b);
        b.init("process.terminal", InitStep::Close(Slot::Root));
        terminal::use_as_stdio(b);
    }
    schedule::io_priority(b);
    schedule::scheduler(b);
    become_the_process(b);
    program::execute(b);
}
