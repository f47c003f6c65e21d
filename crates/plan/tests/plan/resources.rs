//! `linux.resources` as values in files, in the words of each version of cgroups.

use crate::{config, request};
use kan_op::{HostStep, Limits};
use kan_plan::{CgroupFact, Cgroups, Facts, Present, host_text, plan_create, plan_limits};
use kan_spec::config::Resources;

fn v1(name: &str, controllers: &[&str]) -> CgroupFact {
    CgroupFact {
        mount: format!("/sys/fs/cgroup/{name}"),
        path: "c".into(),
        controllers: controllers.iter().map(|&name| name.to_owned()).collect(),
        is_v2: false,
    }
}

fn v2(name: &str) -> CgroupFact {
    CgroupFact {
        is_v2: true,
        ..v1(name, &[])
    }
}

fn unified() -> Cgroups {
    Cgroups::Unified(v2(""))
}

/// Every controller in v1, and v2 beside it.
fn hybrid() -> Cgroups {
    let Cgroups::Legacy(mut all) = legacy() else {
        unreachable!()
    };
    all.retain(|fact| fact.controllers[0] != "hugetlb");
    all.push(v2("unified"));
    Cgroups::Legacy(all)
}

fn legacy() -> Cgroups {
    Cgroups::Legacy(vec![
        v1("cpu,cpuacct", &["cpu", "cpuacct"]),
        v1("cpuset", &["cpuset"]),
        v1("memory", &["memory"]),
        v1("pids", &["pids"]),
        v1("blkio", &["blkio"]),
        v1("hugetlb", &["hugetlb"]),
        v1("rdma", &["rdma"]),
        v1("net_cls,net_prio", &["net_cls", "net_prio"]),
    ])
}

fn resources(json: &str) -> Resources {
    kan_spec::resources::parse(json.as_bytes()).unwrap().value
}

/// What is written where: `memory: memory.max=1 for memory.limit`.
fn limits(json: &str, cgroups: &Cgroups) -> Vec<String> {
    present_limits(json, cgroups, &Present::default())
}

fn present_limits(json: &str, cgroups: &Cgroups, present: &Present) -> Vec<String> {
    let planned = plan_limits("", &resources(json), cgroups, present).unwrap();
    let each = |limits: &Limits| -> Vec<String> {
        let one = |setting: &kan_op::Setting| format!("{setting} for {}", setting.field);
        limits.settings.iter().map(one).collect()
    };
    let all = planned.limits.iter();
    all.flat_map(|(_, limits)| each(limits)).collect()
}

fn problems(json: &str, cgroups: &Cgroups) -> Vec<String> {
    let planned = plan_limits("", &resources(json), cgroups, &Present::default());
    let problems = planned.err().unwrap_or_default();
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_asked_is_nothing_written() {
    for json in [
        "{}",
        r#"{"memory": {}, "cpu": {}, "pids": {}, "blockIO": {}, "network": {}}"#,
        // Go programs that cannot leave a number out.
        r#"{"memory": {"limit": 0, "swap": 0, "reservation": 0, "disableOOMKiller": false},
            "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": "",
                    "realtimeRuntime": 0, "realtimePeriod": 0},
            "blockIO": {"weight": 0}, "network": {"classID": 0}}"#,
    ] {
        for cgroups in [unified(), legacy(), hybrid(), Cgroups::Absent] {
            assert_eq!(limits(json, &cgroups), Vec::<String>::new(), "{json}");
        }
    }
}

#[test]
fn cpu_in_both_versions() {
    let json = r#"{"cpu": {"shares": 1024, "quota": 50000, "period": 20000, "burst": 1000,
                           "idle": 0, "cpus": "0-1", "mems": "0"}}"#;
    assert_eq!(
        limits(json, &unified()),
        [
            "cpuset.cpus=0-1 for cpu.cpus",
            "cpuset.mems=0 for cpu.mems",
            "cpu.idle=0 for cpu.idle",
            "cpu.weight=100 for cpu.shares",
            "cpu.max=50000 20000 for cpu.quota",
            "cpu.max.burst=1000 for cpu.burst",
        ]
    );
    assert_eq!(
        limits(json, &hybrid()),
        [
            "cpuset.cpus=0-1 for cpu.cpus",
            "cpuset.mems=0 for cpu.mems",
            "cpu.idle=0 for cpu.idle",
            "cpu.shares=1024 for cpu.shares",
            "cpu.cfs_period_us=20000 for cpu.period",
            "cpu.cfs_quota_us=50000 for cpu.quota",
            "cpu.cfs_burst_us=1000 for cpu.burst",
        ]
    );
}

