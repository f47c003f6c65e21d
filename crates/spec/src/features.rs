//! The features document: features.md and features-linux.md.
//!
//! What kan's parser knows comes from [`crate::config`]; what the rest of kan can do, the caller
//! says. It is about the program, not about this host.

use std::collections::HashMap;

use oci_spec::runtime::{
    Apparmor, Cgroup, Features, IDMap, IntelRdt, LinuxFeature, MemoryPolicy, MountExtensions,
    NetDevices, Seccomp, Selinux,
};
use serde::de::DeserializeOwned;
use serde::de::value::{Error, StrDeserializer};

use crate::config::{
    ClosedSet, MemoryPolicyFlag, MemoryPolicyMode, NamespaceType, SeccompAction, SeccompArch,
    SeccompFlag, SeccompOperator,
};
use crate::json::Json;
use crate::version;

/// What the rest of kan implements.
#[derive(Debug, Clone, Default)]
pub struct Implemented<'a> {
    /// Mount options that kan itself understands, beside those that filesystems do.
    pub mount_options: Vec<String>,
    /// Capabilities by name, such as `CAP_CHOWN`.
    pub capabilities: Vec<String>,
    /// `mounts[].uidMappings` and `gidMappings`.
    pub idmap: bool,
    /// The systemd cgroup driver, as root and as a user.
    pub systemd: bool,
    /// `linux.resources.rdma`.
    pub rdma: bool,
    /// The seccomp flags that the running kernel takes.
    pub seccomp_flags: Vec<SeccompFlag>,
    /// `process.apparmorProfile`.
    pub apparmor: bool,
    /// `process.selinuxLabel` and `linux.mountLabel`.
    pub selinux: bool,
    /// `linux.intelRdt`.
    pub intel_rdt: bool,
    /// `linux.netDevices`.
    pub net_devices: bool,
    /// Facts beyond the specification, such as the version of kan.
    pub annotations: Vec<(&'a str, &'a str)>,
    /// Annotations in config.json that change what kan does; a final `.` means a prefix.
    pub unsafe_annotations: Vec<&'a str>,
}

/// The hooks of config.md, in the order in which they run.
const HOOKS: [&str; 6] = [
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
];

/// The features document, pretty, with a newline at the end.
#[must_use]
pub fn features(implemented: &Implemented<'_>) -> String {
    let mut features = Features::default();
    features
        .set_oci_version_min(version::OLDEST.to_owned())
        .set_oci_version_max(version::NEWEST.to_owned())
        .set_hooks(Some(owned(&HOOKS)))
        .set_mount_options(Some(implemented.mount_options.clone()))
        .set_linux(Some(linux(implemented)))
        .set_annotations(Some(annotations(&implemented.annotations)))
        .set_potentially_unsafe_config_annotations(Some(owned(&implemented.unsafe_annotations)));
    let text = serde_json::to_vec(&features).unwrap_or_default();
    let mut document = Json::parse(&text).unwrap_or(Json::Null);
    // oci-spec's annotations come in no order.
    if let Some(Json::Object(annotations)) = document.get_mut("annotations") {
        annotations.sort_by(|(a, _), (b, _)| a.cmp(b));
    }
    document.pretty("    ")
}

fn linux(implemented: &Implemented<'_>) -> LinuxFeature {
    let mut linux = LinuxFeature::default();
    linux
        .set_namespaces(Some(known::<NamespaceType, _>()))
        .set_capabilities(Some(implemented.capabilities.clone()))
        .set_cgroup(Some(cgroup(implemented)))
        .set_seccomp(Some(seccomp(&implemented.seccomp_flags)))
        .set_apparmor(Some(enabled(implemented.apparmor, Apparmor::set_enabled)))
        .set_selinux(Some(enabled(implemented.selinux, Selinux::set_enabled)))
        .set_intel_rdt(Some(intel_rdt(implemented.intel_rdt)))
        .set_memory_policy(Some(memory_policy()))
        .set_mount_extensions(Some(mount_extensions(implemented.idmap)))
        .set_net_devices(Some(enabled(
            implemented.net_devices,
            NetDevices::set_enabled,
        )));
    linux
}

fn cgroup(implemented: &Implemented<'_>) -> Cgroup {
    let mut cgroup = Cgroup::default();
    cgroup
        .set_v1(Some(true))
        .set_v2(Some(true))
        .set_systemd(Some(implemented.systemd))
        .set_systemd_user(Some(implemented.systemd))
        .set_rdma(Some(implemented.rdma));
    cgroup
}

fn seccomp(supported: &[SeccompFlag]) -> Seccomp {
    let supported: Vec<&str> = supported.iter().map(|flag| flag.name()).collect();
    let mut seccomp = Seccomp::default();
    seccomp
        .set_enabled(Some(true))
        .set_actions(Some(known::<SeccompAction, _>()))
        .set_operators(Some(owned(&names::<SeccompOperator>())))
        .set_archs(Some(known::<SeccompArch, _>()))
        .set_known_flags(Some(owned(&names::<SeccompFlag>())))
        .set_supported_flags(Some(owned(&supported)));
    seccomp
}

fn intel_rdt(implemented: bool) -> IntelRdt {
    let mut rdt = IntelRdt::default();
    let implemented = Some(implemented);
    rdt.set_enabled(implemented)
        .set_schemata(implemented)
        .set_monitoring(implemented);
    rdt
}

fn memory_policy() -> MemoryPolicy {
    let mut policy = MemoryPolicy::default();
    policy
        .set_modes(Some(owned(&names::<MemoryPolicyMode>())))
        .set_flags(Some(owned(&names::<MemoryPolicyFlag>())));
    policy
}

fn mount_extensions(idmap: bool) -> MountExtensions {
    let mut extensions = MountExtensions::default();
    extensions.set_idmap(Some(enabled(idmap, IDMap::set_enabled)));
    extensions
}

/// A section that says nothing but whether it is there.
fn enabled<T: Default>(given: bool, set: fn(&mut T, Option<bool>) -> &mut T) -> T {
    let mut section = T::default();
    set(&mut section, Some(given));
    section
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn annotations(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn names<S: ClosedSet>() -> Vec<&'static str> {
    S::VALUES.iter().map(|(name, _)| *name).collect()
}

/// All values of a closed set as oci-spec's type for the same set.
fn known<S: ClosedSet, T: DeserializeOwned>() -> Vec<T> {
    let read = |name| T::deserialize(StrDeserializer::<Error>::new(name)).ok();
    names::<S>().into_iter().filter_map(read).collect()
}
