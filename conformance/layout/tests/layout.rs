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
    ];
    one_way("crates/lifecycle", &order);
}