/// A cgroup that becomes idle must get its shares before, one that ceases to be so after.
#[test]
fn shares_of_an_idle_cgroup() {
    let json = r#"{"cpu": {"shares": 2, "idle": 1}}"#;
    for (cgroups, file) in [(unified(), "cpu.weight=1"), (legacy(), "cpu.shares=2")] {
        let all = limits(json, &cgroups);
        assert_eq!(all[0], format!("{file} for cpu.shares"));
        assert_eq!(all[1], "cpu.idle=1 for cpu.idle");
    }
}

#[test]
fn one_half_of_cpu_max_keeps_the_other() {
    let present = Present {
        quota: "7000".into(),
        period: 30000,
        memory: None,
    };
    let max = |json: &str| present_limits(json, &unified(), &present);
    assert_eq!(
        max(r#"{"cpu": {"quota": 5000}}"#),
        ["cpu.max=5000 30000 for cpu.quota"]
    );
    assert_eq!(
        max(r#"{"cpu": {"quota": -1}}"#),
        ["cpu.max=max 30000 for cpu.quota"]
    );
    assert_eq!(
        max(r#"{"cpu": {"period": 5000}}"#),
        ["cpu.max=7000 5000 for cpu.period"]
    );
}

#[test]
fn realtime_is_v1_only() {
    let json = r#"{"cpu": {"realtimeRuntime": 5000, "realtimePeriod": 10000}}"#;
    let files = ["cpu.rt_period_us=10000", "cpu.rt_runtime_us=5000"];
    let found = limits(json, &legacy());
    assert!(
        found
            .iter()
            .zip(files)
            .all(|(found, file)| found.starts_with(file)),
        "{found:?}"
    );
    let found = problems(json, &unified());
    assert!(found[0].starts_with("cpu.realtimePeriod: "), "{found:?}");
    assert!(found[1].starts_with("cpu.realtimeRuntime: "), "{found:?}");
}

/// The kernel takes the nearest value and says nothing.
#[test]
fn shares_that_v1_does_not_have() {
    for (shares, why) in [
        (1, "minimum allowed cpu-shares is 2"),
        (262_145, "maximum allowed cpu-shares is 262144"),
    ] {
        let json = format!(r#"{{"cpu": {{"shares": {shares}}}}}"#);
        assert!(problems(&json, &legacy())[0].contains(why));
        assert_eq!(problems(&json, &unified()), Vec::<String>::new());
    }
}

#[test]
fn memory_in_both_versions() {
    let json = r#"{"memory": {"limit": 4096, "swap": 12288, "reservation": 2048}}"#;
    assert_eq!(
        limits(json, &unified()),
        [
            "memory.swap.max=8192 for memory.swap",
            "memory.max=4096 for memory.limit",
            "memory.low=2048 for memory.reservation",
        ]
    );
    assert_eq!(
        limits(json, &legacy()),
        [
            "memory.limit_in_bytes=4096 for memory.limit",
            "memory.memsw.limit_in_bytes=12288 for memory.swap",
            "memory.soft_limit_in_bytes=2048 for memory.reservation",
        ]
    );
}

#[test]
fn swap_of_v2_is_what_is_left_of_both() {
    for (memory, present, expected) in [
        (
            r#""limit": 4096, "swap": 4096"#,
            None,
            "memory.swap.max=0 (if there)",
        ),
        (
            r#""limit": 4096, "swap": -1"#,
            None,
            "memory.swap.max=max (if there)",
        ),
        (r#""limit": -1"#, None, "memory.swap.max=max (if there)"),
        (r#""limit": -1, "swap": 4096"#, None, "memory.swap.max=4096"),
        (r#""swap": 8192"#, Some(4096), "memory.swap.max=4096"),
        (r#""swap": 8192"#, Some(-1), "memory.swap.max=8192"),
    ] {
        let present = Present {
            memory: present,
            ..Present::default()
        };
        let json = format!(r#"{{"memory": {{{memory}}}}}"#);
        let found = present_limits(&json, &unified(), &present);
        assert!(
            found[0].starts_with(&format!("{expected} for ")),
            "{json}: {found:?}"
        );
    }
}

#[test]
fn swap_that_makes_no_sense() {
    let less = r#"{"memory": {"limit": 4096, "swap": 1024}}"#;
    for cgroups in [unified(), legacy()] {
        let found = problems(less, &cgroups);
        assert_eq!(
            found[0],
            "memory.swap: memory+swap limit should be >= memory limit"
        );
    }
    let alone = r#"{"memory": {"swap": 1024}}"#;
    assert_eq!(
        problems(alone, &unified()),
        ["memory.swap: unable to set swap limit without memory limit"]
    );
    assert_eq!(problems(alone, &legacy()), Vec::<String>::new());
}

#[test]
fn memory_of_v1_alone() {
    let json = r#"{"memory": {"swappiness": 10, "disableOOMKiller": true, "useHierarchy": true}}"#;
    assert_eq!(
        limits(json, &legacy()),
        [
            "memory.oom_control=1 for memory.disableOOMKiller",
            "memory.swappiness=10 for memory.swappiness",
            "memory.use_hierarchy=1 for memory.useHierarchy",
        ]
    );
    let found = problems(json, &unified());
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("memory.swappiness: "));
    assert!(found[1].starts_with("memory.disableOOMKiller: "));
}

#[test]
fn usage_is_looked_at_if_asked() {
    let json = r#"{"memory": {"limit": 4096, "swap": 8192, "checkBeforeUpdate": true}}"#;
    let found = limits(json, &unified());
    assert!(
        found[0].contains("(if memory.current is below 8192)"),
        "{found:?}"
    );
    assert!(
        found[1].contains("(if memory.current is below 4096)"),
        "{found:?}"
    );
    let found = limits(json, &legacy());
    assert!(
        found[0].contains("(if memory.usage_in_bytes is below 4096)"),
        "{found:?}"
    );
}

#[test]
fn kernel_memory_is_a_warning() {
    let json = r#"{"memory": {"kernel": 4096, "kernelTCP": 4096}}"#;
    let planned = plan_limits("", &resources(json), &unified(), &Present::default()).unwrap();
    assert!(planned.limits.is_empty());
    assert!(planned.warnings[0].starts_with("memory.kernel: "));
    assert!(planned.warnings[1].starts_with("memory.kernelTCP: "));
}

#[test]
fn pids() {
    for (limit, expected) in [(42, "42"), (0, "1"), (-1, "max")] {
        let json = format!(r#"{{"pids": {{"limit": {limit}}}}}"#);
        for cgroups in [unified(), legacy()] {
            let expected = format!("pids.max={expected} for pids.limit");
            assert_eq!(limits(&json, &cgroups), [expected]);
        }
    }
}

#[test]
fn block_io_in_both_versions() {
    let json = r#"{"blockIO": {"weight": 100,
        "weightDevice": [{"major": 8, "minor": 0, "weight": 500}],
        "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 7}],
        "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 0}],
        "throttleReadIOPSDevice": [{"major": 8, "minor": 16, "rate": 9}],
        "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 10}]}}"#;
    assert_eq!(
        limits(json, &unified()),
        [
            "io.bfq.weight=100 (or io.weight=910) for blockIO.weight",
            "io.bfq.weight=8:0 500 (or io.weight=8:0 4950) for blockIO.weightDevice[0].weight",
            "io.max=8:0 rbps=7 for blockIO.throttleReadBpsDevice[0]",
            "io.max=8:0 wbps=max for blockIO.throttleWriteBpsDevice[0]",
            "io.max=8:16 riops=9 for blockIO.throttleReadIOPSDevice[0]",
            "io.max=8:0 wiops=10 for blockIO.throttleWriteIOPSDevice[0]",
        ]
    );
    assert_eq!(
        limits(json, &legacy()),
        [
            "blkio.bfq.weight=100 (or blkio.weight=100) for blockIO.weight",
            "blkio.bfq.weight_device=8:0 500 (or blkio.weight_device=8:0 500) for blockIO.weightDevice[0].weight",
            "blkio.throttle.read_bps_device=8:0 7 for blockIO.throttleReadBpsDevice[0]",
            "blkio.throttle.write_bps_device=8:0 0 for blockIO.throttleWriteBpsDevice[0]",
            "blkio.throttle.read_iops_device=8:16 9 for blockIO.throttleReadIOPSDevice[0]",
            "blkio.throttle.write_iops_device=8:0 10 for blockIO.throttleWriteIOPSDevice[0]",
        ]
    );
}

#[test]
fn weights_are_checked_and_leaves_are_v1_only() {
    let json = r#"{"blockIO": {"weight": 9, "leafWeight": 20,
        "weightDevice": [{"major": 8, "minor": 0, "weight": 1001, "leafWeight": 30}]}}"#;
    let found = problems(json, &unified());
    let starts = [
        "blockIO.weight: must be from 10 to 1000, is 9",
        "blockIO.leafWeight: ",
        "blockIO.weightDevice[0].weight: must be",
        "blockIO.weightDevice[0].leafWeight: ",
    ];
    assert!(
        found.len() == 4
            && found
                .iter()
                .zip(starts)
                .all(|(found, start)| found.starts_with(start)),
        "{found:?}"
    );
    let leaves = r#"{"blockIO": {"leafWeight": 20,
        "weightDevice": [{"major": 8, "minor": 0, "leafWeight": 30}]}}"#;
    assert_eq!(
        limits(leaves, &legacy()),
        [
            "blkio.leaf_weight=20 for blockIO.leafWeight",
            "blkio.leaf_weight_device=8:0 30 for blockIO.weightDevice[0].leafWeight",
        ]
    );
}

#[test]
fn huge_pages_with_what_is_reserved() {
    let json = r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 4096}]}"#;
    let v2 = [
        "hugetlb.2MB.max=4096 for hugepageLimits[0]",
        "hugetlb.2MB.rsvd.max=4096 for hugepageLimits[0]",
    ];
    assert_eq!(limits(json, &unified()), v2);
    // A controller that is not in v1 is in v2.
    assert_eq!(limits(json, &hybrid()), v2);
    assert_eq!(
        limits(json, &legacy()),
        [
            "hugetlb.2MB.limit_in_bytes=4096 for hugepageLimits[0]",
            "hugetlb.2MB.rsvd.limit_in_bytes=4096 for hugepageLimits[0]",
        ]
    );
}

#[test]
fn rdma_and_network() {
    let json = r#"{"rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}, "mlx4_0": {"hcaObjects": 1}}}"#;
    for cgroups in [unified(), legacy()] {
        assert_eq!(
            limits(json, &cgroups),
            [
                "rdma.max=mlx5_1 hca_handle=3 hca_object=10000 for rdma.mlx5_1",
                "rdma.max=mlx4_0 hca_object=1 for rdma.mlx4_0",
            ]
        );
    }
    let json =
        r#"{"network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 5}]}}"#;
    assert_eq!(
        limits(json, &legacy()),
        [
            "net_cls.classid=1048577 for network.classID",
            "net_prio.ifpriomap=eth0 5 for network.priorities[0]",
        ]
    );
    let found = problems(json, &hybrid());
    assert_eq!(found, Vec::<String>::new(), "hybrid() has them in v1");
    let found = problems(json, &unified());
    assert!(
        found[0].starts_with("network.classID: ") && found[0].contains("net_cls"),
        "{found:?}"
    );
    assert!(found[1].starts_with("network.priorities[0]: "), "{found:?}");
}

#[test]
fn unified_files_line_by_line_after_all_others() {
    let json = r#"{"unified": {"memory.high": "4096", "io.max": "8:0 rbps=1\n8:16 wbps=2", "cpuset.cpus": ""},
                   "memory": {"limit": 8192}}"#;
    let mut found = limits(json, &unified());
    assert_eq!(found.remove(0), "memory.max=8192 for memory.limit");
    found.sort();
    assert_eq!(
        found,
        [
            "cpuset.cpus= for unified[\"cpuset.cpus\"]",
            "io.max=8:0 rbps=1 for unified[\"io.max\"]",
            "io.max=8:16 wbps=2 for unified[\"io.max\"]",
            "memory.high=4096 for unified[\"memory.high\"]",
        ]
    );
}

#[test]
fn unified_without_v2_is_an_invalid_configuration() {
    let json = r#"{"unified": {"memory.high": "4096", "hugetlb.2MB.max": "0"}}"#;
    for found in problems(json, &legacy()) {
        assert!(found.contains("invalid configuration: cannot use unified on cgroup v1"));
    }
    let found = problems(json, &hybrid());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("unified[\"memory.high\"]: invalid configuration: "));
}

