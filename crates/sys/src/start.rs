//! What a program must do before anything else, where the standard library's start does not.

use crate::call::{call, raw};
use crate::file::{self, O_RDWR};
use crate::{Result, io, signal};
use alloc::vec::Vec;
use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicU32, Ordering};
use linux_raw_sys::general::{
    F_SETFD, ITIMER_PROF, ITIMER_REAL, ITIMER_VIRTUAL, POLLNVAL, SIGCHLD, SIGHUP, SIGINT, SIGKILL,
    SIGPIPE, SIGQUIT, SIGSTOP, SIGTERM, SIGXFSZ, pollfd, timespec,
};

/// Deals with every attribute that outlives execve(2) and would change what kan's own calls mean;
/// [docs/inherited.md](../../../docs/inherited.md) has the whole table.
///
/// - No signal is blocked but XFSZ. CHLD and TERM have their default action: with an ignored CHLD the
///   kernel would reap kan's children itself, sigaction(2). HUP, INT and QUIT stay ignored if they were:
///   that is how nohup(1) and a shell's `&` protect a command from the terminal. PIPE is ignored and XFSZ
///   blocked, so that a reader that went away and RLIMIT_FSIZE are errors of write(2). (The standard
///   library resets both for the programs that it starts, but no other ignored signal.)
/// - Timers of setitimer(2) are disarmed: their signals would end kan half-way.
/// - The umask is 0022; [`with_callers_umask`] brings the caller's back for files of the caller.
/// - Standard descriptors that are closed are opened on `/dev/null`: what is opened later must not
///   take their place.
///
/// # Errors
/// `/dev/null` can't be opened.
pub fn prepare() -> Result<()> {
    reset_signals()?;
    for timer in [ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF] {
        disarm(timer)?;
    }
    CALLERS_UMASK.store(file::umask(UMASK), Ordering::Relaxed);
    open_closed()
}

/// kan's umask, which takes nothing that kan grants on purpose: container users read the cgroup
/// directories that it creates.
const UMASK: u32 = 0o022;

/// The umask that kan was started with.
static CALLERS_UMASK: AtomicU32 = AtomicU32::new(UMASK);

/// Runs `work` with the umask of kan's caller: for files that the caller names.
pub fn with_callers_umask<T>(work: impl FnOnce() -> T) -> T {
    let own = file::umask(CALLERS_UMASK.load(Ordering::Relaxed));
    let done = work();
    file::umask(own);
    done
}

/// Those that kan's own work depends on: an ignored CHLD loses exit codes, a TERM that is ignored stops
/// nothing, and PIPE would end kan. What else the caller ignores changes nothing for kan, which blocks
/// what it passes on; init resets it for the container, [`prepare_program`] for hooks and other programs.
fn reset_signals() -> Result<()> {
    signal::set_default(SIGCHLD)?;
    signal::set_default(SIGTERM)?;
    signal::ignore(SIGPIPE)?;
    signal::set_mask(1 << (SIGXFSZ - 1))
}

/// Prepares a child that kan has forked for the execve(2) of an external program: it gets the umask of
/// kan's caller, no signal is blocked, and each standard signal has its default action. HUP, INT and
/// QUIT stay ignored if the caller ignores them, as nohup(1) and a shell's `&` want it; KILL and STOP
/// can't be changed.
///
/// # Errors
/// sigaction(2).
pub fn prepare_program() -> Result<()> {
    const KEPT: [u32; 5] = [SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGSTOP];
    file::umask(CALLERS_UMASK.load(Ordering::Relaxed));
    let mut others = (1..32).filter(|number| !KEPT.contains(number));
    others.try_for_each(signal::set_default)?;
    signal::set_mask(0)
}

/// setitimer(2): a timer of nothing.
fn disarm(timer: u32) -> Result<()> {
    let none = [0usize; 4];
    // SAFETY: a struct itimerval is four longs; it outlives the call, the old value is not wanted.
    unsafe { call!(setitimer, timer, none.as_ptr(), 0).map(drop) }
}

fn open_closed() -> Result<()> {
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
