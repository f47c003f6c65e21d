//! Both halves projected onto the points where they meet: a deadlock is a failing test.

use crate::invariants::sync::check;
use crate::{config, plan, request, shapes_with_exec};
use kan_op::{HostStep, Sync};
use kan_plan::{Facts, Request};
use kan_spec::config::{Config, Hook, Hooks};

#[test]
fn init_is_waited_for_where_something_is_left_to_do() {
    let quick = || Request {
        wait_for_start: false,
        pid_file: None,
        ..request()
    };
    let plain = config(|_| ());
    let waits = |config: &Config, request: &Request| {
        let plan = plan(config, &Facts::example("c"), request);
        check(&plan);
        plan.host.steps().contains(&HostStep::Wait(Sync::Ready))
    };
    assert!(!waits(&plain, &quick()));
    let create = Request {
        wait_for_start: true,
        ..quick()
    };
    assert!(waits(&plain, &create));
    let with_file = Request {
        pid_file: Some("/pid".into()),
        ..quick()
    };
    assert!(waits(&plain, &with_file));
    let with_socket = Request {
        pidfd_socket: Some("/socket".into()),
        ..quick()
    };
    assert!(waits(&plain, &with_socket));
    let hook = Hook {
        path: "/hook".into(),
        ..Hook::default()
    };
    let with_hook = config(|config| {
        config.hooks = Some(Hooks {
            create_container: vec![hook.clone()],
            ..Hooks::default()
        });
    });
    assert!(waits(&with_hook, &quick()));
}

#[test]
fn plans_of_every_shape_meet() {
    shapes_with_exec().iter().for_each(check);
}
