//! What a sound document means.
#![allow(missing_docs, clippy::unwrap_used)]

use kan_spec::config::*;
use kan_spec::parse_config;

const MAXIMAL: &str = include_str!("data/maximal.json");

fn config(text: &str) -> Config {
    parse_config(text.as_bytes()).unwrap().value
}

/// The smallest document that kan takes.
fn minimal() -> Config {
    config(r#"{"ociVersion": "1.0.0", "root": {"path": "r"}}"#)
}

fn linux(text: &str) -> Linux {
    let document =
        format!(r#"{{"ociVersion": "1.0.0", "root": {{"path": "r"}}, "linux": {text}}}"#);
    config(&document).linux.unwrap()
}

#[test]
fn a_minimal_document_is_all_defaults() {
    let root = Some(Root {
        path: "r".into(),
        readonly: false,
    });
    let expected = Config {
        oci_version: "1.0.0".into(),
        root,
        ..Config::default()
    };
    assert_eq!(minimal(), expected);
}

/// Each leaf of the maximal document ends up in the value: taking any one away, or changing it,
/// changes what is read.
#[test]
fn every_field_of_the_maximal_document_is_read() {
    use kan_spec::json::Json;
    fn leaves(json: &Json<'_>, way: &str, found: &mut Vec<String>) {
        match json {
            Json::Object(entries) if !entries.is_empty() => {
                entries
                    .iter()
                    .for_each(|(key, value)| leaves(value, &format!("{way}/{key}"), found));
            }
            Json::List(items) if !items.is_empty() => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(n, value)| leaves(value, &format!("{way}/{n}"), found));
            }
            _ => found.push(way.to_owned()),
        }
    }
    let whole = config(MAXIMAL);
    let mut ways = Vec::new();
    leaves(&Json::parse(MAXIMAL.as_bytes()).unwrap(), "", &mut ways);
    // Taking these away means what they say: they are the default.
    let default = [
        "/process/scheduler/nice",
        "/process/scheduler/priority",
        "/linux/personality/flags",
        "/linux/resources/devices/3/type",
    ];
    for way in ways.iter().filter(|way| !default.contains(&way.as_str())) {
        let mut document = Json::parse(MAXIMAL.as_bytes()).unwrap();
        remove(&mut document, &way[1..]);
        if let Ok(read) = parse_config(document.pretty("").as_bytes()) {
            assert_ne!(read.value, whole, "{way}");
        }
    }

    fn remove(json: &mut Json<'_>, way: &str) {
        let (step, rest) = way.split_once("/").unwrap_or((way, ""));
        // Keys with a slash of their own: only in sysctl.
        let (step, rest) = if way.starts_with("net/core") {
            (way, "")
        } else {
            (step, rest)
        };
        match json {
            Json::Object(entries) if rest.is_empty() => entries.retain(|(key, _)| key != step),
            Json::List(items) if rest.is_empty() => drop(items.remove(step.parse().unwrap())),
            Json::List(items) => remove(&mut items[step.parse::<usize>().unwrap()], rest),
            json => remove(json.get_mut(step).unwrap(), rest),
        }
    }
}

#[test]
fn nothing_in_the_maximal_document_is_unknown() {
    assert_eq!(parse_config(MAXIMAL.as_bytes()).unwrap().ignored, [""; 0]);
}

#[test]
fn unknown_keys_are_passed_over_and_named() {
    let text = MAXIMAL
        .replacen("\"terminal\"", "\"new\": [1], \"terminal\"", 1)
        .replacen(
            "\"hostname\"",
            "\"x.y\": {}, \"windows\": {\"a\": 1}, \"hostname\"",
            1,
        )
        .replacen("\"type\": \"pid\"", "\"type\": \"pid\", \"Path\": \"x\"", 1);
    let document = parse_config(text.as_bytes()).unwrap();
    let expected = [
        "process.new",
        "[\"x.y\"]",
        "windows",
        "linux.namespaces[0].Path",
    ];
    assert_eq!(document.ignored, expected);
    assert_eq!(document.value, config(MAXIMAL));
}

#[test]
fn maps_keep_document_order_and_the_last_duplicate() {
    let read = config(MAXIMAL);
    let keys: Vec<_> = read
        .annotations
        .iter()
        .map(|(key, _)| key.as_str())
        .collect();
    assert_eq!(keys, ["org.example.z", "org.example.a", "name"]);
    assert_eq!(read.annotation("org.example.a"), Some(""));
    assert_eq!(read.annotation("other"), None);
    let text = MAXIMAL.replace(
        "\"name\": \"value\"",
        "\"org.example.z\": \"2\", \"org.example.z\": \"3\"",
    );
    let pairs = config(&text).annotations;
    let expected = [
        ("org.example.a".to_owned(), String::new()),
        ("org.example.z".to_owned(), "3".to_owned()),
    ];
    assert_eq!(pairs, expected);
}

