//! The rules of the single sections, and rules between fields. Each case changes a sound document
//! and lists every line of the error, in order.
#![allow(missing_docs, clippy::unwrap_used)]

mod changed;

use changed::{MAXIMAL, accepts, complains, lines, with};

#[test]
fn versions() {
    for version in [
        "1.0.0",
        "1.0.2-dev",
        "1.0.0-rc5",
        "1.3.0",
        "1.3.0+dev",
        "1.2.1-rc.1+a-b",
        "1.99.0",
    ] {
        accepts(&[("ociVersion", &format!("{version:?}"))]);
    }
    for version in ["0.5.0", "2.0.0", "10.0.0"] {
        let why =
            format!("ociVersion: unknown version {version:?}: kan supports 1.x (1.0.0 to 1.3.0)");
        complains(&[("ociVersion", &format!("{version:?}"), &why)]);
    }
    // Not in the form, but clearly meant.
    for version in ["", "1", "1.0", "v1.0.0", "v1.2-rc1"] {
        accepts(&[("ociVersion", &format!("{version:?}"))]);
        assert!(!kan_spec::version::is_exact(version), "{version}");
    }
    for version in [
        "v", "v2.0.0", "0", "1.0.0.0", "01.0.0", "1.00.0", "banana", "1.0.x",
    ] {
        let why = format!("ociVersion: {version:?} is not a version in the form of SemVer 2.0.0");
        complains(&[("ociVersion", &format!("{version:?}"), &why)]);
    }
}

#[test]
fn paths() {
    complains(&[
        (
            "process.cwd",
            "\"tmp\"",
            "process.cwd: must be an absolute path, is \"tmp\"",
        ),
        (
            "process.cwd",
            "\"\"",
            "process.cwd: must be an absolute path, is \"\"",
        ),
        ("root.path", "\"\"", "root.path: must not be empty"),
        (
            "mounts.0.destination",
            "\"\"",
            "mounts[0].destination: must not be empty",
        ),
        (
            "hooks.poststop.1.path",
            "\"hook\"",
            "hooks.poststop[1].path: must be an absolute path, is \"hook\"",
        ),
        (
            "linux.namespaces.1.path",
            "\"ns\"",
            "linux.namespaces[1].path: must be an absolute path, is \"ns\"",
        ),
        (
            "linux.devices.0.path",
            "\"fuse\"",
            "linux.devices[0].path: must be an absolute path, is \"fuse\"",
        ),
        (
            "linux.maskedPaths.1",
            "\"sys\"",
            "linux.maskedPaths[1]: must be an absolute path, is \"sys\"",
        ),
        (
            "linux.readonlyPaths.0",
            "\"\"",
            "linux.readonlyPaths[0]: must be an absolute path, is \"\"",
        ),
    ]);
    accepts(&[
        ("root.path", "\".\""),
        ("mounts.0.destination", "\"proc\""),
        ("linux.namespaces.1.path", "\"\""),
    ]);
}

#[test]
fn process_rules() {
    complains(&[
        ("process.args", "[]", "process.args: must not be empty"),
        (
            "process.commandLine",
            "\"dir\"",
            "process.commandLine: is for Windows; Linux takes args",
        ),
        (
            "process.env.0",
            "\"PATH\"",
            "process.env[0]: invalid environment variable: missing '=' in \"PATH\"",
        ),
        (
            "process.env.0",
            "\"=x\"",
            "process.env[0]: invalid environment variable: no name in \"=x\"",
        ),
        (
            "process.rlimits.1.type",
            "\"RLIMIT_NOFILE\"",
            "process.rlimits[1]: RLIMIT_NOFILE occurs twice",
        ),
        (
            "process.rlimits.0.soft",
            "4097",
            "process.rlimits[0].soft: 4097 is above the hard limit 4096",
        ),
        (
            "process.scheduler.priority",
            "1",
            "process.scheduler.priority: is for SCHED_FIFO and SCHED_RR only",
        ),
        (
            "process.execCPUAffinity.initial",
            "\"3-1\"",
            "process.execCPUAffinity.initial: must be a list such as \"0-3,7\", has \"3-1\"",
        ),
    ]);
    let not_deadline = lines(&with(&[(
        "process.scheduler.policy",
        Some("\"SCHED_OTHER\""),
    )]));
    assert_eq!(
        not_deadline,
        [
            "process.scheduler.runtime: is for SCHED_DEADLINE only",
            "process.scheduler.deadline: is for SCHED_DEADLINE only",
            "process.scheduler.period: is for SCHED_DEADLINE only",
        ]
    );
    accepts(&[
        ("process.commandLine", "\"\""),
        ("process.capabilities.bounding.0", "\"NONSENSE\""),
        ("process.execCPUAffinity.initial", "\"\""),
        ("process.execCPUAffinity.final", "\"\""),
        ("process.user", "{}"),
    ]);
}

