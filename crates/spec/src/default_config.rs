//! The config.json that `kan spec` writes: a place to start from, with the same content as runc's.

use crate::json::{Json, Number};

/// The document itself is data. oci-spec's default can't be used: its capabilities are a hash set,
/// whose order changes from run to run, and its keys come in an order that nobody expects.
const DEFAULT: &str = include_str!("default_config.json");

/// The default config.json for a container that root runs.
#[must_use]
pub fn default_config() -> String {
    DEFAULT.to_owned()
}

/// The default config.json for a container that an unprivileged user runs: a user namespace in
/// which `uid` and `gid` are root, the host's network, and no limits, which need a delegated cgroup.
#[must_use]
pub fn rootless_config(uid: u32, gid: u32) -> String {
    // A test holds the file to be JSON.
    let mut config = Json::parse(DEFAULT.as_bytes()).unwrap_or(Json::Null);
    if let Some(mounts) = config.get_mut("mounts").and_then(Json::list_mut) {
        mounts.iter_mut().for_each(unprivileged_mount);
    }
    if let Some(Json::Object(linux)) = config.get_mut("linux") {
        linux.retain(|(key, _)| key != "resources");
        let mappings = [("uidMappings", uid), ("gidMappings", gid)];
        let mappings = mappings.map(|(key, host)| (key.into(), Json::List(vec![mapping(host)])));
        linux.splice(0..0, mappings);
    }
    let namespaces = config
        .get_mut("linux")
        .and_then(|linux| linux.get_mut("namespaces"));
    if let Some(namespaces) = namespaces.and_then(Json::list_mut) {
        namespaces.retain(|namespace| namespace.get("type") != Some(&text("network")));
        namespaces.push(object([("type", text("user"))]));
    }
    config.pretty("\t")
}

/// The same config without a cgroup namespace: as with runc, only hosts with cgroup v2 alone get one. A
/// script that adds its own would list the type twice otherwise.
#[must_use]
pub fn without_cgroup_namespace(config: &str) -> String {
    let mut config = Json::parse(config.as_bytes()).unwrap_or(Json::Null);
    let linux = config.get_mut("linux");
    let namespaces = linux.and_then(|linux| linux.get_mut("namespaces"));
    if let Some(namespaces) = namespaces.and_then(Json::list_mut) {
        namespaces.retain(|namespace| namespace.get("type") != Some(&text("cgroup")));
    }
    config.pretty("\t")
}

/// sysfs can only be mounted by the owner of the network namespace, so the host's is bound; group
/// ids other than 0 are not mapped.
fn unprivileged_mount(mount: &mut Json<'_>) {
    if mount.get("destination") == Some(&text("/sys")) {
        let options = ["rbind", "nosuid", "noexec", "nodev", "ro"].map(text);
        *mount = object([
            ("destination", text("/sys")),
            ("type", text("none")),
            ("source", text("/sys")),
            ("options", Json::List(options.into())),
        ]);
    }
    if let Some(options) = mount.get_mut("options").and_then(Json::list_mut) {
        options.retain(|option| *option != text("gid=5"));
    }
}

fn mapping(host: u32) -> Json<'static> {
    let number = |n: u32| Json::Number(Number::Whole(n.into()));
    object([
        ("containerID", number(0)),
        ("hostID", number(host)),
        ("size", number(1)),
    ])
}

fn text(text: &'static str) -> Json<'static> {
    Json::Text(text.into())
}

fn object<const N: usize>(entries: [(&'static str, Json<'static>); N]) -> Json<'static> {
    Json::Object(entries.map(|(key, value)| (key.into(), value)).into())
}
