//! Which kan is tested.

use std::env;
use std::path::{Path, PathBuf};

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