#[test]
fn namespaces_that_fields_need() {
    let without = |kind: &str| {
        let list = [
            "pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time",
        ];
        let kept: Vec<_> = list
            .iter()
            .filter(|k| **k != kind)
            .map(|kind| format!("{{\"type\": \"{kind}\"}}"))
            .collect();
        lines(&with(&[(
            "linux.namespaces",
            Some(&format!("[{}]", kept.join(","))),
        )]))
    };
    assert_eq!(
        without("uts"),
        [
            "hostname: needs a namespace of type uts",
            "domainname: needs a namespace of type uts"
        ]
    );
    assert_eq!(
        without("user"),
        [
            "linux.uidMappings: needs a namespace of type user",
            "linux.gidMappings: needs a namespace of type user"
        ]
    );
    assert_eq!(
        without("time"),
        ["linux.timeOffsets: needs a namespace of type time"]
    );
    assert_eq!(
        without("mount"),
        [
            "linux.maskedPaths: needs a namespace of type mount",
            "linux.readonlyPaths: needs a namespace of type mount"
        ]
    );
    assert_eq!(
        without("network"),
        [
            "linux.netDevices: needs a namespace of type network",
            "linux.sysctl[\"net.ipv4.ip_forward\"]: needs a namespace of type network",
            "linux.sysctl[\"net/core/somaxconn\"]: needs a namespace of type network",
        ]
    );
    assert_eq!(
        without("ipc"),
        ["linux.sysctl[\"kernel.shm_rmid_forced\"]: needs a namespace of type ipc"]
    );
    assert_eq!(without("pid"), [""; 0]);
    assert_eq!(without("cgroup"), [""; 0]);
    let twice = lines(&with(&[("linux.namespaces.6.type", Some("\"pid\""))]));
    assert_eq!(twice, ["linux.namespaces[6]: duplicated namespace pid"]);
}

#[test]
fn names_of_the_host() {
    let (longest, longer) = ("h".repeat(64), "h".repeat(65));
    for field in ["hostname", "domainname"] {
        accepts(&[(field, &format!("{longest:?}"))]);
        let why = format!("{field}: has 65 bytes, the kernel takes 64");
        complains(&[(field, &format!("{longer:?}"), &why)]);
    }
}