#[test]
fn a_key_that_occurs_twice_counts_once() {
    let read = config(
        r#"{"ociVersion": "1.0.0", "ociVersion": "1.1.0", "root": {"path": "a", "readonly": true}, "root": {"path": "b"},
            "mounts": [{"destination": "/a"}], "mounts": []}"#,
    );
    assert_eq!(read.oci_version, "1.1.0");
    assert_eq!(
        read.root,
        Some(Root {
            path: "b".into(),
            readonly: false
        })
    );
    assert_eq!(read.mounts, []);
    // null changes nothing, as in Go.
    for root in [
        r#"{"path": null, "path": "a"}"#,
        r#"{"path": "a", "path": null}"#,
    ] {
        let text = format!(r#"{{"ociVersion": "1.0.0", "root": {root}}}"#);
        assert_eq!(config(&text).root.unwrap().path, "a");
    }
}

#[test]
fn empty_optional_strings_are_absent() {
    let read = config(
        r#"{"ociVersion": "1.0.0", "root": {"path": "r"}, "hostname": "", "domainname": "",
        "process": {"cwd": "/", "args": [""], "apparmorProfile": "", "selinuxLabel": ""},
        "mounts": [{"destination": "/a", "type": "", "source": ""}],
        "linux": {"namespaces": [{"type": "pid", "path": ""}], "cgroupsPath": "", "rootfsPropagation": ""}}"#,
    );
    assert_eq!(read.hostname, None);
    let process = read.process.as_ref().unwrap();
    assert_eq!(
        (&process.apparmor_profile, &process.selinux_label),
        (&None, &None)
    );
    assert_eq!(process.args, [""]);
    assert_eq!(
        (&read.mounts[0].r#type, &read.mounts[0].source),
        (&None, &None)
    );
    assert_eq!(read.namespace(NamespaceType::Pid).unwrap().path, None);
    let linux = read.linux.unwrap();
    assert_eq!((linux.cgroups_path, linux.rootfs_propagation), (None, None));
}

#[test]
fn absent_and_empty_seccomp_flags_differ() {
    let flags = |text: &str| {
        linux(&format!(
            r#"{{"seccomp": {{"defaultAction": "SCMP_ACT_ALLOW"{text}}}}}"#
        ))
        .seccomp
        .unwrap()
        .flags
    };
    assert_eq!(flags(""), None);
    assert_eq!(flags(r#", "flags": null"#), None);
    assert_eq!(flags(r#", "flags": []"#), Some(vec![]));
    assert_eq!(
        flags(r#", "flags": ["SECCOMP_FILTER_FLAG_LOG"]"#),
        Some(vec![SeccompFlag::Log])
    );
}

#[test]
fn numbers_keep_every_bit() {
    let read = config(MAXIMAL);
    let process = read.process.unwrap();
    assert_eq!(process.rlimits[1].hard, u64::MAX);
    let linux = read.linux.unwrap();
    assert_eq!(linux.seccomp.unwrap().syscalls[2].args[1].value, u64::MAX);
    assert_eq!(
        linux.time_offsets[0],
        (
            Clock::Monotonic,
            TimeOffset {
                secs: -86400,
                nanosecs: 999_999_999
            }
        )
    );
    assert_eq!(process.args[2], "echo \"café\"\n");
}

#[test]
fn device_rules_default_to_all_devices() {
    let rules = linux(r#"{"resources": {"devices": [{"allow": false}, {"allow": true, "type": "c", "access": "m"}]}}"#)
        .resources.unwrap().devices;
    assert_eq!(
        rules[0],
        DeviceRule {
            allow: false,
            ..DeviceRule::default()
        }
    );
    assert_eq!(rules[0].r#type, DeviceRuleType::All);
    assert_eq!(
        (rules[1].r#type, rules[1].access.as_str()),
        (DeviceRuleType::Char, "m")
    );
}

#[test]
fn lists_of_cpus() {
    assert_eq!(parse_list("0-3,7"), Ok(vec![(0, 3), (7, 7)]));
    assert_eq!(parse_list("5, 2-2"), Ok(vec![(5, 5), (2, 2)]));
    assert_eq!(parse_list("65535"), Ok(vec![(65535, 65535)]));
    for list in [
        "",
        ",",
        "a",
        "1-",
        "-1",
        "3-1",
        "1--2",
        "+1",
        "65536",
        "99999999999",
    ] {
        assert!(parse_list(list).is_err(), "{list}");
    }
}

#[test]
fn names_are_those_of_the_document() {
    assert_eq!(
        SeccompArch::from_name("SCMP_ARCH_X86_64"),
        Some(SeccompArch::X86_64)
    );
    assert_eq!(SeccompArch::from_name("scmp_arch_x86_64"), None);
    assert_eq!(
        SchedulerFlag::from_name("SCHED_RESET_ON_FORK"),
        Some(SchedulerFlag::ResetOnFork)
    );
    assert_eq!(
        SchedulerFlag::ResetOnFork.to_string(),
        "SCHED_FLAG_RESET_ON_FORK"
    );
}
