//! What is said of documents that don't fit together: kinds, ranges, names, what is missing. Each
//! case changes a sound document and lists every line of the error, in order.
#![allow(missing_docs, clippy::unwrap_used)]

mod changed;

use changed::{MAXIMAL, accepts, complains, lines, with};
use kan_spec::{process, resources};

#[test]
fn the_maximal_document_is_sound() {
    assert_eq!(lines(MAXIMAL), [""; 0]);
    assert_eq!(lines(&with(&[])), [""; 0]);
}

#[test]
fn kinds() {
    complains(&[
        (
            "linux.resources.cpu.shares",
            "\"\"",
            "linux.resources.cpu.shares: expected a whole number, found a string",
        ),
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

/// To the kernel 4294967295 is "leave it unchanged", and a process that sets it stays root.
#[test]
fn what_is_no_id() {
    let why = "4294967295 is no id (the kernel reads it as \"leave unchanged\")";
    for (pointer, field) in [
        ("process.user.uid", "process.user.uid"),
        ("process.user.gid", "process.user.gid"),
        ("linux.devices.0.uid", "linux.devices[0].uid"),
        ("linux.devices.0.gid", "linux.devices[0].gid"),
    ] {
        complains(&[(pointer, "4294967295", &format!("{field}: {why}"))]);
    }
    complains(&[
        (
            "process.user.additionalGids",
            "[1, 4294967295]",
            &format!("process.user.additionalGids[1]: {why}"),
        ),
        (
            "linux.uidMappings.0.hostID",
            "4294967295",
            &format!("linux.uidMappings[0].hostID: {why}"),
        ),
        (
            "linux.gidMappings.0.containerID",
            "4294967295",
            &format!("linux.gidMappings[0].containerID: {why}"),
        ),
    ]);
}

#[test]
#[allow(clippy::too_many_lines, reason = "one table of cases")]
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
            "linux.devices[0].major: -1 is out of range (0 to 4095)",
        ),
        (
            "linux.devices.0.minor",
            "1048576",
            "linux.devices[0].minor: 1048576 is out of range (0 to 1048575)",
        ),
        (
            "linux.resources.devices.0.major",
            "4294967295",
            "linux.resources.devices[0].major: 4294967295 is out of range (-1 to 4294967294)",
        ),
        (
            "linux.resources.devices.0.minor",
            "-2",
            "linux.resources.devices[0].minor: -2 is out of range (-1 to 4294967294)",
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
    assert_eq!(
        lines(&with(&[("linux.devices.0", Some(r#"{"path": "/dev/x"}"#))])),
        ["linux.devices[0].type: is required, but missing"]
    );
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

/// The last of two equal keys counts, and so does its place.
#[test]
fn duplicate_keys_are_judged_where_they_count() {
    let text = r#"{"hostname": "a", "ociVersion": "0", "hostname": "b", "root": {"path": "r"}}"#;
    let expected = [
        "ociVersion: \"0\" is not a version in the form of SemVer 2.0.0",
        "hostname: needs a namespace of type uts",
    ];
    assert_eq!(lines(text), expected);
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
