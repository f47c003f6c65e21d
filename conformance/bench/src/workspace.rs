//! Everything that a benchmark leaves on disk while it runs: bundles, state directories, cgroups.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::config::{PODMAN_DIRECTORY, PODMAN_FILES, Payload, config};
use crate::filter;
use crate::leftovers;
use crate::runtime::Runtime;
use crate::view::{RUN, View};

/// Removed with all its containers' cgroups when dropped.
pub struct Workspace {
    /// Under the temporary directory: bundles, standard error, logs.
    pub directory: PathBuf,
    /// Under /run, where runtimes keep their state: their state directories.
    state: PathBuf,
    payload: PathBuf,
}

impl Workspace {
    /// Makes the directories; `payload` is the program that containers run.
    pub fn new(payload: PathBuf) -> Result<Self, String> {
        leftovers::of_ended_benchmarks(&[&std::env::temp_dir(), Path::new(RUN)]);
        let workspace = Self {
            directory: std::env::temp_dir().join(name()),
            state: Path::new(RUN).join(name()),
            payload,
        };
        create(&workspace.directory)?;
        create(&workspace.state)?;
        Ok(workspace)
    }

    /// A copy of a program, as an installed one is; the program itself where that fails. What a linker
    /// has written through a mapping lies in the page cache page by page, and each start of it, and each
    /// page fault, takes the kernel longer.
    pub fn installed(&self, name: &str, program: PathBuf) -> PathBuf {
        let directory = self.directory.join("bin").join(name);
        let copy = directory.join(program.file_name().unwrap_or_default());
        match create(&directory).is_ok() && std::fs::copy(&program, &copy).is_ok() {
            true => copy,
            false => program,
        }
    }

    /// A runtime whose state and containers belong to this workspace.
    pub fn runtime(&self, name: &str, program: PathBuf) -> Runtime {
        Runtime {
            name: name.to_owned(),
            program,
            root: self.state.join(name),
            id: format!("{}-{name}", self::name()),
        }
    }

    /// A bundle with a rootfs and a cgroup of its own for this runtime.
    pub fn bundle(
        &self,
        runtime: &Runtime,
        payload: Payload,
        view: View,
    ) -> Result<PathBuf, String> {
        let name = format!("{}-{payload:?}-{}", runtime.name, view.name());
        let bundle = self.directory.join(name);
        self.rootfs(&bundle.join("rootfs"))?;
        let mut config = config(&runtime.id, payload, view, &bundle);
        if payload == Payload::Podman {
            podman_files(&bundle)?;
        }
        if runtime.name == filter::GIVEN {
            filter::give(&mut config)?;
        }
        write_config(&bundle, &config)?;
        Ok(bundle)
    }

    /// A bundle for this container alone, with the rootfs of [`Self::bundle`] and a changed config:
    /// what it takes to have many. The rootfs is the runtime's, so that mount points can be made.
    pub fn variant(
        &self,
        runtime: &Runtime,
        payload: Payload,
        view: View,
        change: impl FnOnce(&mut Value),
    ) -> Result<PathBuf, String> {
        let rootfs = self
            .directory
            .join(format!("{}-rootfs", runtime.name))
            .join("rootfs");
        if !rootfs.exists() {
            self.rootfs(&rootfs)?;
        }
        let bundle = self.directory.join(&runtime.id);
        create(&bundle)?;
        let mut config = config(&runtime.id, payload, view, &bundle);
        config["root"]["path"] = json!(rootfs);
        change(&mut config);
        write_config(&bundle, &config)?;
        Ok(bundle)
    }

    /// Mount points and the program.
    fn rootfs(&self, rootfs: &Path) -> Result<(), String> {
        for mount_point in ["proc", "dev", "sys"] {
            create(&rootfs.join(mount_point))?;
        }
        let copied = std::fs::copy(&self.payload, rootfs.join("payload"));
        copied
            .map(drop)
            .map_err(|error| format!("{}: {error}", self.payload.display()))
    }

    /// Where a runtime writes the pid of its container: as with engines, beside the state.
    pub fn pid_file(&self, runtime: &Runtime) -> PathBuf {
        self.state.join(format!("{}.pid", runtime.id))
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        leftovers::of_this_benchmark();
        for directory in [&self.directory, &self.state] {
            // Nobody is left to tell, and the names are never used again.
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}

/// The prefix of every name that this process gives.
fn name() -> String {
    format!("{}{}", leftovers::PREFIX, std::process::id())
}

fn create(directory: &Path) -> Result<(), String> {
    std::fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))
}

fn write_config(bundle: &Path, config: &Value) -> Result<(), String> {
    std::fs::write(bundle.join("config.json"), config.to_string())
        .map_err(|error| format!("config.json: {error}"))
}

/// What podman's config binds, and the mount points that its image would have.
fn podman_files(bundle: &Path) -> Result<(), String> {
    create(&bundle.join(PODMAN_DIRECTORY))?;
    for directory in ["etc", "run"] {
        create(&bundle.join("rootfs").join(directory))?;
    }
    let points = ["etc/hosts", "run/.containerenv", "etc/hostname"];
    let points = points.map(|point| bundle.join("rootfs").join(point));
    let files = PODMAN_FILES.map(|file| bundle.join(file));
    for file in points.iter().chain(&files) {
        std::fs::write(file, "").map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_takes_everything_away() {
        let workspace = Workspace::new("/bin/sh".into()).unwrap();
        let runtime = workspace.runtime("kan", "kan".into());
        let bundle = workspace.bundle(&runtime, Payload::End, View::V2).unwrap();
        assert!(bundle.join("config.json").exists() && bundle.join("rootfs/payload").exists());
        let directories = [workspace.directory.clone(), workspace.state.clone()];
        drop(workspace);
        assert!(!directories.iter().any(|directory| directory.exists()));
    }
}
