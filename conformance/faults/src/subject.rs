//! Which kan is tested.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::outcome::{Outcome, fail};

/// `KAN`, or the newest binary in the build folder.
///
/// # Errors
/// If there is none.
pub fn kan() -> Outcome<PathBuf> {
    if let Some(path) = env::var_os("KAN") {
        return Ok(PathBuf::from(path).canonicalize()?);
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let beside = env::current_exe()?.parent().map(|dir| dir.join("kan"));
    let mut found: Vec<PathBuf> = beside.into_iter().collect();
    for target in ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "."] {
        found.extend(["release", "debug"].map(|p| workspace.join(target).join(p).join("kan")));
    }
    let age = |path: &PathBuf| path.metadata().and_then(|file| file.modified()).ok();
    match found
        .into_iter()
        .filter(|path| path.is_file())
        .max_by_key(age)
    {
        Some(path) => Ok(path.canonicalize()?),
        None => fail!("no kan binary: build it, or set KAN"),
    }
}

/// A kan without the seal: `KAN_UNSEALED`, or built here and now.
///
/// # Errors
/// If it can't be built.
pub fn unsealed() -> Outcome<PathBuf> {
    if let Some(path) = env::var_os("KAN_UNSEALED") {
        return Ok(PathBuf::from(path));
    }
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        PathBuf::from,
    );
    let target = target.join("unsealed");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    // In that folder, because its .cargo/config.toml asks for a static binary.
    build.current_dir(manifest.parent().unwrap_or(Path::new(".")));
    build.args(["build", "--package", "kan", "--features", "unsealed"]);
    build
        .args(["--message-format", "json", "--target-dir"])
        .arg(&target);
    let output = build.stderr(Stdio::null()).output()?;
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut made = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message["executable"].as_str()?))
    });
    match made.next_back() {
        Some(path) if output.status.success() => Ok(path),
        _ => fail!("kan can't be built with --features unsealed; set KAN_UNSEALED"),
    }
}
