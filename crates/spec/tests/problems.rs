//! What is said of documents that the specification forbids. Each case changes a sound document and
//! lists every line of the error, in order.
#![allow(missing_docs, clippy::unwrap_used)]

use kan_spec::json::Json;
use kan_spec::{parse_config, process, resources};

const MAXIMAL: &str = include_str!("data/maximal.json");

fn lines(text: &str) -> Vec<String> {
    match parse_config(text.as_bytes()) {
        Ok(_) => Vec::new(),
        Err(error) => {
            let named = |line: &str| line.strip_prefix("config.json: ").unwrap().to_owned();
            error.to_string().lines().map(named).collect()
        }
    }
}

/// The maximal document with the value at a path (keys and numbers, dots between) replaced, or the
/// key removed.
fn with(changes: &[(&str, Option<&str>)]) -> String {
    let mut document = Json::parse(MAXIMAL.as_bytes()).unwrap();
    for (path, value) in changes {
        let value = value.map(|text| Json::parse(text.as_bytes()).unwrap());
        let (way, last) = path.rsplit_once('.').unwrap_or(("", path));
        let mut place = &mut document;
        for step in way.split('.').filter(|step| !step.is_empty()) {
            place = match step.parse::<usize>() {
                Ok(number) => &mut place.list_mut().unwrap()[number],
                Err(_) => place.get_mut(step).unwrap(),
            };
        }
        match (place, value) {
            (Json::Object(entries), value) => {
                entries.retain(|(key, _)| key != last);
                entries.extend(value.map(|value| (last.into(), value)));
            }
            (Json::List(items), Some(value)) => items[last.parse::<usize>().unwrap()] = value,
            (Json::List(items), None) => drop(items.remove(last.parse().unwrap())),
            _ => panic!("no such place: {path}"),
        }
    }
    document.pretty(" ")
}

/// One value at a time: the place, what is put there, the one complaint (without the place, if it
/// is the same).
fn complains(cases: &[(&str, &str, &str)]) {
    for (path, value, expected) in cases {
        let found = lines(&with(&[(path, Some(value))]));
        assert_eq!(found, [*expected], "{path} = {value}");
    }
}

/// Values that look odd and are fine.
fn accepts(cases: &[(&str, &str)]) {
    for (path, value) in cases {
        assert_eq!(
            lines(&with(&[(path, Some(value))])),
            [""; 0],
            "{path} = {value}"
        );
    }
}

#[test]
fn the_maximal_document_is_sound() {
    assert_eq!(lines(MAXIMAL), [""; 0]);
    assert_eq!(lines(&with(&[])), [""; 0]);
}

#[test]
fn kinds() {
    complains(&[
        (
            "mounts.1.destination",
            "7",
            "mounts[1].destination: expected a string, found a number",
        ),
        (
            "mounts.1.options.1",
            "null",
            "mounts[1].options[1]: expected a string, found null",
        ),
        (
            "mounts.0",
            "\"x\"",
            "mounts[0]: expected an object, found a string",
        ),
        (
            "process.args",
            "{}",
            "process.args: expected an array, found an object",
        ),
        (
            "process.terminal",
            "\"yes\"",
            "process.terminal: expected a boolean, found a string",
        ),
        (
            "process.user.uid",
            "\"0\"",
            "process.user.uid: expected a whole number, found a string",
        ),
        (
            "process.user.uid",
            "1.0",
            "process.user.uid: expected a whole number, found 1.0",
        ),
        (
            "annotations.name",
            "1",
            "annotations.name: expected a string, found a number",
        ),
        (
            "annotations.a-b",
            "1",
            "annotations[\"a-b\"]: expected a string, found a number",
        ),
        ("linux", "[]", "linux: expected an object, found an array"),
        (
            "linux.seccomp.syscalls.0.names.1",
            "[]",
            "linux.seccomp.syscalls[0].names[1]: expected a string, found an array",
        ),
    ]);
    assert_eq!(lines("[]"), ["expected an object, found an array"]);
    assert_eq!(lines("null"), ["expected an object, found null"]);
}

