//! What a program must see to before anything else, where the standard library's start does not.

use crate::call::{call, raw};
use crate::file::{self, O_RDWR};
use crate::{Result, io, signal};
use alloc::vec::Vec;
use core::ffi::{CStr, c_char};
use linux_raw_sys::general::{F_SETFD, POLLNVAL, SIGPIPE, pollfd, timespec};

/// Ignores SIGPIPE, so that a reader that went away is an error of write(2), and opens `/dev/null`
/// on the standard descriptors that are closed: what is opened later must not take their place.
///
/// # Errors
/// `/dev/null` can't be opened.
pub fn prepare() -> Result<()> {
    signal::ignore(SIGPIPE)?;
    let closed = |fd| pollfd {
        fd,
        events: 0,
        revents: 0,
    };
    let mut standard = [closed(0), closed(1), closed(2)];
    let at_once = timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let (fds, count) = (standard.as_mut_ptr(), standard.len());
    // SAFETY: the array and the time outlive the call; no signal mask is given.
    unsafe { call!(ppoll, fds, count, &raw const at_once, 0, 0) }?;
    for one in standard {
        if i32::from(one.revents) & POLLNVAL as i32 != 0 {
            open_null()?;
        }
    }
    Ok(())
}

/// The words of the command line, as a program's `main` is handed them. The standard library's own
/// list is filled by its start, or by what only some C libraries do for it.
///
/// # Safety
/// `words` are C strings, the last of which is followed by a null pointer.
#[must_use]
pub unsafe fn command_line(words: *const *const c_char) -> Vec<Vec<u8>> {
    let mut line = Vec::new();
    let mut next = words;
    // SAFETY: promised by the caller; nothing is read past the null.
    while let Some(word) = unsafe { next.as_ref() }.filter(|word| !word.is_null()) {
        // SAFETY: likewise.
        line.push(unsafe { CStr::from_ptr(*word) }.to_bytes().to_vec());
        // SAFETY: the array goes on, since this was not its last.
        next = unsafe { next.add(1) };
    }
    line
}

/// On the lowest free number, open(2): the lowest closed one of the three. It stays open on exec.
fn open_null() -> Result<()> {
    let null = file::open(c"/dev/null", O_RDWR, 0)?;
    // SAFETY: plain numbers.
    unsafe { call!(fcntl, raw(&null), F_SETFD, 0) }?;
    io::keep(null);
    Ok(())
}
