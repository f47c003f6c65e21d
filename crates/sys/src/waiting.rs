//! The one way in which kan waits: ppoll(2) on what is waited for and on the signals that end a
//! command.
//!
//! [`take_over`] blocks these signals, so that they only arrive here: a wait that is under way
//! fails with EINTR then, and the caller cleans up as after any other failure. Whatever waits in
//! another way while they are blocked can't be stopped.

use crate::call::{call, owned, raw};
use crate::{Errno, Error, Result, Sysno, io, memory, signal};
use core::sync::atomic::{AtomicI32, AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use linux_raw_sys::general::{
    O_CLOEXEC, O_NONBLOCK, POLLERR, POLLHUP, POLLIN, POLLOUT, POLLPRI, SIG_BLOCK, SIGHUP, SIGINT,
    SIGTERM, pollfd, timespec,
};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The signalfd(2), or -1.
static SIGNALS: AtomicI32 = AtomicI32::new(-1);
/// The first of the signals that came, or 0.
static CAUGHT: AtomicI32 = AtomicI32::new(0);
/// When it came, nanoseconds of CLOCK_MONOTONIC.
static CAUGHT_AT: AtomicU64 = AtomicU64::new(0);

/// A second signal ends the process only this long after the first, nanoseconds: timeout(1) sends
/// its signal to the process and then to its group.
const ONE_BLOW: u64 = 200_000_000;

/// Most descriptors that are watched at once.
const MOST: usize = 8;

/// Blocks SIGTERM, SIGINT and SIGHUP, which from now on end [`wait`]. SIGHUP and SIGINT stay as they are
/// where they are ignored: nohup(1), and `&` of a shell without job control. Does nothing if it was done
/// before.
pub fn take_over() -> Result<()> {
    if SIGNALS.load(Relaxed) >= 0 {
        return Ok(());
    }
    let bit = |signal: u32| 1u64 << (signal - 1);
    let mut set = bit(SIGTERM);
    for kept in [SIGHUP, SIGINT] {
        if !signal::is_ignored(kept)? {
            set |= bit(kept);
        }
    }
    let flags = O_CLOEXEC | O_NONBLOCK;
    // SAFETY: the set outlives the calls, the old mask is not asked for.
    unsafe {
        let new = -1isize;
        let signals = call!(signalfd4, new, &raw const set, signal::SET_SIZE, flags)?;
        call!(
            rt_sigprocmask,
            SIG_BLOCK,
            &raw const set,
            0,
            signal::SET_SIZE
        )?;
        SIGNALS.store(signals as i32, Relaxed);
    }
    Ok(())
}

/// In a child that was cloned: the descriptor is its parent's.
pub(crate) fn forget() {
    if SIGNALS.load(Relaxed) >= 0 {
        SIGNALS.store(-1, Relaxed);
    }
}

/// The signal that ended a [`wait`], if one did.
pub fn caught() -> Option<i32> {
    match CAUGHT.load(Relaxed) {
        0 => None,
        signal => Some(signal),
    }
}

/// A descriptor to be watched.
#[derive(Clone, Copy, Debug)]
pub struct Watch<'fd> {
    fd: BorrowedFd<'fd>,
    events: u32,
    found: u32,
}

impl<'fd> Watch<'fd> {
    fn new(fd: BorrowedFd<'fd>, events: u32) -> Self {
        Self {
            fd,
            events,
            found: 0,
        }
    }

    /// Until it can be read, or has ended.
    pub fn read(fd: BorrowedFd<'fd>) -> Self {
        Self::new(fd, POLLIN)
    }

    /// Until it can be written to, or nobody reads it any more.
    pub fn write(fd: BorrowedFd<'fd>) -> Self {
        Self::new(fd, POLLOUT)
    }

    /// Until it has exceptional news, as `cgroup.events` has: cgroup-v2.rst.
    pub fn news(fd: BorrowedFd<'fd>) -> Self {
        Self::new(fd, POLLPRI)
    }

    /// Until its other end is closed.
    pub fn end(fd: BorrowedFd<'fd>) -> Self {
        Self::new(fd, 0)
    }

    /// Whether the last [`wait`] found it so.
    pub fn is_ready(&self) -> bool {
        self.found != 0
    }

    /// Whether there is nothing to read and never will be.
    pub fn is_over(&self) -> bool {
        self.found & POLLIN == 0 && self.found & (POLLHUP | POLLERR) != 0
    }
}