#[test]
fn numbers_out_of_range() {
    complains(&[
        (
            "process.user.gid",
            "4294967296",
            "process.user.gid: 4294967296 is out of range (0 to 4294967295)",
        ),
        (
            "process.user.gid",
            "-1",
            "process.user.gid: -1 is out of range (0 to 4294967295)",
        ),
        (
            "process.user.umask",
            "512",
            "process.user.umask: 512 is out of range (0 to 511)",
        ),
        (
            "process.oomScoreAdj",
            "1001",
            "process.oomScoreAdj: 1001 is out of range (-1000 to 1000)",
        ),
        (
            "process.consoleSize.width",
            "65536",
            "process.consoleSize.width: 65536 is out of range (0 to 65535)",
        ),
        (
            "process.ioPriority.priority",
            "8",
            "process.ioPriority.priority: 8 is out of range (0 to 7)",
        ),
        (
            "process.scheduler.nice",
            "20",
            "process.scheduler.nice: 20 is out of range (-20 to 19)",
        ),
        (
            "process.rlimits.0.hard",
            "18446744073709551616",
            "process.rlimits[0].hard: 18446744073709552000 is out of range (0 to 18446744073709551615)",
        ),
        (
            "hooks.poststop.0.timeout",
            "0",
            "hooks.poststop[0].timeout: 0 is out of range (1 to 9223372036854775807)",
        ),
        (
            "linux.timeOffsets.boottime.nanosecs",
            "1000000000",
            "linux.timeOffsets.boottime.nanosecs: 1000000000 is out of range (0 to 999999999)",
        ),
        (
            "linux.resources.memory.limit",
            "-2",
            "linux.resources.memory.limit: -2 is out of range (-1 to 9223372036854775807)",
        ),
        (
            "linux.resources.memory.swappiness",
            "101",
            "linux.resources.memory.swappiness: 101 is out of range (0 to 100)",
        ),
        (
            "linux.resources.cpu.idle",
            "2",
            "linux.resources.cpu.idle: 2 is out of range (0 to 1)",
        ),
        (
            "linux.resources.blockIO.weight",
            "65536",
            "linux.resources.blockIO.weight: 65536 is out of range (0 to 65535)",
        ),
        (
            "linux.devices.0.major",
            "-1",
            "linux.devices[0].major: -1 is out of range (0 to 4294967295)",
        ),
        (
            "linux.resources.devices.0.minor",
            "-2",
            "linux.resources.devices[0].minor: -2 is out of range (-1 to 4294967295)",
        ),
        (
            "linux.seccomp.defaultErrnoRet",
            "65536",
            "linux.seccomp.defaultErrnoRet: 65536 is out of range (0 to 65535)",
        ),
        (
            "linux.seccomp.syscalls.2.args.0.index",
            "6",
            "linux.seccomp.syscalls[2].args[0].index: 6 is out of range (0 to 5)",
        ),
    ]);
    accepts(&[
        // Docker's "leave swappiness alone" goes through an unsigned field.
        ("linux.resources.memory.swappiness", "18446744073709551615"),
        ("linux.resources.devices.0.major", "-1"),
        ("linux.resources.pids", "{}"),
        ("linux.resources.pids.limit", "0"),
        ("linux.devices.0.fileMode", "8630"),
    ]);
}

#[test]
fn required_fields() {
    let missing: [(&str, &str); 23] = [
        ("ociVersion", "ociVersion"),
        ("root", "root"),
        ("root.path", "root.path"),
        ("mounts.0.destination", "mounts[0].destination"),
        ("process.cwd", "process.cwd"),
        ("process.args", "process.args"),
        ("process.rlimits.1.type", "process.rlimits[1].type"),
        ("process.rlimits.1.soft", "process.rlimits[1].soft"),
        ("process.rlimits.1.hard", "process.rlimits[1].hard"),
        ("process.scheduler.policy", "process.scheduler.policy"),
        ("process.ioPriority.class", "process.ioPriority.class"),
        ("hooks.prestart.0.path", "hooks.prestart[0].path"),
        ("linux.namespaces.1.type", "linux.namespaces[1].type"),
        ("linux.uidMappings.0.size", "linux.uidMappings[0].size"),
        ("linux.devices.0.type", "linux.devices[0].type"),
        ("linux.devices.2.minor", "linux.devices[2].minor"),
        (
            "linux.resources.devices.1.allow",
            "linux.resources.devices[1].allow",
        ),
        (
            "linux.resources.hugepageLimits.0.pageSize",
            "linux.resources.hugepageLimits[0].pageSize",
        ),
        ("linux.seccomp.defaultAction", "linux.seccomp.defaultAction"),
        (
            "linux.seccomp.syscalls.2.args.1.op",
            "linux.seccomp.syscalls[2].args[1].op",
        ),
        ("linux.seccomp.listenerPath", "linux.seccomp.listenerPath"),
        ("linux.personality.domain", "linux.personality.domain"),
        ("linux.memoryPolicy.mode", "linux.memoryPolicy.mode"),
    ];
    for (path, said) in missing {
        let found = lines(&with(&[(path, None)]));
        let expected = format!("{said}: is required");
        assert!(
            found.iter().any(|line| line.starts_with(&expected)),
            "{path}: {found:?}"
        );
        // null counts as absent, as in Go.
        let null = lines(&with(&[(path, Some("null"))]));
        assert!(
            null.iter()
                .any(|line| line.starts_with(&format!("{said}: is required"))),
            "{null:?}"
        );
    }
    accepts(&[
        ("linux.devices.1.major", "null"),
        ("process", "null"),
        ("mounts", "null"),
        ("process.user", "null"),
        ("linux.seccomp", "null"),
        ("hooks.prestart", "null"),
    ]);
}

