//! Processes: clone3(2), execve(2), pidfds, prctl(2).

use crate::call::{call, owned, ptr, raw};
pub use crate::exit::exit;
use crate::{Errno, Error, Result};
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::{CStr, c_char};
use core::marker::PhantomData;
use linux_raw_sys::general::{
    AT_EMPTY_PATH, CLONE_INTO_CGROUP, CLONE_PARENT, CLONE_PIDFD, SIGCHLD, clone_args,
};
use linux_raw_sys::prctl::{
    PR_SET_CHILD_SUBREAPER, PR_SET_DUMPABLE, PR_SET_NAME, PR_SET_PDEATHSIG,
};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// A process that was just made.
#[derive(Debug)]
pub struct Child {
    /// Its id in the caller's pid namespace.
    pub pid: i32,
    /// A descriptor that stays with this very process.
    pub pidfd: OwnedFd,
}

/// That this process has one thread: a child of a process with more may find a lock of the C library
/// held for ever. Nobody who has one starts a thread.
#[derive(Clone, Copy, Debug)]
pub struct Alone(PhantomData<*const ()>);

impl Alone {
    /// Looks.
    ///
    /// # Errors
    /// /proc can't be read; EBUSY if there are more threads.
    pub fn check() -> Result<Self> {
        if has_one_entry(c"/proc/self/task")? {
            return Ok(Self(PhantomData));
        }
        Err(Error {
            call: crate::Sysno::clone,
            errno: Errno::EBUSY,
        })
    }

    /// For a process that can't look, such as one whose root is a container's.
    ///
    /// # Safety
    /// There is one thread: as in the child of a fork, until that starts another.
    #[must_use]
    pub const unsafe fn promise() -> Self {
        Self(PhantomData)
    }
}

/// clone3(2) like fork(2): the child runs `child(with)` on a copy of this memory and never returns.
///
/// `flags` are CLONE_NEW*; `cgroup`, a directory of cgroup v2, is where the child starts
/// (CLONE_INTO_CGROUP, Linux 5.7).
pub fn fork<T>(
    _: Alone,
    flags: u64,
    cgroup: Option<BorrowedFd<'_>>,
    with: &mut T,
    child: fn(&mut T) -> !,
) -> Result<Child> {
    let mut pidfd = -1i32;
    // SAFETY: the all-zero pattern is a valid clone_args: no stack, no tls.
    let mut args: clone_args = unsafe { core::mem::zeroed() };
    args.flags = flags | u64::from(CLONE_PIDFD);
    args.pidfd = (&raw mut pidfd) as u64;
    args.exit_signal = SIGCHLD.into();
    if let Some(directory) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = directory.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM the child has its own copy of this memory, stack included, so
    // that returning twice is what fork(2) does; `args` outlives the call.
    let pid = unsafe { call!(clone3, &raw const args, size_of::<clone_args>()) }?;
    if pid == 0 {
        crate::waiting::forget();
        child(with)
    }
    Ok(Child {
        pid: pid as i32,
        // SAFETY: CLONE_PIDFD stored a descriptor that is ours.
        pidfd: unsafe { owned(pidfd as usize) },
    })
}

/// clone(2) like fork(2), as [`fork`]: for a process under a seccomp filter, since profiles of
/// engines answer ENOSYS to clone3(2), whose flags no filter can see.
pub fn fork_plainly<T>(_: Alone, with: &mut T, child: fn(&mut T) -> !) -> Result<Child> {
    let mut pidfd = -1i32;
    let flags = CLONE_PIDFD | SIGCHLD;
    let (stack, place) = (0usize, &raw mut pidfd);
    // SAFETY: as for `fork`; the pidfd goes where clone(2) puts the parent's copy of the id.
    #[cfg(not(target_arch = "s390x"))]
    let pid = unsafe { call!(clone, flags, stack, place, 0, 0) }?;
    // SAFETY: likewise; here the stack comes first.
    #[cfg(target_arch = "s390x")]
    let pid = unsafe { call!(clone, stack, flags, place, 0, 0) }?;
    if pid == 0 {
        crate::waiting::forget();
        child(with)
    }
    Ok(Child {
        pid: pid as i32,
        // SAFETY: CLONE_PIDFD stored a descriptor that is ours.
        pidfd: unsafe { owned(pidfd as usize) },
    })
}

