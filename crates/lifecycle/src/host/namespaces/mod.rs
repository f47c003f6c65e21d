//! Host steps that create, join and furnish namespaces.

pub(crate) mod existing;
pub(crate) mod id_maps;
pub(crate) mod intermediate;
pub(crate) mod net_devices;
pub(crate) mod network;
