//! Namespaces: setns(2), unshare(2), and what they name.

use crate::Result;
use crate::call::{call, owned, ptr, raw};
use core::ffi::CStr;
use rustix::fd::{AsFd, OwnedFd};

pub use linux_raw_sys::general::{
    CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWTIME,
    CLONE_NEWUSER, CLONE_NEWUTS,
};

/// setns(2): `target` is a namespace's file, or a pidfd (Linux 5.8) with several CLONE_NEW*.
pub fn setns(target: impl AsFd, flags: u32) -> Result<()> {
    // SAFETY: plain numbers. No CLONE_FILES is asked for, so descriptors stay as they are.
    unsafe { call!(setns, raw(&target), flags).map(drop) }
}

/// unshare(2) with CLONE_NEW*.
pub fn unshare(flags: u32) -> Result<()> {
    // SAFETY: plain numbers. No CLONE_FILES is asked for, so descriptors stay as they are.
    unsafe { call!(unshare, flags).map(drop) }
}

/// ioctl NS_GET_NSTYPE (Linux 4.11): the CLONE_NEW* flag of a namespace's file.
pub fn kind(file: impl AsFd) -> Result<u32> {
    const NS_GET_NSTYPE: u32 = 0xb703;
    // SAFETY: plain numbers.
    unsafe { call!(ioctl, raw(&file), NS_GET_NSTYPE, 0).map(|kind| kind as u32) }
}

/// ioctl NS_GET_USERNS (Linux 4.9): the user namespace that owns a namespace; of a user namespace
/// its parent. EPERM if that is not the caller's own or below it.
pub fn owner(file: impl AsFd) -> Result<OwnedFd> {
    const NS_GET_USERNS: u32 = 0xb701;
    // SAFETY: plain numbers; the result is ours.
    unsafe { call!(ioctl, raw(&file), NS_GET_USERNS, 0).map(|fd| owned(fd)) }
}

/// sethostname(2).
pub fn set_hostname(name: &CStr) -> Result<()> {
    // SAFETY: the string is readable for its length.
    unsafe { call!(sethostname, ptr(name), name.to_bytes().len()).map(drop) }
}

/// setdomainname(2).
pub fn set_domainname(name: &CStr) -> Result<()> {
    // SAFETY: the string is readable for its length.
    unsafe { call!(setdomainname, ptr(name), name.to_bytes().len()).map(drop) }
}
