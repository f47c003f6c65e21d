//! The commands: what `create`, `start`, `exec` and the others do with the state and the host half.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod events;
pub(crate) mod exec;
pub(crate) mod kill;
pub(crate) mod list;
pub(crate) mod mounts;
pub(crate) mod pause;
pub(crate) mod ps;
pub(crate) mod receiver;
pub(crate) mod start;
pub(crate) mod update;
