//! `check` and `doctor`: what people are told about bundles and hosts.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};

fn kan(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kan"));
    command.args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A bundle that is gone afterwards.
struct Bundle(PathBuf);

impl Bundle {
    fn new(name: &str, config: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kan-check-{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("rootfs/bin")).unwrap();
        std::fs::write(path.join("config.json"), config).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Six things are wrong with it, and all of them are this host's.
const WRONG_HERE: &str = r#"{
  "ociVersion": "1.0.2",
  "root": {"path": "rootfs"},
  "process": {"args": ["nosuch"], "cwd": "/", "env": ["PATH=/bin"]},
  "mounts": [
    {"destination": "/proc", "type": "proc"},
    {"destination": "/x", "source": "/nowhere/at/all", "options": ["bind"]},
    {"destination": "/y", "type": "banana", "source": "z"}
  ],
  "hooks": {"createRuntime": [{"path": "/no/hook"}]},
  "linux": {"namespaces": [
    {"type": "mount"}, {"type": "pid"},
    {"type": "network", "path": "/run/netns/none"}
  ]}
}"#;

#[test]
fn everything_is_told_at_once_with_its_place() {
    let bundle = Bundle::new("all", WRONG_HERE);
    let output = kan(&["check", bundle.path()]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for line in [
        "config.json:4:23: error: process.args: \"nosuch\" is not in the root file system",
        "config.json:7:5: error: mounts[1]: /nowhere/at/all: no such file or directory",
        "config.json:8:5: error: mounts[2]: the kernel has no file system \"banana\"",
        "config.json:10:31: error: hooks.createRuntime[0]: /no/hook: no such file or directory",
        "config.json:13:33: error: linux.namespaces[2].path: /run/netns/none: no such file",
    ] {
        let found = said.lines().position(|one| one.starts_with(line));
        let advice = found.and_then(|at| said.lines().nth(at + 1));
        let is_advice = advice.is_some_and(|line| line.starts_with("    "));
        assert!(is_advice, "{line}\n{said}");
    }
    assert!(!said.contains('\u{1b}'), "colours in a pipe");
}

#[test]
fn as_json_it_has_the_same() {
    let bundle = Bundle::new("json", WRONG_HERE);
    let output = kan(&["check", "--json", bundle.path()]);
    assert_eq!(output.status.code(), Some(1));
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), 5, "{all:?}");
    assert_eq!((&all[1]["line"], &all[1]["column"]), (&7.into(), &5.into()));
    assert!(all.iter().all(|one| one["verdict"] == "fails"));
}

#[test]
fn what_the_document_says_wrongly_has_its_place_too() {
    let config = WRONG_HERE.replace(r#""cwd": "/""#, r#""cwd": 7"#);
    let bundle = Bundle::new("spec", &config.replace("\"pid\"", "\"pod\""));
    let output = kan(&["check", bundle.path()]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("config.json:4:42: error: process.cwd: "),
        "{said}"
    );
    assert!(
        said.contains("config.json:12:33: error: linux.namespaces[1].type: "),
        "{said}"
    );
}

/// What is wrong with a part of the document hides nothing of the others.
#[test]
fn the_host_is_looked_at_beside_a_wrong_document() {
    let config = WRONG_HERE.replace(r#""cwd": "/""#, r#""cwd": 7"#);
    let config = config.replace(r#""type": "proc"}"#, r#""type": "proc", "options": 1}"#);
    let bundle = Bundle::new("both", &config);
    let said = kan(&["check", bundle.path()]).stdout;
    let said = text(&said);
    for line in [
        "config.json:4:42: error: process.cwd: ",
        "config.json:4:23: error: process.args: \"nosuch\" is not in the root file system",
        "config.json:7:5: error: mounts[1]: /nowhere/at/all: no such file or directory",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    let wrong: Vec<_> = said
        .lines()
        .filter(|line| line.contains("mounts[0]"))
        .collect();
    assert_eq!(
        wrong.len(),
        1,
        "said of a part that is not understood: {said}"
    );
    let contradiction = WRONG_HERE.replace(r#"["bind"]"#, r#"["bind", "tmpcopyup"]"#);
    let bundle = Bundle::new("plan", &contradiction);
    let said = kan(&["check", bundle.path()]).stdout;
    let said = text(&said);
    for line in [
        "error: mounts[1].options[1]: tmpcopyup is an option of tmpfs",
        "error: mounts[2]: the kernel has no file system \"banana\"",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
}

#[test]
fn a_good_bundle_is_good() {
    let hello = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bundles/hello");
    let output = kan(&["check", hello]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("nothing is wrong with it here"), "{said}");
}

#[test]
fn what_is_no_bundle_is_an_error() {
    let output = kan(&["check", "/nowhere/at/all"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert_eq!(
        said,
        "kan: bundle /nowhere/at/all: no such file or directory\n"
    );
}

#[test]
fn the_doctor_looks_at_everything_and_advises() {
    let output = kan(&["doctor", "--json"]);
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let all = all.as_array().unwrap();
    for about in [
        "kernel",
        "cgroups",
        "delegation",
        "user namespaces",
        "seccomp",
        "devices",
    ] {
        assert!(
            all.iter().any(|one| one["about"] == about),
            "{about}: {all:?}"
        );
    }
    for one in all {
        let is_fine = one["verdict"] == "works";
        assert!(is_fine || one["advice"].is_string(), "{one}");
    }
    let fails = all.iter().any(|one| one["verdict"] == "fails");
    assert_eq!(output.status.success(), !fails);
    let table = kan(&["doctor"]);
    assert!(text(&table.stdout).lines().count() >= all.len());
}
