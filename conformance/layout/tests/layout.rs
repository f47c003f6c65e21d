//! The rules of ARCHITECTURE.md that say who may import whom.
#![allow(clippy::unwrap_used, reason = "tests")]

use kan_conformance_layout::{Imports, cycles, imports};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The `src` directory of every crate of the repository, with its name.
fn crates() -> Vec<(String, PathBuf)> {
    let mut all = Vec::new();
    for group in ["crates", "conformance"] {
        for entry in fs::read_dir(root().join(group)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.join("Cargo.toml").exists() && path.join("src").exists() {
                all.push((format!("{group}/{name}"), path.join("src")));
            }
        }
    }
    all.sort();
    all
}

#[test]
fn no_files_import_each_other() {
    let all = crates();
    assert!(all.len() > 12, "{all:?}");
    let mut wrong = Vec::new();
    for (name, src) in all {
        for cycle in cycles(&imports(&src)) {
            wrong.push(format!("{name}: {}", cycle.join(", ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The first directory or file of a path below `src`.
fn room(path: &str) -> &str {
    let first = path.split('/').next().unwrap_or_default();
    first.strip_suffix(".rs").unwrap_or(first)
}

/// Makes sure that no directory imports one that stands before it in `order`.
fn one_way(name: &str, order: &[&str]) {
    let imports: Imports = imports(&root().join(name).join("src"));
    let place = |path: &str| order.iter().position(|known| *known == room(path));
    let mut wrong = Vec::new();
    for (file, imported) in &imports {
        if file == "lib.rs" || file == "main.rs" {
            continue;
        }
        let own =
            place(file).unwrap_or_else(|| panic!("{name}/src/{file} has no place in {order:?}"));
        for other in imported {
            match place(other) {
                Some(place) if place >= own => {}
                _ => wrong.push(format!("{name}/src: {file} imports {other}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn lifecycle_imports_one_way() {
    let order = [
        "trial",
        "fuzzing",
        "diagnose",
        "commands",
        "host",
        "resctrl",
        "state",
        "timeline",
        "os",
        "error",
        "outer_filter",
        "kernel",
    ];
    one_way("crates/lifecycle", &order);
}

/// The crates of `crates/` that each of them depends on.
fn dependencies(name: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap();
    let from = text.find("[dependencies]").unwrap_or(text.len());
    let section = &text[from..];
    let end = section[1..].find("\n[").map_or(section.len(), |at| at + 1);
    let lines = section[..end].lines();
    let own = lines.filter_map(|line| line.strip_prefix("kan-")?.split(['.', ' ', '=']).next());
    let mut all: Vec<_> = own.map(str::to_owned).collect();
    all.sort();
    all
}

/// Each line `crate ─▶ others` in the picture of ARCHITECTURE.md.
#[test]
fn the_picture_of_the_crates_is_true() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut checked = Vec::new();
    for line in text.lines() {
        let Some((left, right)) = line.split_once("─▶ ") else {
            continue;
        };
        let left = left.trim_end_matches('─').trim();
        if !line.starts_with("    ") || !left.split(", ").all(exists) {
            continue;
        }
        for name in left.split(", ") {
            let mut told: Vec<_> = right.split_whitespace().map(str::to_owned).collect();
            if right.starts_with("none") {
                told.clear();
            }
            told.sort();
            assert_eq!(told, dependencies(name), "ARCHITECTURE.md: {name}");
            checked.push(name.to_owned());
        }
    }
    for name in [
        "cli",
        "lifecycle",
        "plan",
        "init",
        "cgroup",
        "seccomp",
        "dbus",
        "sys",
        "op",
        "spec",
    ] {
        assert!(
            checked.iter().any(|other| other == name),
            "{name} is not in the picture"
        );
    }
}

fn exists(name: &str) -> bool {
    root().join("crates").join(name).join("Cargo.toml").exists()
}

/// Every Markdown file of the repository.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![root()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !name.starts_with('.') && !name.starts_with("target") {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found
}

/// `a/{b,c}.rs` names two files.
fn expanded(path: &str) -> Vec<String> {
    match path.split_once('{').zip(path.split_once('}')) {
        Some(((before, _), (inside, after))) => {
            let inside = inside.split_once('{').map_or(inside, |(_, inside)| inside);
            let all = inside.split(',');
            all.map(|one| format!("{before}{one}{after}")).collect()
        }
        None => vec![path.to_owned()],
    }
}

#[test]
fn documents_name_source_files_that_exist() {
    let mut wrong = Vec::new();
    let mut named = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for quoted in text.split('`').skip(1).step_by(2) {
            let is_path = ["crates/", "conformance/"]
                .iter()
                .any(|first| quoted.starts_with(first));
            if !is_path || quoted.contains([' ', '*', '…', '<', '\n']) {
                continue;
            }
            for path in expanded(quoted) {
                named += 1;
                if !root().join(&path).exists() {
                    wrong.push(format!("{}: {path}", document.display()));
                }
            }
        }
    }
    assert!(named > 40, "only {named} paths");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
