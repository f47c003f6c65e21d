//! Tells the linker where kan begins (`early.rs` of the sys crate), and the compiler which commit it is.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CARGO_FEATURE_UNSEALED");
    println!("cargo::rerun-if-env-changed=KAN_COMMIT");
    let arch = std::env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let unsealed = std::env::var_os("CARGO_FEATURE_UNSEALED").is_some();
    if matches!(arch.as_str(), "x86_64" | "aarch64") && !unsealed {
        println!("cargo::rustc-link-arg-bins=-Wl,-u,kan_start,-e,kan_start");
    }
    let given = std::env::var("KAN_COMMIT").ok();
    if let Some(commit) = given.or_else(commit) {
        println!("cargo::rustc-env=KAN_COMMIT={commit}");
    }
}

/// The commit of the clone that this is built in, gitrepository-layout(5). Needs no git.
fn commit() -> Option<String> {
    let repository = repository(Path::new("../../.git"))?;
    let log = repository.join("logs/HEAD");
    let head = repository.join("HEAD");
    let watched = if log.exists() { &log } else { &head };
    println!("cargo::rerun-if-changed={}", watched.display());
    let head = read_to_string(&head).ok()?;
    let Some(name) = head.trim().strip_prefix("ref: ") else {
        return Some(head.trim().to_owned());
    };
    // A worktree has its references where its clone has them.
    let common = read_to_string(repository.join("commondir")).ok();
    let common = common.map_or(repository.clone(), |path| repository.join(path.trim()));
    if let Ok(commit) = read_to_string(common.join(name)) {
        return Some(commit.trim().to_owned());
    }
    let packed = read_to_string(common.join("packed-refs")).ok()?;
    let mut lines = packed.lines().filter_map(|line| line.split_once(' '));
    let (commit, _) = lines.find(|(_, one)| *one == name)?;
    Some(commit.to_owned())
}

/// `.git` is a directory, or in a worktree a file that names one.
fn repository(path: &Path) -> Option<PathBuf> {
    if path.is_dir() {
        return Some(path.to_owned());
    }
    let text = read_to_string(path).ok()?;
    Some(PathBuf::from(text.trim().strip_prefix("gitdir: ")?))
}
