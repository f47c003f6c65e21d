//! What every wrapper returns: its value, or which call failed and how.

use core::ffi::CStr;
use core::fmt;
use rustix::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

pub use syscalls::{Errno, Sysno};

/// A system call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// The call, for instance `openat2`.
    pub call: Sysno,
    /// What it answered, errno(3).
    pub errno: Errno,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.call.name())?;
        match self.errno.description() {
            Some(text) => lowercase_first(f, text),
            None => write!(f, "error {}", self.errno.into_raw()),
        }
    }
}

impl core::error::Error for Error {}

/// Engines match Go's spelling, `no such file or directory`, which starts in lower case.
fn lowercase_first(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let mut letters = text.chars();
    for first in letters.next().into_iter().flat_map(char::to_lowercase) {
        fmt::Write::write_char(f, first)?;
    }
    f.write_str(letters.as_str())
}

/// The result of a system call.
pub type Result<T> = core::result::Result<T, Error>;

/// fstatat(2), by the name that the kernel's headers give it here.
#[cfg(any(target_arch = "aarch64", target_arch = "loongarch64"))]
pub const FSTATAT: Sysno = Sysno::fstatat;
/// fstatat(2), by the name that the kernel's headers give it here.
#[cfg(not(any(target_arch = "aarch64", target_arch = "loongarch64")))]
pub const FSTATAT: Sysno = Sysno::newfstatat;

/// Makes the call and names it in the error. The caller answers for its pointers.
macro_rules! call {
    ($name:ident $(, $arg:expr)* $(,)?) => {
        ::syscalls::syscall!(::syscalls::Sysno::$name $(, $arg)*)
            .map_err(|errno| $crate::Error { call: ::syscalls::Sysno::$name, errno })
    };
}
pub(crate) use call;

/// Whether the kernel has a call, and a seccomp filter does not pretend otherwise (ENOSYS): one of
/// those that refuse unknown flags, unreadable pointers or descriptors that are not open. All of its
/// arguments are -1. For other calls the answer is no.
#[must_use]
pub fn is_known(call: Sysno) -> bool {
    const REFUSING: [Sysno; 13] = [
        Sysno::clone3,
        Sysno::close_range,
        Sysno::fsconfig,
        Sysno::fsmount,
        Sysno::fsopen,
        Sysno::fspick,
        Sysno::mount_setattr,
        Sysno::move_mount,
        Sysno::open_tree,
        Sysno::openat2,
        Sysno::pidfd_getfd,
        Sysno::pidfd_open,
        Sysno::pidfd_send_signal,
    ];
    if !REFUSING.contains(&call) {
        return false;
    }
    let all = usize::MAX;
    // SAFETY: flags, sizes and pointers of only set bits are refused by each of these calls before it
    // does anything.
    let answer = unsafe { ::syscalls::syscall!(call, all, all, all, all, all, all) };
    answer.err() != Some(Errno::ENOSYS)
}

/// The descriptor that a call just returned.
///
/// # Safety
/// `number` is an open descriptor that nobody else owns.
pub(crate) unsafe fn owned(number: usize) -> OwnedFd {
    // SAFETY: promised by the caller; the kernel's descriptors fit an int.
    unsafe { OwnedFd::from_raw_fd(number as i32) }
}

/// A descriptor as a call's argument. By reference, so that one handed over by value is not
/// closed before the call.
pub(crate) fn raw(fd: &impl AsFd) -> isize {
    fd.as_fd().as_raw_fd() as isize
}

/// A string as a call's argument.
pub(crate) fn ptr(text: &CStr) -> *const u8 {
    text.as_ptr().cast()
}