#[test]
fn id_mappings() {
    let map = |text: &str| lines(&with(&[("linux.uidMappings", Some(text))]));
    let entry = |inside: u32, outside: u32, size: u32| {
        format!("{{\"containerID\": {inside}, \"hostID\": {outside}, \"size\": {size}}}")
    };
    let two = |a: String, b: String| map(&format!("[{a}, {b}]"));
    assert_eq!(two(entry(0, 1000, 10), entry(10, 2000, 10)), [""; 0]);
    assert_eq!(two(entry(10, 2000, 10), entry(0, 1000, 10)), [""; 0]);
    assert_eq!(
        two(entry(0, 1000, 10), entry(9, 2000, 10)),
        ["linux.uidMappings[1]: overlaps with entry 0"]
    );
    assert_eq!(
        two(entry(0, 1000, 10), entry(10, 1009, 1)),
        ["linux.uidMappings[1]: overlaps with entry 0"]
    );
    assert_eq!(
        map(&format!("[{}]", entry(0, 0, 0))),
        ["linux.uidMappings[0].size: 0 is out of range (1 to 4294967295)"]
    );
    assert_eq!(map(&format!("[{}]", entry(0, 0, u32::MAX))), [""; 0]);
    assert_eq!(
        map(&format!("[{}]", entry(0, 1, u32::MAX))),
        ["linux.uidMappings[0].size: 4294967295 leads beyond the last id"]
    );
    let many: Vec<_> = (0..341).map(|n| entry(n, n, 1)).collect();
    assert_eq!(
        map(&format!("[{}]", many.join(","))),
        ["linux.uidMappings: has 341 entries, the kernel takes 340"]
    );
    let overlapping = format!("[{}, {}]", entry(0, 0, 2), entry(1, 5, 1));
    for field in [
        "linux.gidMappings",
        "mounts.1.uidMappings",
        "mounts.1.gidMappings",
    ] {
        let said = field.replace(".1.", "[1].");
        assert_eq!(
            lines(&with(&[(field, Some(&overlapping))])),
            [format!("{said}[1]: overlaps with entry 0")]
        );
    }
    assert_eq!(
        lines(&with(&[("mounts.1.gidMappings", None)])),
        ["mounts[1].uidMappings: needs gidMappings too"]
    );
    assert_eq!(
        lines(&with(&[("mounts.1.uidMappings", Some("[]"))])),
        ["mounts[1].gidMappings: needs uidMappings too"]
    );
}

#[test]
fn resource_rules() {
    complains(&[
        (
            "linux.resources.devices.0.access",
            "\"x\"",
            "linux.resources.devices[0].access: must consist of r, w and m, is \"x\"",
        ),
        (
            "linux.resources.blockIO.weightDevice.0",
            r#"{"major": 8, "minor": 0}"#,
            "linux.resources.blockIO.weightDevice[0]: needs weight or leafWeight",
        ),
        (
            "linux.resources.rdma.mlx4_0",
            "{}",
            "linux.resources.rdma.mlx4_0: needs hcaHandles or hcaObjects",
        ),
        (
            "linux.resources.hugepageLimits.0.pageSize",
            "\"../2MB\"",
            "linux.resources.hugepageLimits[0].pageSize: must be a size such as \"64KB\", \"2MB\" or \"1GB\", is \"../2MB\"",
        ),
        (
            "linux.resources.network.priorities.0.name",
            "\"\"",
            "linux.resources.network.priorities[0].name: must not be empty",
        ),
    ]);
    for size in ["2", "MB", "2mb", "2PB", "2 MB"] {
        let found = lines(&with(&[(
            "linux.resources.hugepageLimits.0.pageSize",
            Some(&format!("{size:?}")),
        )]));
        assert_eq!(found.len(), 1, "{size}");
    }
    accepts(&[(
        "linux.resources.blockIO.weightDevice.0",
        r#"{"major": 8, "minor": 0, "leafWeight": 5}"#,
    )]);
    let unified = |file: &str| {
        let text = MAXIMAL.replace("\"memory.high\"", &format!("{file:?}"));
        lines(&text)
    };
    assert_eq!(
        unified("a/memory.high"),
        ["linux.resources.unified[\"a/memory.high\"]: must be a file name (no slashes)"]
    );
    assert_eq!(
        unified("memory"),
        ["linux.resources.unified.memory: must be in the form CONTROLLER.PARAMETER"]
    );
    for file in ["memory.", ".high", "."] {
        let said = format!("linux.resources.unified[{file:?}]: ");
        assert_eq!(
            unified(file),
            [said + "must be in the form CONTROLLER.PARAMETER"]
        );
    }
}