/// ppoll(2) until one of the descriptors is ready, for as long as `limit` at the most, or without
/// end: whether one is. With no descriptors it only lets time pass. Descriptors past the eighth
/// are not watched. The first is what is waited for: where that is ready, a signal that has come as
/// well is left to the next wait.
///
/// A signal of [`take_over`] ends the process at once if an earlier one was caught before.
///
/// # Errors
/// EINTR if such a signal came, the first one; from then on waits are as usual, so that what has to
/// be cleaned up can be waited for. Other signals do not end it. Else the kernel's.
pub fn wait(watched: &mut [Watch<'_>], limit: Option<Duration>) -> Result<bool> {
    let mut left = limit.map(|limit| timespec {
        tv_sec: limit.as_secs().min(i32::MAX as u64) as i64,
        tv_nsec: limit.subsec_nanos().into(),
    });
    loop {
        match poll(watched, left.as_mut()) {
            Err(Error {
                errno: Errno::EINTR,
                ..
            }) => {}
            Err(error) => return Err(error),
            Ok((_, true)) if !watched.first().is_some_and(Watch::is_ready) => take_signal()?,
            Ok((ready, _)) => return Ok(ready),
        }
    }
}

/// Looks whether a signal came, without waiting.
///
/// # Errors
/// EINTR, as of [`wait`], also if it was caught earlier.
pub fn check() -> Result<()> {
    wait(&mut [], Some(Duration::ZERO))?;
    match caught() {
        Some(_) => Err(interrupted()),
        None => Ok(()),
    }
}

/// One ppoll(2): whether a descriptor is ready, and whether a signal came. The kernel leaves the rest of
/// the time in `left`, so that a wait that is interrupted goes on where it was.
fn poll(watched: &mut [Watch<'_>], left: Option<&mut timespec>) -> Result<(bool, bool)> {
    let nobody = pollfd {
        fd: -1,
        events: 0,
        revents: 0,
    };
    let mut fds = [nobody; MOST + 1];
    fds[0].fd = SIGNALS.load(Relaxed);
    fds[0].events = POLLIN as i16;
    for (one, fd) in watched.iter().zip(&mut fds[1..]) {
        (fd.fd, fd.events) = (one.fd.as_raw_fd(), one.events as i16);
    }
    let limit = left.map_or(core::ptr::null_mut(), |left| &raw mut *left);
    let count = 1 + watched.len().min(MOST);
    // SAFETY: the array and the time outlive the call; no signal mask is given.
    unsafe { call!(ppoll, fds.as_mut_ptr(), count, limit, 0, signal::SET_SIZE) }?;
    for (one, fd) in watched.iter_mut().zip(&fds[1..]) {
        one.found = u32::from(fd.revents as u16);
    }
    Ok((watched.iter().any(Watch::is_ready), fds[0].revents != 0))
}

/// Takes a signal that has come. The first is an error; a later one ends the process, but for one
/// that belongs to the first.
fn take_signal() -> Result<()> {
    // `struct signalfd_siginfo`: its first word is the signal's number.
    let mut info = [0u32; 32];
    let (from, size) = (SIGNALS.load(Relaxed) as isize, size_of_val(&info));
    // SAFETY: the buffer has the size that the kernel writes.
    match unsafe { call!(read, from, info.as_mut_ptr(), size) } {
        Ok(_) => {}
        // Another reader of signals was quicker.
        Err(error) if matches!(error.errno, Errno::EAGAIN | Errno::EINTR) => return Ok(()),
        Err(error) => return Err(error),
    }
    let (signal, now) = (info[0] as i32, memory::monotonic_ns());
    if caught().is_none() {
        CAUGHT.store(signal, Relaxed);
        CAUGHT_AT.store(now, Relaxed);
        return Err(interrupted());
    }
    if now.saturating_sub(CAUGHT_AT.load(Relaxed)) > ONE_BLOW {
        crate::exit::exit(128 + signal)
    }
    Ok(())
}

fn interrupted() -> Error {
    Error {
        call: Sysno::ppoll,
        errno: Errno::EINTR,
    }
}

/// [`wait`] for one descriptor to be readable, or at its end.
pub fn until_readable(fd: impl AsFd, limit: Option<Duration>) -> Result<bool> {
    wait(&mut [Watch::read(fd.as_fd())], limit)
}

/// Lets time pass, as [`wait`] does.
pub fn pause(length: Duration) -> Result<()> {
    wait(&mut [], Some(length)).map(drop)
}

/// A stream connected to a local socket, close-on-exec: its path, or NUL and its abstract name,
/// unix(7). A listener whose queue is full is asked again, since poll(2) does not report when it has
/// room.
///
/// # Errors
/// ENAMETOOLONG for more than 107 bytes; EINTR as of [`wait`]; the kernel's.
pub fn connect(name: &[u8]) -> Result<OwnedFd> {
    const AGAIN: Duration = Duration::from_millis(10);
    const SOCK_STREAM: u32 = 1;
    const AF_UNIX: u16 = 1;
    /// `struct sockaddr_un`.
    #[repr(C)]
    struct Address {
        family: u16,
        path: [u8; 108],
    }
    let mut address = Address {
        family: AF_UNIX,
        path: [0; 108],
    };
    if name.len() >= address.path.len() {
        return Err(Error {
            call: Sysno::connect,
            errno: Errno::ENAMETOOLONG,
        });
    }
    address.path[..name.len()].copy_from_slice(name);
    // An abstract name ends where the address does; behind a path lies a NUL.
    let is_abstract = name.first() == Some(&0);
    let length = 2 + name.len() + usize::from(!is_abstract);
    let flags = SOCK_STREAM | O_CLOEXEC | O_NONBLOCK;
    // SAFETY: plain numbers; the result is ours.
    let socket = unsafe { call!(socket, u32::from(AF_UNIX), flags, 0).map(|fd| owned(fd)) }?;
    loop {
        // SAFETY: the address outlives the call and is as long as it says.
        match unsafe { call!(connect, raw(&socket), &raw const address, length) } {
            Err(error) if error.errno == Errno::EAGAIN => pause(AGAIN)?,
            Err(error) if error.errno == Errno::EINTR => {}
            Err(error) => return Err(error),
            Ok(_) => break,
        }
    }
    io::set_blocking(&socket)?;
    Ok(socket)
}
