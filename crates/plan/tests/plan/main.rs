//! Plans as data: what comes before what, what is full when, who waits for whom, and that every
//! problem is told with its field.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod annotations;
mod features;
mod fuzz;
mod hot_plug;
#[path = "../invariants/mod.rs"]
mod invariants;
mod labels;
mod mounts;
mod mutation;
mod namespaces;
mod order;
mod problems;
mod resctrl;
mod resources;
mod rootless;
mod schedule;
mod seccomp;
mod slots;
mod sync;
mod terminals;
mod units;

use invariants::hosts::{legacy, request};
use kan_plan::{Cgroups, Facts, Plan, Request, Unit, plan_create, plan_exec};
use kan_spec::config::{
    Config, Hook, Hooks, IdMapping, Namespace, NamespaceType, SeccompAction, SeccompProfile,
    SyscallRule,
};

/// The config of `kan spec`, changed as a test needs it.
fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = kan_spec::parse_config(kan_spec::default_config().as_bytes())
        .unwrap()
        .value;
    change(&mut config);
    config
}

/// A unit of the system's manager, or of the user's.
fn in_unit(is_users: bool) -> Facts {
    Facts {
        unit: Some(Unit {
            slice: "a-b.slice".into(),
            name: "kan-c.scope".into(),
            is_users,
        }),
        is_rootless: is_users,
        ..Facts::example("a.slice/a-b.slice/kan-c.scope")
    }
}

/// No cgroup of its own.
fn without_own() -> Facts {
    let Cgroups::Unified(fact) = Facts::example("where/kan/is").cgroups else {
        unreachable!("the example has cgroup v2")
    };
    Facts {
        cgroups: Cgroups::Own {
            facts: vec![fact],
            why: "/x is not writable".into(),
        },
        ..Facts::example("c")
    }
}

fn plan(config: &Config, facts: &Facts, request: &Request) -> Plan {
    plan_create(config, facts, request).unwrap()
}

/// Plans of every shape, `exec` too.
fn shapes_with_exec() -> Vec<Plan> {
    let mut plans = shapes();
    for facts in [Facts::example("c"), legacy(), in_unit(true)] {
        for terminal in [false, true] {
            let config = config(|config| {
                enrich(config);
                config.process.as_mut().unwrap().terminal = terminal;
            });
            let console_socket = terminal.then(|| "/socket".to_owned());
            let request = Request {
                wait_for_start: false,
                console_socket,
                ..request()
            };
            plans.push(plan_exec(&config, &facts, &request).unwrap());
        }
    }
    plans.extend(shapes_that_clone());
    plans
}

/// Changes of a config, by their meaning for a process that is cloned at the end.
const CHANGES: [fn(&mut Config); 8] = [
    |_| (),
    without_no_new_privileges,
    |config| {
        without_no_new_privileges(config);
        deny(config, "clone");
    },
    |config| {
        without_no_new_privileges(config);
        deny(config, "setgroups");
    },
    |config| config.hooks = None,
    new_users,
    |config| {
        without_no_new_privileges(config);
        new_users(config);
    },
    |config| {
        let namespaces = &mut config.linux.as_mut().unwrap().namespaces;
        namespaces.push(Namespace {
            r#type: NamespaceType::User,
            path: Some("/proc/1/ns/user".into()),
        });
    },
];

fn without_no_new_privileges(config: &mut Config) {
    config.process.as_mut().unwrap().no_new_privileges = false;
}

fn deny(config: &mut Config, call: &str) {
    let profile = config.linux.as_mut().unwrap().seccomp.as_mut().unwrap();
    profile.syscalls.push(SyscallRule {
        names: vec![call.into()],
        action: SeccompAction::Errno,
        errno_ret: None,
        args: Vec::new(),
    });
}

fn new_users(config: &mut Config) {
    let linux = config.linux.as_mut().unwrap();
    linux.namespaces.push(Namespace {
        r#type: NamespaceType::User,
        path: None,
    });
    let mapping = IdMapping {
        container_id: 0,
        host_id: 100_000,
        size: 65_536,
    };
    linux.uid_mappings = vec![mapping];
    linux.gid_mappings = vec![mapping];
}