#[test]
fn a_host_without_the_controller_is_told_with_the_field() {
    let json = r#"{"memory": {"limit": 1}, "pids": {"limit": 1}}"#;
    let only = Cgroups::Legacy(vec![v1("cpu", &["cpu"])]);
    for cgroups in [Cgroups::Absent, only] {
        assert_eq!(
            problems(json, &cgroups),
            [
                "memory.limit: no cgroup hierarchy of this host has the memory controller",
                "pids.limit: no cgroup hierarchy of this host has the pids controller",
            ]
        );
    }
}

/// Before anything runs in the cgroup, and after it is there.
#[test]
fn limits_hold_from_the_clone_on() {
    let config = config(|config| {
        let limits = resources(r#"{"memory": {"limit": 4096}, "pids": {"limit": 3}}"#);
        let linux = config.linux.as_mut().unwrap();
        linux.resources = Some(limits);
    });
    for cgroups in [unified(), legacy()] {
        let facts = Facts {
            cgroups,
            ..Facts::example("c")
        };
        let plan = plan_create(&config, &facts, &request()).unwrap();
        let steps: Vec<_> = plan.host.steps().iter().map(host_text).collect();
        let at = |start: &str| {
            let found = steps.iter().position(|step| step.starts_with(start));
            found.unwrap_or_else(|| panic!("no {start}: {steps:?}"))
        };
        assert!(at("create cgroup") < at("limit memory: "));
        assert!(at("limit memory: ") < at("limit pids: pids.max=3 for pids.limit"));
        assert!(at("limit pids: ") < at("clone"));
        let limit = plan
            .host
            .steps()
            .iter()
            .position(|step| matches!(step, HostStep::Limit(_)));
        assert_eq!(plan.host.field(limit.unwrap()), "linux.resources.memory");
    }
}
