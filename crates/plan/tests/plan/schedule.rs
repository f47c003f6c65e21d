//! Scheduling as steps.

use crate::{config, plan, request};
use kan_op::init::Scheduling;
use kan_op::{HostStep, InitStep};
use kan_plan::{Facts, Plan, Request, plan_exec};
use kan_spec::config::{Config, Hook, Hooks, Scheduler, SchedulerPolicy};

fn with(policy: SchedulerPolicy, has_hooks: bool) -> Config {
    config(|config| {
        config.process.as_mut().unwrap().scheduler = Some(Scheduler {
            policy,
            nice: 0,
            priority: 0,
            flags: Vec::new(),
            runtime: 10,
            deadline: 20,
            period: 30,
        });
        let hook = Hook {
            path: "/hook".into(),
            ..Hook::default()
        };
        config.hooks = has_hooks.then(|| Hooks {
            start_container: vec![hook],
            ..Hooks::default()
        });
    })
}

fn scheduling(plan: &Plan) -> (usize, Scheduling) {
    let mut steps = plan.init.steps().iter().enumerate();
    let found = steps.find_map(|(place, step)| match step {
        InitStep::SetScheduler(wanted) => Some((place, *wanted)),
        _ => None,
    });
    found.unwrap()
}

/// It takes a privilege, and a task that has it can't fork the hooks that come later.
#[test]
fn a_deadline_comes_before_privileges_go_and_lets_hooks_be_forked() {
    for (policy, has_hooks, flags) in [
        (SchedulerPolicy::Deadline, false, 0),
        (SchedulerPolicy::Deadline, true, 1),
        (SchedulerPolicy::Batch, true, 0),
    ] {
        let plan = plan(&with(policy, has_hooks), &Facts::example("c"), &request());
        let (place, wanted) = scheduling(&plan);
        assert_eq!(wanted.flags, flags);
        let drops = |step: &InitStep| matches!(step, InitStep::SetCapabilities { .. });
        assert!(place < plan.init.steps().iter().position(drops).unwrap());
    }
}

/// kan sets it on the process itself: a deadline task could not be cloned.
#[test]
fn a_process_of_exec_has_what_was_asked_for() {
    let request = Request {
        wait_for_start: false,
        ..request()
    };
    let wanted = |policy| {
        let plan = plan_exec(&with(policy, true), &Facts::example("c"), &request).unwrap();
        let own = plan
            .init
            .steps()
            .iter()
            .any(|step| matches!(step, InitStep::SetScheduler(_)));
        let steps = plan.host.steps();
        let from_outside = steps.iter().position(|step| match step {
            HostStep::SetScheduler(wanted) => wanted.flags == 0,
            _ => false,
        });
        let received = steps
            .iter()
            .position(|step| *step == HostStep::ReceiveProcess);
        assert!(from_outside.is_none() || received < from_outside);
        (own, from_outside.is_some())
    };
    assert_eq!(wanted(SchedulerPolicy::Deadline), (false, true));
    assert_eq!(wanted(SchedulerPolicy::Batch), (true, false));
}
