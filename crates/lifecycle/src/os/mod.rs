//! What every part of this crate uses of the operating system: files and directories of kan's own,
//! waiting, child processes, netlink. Nothing here knows containers.

pub(crate) mod directory;
pub(crate) mod files;
pub(crate) mod helper;
pub(crate) mod netlink;
pub(crate) mod privilege;
pub(crate) mod program;
pub mod signal;
pub(crate) mod waiting;