#[test]
fn names_out_of_closed_sets() {
    complains(&[
        (
            "linux.namespaces.0.type",
            "\"net\"",
            "linux.namespaces[0].type: invalid namespace type \"net\" (allowed: pid, network, mount, \
          ipc, uts, user, cgroup, time)",
        ),
        (
            "linux.resources.devices.1.type",
            "\"p\"",
            "linux.resources.devices[1].type: invalid device rule type \"p\" (allowed: a, c, b)",
        ),
        (
            "linux.personality.domain",
            "\"BSD\"",
            "linux.personality.domain: invalid personality domain \"BSD\" (allowed: LINUX, LINUX32)",
        ),
        (
            "linux.timeOffsets.realtime",
            "{}",
            "linux.timeOffsets.realtime: invalid clock \"realtime\" (allowed: boottime, monotonic)",
        ),
        (
            "process.ioPriority.class",
            "\"\"",
            "process.ioPriority.class: invalid I/O priority class \"\" (allowed: IOPRIO_CLASS_RT, \
          IOPRIO_CLASS_BE, IOPRIO_CLASS_IDLE)",
        ),
    ]);
    let first_words = [
        ("process.rlimits.0.type", "invalid rlimit type"),
        ("process.scheduler.policy", "invalid scheduler policy"),
        ("process.scheduler.flags.0", "invalid scheduler flag"),
        ("linux.devices.0.type", "invalid device type"),
        ("linux.rootfsPropagation", "invalid rootfs propagation"),
        ("linux.memoryPolicy.mode", "invalid memory policy mode"),
        ("linux.memoryPolicy.flags.0", "invalid memory policy flag"),
        (
            "linux.memoryPolicy.nodes",
            "invalid memory policy node list",
        ),
        ("linux.seccomp.defaultAction", "invalid seccomp action"),
        (
            "linux.seccomp.architectures.0",
            "invalid seccomp architecture",
        ),
        ("linux.seccomp.flags.0", "invalid seccomp flag"),
        (
            "linux.seccomp.syscalls.2.args.0.op",
            "invalid seccomp operator",
        ),
    ];
    for (path, words) in first_words {
        let found = lines(&with(&[(path, Some("\"nonsense\""))]));
        assert!(
            found.len() == 1 && found[0].contains(&format!(": {words}")),
            "{path}: {found:?}"
        );
    }
    accepts(&[
        ("linux.rootfsPropagation", "\"rslave\""),
        ("linux.rootfsPropagation", "\"\""),
        ("process.scheduler.flags.0", "\"SCHED_RESET_ON_FORK\""),
        ("linux.resources.devices.1.type", "\"\""),
    ]);
}

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
    for version in [
        "",
        "1",
        "1.0",
        "1.0.0.0",
        "01.0.0",
        "1.00.0",
        "v1.0.0",
        "1.0.0-",
        "1.0.0-a..b",
        "1.0.x",
        "1.0.0+",
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
fn nul_bytes() {
    let nul = r#""a\u0000b""#;
    complains(&[
        (
            "process.args.1",
            nul,
            "process.args[1]: contains a NUL byte",
        ),
        ("process.cwd", nul, "process.cwd: contains a NUL byte"),
        ("hostname", nul, "hostname: contains a NUL byte"),
        (
            "annotations.name",
            nul,
            "annotations.name: contains a NUL byte",
        ),
    ]);
    let key = MAXIMAL.replace("\"name\": \"value\"", r#""na\u0000me": "value""#);
    assert_eq!(
        lines(&key),
        ["annotations[\"na\\0me\"]: the key contains a NUL byte"]
    );
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
fn id_mappings() {
    let map = |text: &str| lines(&with(&[("linux.uidMappings", Some(text))]));
    let entry = |inside: u32, outside: u32, size: u32| {
        format!("{{\"containerID\": {inside}, \"hostID\": {outside}, \"size\": {size}}}")
    };
    let two = |a: String, b: String| map(&format!("[{a}, {b}]"));
    assert_eq!(two(entry(0, 1000, 10), entry(10, 2000, 10)), [""; 0]);
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
    assert_eq!(
        lines(&with(&[("mounts.1.gidMappings", None)])),
        ["mounts[1].uidMappings: needs gidMappings too"]
    );
}

#[test]
fn resource_rules() {
    complains(&[
        (
            "linux.resources.devices.0.access",
            "\"rx\"",
            "linux.resources.devices[0].access: must consist of r, w and m, has 'x'",
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
    ] {
        assert_eq!(
            sysctl(name),
            "is not the name of a kernel parameter",
            "{name}"
        );
    }
}

#[test]
fn everything_at_once_in_document_order() {
    let text = r#"{
        "hostname": "x",
        "mounts": [{"type": "proc"}, {"destination": 3, "options": ["a", 5, "b\u0000"]}],
        "process": {"cwd": "here", "env": ["A"], "user": {"uid": -1}, "rlimits": [{"type": "RLIMIT_X", "soft": 1}]},
        "ociVersion": "0.1.0",
        "linux": {"maskedPaths": ["a"], "namespaces": [{"type": "pid"}, {"type": "pid", "path": "p"}],
                  "seccomp": {}}
    }"#;
    let expected = [
        "hostname: needs a namespace of type uts",
        "mounts[0].destination: is required, but missing",
        "mounts[1].destination: expected a string, found a number",
        "mounts[1].options[1]: expected a string, found a number",
        "mounts[1].options[2]: contains a NUL byte",
        "process.cwd: must be an absolute path, is \"here\"",
        "process.env[0]: invalid environment variable: missing '=' in \"A\"",
        "process.user.uid: -1 is out of range (0 to 4294967295)",
        "process.rlimits[0].type: invalid rlimit type \"RLIMIT_X\" (allowed: RLIMIT_AS, RLIMIT_CORE, \
         RLIMIT_CPU, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_LOCKS, RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE, \
         RLIMIT_NICE, RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_RSS, RLIMIT_RTPRIO, RLIMIT_RTTIME, \
         RLIMIT_SIGPENDING, RLIMIT_STACK)",
        "process.rlimits[0].hard: is required, but missing",
        "process.args: is required, but missing",
        "ociVersion: unknown version \"0.1.0\": kan supports 1.x (1.0.0 to 1.3.0)",
        "linux.maskedPaths[0]: must be an absolute path, is \"a\"",
        "linux.namespaces[1].path: must be an absolute path, is \"p\"",
        "linux.seccomp.defaultAction: is required, but missing",
        "root: is required, but missing",
    ];
    // The hostname is judged only where the namespaces can be read: here one of them can't.
    assert_eq!(lines(text), expected[1..]);
    let readable = text
        .replace(", \"path\": \"p\"", "")
        .replace("{\"type\": \"pid\"}, ", "");
    let mut readable_expected = expected.to_vec();
    readable_expected.remove(13);
    assert_eq!(lines(&readable), readable_expected);
}

#[test]
fn a_flood_of_problems_is_cut_short() {
    let text = format!("{{\"mounts\": [{}0]}}", "0,".repeat(100_000));
    assert_eq!(lines(&text).len(), 500);
}

#[test]
fn lone_processes_and_resources_are_held_to_the_same_rules() {
    let process = process::parse(br#"{"cwd": "/", "args": ["sh"]}"#).unwrap();
    assert_eq!(process.value.args, ["sh"]);
    let error = process::parse(br#"{"cwd": "x", "args": []}"#)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "process: cwd: must be an absolute path, is \"x\"\nprocess: args: must not be empty"
    );
    let limits = resources::parse(br#"{"memory": {"limit": 5}, "new": 1}"#).unwrap();
    assert_eq!(limits.value.memory.unwrap().limit, Some(5));
    assert_eq!(limits.ignored, ["new"]);
    let error = resources::parse(br#"{"cpu": {"idle": 3}}"#)
        .unwrap_err()
        .to_string();
    assert_eq!(error, "resources: cpu.idle: 3 is out of range (0 to 1)");
}
