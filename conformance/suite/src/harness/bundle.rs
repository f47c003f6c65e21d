//! A bundle in a temporary directory: rootfs with the probe, and a config to edit.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::config;
use super::outcome::{Fault, Outcome, fail};

/// A bundle; `save` writes the config, and the container verbs call it.
pub struct Bundle {
    /// The bundle directory.
    pub dir: PathBuf,
    /// What becomes config.json.
    pub config: Value,
}

impl Bundle {
    /// The rootfs on the host.
    pub fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    /// A path inside the rootfs, as the host sees it.
    pub fn inside(&self, path: &str) -> PathBuf {
        self.rootfs().join(path.trim_start_matches('/'))
    }

    /// The program and its arguments.
    pub fn args(&mut self, args: &[&str]) -> &mut Self {
        self.set("/process/args", json!(args))
    }

    /// The probe with arguments.
    pub fn probe(&mut self, args: &[&str]) -> &mut Self {
        let all: Vec<&str> = std::iter::once("/probe")
            .chain(args.iter().copied())
            .collect();
        self.args(&all)
    }

    /// A shell script of busybox.
    pub fn shell(&mut self, script: &str) -> &mut Self {
        self.args(&["/bin/sh", "-c", script])
    }

    /// Sets a value by JSON pointer, making what is missing; `-` appends.
    pub fn set(&mut self, pointer: &str, value: Value) -> &mut Self {
        config::set(&mut self.config, pointer, value);
        self
    }

    /// Removes a value by JSON pointer.
    pub fn remove(&mut self, pointer: &str) -> &mut Self {
        config::remove(&mut self.config, pointer);
        self
    }

    /// Takes one kind of namespace out of the config: the runtime's own is used then.
    pub fn without_namespace(&mut self, kind: &str) -> &mut Self {
        if let Some(Value::Array(list)) = self.config.pointer_mut("/linux/namespaces") {
            list.retain(|entry| entry["type"] != kind);
        }
        self
    }

    /// Takes the mount at a destination out of the config.
    pub fn without_mount(&mut self, destination: &str) -> &mut Self {
        if let Some(Value::Array(list)) = self.config.pointer_mut("/mounts") {
            list.retain(|entry| entry["destination"] != destination);
        }
        self
    }

    /// Writes config.json.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn save(&self) -> Outcome {
        fs::write(
            self.dir.join("config.json"),
            serde_json::to_vec_pretty(&self.config)?,
        )?;
        Ok(())
    }

    /// A file of the rootfs.
    ///
    /// # Errors
    /// With its name, if it cannot be read.
    pub fn read(&self, path: &str) -> Result<String, Fault> {
        read(&self.inside(path))
    }
}

/// A file as text, with its name in the error.
///
/// # Errors
/// If it cannot be read.
pub fn read(path: &Path) -> Result<String, Fault> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) => fail!("{}: {error}", path.display()),
    }
}
