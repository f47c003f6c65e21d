//! The life of a container: create, start, state, kill, delete, and the directory that remembers
//! it. The host half of a plan runs here.
//!
//! A container's directory holds `state.json`, which says all that is needed to delete it, a copy
//! of its `config.json`, and until `start` the FIFO on which its init waits. Its status is never
//! stored: it follows from the process, the FIFO and the freezer.
#![deny(
    clippy::disallowed_methods,
    reason = "external programs are started by `program`"
)]

mod activation;
mod agent;
mod between;
mod cgroups;
mod check;
mod classes;
mod clone;
mod console;
mod container;
mod container_paths;
mod create;
mod delete;
mod descriptors;
mod directory;
mod doctor;
mod dry_run;
mod entered;
mod error;
mod events;
mod exec;
mod facts;
mod files;
mod finding;
mod foreground;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod helper;
mod hooks;
mod host;
mod id;
mod id_maps;
mod kill;
mod labels;
mod list;
mod meeting;
mod mounts;
mod net_devices;
mod netlink;
mod network;
mod notify;
mod outer_filter;
mod own_terminal;
mod pause;
mod pid_file;
mod process;
mod program;
mod ps;
mod receiver;
mod record;
mod resctrl;
mod resctrl_stats;
pub mod seal;
pub mod signal;
mod stage;
mod start;
mod store;
mod stream;
mod timeline;
#[cfg(feature = "trial")]
#[doc(hidden)]
pub mod trial;
mod trust;
mod unit;
mod update;
mod waiting;

pub use activation::Activation;
pub use cgroups::{CgroupManager, CgroupOptions};
pub use check::{Checked, check};
pub use container::Container;
pub use create::{CreateOptions, create, plan_only, run};
pub use delete::delete;
pub use doctor::examine;
pub use error::{Error, Result, lowercase as io_error_text};
pub use events::{Event, stats, watch};
pub use exec::{ExecOptions, exec};
pub use finding::{Finding, Verdict};
pub use id::check_id;
pub use kan_cgroup::Below;
pub use kan_cgroup::Stats;
pub use kan_sys::waiting::caught as stopped_by;
pub use kill::kill;
pub use list::{Found, list};
pub use mounts::{add_mounts, remove_mounts};
pub use pause::{pause, resume};
pub use ps::{filter as filter_ps, processes, table as ps_table};
pub use receiver::receive_console;
pub use start::start;
pub use store::{Store, default_root};
pub use timeline::{Span, Timeline};
pub use update::{Update, update};
