//! The lifecycle of a container: create, start, state, kill, delete. The host half of a plan runs
//! here.
//!
//! Imports run one way, from the top of this list to its end:
//!
//! - [`diagnose`]: `check` and `doctor`,
//! - [`commands`]: one file for each command,
//! - [`host`]: performs the host half of a plan,
//! - [`resctrl`]: Intel RDT,
//! - [`state`]: the state root, and what is recorded of each container,
//! - [`timeline`], [`os`], [`error`], [`outer_filter`] and [`kernel`]: used by all.
//!
//! A container's directory holds `state.json`, which has all that `delete` needs, a copy of its
//! `config.json`, and until `start` the FIFO on which its init waits. Its status is never stored: it
//! follows from the process, the FIFO and the freezer.
#![deny(
    clippy::disallowed_methods,
    reason = "external programs are started by `os::program`"
)]

mod commands;
mod diagnose;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod host;
mod kernel;
mod os;
mod outer_filter;
mod resctrl;
mod state;
mod timeline;
#[cfg(feature = "trial")]
#[doc(hidden)]
pub mod trial;

pub use commands::create::{CreateOptions, create, plan_only, run};
pub use commands::delete::delete;
pub use commands::events::{Event, stats, watch};
pub use commands::exec::{ExecOptions, exec};
pub use commands::kill::kill;
pub use commands::list::{Found, list};
pub use commands::mounts::{add_mounts, remove_mounts};
pub use commands::pause::{pause, resume};
pub use commands::ps::{filter as filter_ps, processes, table as ps_table};
pub use commands::receiver::receive_console;
pub use commands::start::start;
pub use commands::update::request::Update;
pub use commands::update::update;
pub use diagnose::check::{Checked, check, check_store};
pub use diagnose::doctor::examine;
pub use diagnose::finding::{Finding, Verdict};
pub use error::{Error, Result, lowercase as io_error_text};
pub use host::activation::Activation;
pub use host::cgroups::{CgroupManager, CgroupOptions};
pub use host::seal;
pub use kan_cgroup::Below;
pub use kan_cgroup::Stats;
pub use kan_sys::waiting::caught as stopped_by;
pub use os::signal;
pub use state::container::Container;
pub use state::id::check_id;
pub use state::store::{Store, default_root};
pub use timeline::{Span, Timeline};
