//! The configs of measured containers.

use std::path::Path;

use serde_json::{Value, json};

use crate::view::View;

/// What the container's process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// It ends at once.
    End,
    /// It ends at once, behind podman's default seccomp profile.
    Filtered,
    /// It ends at once, in a container as podman asks for it, behind the same profile.
    Podman,
    /// It waits for ever.
    Pause,
}

/// The files that podman binds into a container, which it makes beside the config.
pub const PODMAN_FILES: [&str; 3] = ["hosts", ".containerenv", "hostname"];
/// The directory that it binds.
pub const PODMAN_DIRECTORY: &str = "shm";

/// The config of a container with this cgroup, of a bundle in this directory.
///
/// Debian's crun 1.8.1 can't load device rules everywhere, so only the hybrid view has the default's
/// one: there the rule is one write into a file. No view has podman's limit of pids, since a hybrid
/// host has no such controller in version 2.
pub fn config(cgroup: &str, payload: Payload, view: View, bundle: &Path) -> Value {
    let mut config = match payload {
        Payload::Podman => podman(bundle),
        _ => parsed(include_str!("../config.json")),
    };
    config["linux"]["cgroupsPath"] = json!(format!("/{cgroup}"));
    if view == View::Hybrid {
        config["linux"]["resources"] = json!({ "devices": [{ "allow": false, "access": "rwm" }] });
    }
    match payload {
        Payload::End => {}
        Payload::Filtered | Payload::Podman => config["linux"]["seccomp"] = podman_profile(),
        Payload::Pause => config["process"]["args"] = json!(["/payload", "pause"]),
    }
    config
}

/// What podman 4.3 gave its runtime for `podman run --net none`, with its names and paths made
/// relative to the bundle.
fn podman(bundle: &Path) -> Value {
    let mut config = parsed(include_str!("../podman.json"));
    if let Some(linux) = config["linux"].as_object_mut() {
        linux.remove("resources");
    }
    for mount in config["mounts"].as_array_mut().into_iter().flatten() {
        if mount["type"] == "bind" {
            let source = mount["source"].as_str().unwrap_or_default();
            mount["source"] = json!(bundle.join(source));
        }
    }
    config
}

/// podman's default profile: `linux.seccomp` of the same dump.
pub fn podman_profile() -> Value {
    parsed(include_str!("../../seccomp/profiles/podman.json"))
}

/// A committed file; a test reads each.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(payload: Payload, view: View) -> Value {
        config("x", payload, view, Path::new("/b"))
    }

    #[test]
    fn the_config_is_the_default_with_its_own_cgroup() {
        let config = of(Payload::End, View::V2);
        assert_eq!(config["linux"]["cgroupsPath"], "/x");
        assert_eq!(config["linux"]["resources"], Value::Null);
        assert_eq!(config["process"]["args"], json!(["/payload"]));
        assert_eq!(config["mounts"].as_array().unwrap().len(), 7);
    }

    #[test]
    fn view_and_payload_change_only_their_own_field() {
        let config = of(Payload::Pause, View::Hybrid);
        assert_eq!(config["linux"]["resources"]["devices"][0]["allow"], false);
        assert_eq!(config["process"]["args"], json!(["/payload", "pause"]));
        assert_eq!(config["root"]["readonly"], true);
    }

    #[test]
    fn the_filtered_configs_have_podmans_profile() {
        for payload in [Payload::Filtered, Payload::Podman] {
            let config = of(payload, View::V2);
            assert_eq!(
                config["linux"]["seccomp"]["defaultAction"],
                "SCMP_ACT_ERRNO"
            );
        }
    }

    #[test]
    fn podmans_config_binds_what_lies_in_the_bundle() {
        let config = of(Payload::Podman, View::V2);
        let mounts = config["mounts"].as_array().unwrap();
        let binds = mounts.iter().filter(|mount| mount["type"] == "bind");
        let sources: Vec<&str> = binds
            .map(|mount| mount["source"].as_str().unwrap())
            .collect();
        let files = PODMAN_FILES.map(|file| format!("/b/{file}"));
        let [hosts, environment, hostname] = &files;
        assert_eq!(sources, [hostname, hosts, "/b/shm", environment]);
        assert_eq!(config["annotations"]["io.container.manager"], "libpod");
        assert_eq!(config["linux"]["resources"], Value::Null);
    }
}
