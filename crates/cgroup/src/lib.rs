//! Control groups: where a container goes, its limits, its processes.
//!
//! Deciding and acting are apart. [`CgroupsPath`] and [`locate::place`] are pure: they turn
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

mod devices;
mod error;
mod file;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod limits;
mod locate;
mod processes;
mod stats;
mod tree;
mod wait;

pub use devices::{DevicesError, limit_devices, replace_devices};
pub use error::{Error, Operation, Result};
pub use limits::{LimitError, limit, present, update};
pub use locate::below::Below;
pub use locate::layout::{Hierarchy, Layout, Version};
pub use locate::mountinfo::mount_points;
pub use locate::path::CgroupsPath;
pub use locate::place::{Directory, Kind, Placement, place};
pub use locate::reach::{obstacle, own};
pub use locate::scope::Scope;
pub use processes::adopt::adopt;
pub use processes::freeze::{freeze, frozen, halted, thaw, thaw_below};
pub use processes::kill::{kill_all, signal_all};
pub use processes::{join, join_v1, processes};
pub use rustix::process::Pid;
pub use stats::oom::{OomWatch, oom_kills};
pub use stats::report::{CmtStats, IntelRdt, L3CacheInfo, MbmStats, MemBwInfo, Stats};
pub use stats::stats;
pub use tree::create::{Created, create, ensure_unused};
pub use tree::delegate::{delegate, give};
pub use tree::empty::wait_until_empty;
pub use tree::remove::{remove, remove_unused, remove_within};

/// How long freezing, killing and removing wait for the kernel before they give up with an error.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