/// As [`fork`], from a child of such a fork: the new process is its sibling (CLONE_PARENT), whom
/// their parent reaps. Its pid in the caller's pid namespace.
pub fn fork_sibling<T>(
    _: Alone,
    flags: u64,
    cgroup: Option<BorrowedFd<'_>>,
    with: &mut T,
    child: fn(&mut T) -> !,
) -> Result<i32> {
    // SAFETY: the all-zero pattern is a valid clone_args: no stack, no tls.
    let mut args: clone_args = unsafe { core::mem::zeroed() };
    // The exit signal is the caller's own: clone(2).
    args.flags = flags | u64::from(CLONE_PARENT);
    if let Some(directory) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = directory.as_raw_fd() as u64;
    }
    // SAFETY: as in `fork`.
    let pid = unsafe { call!(clone3, &raw const args, size_of::<clone_args>()) }?;
    if pid == 0 {
        crate::waiting::forget();
        child(with)
    }
    Ok(pid as i32)
}

/// From the directory's number of links: one for each entry, and `.` and `..`. The number's type
/// differs between architectures.
fn has_one_entry(directory: &CStr) -> Result<bool> {
    let at = linux_raw_sys::general::AT_FDCWD as isize;
    // SAFETY: the all-zero pattern is a valid stat.
    let mut found: linux_raw_sys::general::stat = unsafe { core::mem::zeroed() };
    // SAFETY: the buffer has the size the kernel writes.
    unsafe { crate::file::fstatat(at, directory, &raw mut found, 0) }?;
    Ok(found.st_nlink == 3)
}

/// What happens to a child when its parent ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orphan {
    /// It gets SIGKILL: [`die_with`].
    Dies,
    /// Nothing.
    Lives,
}

/// As [`fork`], for a child that is not init: it has the standard descriptors and those numbered
/// `kept`, and no other, so that none is a lock. What of `with` is not among them is closed there.
pub fn fork_helper<T>(
    alone: Alone,
    flags: u64,
    orphan: Orphan,
    kept: &[RawFd],
    with: &mut T,
    child: fn(&mut T) -> !,
) -> Result<Child> {
    struct Helper<'h, T> {
        /// Whom it does not outlive.
        parent: Option<i32>,
        kept: &'h [RawFd],
        with: &'h mut T,
        child: fn(&mut T) -> !,
    }
    fn begin<T>(helper: &mut Helper<'_, T>) -> ! {
        // SAFETY: nothing runs in this process but `child`, which has what it needs in `kept`.
        let closed = unsafe { crate::io::close_all_but(helper.kept) };
        if closed.is_err() || !helper.parent.is_none_or(die_with) {
            exit(255);
        }
        (helper.child)(helper.with)
    }
    let parent = (orphan == Orphan::Dies).then(own_pid);
    let mut helper = Helper {
        parent,
        kept,
        with,
        child,
    };
    fork(alone, flags, None, &mut helper, begin::<T>)
}

/// prctl(2) PR_SET_PDEATHSIG, for a child of `parent` in the same pid namespace: SIGKILL when that ends,
/// be it of a signal. Every change of credentials takes it back. Whether the parent is still there.
pub fn die_with(parent: i32) -> bool {
    let is_set = set_parent_death_signal(linux_raw_sys::general::SIGKILL).is_ok();
    // SAFETY: no arguments. The call cannot fail.
    let now = unsafe { call!(getppid).map_or(0, |pid| pid as i32) };
    is_set && now == parent
}

/// Strings for execve(2): pointers that end in a null.
#[derive(Clone, Copy, Debug)]
pub struct Strings<'a>(&'a [*const c_char]);

