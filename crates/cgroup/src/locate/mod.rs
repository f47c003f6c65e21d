//! Where a container's cgroup lies: what this host has, and what `linux.cgroupsPath` asks for.

pub(crate) mod below;
pub(crate) mod layout;
pub(crate) mod mountinfo;
pub(crate) mod path;
pub(crate) mod place;
pub(crate) mod proc_cgroup;
pub(crate) mod reach;
pub(crate) mod scope;
