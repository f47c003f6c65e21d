//! The state of containers: the state root and who may write to it, a container's directory and
//! record, and whether its process is still the one that was recorded.

pub(crate) mod container;
pub(crate) mod id;
pub(crate) mod namespaces;
pub(crate) mod process;
pub(crate) mod record;
pub(crate) mod store;
pub(crate) mod trust;
pub(crate) mod unit;
