//! Containers whose cgroup systemd makes, and those that get none.

use crate::{config, in_unit, legacy, plan, request, without_own};
use kan_op::{HostStep, InitStep, Sync};
use kan_plan::{Cgroups, Facts, Plan, host_text, lines, plan_create, plan_exec};
use kan_spec::config::{Config, Cpu, Memory, Pids, Resources};
use linux_raw_sys::general::CLONE_NEWCGROUP;

/// Some limits, of which one has no property.
fn limited(config: &mut Config) {
    config.linux.as_mut().unwrap().resources = Some(Resources {
        memory: Some(Memory {
            limit: Some(1 << 20),
            ..Memory::default()
        }),
        cpu: Some(Cpu {
            burst: Some(1000),
            ..Cpu::default()
        }),
        pids: Some(Pids { limit: Some(5) }),
        ..Resources::default()
    });
}

fn place(plan: &Plan, wanted: impl Fn(&HostStep) -> bool) -> usize {
    let found = plan.host.steps().iter().position(wanted);
    found.expect("no such step")
}

fn properties(plan: &Plan) -> Vec<String> {
    let start = place(plan, |step| matches!(step, HostStep::StartUnit { .. }));
    match &plan.host.steps()[start] {
        HostStep::StartUnit { properties, .. } => {
            properties.iter().map(ToString::to_string).collect()
        }
        _ => Vec::new(),
    }
}

/// systemd makes no unit without a process, and init goes on when it is in it and limited.
#[test]
fn a_unit_is_started_with_the_child_and_before_it_goes_on() {
    for facts in [
        in_unit(false),
        Facts {
            cgroups: legacy().cgroups,
            ..in_unit(false)
        },
    ] {
        let plan = plan(&config(limited), &facts, &request());
        let order = [
            place(&plan, |step| matches!(step, HostStep::SaveState)),
            place(&plan, |step| matches!(step, HostStep::Clone { .. })),
            place(&plan, |step| matches!(step, HostStep::StartUnit { .. })),
            place(&plan, |step| matches!(step, HostStep::EnterUnit(_))),
            place(&plan, |step| matches!(step, HostStep::Limit(_))),
            place(&plan, |step| matches!(step, HostStep::LimitDevices(_))),
            place(&plan, |step| *step == HostStep::Tell(Sync::CgroupJoined)),
        ];
        assert!(order.is_sorted(), "{order:?}");
        let makes = |step: &HostStep| matches!(step, HostStep::MakeCgroup(_));
        assert!(!plan.host.steps().iter().any(makes));
        let devices = |step: &&HostStep| matches!(step, HostStep::LimitDevices(_));
        assert_eq!(plan.host.steps().iter().filter(devices).count(), 1);
    }
}

#[test]
fn each_limit_is_a_property_and_a_file() {
    let plan = plan(&config(limited), &in_unit(false), &request());
    let properties = properties(&plan);
    for wanted in [
        "Slice=a-b.slice",
        "Delegate=true",
        "MemoryMax=1048576",
        "TasksMax=5",
        "DevicePolicy=strict",
    ] {
        assert!(properties.iter().any(|text| text == wanted), "{wanted}");
    }
    let texts: Vec<_> = plan.host.steps().iter().map(host_text).collect();
    for file in ["memory.max=1048576", "pids.max=5", "cpu.max.burst=1000"] {
        assert!(texts.iter().any(|text| text.contains(file)), "{file}");
    }
}

#[test]
fn annotations_are_properties_after_all_others() {
    let annotated = config(|config| {
        limited(config);
        config.annotations = vec![
            ("org.systemd.property.TasksMax".into(), "uint64 9".into()),
            ("org.systemd.property.TimeoutStopSec".into(), "3".into()),
            ("org.systemd.other".into(), "?".into()),
        ];
    });
    let plan = plan(&annotated, &in_unit(false), &request());
    let last = properties(&plan).split_off(properties(&plan).len() - 2);
    assert_eq!(last, ["TasksMax=9", "TimeoutStopUSec=3000000"]);
}

#[test]
fn an_annotation_that_is_no_property_is_a_problem() {
    let annotated = config(|config| {
        config.annotations = vec![("org.systemd.property.TasksMax".into(), "many".into())];
    });
    let problems = plan_create(&annotated, &in_unit(false), &request()).unwrap_err();
    let text = problems[0].to_string();
    assert!(
        text.starts_with("annotations[\"org.systemd.property.TasksMax\"]: "),
        "{text}"
    );
    // Without systemd nobody reads it.
    assert!(plan_create(&annotated, &Facts::example("c"), &request()).is_ok());
}

/// The namespace is rooted where its maker is: the clone comes too early.
#[test]
fn the_cgroup_namespace_is_made_in_the_unit() {
    let plan = plan(&config(|_| {}), &in_unit(false), &request());
    let flags = plan.host.steps().iter().find_map(|step| match step {
        HostStep::Clone {
            flags, into_cgroup, ..
        } => Some((*flags, *into_cgroup)),
        _ => None,
    });
    let (flags, into_cgroup) = flags.unwrap();
    assert!(!into_cgroup && flags & CLONE_NEWCGROUP == 0);
    let unshare = InitStep::Unshare {
        flags: CLONE_NEWCGROUP,
    };
    assert!(plan.init.steps().contains(&unshare));
}

#[test]
fn exec_lets_a_users_manager_move_the_child() {
    let config = config(|_| {});
    let plan = plan_exec(&config, &in_unit(true), &request()).unwrap();
    let attach = place(&plan, |step| matches!(step, HostStep::AttachToUnit { .. }));
    assert_eq!(
        plan.host.steps()[attach + 1],
        HostStep::Tell(Sync::CgroupJoined)
    );
}

