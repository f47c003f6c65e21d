//! Descriptors: read(2), write(2), close_range(2), dup3(2), fcntl(2).

use crate::call::{call, owned, raw};
use crate::{Errno, Error, Result};
use alloc::vec::Vec;
use linux_raw_sys::general::{F_DUPFD_CLOEXEC, F_GETFD, O_CLOEXEC};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

/// read(2), tried again when a signal interrupts it.
#[unsafe(link_section = "kan_waiting")]
pub fn read(from: impl AsFd, buffer: &mut [u8]) -> Result<usize> {
    let from = raw(&from);
    loop {
        let (to, size) = (buffer.as_mut_ptr(), buffer.len());
        // SAFETY: the buffer is writable for its length.
        match unsafe { call!(read, from, to, size) } {
            Err(Error {
                errno: Errno::EINTR,
                ..
            }) => {}
            other => return other,
        }
    }
}

/// write(2), tried again when a signal interrupts it. May write less than all.
#[unsafe(link_section = "kan_waiting")]
pub fn write(to: impl AsFd, bytes: &[u8]) -> Result<usize> {
    let to = raw(&to);
    loop {
        // SAFETY: the slice is readable for its length.
        match unsafe { call!(write, to, bytes.as_ptr(), bytes.len()) } {
            Err(Error {
                errno: Errno::EINTR,
                ..
            }) => {}
            other => return other,
        }
    }
}