impl<'a> Strings<'a> {
    /// # Safety
    /// All but the last pointer point at C strings that live as long as `'a`; the last is null.
    pub unsafe fn new(pointers: &'a [*const c_char]) -> Self {
        debug_assert!(pointers.last().is_some_and(|last| last.is_null()));
        Self(pointers)
    }
}

/// execve(2): returns only its failure.
pub fn execve(path: &CStr, args: Strings<'_>, env: Strings<'_>) -> Error {
    // SAFETY: the path is a live C string, the arrays are as `Strings` promises.
    failure(unsafe { call!(execve, ptr(path), args.0.as_ptr(), env.0.as_ptr()) })
}

/// The same with strings that are somebody's. Allocates, unlike the rest of this crate.
pub fn execve_strings(path: &CStr, args: &[CString], env: &[CString]) -> Error {
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: both arrays end in null and their strings live.
    unsafe { execve(path, Strings::new(&args), Strings::new(&env)) }
}

/// execveat(2) of the file that `file` is: returns only its failure. Allocates, unlike the rest
/// of this crate: for a process that has not cloned yet.
pub fn execve_file(file: impl AsFd, args: &[CString], env: &[CString]) -> Error {
    let (args, env) = (pointers(args), pointers(env));
    let (args, env) = (args.as_ptr(), env.as_ptr());
    // SAFETY: the path is a live, empty C string, both arrays end in null and their strings live.
    failure(unsafe { call!(execveat, raw(&file), ptr(c""), args, env, AT_EMPTY_PATH) })
}

fn pointers(all: &[CString]) -> Vec<*const c_char> {
    let null = core::iter::once(core::ptr::null());
    all.iter().map(|text| text.as_ptr()).chain(null).collect()
}

fn failure(result: Result<usize>) -> Error {
    match result {
        Err(error) => error,
        Ok(_) => Error {
            call: crate::Sysno::execve,
            errno: Errno::EINVAL,
        },
    }
}

/// pidfd_open(2); ESRCH if there is no such process. For one that has just been reaped kernels such
/// as Linux 6.1 say EINVAL, as for the id of a thread, which is no process either (ENOENT since
/// Linux 6.16).
pub fn pidfd_open(pid: i32) -> Result<OwnedFd> {
    // SAFETY: plain numbers; the result is ours.
    let opened = unsafe { call!(pidfd_open, pid as isize, 0).map(|fd| owned(fd)) };
    opened.map_err(|error| match error.errno {
        Errno::EINVAL | Errno::ENOENT if pid > 0 => Error {
            errno: Errno::ESRCH,
            ..error
        },
        _ => error,
    })
}

/// pidfd_send_signal(2).
pub fn pidfd_send_signal(process: impl AsFd, signal: i32) -> Result<()> {
    // SAFETY: plain numbers and a null siginfo.
    unsafe { call!(pidfd_send_signal, raw(&process), signal as isize, 0, 0).map(drop) }
}

/// pidfd_getfd(2): a duplicate of another process' descriptor.
pub fn pidfd_getfd(process: impl AsFd, number: i32) -> Result<OwnedFd> {
    // SAFETY: plain numbers; the result is ours.
    unsafe { call!(pidfd_getfd, raw(&process), number as isize, 0).map(|fd| owned(fd)) }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It called exit_group(2) with this code.
    Exited(i32),
    /// This signal ended it.
    Signalled(i32),
}

impl Ended {
    /// The code a shell would give: the exit code, or 128 and the signal's number.
    pub fn code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Signalled(signal) => 128 + signal,
        }
    }
}

/// waitid(2) on a pidfd of one's own child, until it has ended; reaps it.
pub fn wait(process: impl AsFd) -> Result<Ended> {
    use linux_raw_sys::general::{P_PIDFD, WEXITED};
    waitid(P_PIDFD, raw(&process), WEXITED).map(|(_, ended)| ended)
}

