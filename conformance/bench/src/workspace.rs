//! Everything that a benchmark leaves on disk while it runs: bundles, state directories, cgroups.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::leftovers;
use crate::runtime::Runtime;
use crate::view::{RUN, View};

/// What the container's process does.
#[derive(Debug, Clone, Copy)]
pub enum Payload {
    /// It ends at once.
    End,
    /// It ends at once, behind podman's default seccomp profile.
    Filtered,
    /// It waits for ever.
    Pause,
}

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

    /// A runtime whose state and containers belong to this workspace.
    pub fn runtime(&self, name: &'static str, program: PathBuf) -> Runtime {
        Runtime {
            name,
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
        let bundle = self
            .directory
            .join(format!("{}-{payload:?}-{}", runtime.name, view.name()));
        for mount_point in ["proc", "dev", "sys"] {
            create(&bundle.join("rootfs").join(mount_point))?;
        }
        let program = bundle.join("rootfs/payload");
        std::fs::copy(&self.payload, &program)
            .map_err(|error| format!("{}: {error}", self.payload.display()))?;
        let config = config(&runtime.id, payload, view).to_string();
        std::fs::write(bundle.join("config.json"), config)
            .map_err(|error| format!("config.json: {error}"))?;
        Ok(bundle)
    }

    /// Where a runtime writes the pid of its container: as with engines, beside the state.
    pub fn pid_file(&self, runtime: &Runtime) -> PathBuf {
        self.state.join(format!("{}.pid", runtime.name))
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

/// The default config with this cgroup. Debian's crun 1.8.1 can't load device rules everywhere, so
/// only the hybrid view has the default's one: there the rule is one write into a file.
fn config(cgroup: &str, payload: Payload, view: View) -> Value {
    let mut config: Value =
        serde_json::from_str(include_str!("../config.json")).unwrap_or_default();
    config["linux"]["cgroupsPath"] = json!(format!("/{cgroup}"));
    if view == View::Hybrid {
        config["linux"]["resources"] = json!({ "devices": [{ "allow": false, "access": "rwm" }] });
    }
    match payload {
        Payload::End => {}
        Payload::Filtered => config["linux"]["seccomp"] = podman_profile(),
        Payload::Pause => config["process"]["args"] = json!(["/payload", "pause"]),
    }
    config
}

fn podman_profile() -> Value {
    serde_json::from_str(include_str!("../../seccomp/profiles/podman.json")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_is_the_default_with_its_own_cgroup() {
        let config = config("x", Payload::End, View::V2);
        assert_eq!(config["linux"]["cgroupsPath"], "/x");
        assert_eq!(config["linux"]["resources"], Value::Null);
        assert_eq!(config["process"]["args"], json!(["/payload"]));
        assert_eq!(config["mounts"].as_array().unwrap().len(), 7);
    }

    #[test]
    fn view_and_payload_change_only_their_own_field() {
        let config = config("x", Payload::Pause, View::Hybrid);
        assert_eq!(config["linux"]["resources"]["devices"][0]["allow"], false);
        assert_eq!(config["process"]["args"], json!(["/payload", "pause"]));
        assert_eq!(config["root"]["readonly"], true);
    }

    #[test]
    fn the_filtered_config_has_podmans_profile() {
        let config = config("x", Payload::Filtered, View::V2);
        assert_eq!(
            config["linux"]["seccomp"]["defaultAction"],
            "SCMP_ACT_ERRNO"
        );
    }

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
