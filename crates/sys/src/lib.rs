//! The kernel, as kan uses it: one function a system call, one error type, owned descriptors.
//!
//! This crate decides nothing. It is `no_std` and, but for what runs before the clone and says so, does
//! not allocate, so that it may run in the child between clone and exec. The workspace's `unsafe` is
//! here, but for the pointers that init hands to execve(2) and those that the C library hands to main.
#![no_std]
extern crate alloc;

pub mod bpf;
mod call;
pub mod capsule;
pub mod credentials;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub mod early;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub mod early {
    //! Elsewhere the program begins as any other.

    /// Never.
    pub fn is_sealed() -> bool {
        false
    }
}
mod exit;
pub mod file;
pub mod heap;
pub mod io;
pub mod memory;
pub mod mount;
pub mod namespace;
pub mod process;
pub mod resource;
pub mod schedule;
pub mod signal;
pub mod socket;
pub mod start;
pub mod terminal;
pub mod waiting;

pub use call::{Errno, Error, FSTATAT, Result, Sysno, is_known};
pub use rustix::fd;
