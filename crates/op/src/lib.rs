//! The instruction set between the planner and its two interpreters.
//!
//! A plan is two lists of steps: the host half runs in kan, the init half in the child. Each
//! step is complete in itself, with every value resolved; what exists only at run time (open
//! descriptors, the child's pid) passes through named [`Slot`]s, and the halves meet at
//! [`Sync`] points. This crate holds data and no behaviour; it is `no_std`, and reading it
//! never allocates.
#![no_std]
extern crate alloc;

mod cgroup;
pub mod host;
pub mod init;
mod init_slots;
mod limit;
pub mod mount;
mod report;
mod slot;
mod sync;
pub mod unit;

pub use host::HostStep;
pub use init::InitStep;
pub use limit::{IfMissing, Limits, Setting, Usage};
pub use report::{Board, Failure, Flaw};
pub use slot::{NamespaceSlot, Slot, SlotUse};
pub use sync::{HOOKS_RUN, Side, Sync};
