//! Documents that kan writes.
#![allow(missing_docs, clippy::unwrap_used)]

use kan_spec::config::{IdMapping, NamespaceType};
use kan_spec::json::Json;
use kan_spec::state::{State, Status};
use kan_spec::{default_config, parse_config, rootless_config};

#[test]
fn the_default_config_is_sound_here_and_for_oci_spec() {
    let on_v1 = kan_spec::without_cgroup_namespace(&default_config());
    assert!(!on_v1.contains("\"type\": \"cgroup\"\n"), "{on_v1}");
    for text in [default_config(), rootless_config(1000, 1001), on_v1] {
        let document = parse_config(text.as_bytes()).unwrap();
        assert_eq!(document.ignored, [""; 0]);
        assert_eq!(document.value.oci_version, kan_spec::version::NEWEST);
        assert!(text.ends_with("}\n"));
        serde_json::from_str::<oci_spec::runtime::Spec>(&text).unwrap();
        // What is printed is what our printer makes of it: one way to write JSON.
        assert_eq!(Json::parse(text.as_bytes()).unwrap().pretty("\t"), text);
    }
}

#[test]
fn keys_come_in_the_order_that_people_expect() {
    let text = default_config();
    let Json::Object(entries) = Json::parse(text.as_bytes()).unwrap() else {
        panic!()
    };
    let keys: Vec<_> = entries.iter().map(|(key, _)| key.as_ref()).collect();
    assert_eq!(
        keys,
        [
            "ociVersion",
            "process",
            "root",
            "hostname",
            "mounts",
            "linux"
        ]
    );
}