/// The same without waiting: `None` if it has not ended, or somebody else traces it, ptrace(2), and
/// has not let go of it.
pub fn reap(process: impl AsFd) -> Result<Option<Ended>> {
    use linux_raw_sys::general::{P_PIDFD, WEXITED, WNOHANG};
    let (pid, ended) = waitid(P_PIDFD, raw(&process), WEXITED | WNOHANG)?;
    Ok((pid != 0).then_some(ended))
}

/// waitid(2) on a pidfd of one's own child: the signal that has stopped it, if one has. SIGSTOP and
/// its kin, not ptrace(2).
pub fn stopped_by(process: impl AsFd) -> Option<i32> {
    use linux_raw_sys::general::{P_PIDFD, WNOHANG, WNOWAIT, WSTOPPED};
    match waitid(P_PIDFD, raw(&process), WSTOPPED | WNOHANG | WNOWAIT) {
        Ok((pid, Ended::Signalled(signal))) if pid != 0 => Some(signal),
        _ => None,
    }
}

/// waitid(2) on any child that has ended, without blocking: `None` when there is none.
pub fn reap_any() -> Result<Option<(i32, Ended)>> {
    use linux_raw_sys::general::{P_ALL, WEXITED, WNOHANG};
    match waitid(P_ALL, 0, WEXITED | WNOHANG) {
        Ok((0, _))
        | Err(Error {
            errno: Errno::ECHILD,
            ..
        }) => Ok(None),
        other => other.map(Some),
    }
}

fn waitid(which: u32, id: isize, options: u32) -> Result<(i32, Ended)> {
    use linux_raw_sys::general::{CLD_EXITED, siginfo};
    // SAFETY: the all-zero pattern is a valid siginfo.
    let mut info: siginfo = unsafe { core::mem::zeroed() };
    loop {
        // SAFETY: the buffer has the size the kernel writes; the rusage pointer is null.
        match unsafe { call!(waitid, which, id, &raw mut info, options, 0) } {
            Err(Error {
                errno: Errno::EINTR,
                ..
            }) => {}
            Err(error) => return Err(error),
            Ok(_) => break,
        }
    }
    // SAFETY: waitid(2) fills the SIGCHLD part, or leaves all of it zero.
    let (code, fields) = unsafe {
        let common = &info.__bindgen_anon_1.__bindgen_anon_1;
        (common.si_code, common._sifields._sigchld)
    };
    let ended = match code as u32 {
        CLD_EXITED => Ended::Exited(fields._status),
        _ => Ended::Signalled(fields._status),
    };
    Ok((fields._pid, ended))
}

/// getpid(2), as the process' own pid namespace has it.
pub fn own_pid() -> i32 {
    // SAFETY: no arguments. The call cannot fail.
    unsafe { call!(getpid).map_or(0, |pid| pid as i32) }
}

/// setsid(2).
pub fn setsid() -> Result<()> {
    // SAFETY: no arguments.
    unsafe { call!(setsid).map(drop) }
}

/// prctl(2) PR_SET_NAME: at most 15 bytes count.
pub fn set_name(name: &CStr) -> Result<()> {
    // SAFETY: the name is a live C string.
    unsafe { call!(prctl, PR_SET_NAME, ptr(name), 0, 0, 0).map(drop) }
}

/// prctl(2) PR_SET_DUMPABLE.
pub fn set_dumpable(dumpable: bool) -> Result<()> {
    // SAFETY: plain numbers.
    unsafe { call!(prctl, PR_SET_DUMPABLE, u32::from(dumpable), 0, 0, 0).map(drop) }
}

/// prctl(2) PR_SET_CHILD_SUBREAPER.
pub fn set_subreaper() -> Result<()> {
    // SAFETY: plain numbers.
    unsafe { call!(prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0).map(drop) }
}

/// prctl(2) PR_SET_PDEATHSIG: 0 for none.
pub fn set_parent_death_signal(signal: u32) -> Result<()> {
    // SAFETY: plain numbers.
    unsafe { call!(prctl, PR_SET_PDEATHSIG, signal, 0, 0, 0).map(drop) }
}