/// write(2) of all the bytes, also to a descriptor that another process has set to O_NONBLOCK: that
/// flag belongs to the open file, fcntl(2), which kan shares with its caller.
pub fn write_all(to: impl AsFd, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match write(&to, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.errno == Errno::EAGAIN => await_writable(&to)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// read(2) up to the end of the file, waiting like [`write_all`].
pub fn read_to_end(from: impl AsFd) -> Result<Vec<u8>> {
    let (mut all, mut piece) = (Vec::new(), [0; 8192]);
    loop {
        match read(&from, &mut piece) {
            Ok(0) => return Ok(all),
            Ok(count) => all.extend_from_slice(piece.get(..count).unwrap_or_default()),
            Err(error) if error.errno == Errno::EAGAIN => {
                wait_readable(&from, None)?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// ppoll(2) of one descriptor until something can be written to it.
fn await_writable(fd: impl AsFd) -> Result<()> {
    use linux_raw_sys::general::{POLLOUT, pollfd};
    let mut watched = pollfd {
        fd: raw(&fd) as i32,
        events: POLLOUT as i16,
        revents: 0,
    };
    // SAFETY: the structure outlives the call; neither a time nor a signal mask is given.
    match unsafe { call!(ppoll, &raw mut watched, 1, 0, 0, 8) } {
        Err(error) if error.errno != Errno::EINTR => Err(error),
        _ => Ok(()),
    }
}

/// close(2) of a descriptor by its number.
///
/// # Safety
/// Nobody uses it any more.
pub unsafe fn close(number: i32) {
    // SAFETY: promised by the caller; a number that is not open changes nothing.
    let _ = unsafe { call!(close, number as isize) };
}

/// close_range(2): closes the descriptors `first..=last`.
///
/// # Safety
/// Nobody uses one of them any more.
pub unsafe fn close_range(first: u32, last: u32) -> Result<()> {
    // SAFETY: promised by the caller.
    unsafe { call!(close_range, first, last, 0).map(drop) }
}

/// Closes all descriptors but the standard ones and these.
///
/// # Safety
/// Nobody uses one of the others any more.
pub unsafe fn close_all_but(kept: &[RawFd]) -> Result<()> {
    let kept = || kept.iter().filter_map(|number| u32::try_from(*number).ok());
    let mut from = 3;
    while let Some(next) = kept().filter(|number| *number >= from).min() {
        if next > from {
            // SAFETY: promised by the caller.
            unsafe { close_range(from, next - 1) }?;
        }
        from = next + 1;
    }
    // SAFETY: promised by the caller.
    unsafe { close_range(from, u32::MAX) }
}

/// A standard descriptor, which has no owner: stdin(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standard {
    /// 0
    Input,
    /// 1
    Output,
    /// 2
    Error,
}

impl Standard {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Input, Self::Output, Self::Error];
}

/// dup3(2) onto a standard descriptor, left open on exec.
pub fn dup_onto(fd: impl AsFd, onto: Standard) -> Result<()> {
    // SAFETY: plain numbers; the standard descriptors have no owner in kan.
    unsafe { call!(dup3, raw(&fd), onto as isize, 0).map(drop) }
}

/// fcntl(2) F_DUPFD_CLOEXEC: a duplicate numbered `lowest` or higher.
pub fn duplicate(fd: impl AsFd, lowest: i32) -> Result<OwnedFd> {
    // SAFETY: plain numbers; the result is ours.
    unsafe { call!(fcntl, raw(&fd), F_DUPFD_CLOEXEC, lowest as isize).map(|fd| owned(fd)) }
}

/// fcntl(2) F_GETFD on a descriptor by its number: EBADF if it is not open.
pub fn is_open(number: i32) -> bool {
    // SAFETY: plain numbers.
    unsafe { call!(fcntl, number as isize, F_GETFD, 0).is_ok() }
}

/// A descriptor that was inherited under a known number.
///
/// # Safety
/// `number` stays open for as long as the result is used.
pub unsafe fn inherited(number: i32) -> BorrowedFd<'static> {
    // SAFETY: promised by the caller.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// One of the three standard descriptors, which kan never closes.
pub fn standard(number: i32) -> BorrowedFd<'static> {
    debug_assert!((0..=2).contains(&number));
    // SAFETY: kan opens /dev/null on those that are closed at its start and closes none.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// Leaves a descriptor open for the rest of the program's life.
pub fn keep(fd: OwnedFd) {
    core::mem::forget(fd);
}

/// pipe2(2), both ends close-on-exec: (read end, write end).
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0i32; 2];
    // SAFETY: the array has room for two descriptors; they are ours.
    unsafe {
        call!(pipe2, &raw mut ends, O_CLOEXEC)?;
        Ok((owned(ends[0] as usize), owned(ends[1] as usize)))
    }
}

/// fcntl(2) F_SETPIPE_SZ: makes room for as many bytes in a pipe, pipe(7); less than the 65536 that
/// it has already is fine.
///
/// # Errors
/// More than `/proc/sys/fs/pipe-max-size`, for a user without CAP_SYS_RESOURCE.
pub fn make_room(pipe: impl AsFd, bytes: usize) -> Result<()> {
    const F_SETPIPE_SZ: usize = 1031;
    const USUAL: usize = 65_536;
    if bytes <= USUAL {
        return Ok(());
    }
    // SAFETY: plain numbers.
    unsafe { call!(fcntl, raw(&pipe), F_SETPIPE_SZ, bytes).map(drop) }
}

/// fcntl(2) F_SETFL: reads and writes answer EAGAIN instead of waiting.
pub fn set_nonblocking(fd: impl AsFd) -> Result<()> {
    change_nonblocking(raw(&fd), true)
}

/// fcntl(2) F_SETFL: reads and writes wait, as they do unless asked otherwise.
pub fn set_blocking(fd: impl AsFd) -> Result<()> {
    change_nonblocking(raw(&fd), false)
}

fn change_nonblocking(fd: isize, on: bool) -> Result<()> {
    use linux_raw_sys::general::{F_GETFL, F_SETFL, O_NONBLOCK};
    // SAFETY: plain numbers.
    let flags = unsafe { call!(fcntl, fd, F_GETFL, 0) }?;
    let nonblocking = O_NONBLOCK as usize;
    let flags = if on {
        flags | nonblocking
    } else {
        flags & !nonblocking
    };
    // SAFETY: plain numbers.
    unsafe { call!(fcntl, fd, F_SETFL, flags).map(drop) }
}

/// ppoll(2) of one descriptor until it is readable or at its end: whether it is, after `seconds`
/// at the most, or without an end to the waiting.
pub fn wait_readable(fd: impl AsFd, seconds: Option<u64>) -> Result<bool> {
    use linux_raw_sys::general::{POLLIN, pollfd, timespec};
    let mut watched = pollfd {
        fd: raw(&fd) as i32,
        events: POLLIN as i16,
        revents: 0,
    };
    let mut limit = timespec {
        tv_sec: seconds.unwrap_or(0).min(i32::MAX as u64) as i64,
        tv_nsec: 0,
    };
    loop {
        let limit = if seconds.is_some() {
            &raw mut limit
        } else {
            core::ptr::null_mut()
        };
        // SAFETY: both structures outlive the call; the kernel leaves the rest of the time in
        // `limit`, so that an interrupted wait goes on where it was; no signal mask is given.
        match unsafe { call!(ppoll, &raw mut watched, 1, limit, 0, 8) } {
            Err(Error {
                errno: Errno::EINTR,
                ..
            }) => {}
            other => return other.map(|ready| ready > 0),
        }
    }
}
