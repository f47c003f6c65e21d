//! The `linux` section of config.json: config-linux.md.

pub(crate) mod cgroups;
pub(crate) mod devices;
pub(crate) mod masks;
pub(crate) mod namespaces;
pub(crate) mod net_devices;
pub(crate) mod resctrl;
pub(crate) mod resources;
pub(crate) mod seccomp;
pub(crate) mod sysctl;
pub(crate) mod systemd;
pub(crate) mod user_namespace;