#[test]
fn seccomp_rules() {
    complains(&[
        (
            "linux.seccomp.syscalls.1.names",
            "[\"read\", \"write\"]",
            "linux.seccomp.syscalls[1].names[1]: SCMP_ACT_NOTIFY cannot be used for the write syscall",
        ),
        (
            "linux.seccomp.syscalls.0.names",
            "[]",
            "linux.seccomp.syscalls[0].names: must not be empty",
        ),
        (
            "linux.seccomp.syscalls.0.errnoRet",
            "1",
            "linux.seccomp.syscalls[0].errnoRet: SCMP_ACT_ALLOW takes no errno",
        ),
    ]);
    let both = lines(&with(&[(
        "linux.seccomp.defaultAction",
        Some("\"SCMP_ACT_NOTIFY\""),
    )]));
    assert_eq!(
        both,
        [
            "linux.seccomp.defaultErrnoRet: SCMP_ACT_NOTIFY takes no errno",
            "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be used as default action",
        ]
    );
    accepts(&[(
        "linux.seccomp.syscalls.0",
        r#"{"names": ["x"], "action": "SCMP_ACT_TRACE", "errnoRet": 7}"#,
    )]);
    let alone = with(&[
        ("linux.seccomp.listenerPath", None),
        ("linux.seccomp.syscalls", Some("[]")),
    ]);
    assert_eq!(
        lines(&alone),
        ["linux.seccomp.listenerMetadata: needs listenerPath"]
    );
}

#[test]
#[allow(clippy::too_many_lines, reason = "one table of cases")]
fn linux_rules() {
    complains(&[
        (
            "linux.netDevices.eth2",
            r#"{"name": "a/b"}"#,
            "linux.netDevices.eth2.name: invalid network device name \"a/b\": must not contain '/'",
        ),
        (
            "linux.netDevices.eth2",
            r#"{"name": "sixteen-letters!"}"#,
            "linux.netDevices.eth2.name: invalid network device name \"sixteen-letters!\": must have 1 to 15 bytes",
        ),
        (
            "linux.intelRdt.closID",
            "\"..\"",
            "linux.intelRdt.closID: invalid class of service \"..\": must be a directory name",
        ),
        (
            "linux.intelRdt.closID",
            "\"a/b\"",
            "linux.intelRdt.closID: invalid class of service \"a/b\": must be a directory name",
        ),
        (
            "linux.personality.flags",
            "[\"X\"]",
            "linux.personality.flags[0]: invalid personality flag \"X\" (none are defined)",
        ),
        (
            "annotations",
            r#"{"": "x"}"#,
            "annotations[\"\"]: a key must not be empty",
        ),
    ]);
    let host_name = MAXIMAL.replace("\"eth1\": {", "\"eth%d\": {");
    assert_eq!(
        lines(&host_name),
        [
            "linux.netDevices[\"eth%d\"]: invalid network device name \"eth%d\": must not contain '%'"
        ]
    );
    let sysctl = |name: &str| {
        let said = lines(&with(&[(
            "linux.sysctl",
            Some(&format!("{{{name:?}: \"1\"}}")),
        )]));
        let prefix = format!("linux.sysctl[{name:?}]: ");
        said.iter()
            .map(|line| line.replace(&prefix, ""))
            .collect::<Vec<_>>()
            .join("\n")
    };
    for name in [
        "net.ipv4.ip_forward",
        "net/ipv4/conf/eno2.100/rp_filter",
        "kernel.msgmax",
        "fs.mqueue.msg_max",
        "kernel.domainname",
        "user.max_user_namespaces",
    ] {
        assert_eq!(sysctl(name), "", "{name}");
    }
    assert_eq!(
        sysctl("kernel.hostname"),
        "conflicts with the field hostname"
    );
    assert_eq!(
        sysctl("kernel/hostname"),
        "conflicts with the field hostname"
    );
    for name in ["vm.swappiness", "kernel.core_pattern", "kernel.semantics"] {
        assert_eq!(sysctl(name), "is not in a namespace of its own", "{name}");
    }
    for name in [
        "",
        ".",
        "net..x",
        "net/../kernel/core_pattern",
        "net.ipv4.x/../../core_pattern",
        "/net/x",
        "net.//.x",
        "net/./x",
    ] {
        assert_eq!(
            sysctl(name),
            "is not the name of a kernel parameter",
            "{name}"
        );
    }
}
