//! The seccomp listener: how the agent gets it.

use crate::{config, plan, request};
use kan_op::init::Listener;
use kan_op::{HostStep, InitStep, Slot, Sync};
use kan_plan::{Facts, Plan};
use kan_spec::config::{Config, SeccompAction, SeccompProfile, SyscallRule};

fn rule(name: &str, action: SeccompAction) -> SyscallRule {
    SyscallRule {
        names: vec![name.into()],
        action,
        errno_ret: None,
        args: Vec::new(),
    }
}

fn with(rules: Vec<SyscallRule>) -> Config {
    config(|config| {
        config.linux.as_mut().unwrap().seccomp = Some(SeccompProfile {
            default_action: SeccompAction::Allow,
            default_errno_ret: None,
            architectures: Vec::new(),
            flags: None,
            listener_path: Some("/agent".into()),
            listener_metadata: Some("more".into()),
            syscalls: rules,
        });
    })
}

fn listener(plan: &Plan) -> Option<Listener> {
    let mut steps = plan.init.steps().iter();
    let found = steps.find_map(|step| match step {
        InitStep::LoadFilter { listener, .. } => Some(*listener),
        _ => None,
    });
    found.unwrap()
}

/// What follows the filter may wait for the agent.
#[test]
fn the_agent_hears_of_the_filter_at_once() {
    let config = with(vec![rule("mkdir", SeccompAction::Notify)]);
    let plan = plan(&config, &Facts::example("c"), &request());
    assert_eq!(listener(&plan), Some(Listener::Offered));
    let steps = plan.init.steps();
    let filter = steps
        .iter()
        .position(|step| matches!(step, InitStep::LoadFilter { .. }))
        .unwrap();
    assert_eq!(
        steps[filter + 1..filter + 4],
        [
            InitStep::Tell(Sync::Listening),
            InitStep::Wait(Sync::ListenerTaken),
            InitStep::Close(Slot::Listener),
        ]
    );
    let sends = HostStep::SendListener {
        path: "/agent".into(),
        metadata: Some("more".into()),
    };
    assert!(plan.host.steps().contains(&sends));
}

#[test]
fn without_a_rule_that_notifies_there_is_no_agent() {
    let config = with(vec![rule("mkdir", SeccompAction::Errno)]);
    let plan = plan(&config, &Facts::example("c"), &request());
    assert_eq!(listener(&plan), None);
    assert!(
        !plan
            .host
            .steps()
            .iter()
            .any(|step| matches!(step, HostStep::SendListener { .. }))
    );
}

/// Root takes it, whatever the filter forbids; others get it sent, if they can.
#[test]
fn who_may_not_take_the_listener_gets_it_sent() {
    let rootless = Facts {
        is_rootless: true,
        ..Facts::example("c")
    };
    for (name, action, expected) in [
        ("mkdir", SeccompAction::Notify, Listener::Sent),
        ("sendmsg", SeccompAction::Notify, Listener::Offered),
    ] {
        let plan = plan(&with(vec![rule(name, action)]), &rootless, &request());
        assert_eq!(listener(&plan), Some(expected), "{name}");
        let receives = plan.host.steps().contains(&HostStep::ReceiveListener);
        assert_eq!(receives, expected == Listener::Sent);
    }
}

/// Without no_new_privs the kernel wants CAP_SYS_ADMIN of whoever loads a filter, so it comes before
/// the capabilities are dropped. One that refuses what init still has to do comes after it.
#[test]
fn a_filter_that_refuses_what_init_does_comes_last() {
    for (call, is_late) in [("mkdir", false), ("munmap", true), ("setresuid", true)] {
        let mut config = with(vec![rule(call, SeccompAction::Errno)]);
        config.process.as_mut().unwrap().no_new_privileges = false;
        let plan = plan(&config, &Facts::example("c"), &request());
        let places = |is: fn(&InitStep) -> bool| {
            let steps = plan.init.steps().iter().enumerate();
            let found = steps.filter(|(_, step)| is(step)).map(|(at, _)| at);
            found.collect::<Vec<_>>()
        };
        let filter = places(|step| matches!(step, InitStep::LoadFilter { .. }))[0];
        let left = places(|step| matches!(step, InitStep::LeaveMemory))[0];
        let sets = places(|step| matches!(step, InitStep::SetCapabilities { .. }));
        assert_eq!(left < filter, is_late, "{call}");
        assert_eq!(sets.len(), 1 + usize::from(is_late), "{call}");
        assert!(sets.last() > Some(&filter), "{call}");
    }
}
