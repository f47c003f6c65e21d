//! The system calls by which one process reaches into another, for [`crate::reach`].
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, RawFd};

/// kcmp(2): whether two processes share their memory, descriptors, or root and working directory.
const SHARED: [(i32, &str); 3] = [(1, "memory"), (2, "descriptors"), (3, "root")];

/// Turns the kernel's -1 into the errno.
fn checked(value: i64) -> io::Result<i64> {
    if value == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(value)
    }
}

/// A process that this one traces, until it is dropped.
pub struct Traced(i32);

impl Traced {
    /// Seizes a process and waits until it stands still; `None` if that is forbidden or it has ended.
    pub fn stopped(pid: i32) -> Option<Self> {
        let mut status = 0;
        // SAFETY: plain numbers, and a place for the status.
        unsafe {
            if libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) != 0 {
                return None;
            }
            libc::ptrace(libc::PTRACE_INTERRUPT, pid, 0, 0);
            if libc::waitpid(pid, &raw mut status, libc::__WALL) != pid {
                return None;
            }
        }
        libc::WIFSTOPPED(status).then_some(Self(pid))
    }
}

impl Traced {
    /// Never lets it go, not even when it is dead: its parent can't reap it until this process ends.
    pub fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        // SAFETY: plain numbers, and a null status.
        unsafe {
            if libc::ptrace(libc::PTRACE_DETACH, self.0, 0, 0) != 0 {
                // It was killed: only now can its parent reap it.
                libc::waitpid(self.0, std::ptr::null_mut(), libc::__WALL);
            }
        }
    }
}

/// pidfd_open(2)
pub fn pidfd(pid: i32) -> io::Result<File> {
    // SAFETY: plain numbers; the descriptor is nobody else's.
    unsafe {
        let fd = checked(libc::syscall(libc::SYS_pidfd_open, pid, 0))?;
        Ok(File::from_raw_fd(RawFd::try_from(fd).unwrap_or(-1)))
    }
}

/// pidfd_getfd(2)
pub fn take_descriptor(pidfd: &File, number: i32) -> io::Result<File> {
    // SAFETY: plain numbers; the descriptor is nobody else's.
    unsafe {
        let fd = checked(libc::syscall(
            libc::SYS_pidfd_getfd,
            pidfd.as_raw_fd(),
            number,
            0,
        ))?;
        Ok(File::from_raw_fd(RawFd::try_from(fd).unwrap_or(-1)))
    }
}

/// process_vm_readv(2): how much of the buffer was filled.
pub fn read_memory(pid: i32, from: u64, into: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let remote = libc::iovec {
        iov_base: from as *mut c_void,
        iov_len: into.len(),
    };
    // SAFETY: the local part is a buffer of ours, the other one is looked up by the kernel.
    let read = unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
    checked(read as i64).map(|read| usize::try_from(read).unwrap_or(0))
}

/// What a process shares with another one, kcmp(2).
pub fn shared(one: i32, other: i32) -> Vec<&'static str> {
    let is_shared = |kind: i32| {
        // SAFETY: plain numbers.
        unsafe { libc::syscall(libc::SYS_kcmp, one, other, kind, 0, 0) == 0 }
    };
    let shared = SHARED.iter().filter(|(kind, _)| is_shared(*kind));
    shared.map(|(_, name)| *name).collect()
}

/// setns(2) in a process of its own: whether it is permitted.
pub fn enters(namespace: &File) -> bool {
    // SAFETY: the probe has one thread; the child makes two calls.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::_exit(i32::from(libc::setns(namespace.as_raw_fd(), 0) != 0));
        }
        let mut status = 0;
        libc::waitpid(child, &raw mut status, 0);
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
    }
}

/// kill(2) without a signal: whether there is such a process.
pub fn exists(pid: i32) -> bool {
    // SAFETY: plain numbers.
    let sent = unsafe { libc::kill(pid, 0) == 0 };
    sent || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// kill(2): whether it was sent.
pub fn send(pid: i32, signal: i32) -> bool {
    // SAFETY: plain numbers.
    unsafe { libc::kill(pid, signal) == 0 }
}

/// Whether a text is somewhere in these bytes.
pub fn contains(bytes: &[u8], text: &[u8]) -> bool {
    // SAFETY: two slices with their lengths.
    unsafe {
        !libc::memmem(
            bytes.as_ptr().cast(),
            bytes.len(),
            text.as_ptr().cast(),
            text.len(),
        )
        .is_null()
    }
}
