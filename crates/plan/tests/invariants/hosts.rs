//! Hosts and requests of every kind.

use super::order::check;
use kan_plan::{AppArmor, Attachment, CgroupFact, Cgroups, Facts, Request, plan_create, plan_exec};
use kan_spec::config::Config;

pub fn request() -> Request {
    Request {
        id: "c".into(),
        bundle: "/bundle".into(),
        wait_for_start: true,
        attachment: Attachment::Detached,
        pid_file: Some("/pid".into()),
        console_socket: Some("/socket".into()),
        pidfd_socket: None,
        notify: false,
        preserve_fds: 0,
        no_pivot: false,
        new_keyring: true,
    }
}

pub fn legacy() -> Facts {
    let fact = |name: &str, controllers: &[&str], is_v2| CgroupFact {
        mount: format!("/sys/fs/cgroup/{name}"),
        path: "c".into(),
        controllers: controllers.iter().map(|&name| name.to_owned()).collect(),
        is_v2,
    };
    let hierarchies = vec![
        fact("cpu,cpuacct", &["cpu", "cpuacct"], false),
        fact("systemd", &["name=systemd"], false),
        fact("unified", &[], true),
    ];
    Facts {
        cgroups: Cgroups::Legacy(hierarchies),
        ..Facts::example("c")
    }
}

/// The hosts that the plans are for: cgroup v2, and v1, with all controllers.
pub fn full() -> [Facts; 2] {
    let controllers = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let mut unified = Facts::example("c");
    if let Cgroups::Unified(fact) = &mut unified.cgroups {
        fact.controllers =
            controllers(&["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"]);
    }
    let fact = |name: &str| CgroupFact {
        mount: format!("/sys/fs/cgroup/{name}"),
        path: "c".into(),
        controllers: controllers(&[name]),
        is_v2: false,
    };
    let names = [
        "cpuset", "cpu", "blkio", "memory", "devices", "freezer", "net_cls", "net_prio", "hugetlb",
        "pids", "rdma",
    ];
    let legacy = Facts {
        cgroups: Cgroups::Legacy(names.map(fact).into()),
        ..Facts::example("c")
    };
    [unified, legacy]
}

/// Hosts of every kind.
pub fn hosts() -> Vec<Facts> {
    let example = || Facts::example("c");
    let [unified, with_controllers] = full();
    vec![
        unified,
        with_controllers,
        legacy(),
        Facts {
            cgroups: Cgroups::Absent,
            apparmor: AppArmor::Absent,
            selinux: false,
            resctrl: None,
            permitted: 1,
            bounding: 1,
            ..example()
        },
        Facts {
            is_rootless: true,
            apparmor: AppArmor::Confined,
            ignored_signals: u64::MAX,
            ..example()
        },
    ]
}

/// Requests of every kind, with a taker for the terminal or without.
pub fn requests() -> Vec<Request> {
    let taker = |console_socket: Option<&str>, attachment, wait_for_start| Request {
        console_socket: console_socket.map(str::to_owned),
        attachment,
        wait_for_start,
        ..request()
    };
    vec![
        taker(Some("/socket"), Attachment::Detached, true),
        taker(None, Attachment::Detached, true),
        taker(None, Attachment::Foreground, false),
        Request {
            no_pivot: true,
            new_keyring: false,
            preserve_fds: u32::MAX,
            pid_file: None,
            ..taker(None, Attachment::Foreground, false)
        },
    ]
}

/// How many plans there were.
pub fn plan_everything(text: &[u8]) -> usize {
    let Ok(read) = kan_spec::parse_config(text) else {
        return 0;
    };
    plan_config(&read.value)
}

/// The same for a config that was read.
fn plan_config(config: &Config) -> usize {
    let hosts = hosts();
    let on = |facts| requests().into_iter().map(move |request| (facts, request));
    let all = hosts.iter().flat_map(on);
    all.map(|(facts, request)| plan_on(config, facts, &request))
        .sum()
}

/// The same on one host, for one request.
pub fn plan_on(config: &Config, facts: &Facts, request: &Request) -> usize {
    let exec = Request {
        wait_for_start: false,
        ..request.clone()
    };
    let mut count = 0;
    for planned in [
        plan_create(config, facts, request),
        plan_exec(config, facts, &exec),
    ] {
        match planned {
            Ok(plan) => {
                check(&plan);
                count += 1;
            }
            Err(problems) => {
                let is_said = |why: &String| !why.is_empty() && !why.contains('\n');
                assert!(!problems.is_empty());
                assert!(problems.iter().all(|problem| is_said(&problem.why)));
            }
        }
    }
    count
}