#[test]
fn without_a_cgroup_the_child_stays_and_limits_are_an_error() {
    let unlimited = config(|config| config.linux.as_mut().unwrap().resources = None);
    let plan = plan(&unlimited, &without_own(), &request());
    let clone = place(&plan, |step| matches!(step, HostStep::Clone { .. }));
    let HostStep::Clone { into_cgroup, .. } = plan.host.steps()[clone] else {
        unreachable!("it was found as a clone")
    };
    assert!(!into_cgroup && crate::namespaces::at_once(&plan) & CLONE_NEWCGROUP != 0);
    let problems = plan_create(&config(limited), &without_own(), &request()).unwrap_err();
    let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let wanted = "linux.resources.memory.limit: the container gets no cgroup: /x is not writable";
    assert!(texts.iter().any(|text| text == wanted), "{texts:?}");
    assert_eq!(texts.len(), 3);
}

/// CVE-2023-25809: what the container would see as its own is its caller's.
#[test]
fn a_foreign_cgroup_is_only_read() {
    let shared = config(|config| {
        let linux = config.linux.as_mut().unwrap();
        linux.resources = None;
        linux
            .namespaces
            .retain(|n| n.r#type != kan_spec::config::NamespaceType::Cgroup);
        for mount in &mut config.mounts {
            mount.options.retain(|option| option != "ro");
        }
    });
    let plan = plan(&shared, &without_own(), &request());
    let all = lines(&plan);
    let clone = all
        .iter()
        .position(|line| line.text.contains("/where/kan/is"));
    let change = &all[clone.unwrap() + 1].text;
    assert!(change.starts_with("change it: ro"), "{change}");
    let own = Facts {
        cgroups: Facts::example("c").cgroups,
        ..without_own()
    };
    assert!(matches!(own.cgroups, Cgroups::Unified(_)));
    let plan = crate::plan(&shared, &own, &request());
    let all = lines(&plan);
    let clone = all
        .iter()
        .position(|line| line.text.contains("/sys/fs/cgroup/c"));
    assert!(!all[clone.unwrap() + 1].text.starts_with("change it: ro"));
}

/// Device rules need a privilege; a user namespace makes no devices.
#[test]
fn device_rules_of_a_user_are_noted() {
    let plan = plan(&config(|_| {}), &in_unit(true), &request());
    let limits = |step: &HostStep| matches!(step, HostStep::LimitDevices(_));
    assert!(!plan.host.steps().iter().any(limits));
    assert!(properties(&plan).contains(&"DevicePolicy=auto".to_owned()));
    assert!(
        plan.notes
            .iter()
            .any(|note| note.contains("resources.devices"))
    );
}

/// With a writable view of its cgroup, as user `uid`, whose ids begin at 1000 outside.
fn owner(uid: u32, change: impl Fn(&mut Config)) -> Vec<String> {
    let config = config(|config| {
        config.process.as_mut().unwrap().user.uid = uid;
        let linux = config.linux.as_mut().unwrap();
        linux.namespaces.push(kan_spec::config::Namespace {
            r#type: kan_spec::config::NamespaceType::User,
            path: None,
        });
        let mapping = kan_spec::config::IdMapping {
            container_id: 0,
            host_id: 1000,
            size: 10,
        };
        linux.uid_mappings = vec![mapping];
        linux.gid_mappings = vec![mapping];
        for mount in &mut config.mounts {
            mount.options.retain(|option| option != "ro");
        }
        change(config);
    });
    let plan = plan(&config, &Facts::example("c"), &request());
    let texts = plan.host.steps().iter().map(host_text);
    texts.filter(|text| text.contains("user 100")).collect()
}

/// config-linux.md, Cgroup ownership.
#[test]
fn who_may_write_to_his_cgroup_owns_it() {
    let gives = |texts: Vec<String>| {
        texts
            .iter()
            .any(|text| text == "give the cgroup to user 1007")
    };
    assert!(gives(owner(7, |_| {})));
    assert!(!gives(owner(7, |config| {
        for mount in &mut config.mounts {
            mount.options.push("ro".into());
        }
    })));
    assert!(!gives(owner(7, |config| {
        let namespaces = &mut config.linux.as_mut().unwrap().namespaces;
        namespaces.retain(|n| n.r#type != kan_spec::config::NamespaceType::Cgroup);
    })));
}

fn delegating(name: &str) -> Config {
    config(|config| {
        config.annotations = vec![("run.oci.delegate-cgroup".into(), name.into())];
    })
}

/// Not before the namespace is made, which would be rooted there; not after init goes on alone.
#[test]
fn a_delegated_cgroup_is_entered_late() {
    for facts in [Facts::example("c"), in_unit(false)] {
        let plan = plan(&delegating("inner"), &facts, &request());
        let order = [
            place(&plan, |step| *step == HostStep::Wait(Sync::Ready)),
            place(&plan, |step| {
                matches!(step, HostStep::DelegateCgroup { .. })
            }),
            place(&plan, |step| *step == HostStep::Tell(Sync::Saved)),
        ];
        assert!(order.is_sorted(), "{order:?}");
    }
    for (name, facts) in [
        ("..", Facts::example("c")),
        ("a/b", Facts::example("c")),
        (
            "inner",
            Facts {
                cgroups: legacy().cgroups,
                ..Facts::example("c")
            },
        ),
    ] {
        let problems = plan_create(&delegating(name), &facts, &request()).unwrap_err();
        let text = problems[0].to_string();
        assert!(
            text.starts_with("annotations[\"run.oci.delegate-cgroup\"]: "),
            "{text}"
        );
    }
}
