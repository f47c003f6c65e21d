//! Executes the init half of a plan, in the child between clone and exec.
//!
//! `no_std`, and from [`run`] on nothing is allocated: the child is a copy of a process that may
//! have held the allocator's lock, and a container's memory limit counts from the clone on.
//!
//! [`Init`] performs the steps up to the one with which the process leaves kan's memory; `visible`
//! performs the rest. This crate knows the instruction set and the kernel, never the spec.
#![no_std]
extern crate alloc;

mod alone;
mod bare;
mod copy_up;
mod credentials;
mod devices;
mod exec;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod home;
mod hooks;
mod interpreter;
mod mounts;
mod outcome;
mod perform;
mod pivot;
mod procfs;
mod reason;
mod root;
mod rootpath;
mod schedule;
mod slots;
mod sync;
mod terminal;
mod visible;

pub use exec::ExecStrings;
pub use interpreter::{Init, run};
pub use mounts::{change_mount, depth};
pub use schedule::attributes;
pub use slots::Slots;

/// A context of fsopen(2) for the procfs of a pid namespace, as init gets one where Linux is older
/// than 6.17: for tests on newer ones.
///
/// # Errors
/// What the kernel refuses.
pub fn open_procfs_from_inside(
    pids: kan_sys::fd::BorrowedFd<'_>,
) -> Result<kan_sys::fd::OwnedFd, kan_op::Failure> {
    procfs::open_from_inside(pids).map_err(outcome::Stop::failure)
}