/// runc writes the same document, but for its name, its version and what has changed since the
/// installed one: no ambient capabilities, the cgroup namespace on v2, one more masked path.
#[test]
fn the_default_config_has_the_content_of_runc_s() {
    let config = parse_config(default_config().as_bytes()).unwrap().value;
    let process = config.process.unwrap();
    assert!(process.terminal && process.no_new_privileges);
    assert_eq!(
        (process.args, process.cwd),
        (vec!["sh".to_owned()], "/".to_owned())
    );
    let capabilities = process.capabilities.unwrap();
    assert_eq!(
        capabilities.bounding,
        ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
    );
    assert_eq!(capabilities.effective, capabilities.bounding);
    assert_eq!(capabilities.permitted, capabilities.bounding);
    assert!(capabilities.inheritable.is_empty() && capabilities.ambient.is_empty());
    let linux = config.linux.unwrap();
    let kinds: Vec<_> = linux
        .namespaces
        .iter()
        .map(|namespace| namespace.r#type.name())
        .collect();
    assert_eq!(kinds, ["pid", "network", "ipc", "uts", "mount", "cgroup"]);
    assert_eq!(linux.masked_paths.len(), 11);
    assert_eq!(linux.readonly_paths.len(), 5);
    assert!(!linux.resources.unwrap().devices[0].allow);
    let cgroup = config.mounts.last().unwrap();
    assert_eq!(cgroup.destination, "/sys/fs/cgroup");
    assert!(cgroup.options.contains(&"ro".to_owned()));
}

#[test]
fn the_rootless_config_differs_where_an_unprivileged_user_must() {
    let plain = parse_config(default_config().as_bytes()).unwrap().value;
    let mut rootless = parse_config(rootless_config(1000, 1001).as_bytes())
        .unwrap()
        .value;
    let linux = rootless.linux.as_mut().unwrap();
    let mapping = |host_id| {
        vec![IdMapping {
            container_id: 0,
            host_id,
            size: 1,
        }]
    };
    assert_eq!(std::mem::take(&mut linux.uid_mappings), mapping(1000));
    assert_eq!(std::mem::take(&mut linux.gid_mappings), mapping(1001));
    assert_eq!(linux.resources, None);
    let kinds: Vec<_> = linux
        .namespaces
        .iter()
        .map(|namespace| namespace.r#type)
        .collect();
    use NamespaceType::{Cgroup, Ipc, Mount, Pid, User, Uts};
    assert_eq!(kinds, [Pid, Ipc, Uts, Mount, Cgroup, User]);
    let sys = rootless
        .mounts
        .iter()
        .find(|mount| mount.destination == "/sys")
        .unwrap();
    assert_eq!(
        (sys.r#type.as_deref(), sys.source.as_deref()),
        (Some("none"), Some("/sys"))
    );
    assert_eq!(sys.options, ["rbind", "nosuid", "noexec", "nodev", "ro"]);
    let pts = rootless
        .mounts
        .iter()
        .find(|mount| mount.destination == "/dev/pts")
        .unwrap();
    assert!(!pts.options.iter().any(|option| option.starts_with("gid=")));
    // The rest is the same.
    assert_eq!(rootless.process, plain.process);
    let places = |mounts: &[kan_spec::config::Mount]| {
        mounts
            .iter()
            .map(|mount| mount.destination.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(places(&rootless.mounts), places(&plain.mounts));
    assert_eq!(
        rootless.linux.unwrap().masked_paths,
        plain.linux.unwrap().masked_paths
    );
}

fn state() -> State {
    State {
        oci_version: "1.3.0".into(),
        id: "one".into(),
        pid: 42,
        status: Status::Running,
        bundle: "/bundle".into(),
        rootfs: Some("/bundle/rootfs".into()),
        created: Some("2026-11-23T18:00:00.123456789Z".into()),
        annotations: vec![("z".into(), "1".into()), ("a".into(), "2".into())],
        owner: Some("root".into()),
    }
}

#[test]
fn the_state_is_printed_as_runc_prints_it() {
    let expected = r#"{
  "ociVersion": "1.3.0",
  "id": "one",
  "pid": 42,
  "status": "running",
  "bundle": "/bundle",
  "rootfs": "/bundle/rootfs",
  "created": "2026-11-23T18:00:00.123456789Z",
  "annotations": {
    "z": "1",
    "a": "2"
  },
  "owner": "root"
}"#;
    assert_eq!(state().pretty(), expected);
}

#[test]
fn hooks_get_the_state_of_the_specification_in_one_line() {
    let state = State {
        rootfs: None,
        created: None,
        owner: None,
        annotations: vec![],
        ..state()
    };
    let text = state.compact();
    assert_eq!(
        text,
        r#"{"ociVersion":"1.3.0","id":"one","pid":42,"status":"running","bundle":"/bundle"}"#
    );
    let read: oci_spec::runtime::State = serde_json::from_str(&text).unwrap();
    assert_eq!((read.id().as_str(), *read.pid()), ("one", Some(42)));
}

#[test]
fn status_names() {
    for status in [
        Status::Creating,
        Status::Created,
        Status::Running,
        Status::Stopped,
        Status::Paused,
    ] {
        let state = State { status, ..state() };
        assert!(
            state
                .compact()
                .contains(&format!("\"status\":\"{}\"", status.name()))
        );
    }
}

#[test]
fn features_name_what_the_parser_knows_and_what_the_caller_says() {
    use kan_spec::config::{ClosedSet, SeccompArch, SeccompFlag};
    use kan_spec::features::{Implemented, features};
    let text = features(&Implemented {
        mount_options: vec!["ro".into(), "rro".into()],
        capabilities: vec!["CAP_CHOWN".into()],
        idmap: true,
        systemd: true,
        seccomp_flags: vec![SeccompFlag::Log],
        annotations: vec![("org.example.z", "1"), ("org.example.a", "2")],
        unsafe_annotations: vec!["org.systemd.property."],
        ..Implemented::default()
    });
    let read: oci_spec::runtime::Features = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (
            read.oci_version_min().as_str(),
            read.oci_version_max().as_str()
        ),
        ("1.0.0", "1.3.0")
    );
    assert_eq!(read.hooks().as_ref().unwrap().len(), 6);
    let linux = read.linux().as_ref().unwrap();
    assert_eq!(linux.namespaces().as_ref().unwrap().len(), 8);
    let seccomp = linux.seccomp().as_ref().unwrap();
    // oci-spec knows each of them: none is dropped on the way.
    assert_eq!(
        seccomp.archs().as_ref().unwrap().len(),
        SeccompArch::VALUES.len()
    );
    assert_eq!(seccomp.actions().as_ref().unwrap().len(), 9);
    assert_eq!(seccomp.known_flags().as_ref().unwrap().len(), 4);
    assert_eq!(
        seccomp.supported_flags().as_deref(),
        Some(&["SECCOMP_FILTER_FLAG_LOG".to_owned()][..])
    );
    assert_eq!(*linux.cgroup().as_ref().unwrap().rdma(), Some(false));
    // What CRI-O looks for.
    let idmap = linux
        .mount_extensions()
        .as_ref()
        .and_then(|found| found.idmap().clone())
        .unwrap();
    assert_eq!(*idmap.enabled(), Some(true));
    assert!(
        text.starts_with(
            "{\n    \"ociVersionMin\": \"1.0.0\",\n    \"ociVersionMax\": \"1.3.0\",\n"
        )
    );
    assert!(text.find("org.example.a").unwrap() < text.find("org.example.z").unwrap());
    assert!(!text.contains("null"));
}