/// Plans that join a pid namespace: of `exec`, and of containers that share one.
fn shapes_that_clone() -> Vec<Plan> {
    let mut plans = Vec::new();
    for facts in [Facts::example("c"), legacy()] {
        for change in CHANGES {
            for wait_for_start in [false, true] {
                let config = config(|config| {
                    enrich(config);
                    change(config);
                    config.process.as_mut().unwrap().terminal = false;
                });
                let request = Request {
                    wait_for_start,
                    console_socket: None,
                    ..request()
                };
                if wait_for_start {
                    let shared = share_pids(config);
                    plans.push(plan(&shared, &facts, &request));
                } else {
                    plans.push(plan_exec(&config, &facts, &request).unwrap());
                    let shared = share_pids(config);
                    plans.push(plan_exec(&shared, &facts, &request).unwrap());
                }
            }
        }
    }
    plans
}

fn share_pids(mut config: Config) -> Config {
    for namespace in &mut config.linux.as_mut().unwrap().namespaces {
        if namespace.r#type == NamespaceType::Pid {
            namespace.path = Some("/proc/1/ns/pid".into());
        }
    }
    config
}

/// Plans of every shape: each way to be in a cgroup, create and run, with and without a terminal, with
/// a network that is joined and with a new one.
fn shapes() -> Vec<Plan> {
    let mut plans = Vec::new();
    let absent = Facts {
        cgroups: Cgroups::Absent,
        ..Facts::example("c")
    };
    let legacy_unit = Facts {
        cgroups: legacy().cgroups,
        ..in_unit(false)
    };
    for facts in [
        Facts::example("c"),
        legacy(),
        absent.clone(),
        in_unit(false),
        in_unit(true),
        legacy_unit,
        without_own(),
    ] {
        for terminal in [false, true] {
            for (wait_for_start, network) in [(false, false), (true, false), (true, true)] {
                let config = config(|config| {
                    enrich(config);
                    if network {
                        make_network(config);
                    }
                    config.process.as_mut().unwrap().terminal = terminal;
                    if facts == absent {
                        config
                            .mounts
                            .retain(|mount| mount.r#type.as_deref() != Some("cgroup"));
                    }
                });
                let console_socket = terminal.then(|| "/socket".to_owned());
                let request = Request {
                    wait_for_start,
                    console_socket,
                    ..request()
                };
                plans.push(plan(&config, &facts, &request));
            }
        }
    }
    plans
}

/// A network namespace that is new, rather than joined.
fn make_network(config: &mut Config) {
    let namespaces = &mut config.linux.as_mut().unwrap().namespaces;
    let all = namespaces.iter_mut();
    all.filter(|namespace| namespace.r#type == NamespaceType::Network)
        .for_each(|namespace| namespace.path = None);
}

/// Adds what the default config lacks, so that every kind of step occurs.
fn enrich(config: &mut Config) {
    let process = config.process.as_mut().unwrap();
    process.oom_score_adj = Some(100);
    process.cwd = "/work".into();
    config.domainname = Some("d".into());
    let hook = || {
        vec![Hook {
            path: "/hook".into(),
            ..Hook::default()
        }]
    };
    config.hooks = Some(Hooks {
        create_runtime: hook(),
        create_container: hook(),
        start_container: hook(),
        ..Hooks::default()
    });
    let linux = config.linux.as_mut().unwrap();
    linux.seccomp = Some(SeccompProfile {
        default_action: SeccompAction::Allow,
        default_errno_ret: None,
        architectures: Vec::new(),
        flags: None,
        listener_path: Some("/agent".into()),
        listener_metadata: None,
        syscalls: vec![SyscallRule {
            names: vec!["mkdir".into()],
            action: SeccompAction::Notify,
            errno_ret: None,
            args: Vec::new(),
        }],
    });
    linux.sysctl = vec![("net.ipv4.ip_forward".into(), "1".into())];
    for namespace in &mut linux.namespaces {
        if matches!(
            namespace.r#type,
            NamespaceType::Uts | NamespaceType::Network
        ) {
            namespace.path = Some("/proc/1/ns/x".into());
        }
    }
}
