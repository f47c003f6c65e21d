//! What kan prints and writes beside running containers: plans, traces, logs, help.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic and speak"
)]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn kan(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kan"))
        .args(args)
        .output()
        .unwrap()
}

fn hello() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bundles/hello");
    path.to_str().unwrap().to_owned()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A folder that is gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kan-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn is_root() -> bool {
    let is_root = kan_sys::credentials::effective_uid() == 0;
    if !is_root {
        println!("skipped: needs root");
    }
    is_root
}

#[test]
fn a_plan_names_each_steps_field_and_changes_nothing() {
    let scratch = Scratch::new("plan");
    let root = scratch.path("root");
    let output = kan(&["--root", &root, "plan", "--bundle", &hello(), "hello"]);
    let plan = text(&output.stdout);
    assert!(output.status.success());
    for (field, step) in [
        ("mounts[0]", "clone the mount of /usr"),
        ("linux.maskedPaths[2]", "mask /proc/kcore"),
        ("hostname", "set hostname hello"),
        ("process.args", "execute \"sh\""),
    ] {
        assert!(
            plan.lines()
                .any(|line| line.contains(field) && line.contains(step)),
            "{field}: {step}\n{plan}"
        );
    }
    assert!(!Path::new(&root).exists());
}

#[test]
fn a_plan_as_json_has_the_same_steps() {
    let plain = kan(&["plan", "--bundle", &hello(), "hello"]);
    let json = kan(&["plan", "--bundle", &hello(), "--json", "hello"]);
    let steps: Value = serde_json::from_slice(&json.stdout).unwrap();
    let steps = steps.as_array().unwrap();
    assert_eq!(steps.len() + 2, text(&plain.stdout).lines().count());
    assert!(
        steps
            .iter()
            .all(|step| step["half"] == "host" || step["half"] == "init")
    );
    assert_eq!(steps.last().unwrap()["field"], "process.args");
}

/// Chrome's Trace Event Format: complete events with a name, a beginning and a duration.
fn check_trace(path: &str, wanted: &[(&str, &str)]) {
    let events: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let events = events.as_array().unwrap();
    for event in events {
        assert_eq!(event["ph"], "X");
        assert!(event["ts"].as_f64().unwrap() > 0.0 && event["dur"].as_f64().unwrap() >= 0.0);
    }
    for (half, start) in wanted {
        let found = events.iter().any(|event| {
            event["cat"] == *half && event["name"].as_str().unwrap().starts_with(start)
        });
        assert!(found, "{half}: {start}");
    }
}

#[test]
fn every_command_that_makes_or_starts_writes_a_trace() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new("trace");
    let (root, trace, bundle) = (scratch.path("root"), scratch.path("trace"), hello());
    let common = ["--root", &root, "--trace", &trace];
    let id = format!("trace-{}", std::process::id());
    let call = |rest: &[&str]| {
        // The container keeps kan's streams: pipes would stay open until it ends.
        let mut command = Command::new(env!("CARGO_BIN_EXE_kan"));
        command
            .args(common)
            .args(rest)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        assert!(
            command.stderr(Stdio::null()).status().unwrap().success(),
            "{rest:?}"
        );
    };
    call(&["run", "--bundle", &bundle, &id]);
    check_trace(
        &trace,
        &[
            ("host", "clone"),
            ("init", "pivot"),
            ("host", "wait for exec"),
        ],
    );
    call(&["create", "--bundle", &bundle, &id]);
    check_trace(
        &trace,
        &[("host", "read the bundle"), ("init", "find the program")],
    );
    call(&["exec", &id, "true"]);
    check_trace(&trace, &[("host", "clone"), ("init", "join namespaces")]);
    call(&["start", &id]);
    check_trace(&trace, &[("host", "let init go on")]);
    call(&["delete", "--force", &id]);
}

/// As nobody: a plan needs no privileges.
#[test]
fn a_plan_needs_no_privileges() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new("nobody");
    let (binary, bundle) = (scratch.path("kan"), scratch.path("bundle"));
    std::fs::copy(env!("CARGO_BIN_EXE_kan"), &binary).unwrap();
    std::fs::create_dir(&bundle).unwrap();
    std::fs::copy(
        format!("{}/config.json", hello()),
        format!("{bundle}/config.json"),
    )
    .unwrap();
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--inh-caps=-all",
        "--",
    ]);
    let output = command
        .args([&binary, "plan", "--bundle", &bundle])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("pivot into the root"));
}

#[test]
fn a_failure_is_one_line_and_one_record() {
    let scratch = Scratch::new("log");
    let (root, log) = (scratch.path("root"), scratch.path("log.json"));
    let output = kan(&[
        "--root",
        &root,
        "--log",
        &log,
        "--log-format",
        "json",
        "start",
        "nobody",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "kan: container \"nobody\": container does not exist\n"
    );
    let record: Value = serde_json::from_str(&std::fs::read_to_string(&log).unwrap()).unwrap();
    assert_eq!(record["level"], "error");
    assert_eq!(
        record["msg"],
        "container \"nobody\": container does not exist"
    );
    assert!(record["time"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn a_bad_flag_is_in_the_log_as_well() {
    let scratch = Scratch::new("flag");
    let log = scratch.path("log.json");
    let output = kan(&["--log", &log, "--log-format=json", "create", "--bogus", "x"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr).lines().count(),
        1,
        "{}",
        text(&output.stderr)
    );
    let record: Value = serde_json::from_str(&std::fs::read_to_string(&log).unwrap()).unwrap();
    assert!(record["msg"].as_str().unwrap().contains("--bogus"));
}

#[test]
fn every_problem_of_a_bundle_is_a_line() {
    let scratch = Scratch::new("problems");
    let config = r#"{"ociVersion": "1.0.2", "root": {"path": 7}, "hostname": "h",
        "process": {"cwd": "relative", "args": ["x"]}, "linux": {"namespaces": [{"type": "mount"}]}}"#;
    std::fs::write(scratch.path("config.json"), config).unwrap();
    let output = kan(&["plan", "--bundle", &scratch.path("")]);
    let lines: Vec<_> = text(&output.stderr).lines().collect();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (line, field) in lines.iter().zip(["root.path", "hostname", "process.cwd"]) {
        assert!(
            line.starts_with(&format!("kan: config.json: {field}: ")),
            "{lines:?}"
        );
    }
}

#[test]
fn help_starts_as_engines_and_people_know_it() {
    for args in [&["--help"][..], &["create", "--help"], &["run", "-h"]] {
        let output = kan(args);
        assert!(output.status.success());
        assert!(text(&output.stdout).starts_with("NAME:\n"), "{args:?}");
    }
}
