//! Control groups: where a container goes, its limits, its processes.
//!
//! Deciding and acting are apart. [`CgroupsPath`] and [`place`] are pure: they turn
//! `linux.cgroupsPath` and what the host has ([`Layout`]) into a [`Placement`], the list of
//! directories the container will have, one in each hierarchy. Everything else acts on a
//! placement, which can be stored as JSON and is all that a later `delete` needs:
//!
//! ```no_run
//! # fn main() -> kan_cgroup::Result<()> {
//! use kan_cgroup::{CgroupsPath, Layout};
//! # let child = rustix::process::getpid();
//! let wanted = CgroupsPath::parse(Some("/pod/web"), "web")?;
//! let placement = kan_cgroup::place(&Layout::detect(&wanted)?, &wanted)?;
//! let created = kan_cgroup::create(&placement)?;
//! kan_cgroup::join(&placement, child)?;
//! kan_cgroup::kill_all(&placement)?;
//! kan_cgroup::remove(&placement)?;
//! # Ok(()) }
//! ```
//!
//! The rules are those of runc's cgroupfs driver. Four kinds of host are served: cgroup v2 alone,
//! cgroup v1, v1 beside v2 (hybrid), and a host without cgroups, where a placement is empty and
//! every call on it does nothing.

mod adopt;
mod below;
mod controllers;
mod cpuset;
mod create;
mod delegate;
mod devices;
mod empty;
mod error;
mod events;
mod file;
mod freeze;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod kill;
mod layout;
mod limits;
mod mountinfo;
mod oom;
mod pidfd;
mod place;
mod proc_cgroup;
mod procs;
mod reach;
mod remove;
mod scope;
mod stats;
mod tree;
mod wait;

pub use adopt::adopt;
pub use below::Below;
pub use create::{Created, create, ensure_unused};
pub use delegate::{delegate, give};
pub use devices::{DevicesError, limit_devices, replace_devices};
pub use empty::wait_until_empty;
pub use error::{Error, Operation, Result};
pub use freeze::{freeze, frozen, halted, thaw, thaw_below};
pub use kill::{kill_all, signal_all};
pub use layout::{Hierarchy, Layout, Version};
pub use limits::{LimitError, limit, present, update};
pub use mountinfo::mount_points;
pub use oom::{OomWatch, oom_kills};
pub use place::{CgroupsPath, Directory, Kind, Placement, place};
pub use procs::{join, join_v1, processes};
pub use reach::{obstacle, own};
pub use remove::{remove, remove_unused, remove_within};
pub use rustix::process::Pid;
pub use scope::Scope;
pub use stats::{CmtStats, IntelRdt, L3CacheInfo, MbmStats, MemBwInfo, Stats, stats};

/// How long freezing, killing and removing wait for the kernel before they give up with an error.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
