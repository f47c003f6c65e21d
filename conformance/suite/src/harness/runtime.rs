//! Which runtime is tested, and what it says of itself.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The runtime under test.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// Absolute path of its binary.
    pub path: PathBuf,
    /// First word of `--version`: `runc`, `crun`, `kan`.
    pub name: String,
    /// Third word of `--version`.
    pub version: String,
}

impl Runtime {
    /// Finds the runtime that the environment names: `RUNTIME` as a name in `PATH` or as a
    /// path, `kan` (the default) through `KAN` or the build folder.
    ///
    /// # Errors
    /// A sentence that says what was looked for where.
    pub fn from_environment() -> Result<Self, String> {
        let wanted = env::var("RUNTIME").unwrap_or_else(|_| "kan".into());
        let path = match wanted.as_str() {
            "kan" => find_kan()?,
            path if path.contains('/') => PathBuf::from(path),
            name => find_in_path(name).ok_or(format!("RUNTIME={name}: not found in PATH"))?,
        };
        let path = path
            .canonicalize()
            .map_err(|e| format!("{}: {e}", path.display()))?;
        let (name, version) = ask_version(&path)?;
        Ok(Self {
            path,
            name,
            version,
        })
    }

    /// Whether `pattern`, a name or a name and the beginning of a version, means this runtime.
    pub fn matches(&self, pattern: &str) -> bool {
        match pattern.split_once(' ') {
            Some((name, version)) => self.name == name && self.version.starts_with(version),
            None => self.name == pattern,
        }
    }

    /// Whether error texts are those that engines match, which were runc's first. crun has its
    /// own, so only its exit codes are compared.
    pub fn speaks_like_runc(&self) -> bool {
        self.name != "crun"
    }
}

/// `KAN`, or the newest binary in the build folder of this suite.
fn find_kan() -> Result<PathBuf, String> {
    if let Some(path) = env::var_os("KAN") {
        return Ok(path.into());
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let own = env::current_exe().map_err(|e| e.to_string())?;
    let mut found: Vec<PathBuf> = own
        .parent()
        .map(|dir| dir.join("kan"))
        .into_iter()
        .collect();
    for target in ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "."] {
        found.extend(["release", "debug"].map(|p| workspace.join(target).join(p).join("kan")));
    }
    found.retain(|path| path.is_file());
    let age = |path: &PathBuf| path.metadata().and_then(|m| m.modified()).ok();
    found
        .into_iter()
        .max_by_key(age)
        .ok_or("no kan binary: build it, or set KAN or RUNTIME".into())
}

/// A program by its name.
pub fn find_in_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// Reads `NAME version VERSION`, or without the word in between, from the first line of `--version`.
fn ask_version(path: &Path) -> Result<(String, String), String> {
    let told = |e: std::io::Error| format!("{} --version: {e}", path.display());
    let output = Command::new(path).arg("--version").output().map_err(told)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<&str> = text.lines().next().unwrap_or_default().split(' ').collect();
    match words.as_slice() {
        [name, "version", version, ..] | [name, version] => Ok(((*name).into(), (*version).into())),
        _ => Err(format!(
            "{} --version: not understood: {text:?}",
            path.display()
        )),
    }
}
