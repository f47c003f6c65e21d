//! The system calls that std does not offer, but for those that reach into other processes
//! ([`crate::foreign`]). There is no other unsafe code in the probe.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;

/// Keyctl operation that describes a key (keyctl(2)).
const KEYCTL_DESCRIBE: libc::c_long = 6;
/// The caller's session keyring (keyctl(2)).
const KEY_SPEC_SESSION_KEYRING: libc::c_long = -3;
/// ioprio_get(2): look at one process.
const IOPRIO_WHO_PROCESS: libc::c_long = 1;
/// personality(2): ask without changing anything.
const PERSONALITY_QUERY: libc::c_ulong = 0xffff_ffff;

/// Turns the kernel's -1 into the errno.
fn checked<T: From<i8> + PartialEq>(value: T) -> io::Result<T> {
    if value == T::from(-1) {
        Err(io::Error::last_os_error())
    } else {
        Ok(value)
    }
}

/// umask(2), read without lasting change: the only way is to set and restore it.
pub fn umask() -> u32 {
    // SAFETY: takes a number, cannot fail; the probe has one thread.
    unsafe {
        let mask = libc::umask(0);
        libc::umask(mask);
        mask
    }
}

/// Session, process group and parent, as (sid, pgid, ppid).
pub fn family() -> (i32, i32, i32) {
    // SAFETY: no pointers, and the calls cannot fail for the caller itself.
    unsafe { (libc::getsid(0), libc::getpgrp(), libc::getppid()) }
}

/// Real, effective and saved user ids.
pub fn user_ids() -> [u32; 3] {
    let mut ids = [0; 3];
    let [r, e, s] = &mut ids;
    // SAFETY: three valid, distinct places for the answers.
    unsafe { libc::getresuid(r, e, s) };
    ids
}

/// Real, effective and saved group ids.
pub fn group_ids() -> [u32; 3] {
    let mut ids = [0; 3];
    let [r, e, s] = &mut ids;
    // SAFETY: three valid, distinct places for the answers.
    unsafe { libc::getresgid(r, e, s) };
    ids
}

/// Supplementary groups.
pub fn groups() -> io::Result<Vec<u32>> {
    let mut list = vec![0; 65_536];
    // SAFETY: the vector has room for the count given, which is the kernel's maximum.
    let count = checked(unsafe { libc::getgroups(65_536, list.as_mut_ptr()) })?;
    list.truncate(usize::try_from(count).unwrap_or(0));
    Ok(list)
}

/// (soft, hard) of one resource; `u64::MAX` is RLIM_INFINITY.
pub fn rlimit(resource: u32) -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: a valid place for the answer.
    checked(unsafe { libc::getrlimit(resource, &raw mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// A prctl(2) operation that only reads and takes no argument.
pub fn prctl(operation: i32) -> io::Result<i32> {
    // SAFETY: the operations used here take no pointer.
    checked(unsafe { libc::prctl(operation, 0, 0, 0, 0) })
}

/// A prctl(2) operation about one capability: in the bounding set, or ambient.
pub fn prctl_capability(operation: i32, first: u64, second: u64) -> io::Result<i32> {
    // SAFETY: PR_CAPBSET_READ and PR_CAP_AMBIENT_IS_SET take numbers only.
    checked(unsafe { libc::prctl(operation, first, second, 0, 0) })
}

/// capget(2): (effective, permitted, inheritable) as bit sets.
pub fn capabilities() -> io::Result<[u64; 3]> {
    // _LINUX_CAPABILITY_VERSION_3 and pid 0, the caller.
    let header: [u32; 2] = [0x2008_0522, 0];
    let mut data = [0u32; 6];
    // SAFETY: version 3 wants two structures of three 32-bit words, which `data` holds.
    checked(unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), data.as_mut_ptr()) })?;
    let [e0, p0, i0, e1, p1, i1] = data.map(u64::from);
    Ok([e0 | (e1 << 32), p0 | (p1 << 32), i0 | (i1 << 32)])
}

/// The execution domain (personality(2)).
pub fn personality() -> io::Result<i32> {
    // SAFETY: the query value changes nothing.
    checked(unsafe { libc::personality(PERSONALITY_QUERY) })
}

/// (policy, static priority, nice) of the caller.
pub fn scheduler() -> io::Result<(i32, i32, i32)> {
    let mut parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: a valid place for the answer; getpriority of oneself cannot fail.
    unsafe {
        let policy = checked(libc::sched_getscheduler(0))?;
        checked(libc::sched_getparam(0, &raw mut parameters))?;
        Ok((
            policy,
            parameters.sched_priority,
            libc::getpriority(libc::PRIO_PROCESS, 0),
        ))
    }
}

/// (class, priority within it) for input and output (ioprio_get(2)).
pub fn io_priority() -> io::Result<(i64, i64)> {
    // SAFETY: numbers only.
    let value = checked(unsafe { libc::syscall(libc::SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0) })?;
    Ok((value >> 13, value & 0x1fff))
}

/// The processors that the caller may run on.
pub fn affinity() -> io::Result<Vec<usize>> {
    let mut mask = [0u8; 1024];
    let size = mask.len();
    // SAFETY: the kernel writes at most `size` bytes and answers how many.
    let got =
        checked(unsafe { libc::syscall(libc::SYS_sched_getaffinity, 0, size, mask.as_mut_ptr()) })?;
    let bits = usize::try_from(got).unwrap_or(0) * 8;
    Ok((0..bits)
        .filter(|cpu| mask[cpu / 8] & (1 << (cpu % 8)) != 0)
        .collect())
}

/// What keyctl says of the session keyring: `type;uid;gid;perm;description`.
pub fn session_keyring() -> io::Result<String> {
    let mut text = [0u8; 256];
    // SAFETY: the buffer and its length agree.
    let length = checked(unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            KEYCTL_DESCRIBE,
            KEY_SPEC_SESSION_KEYRING,
            text.as_mut_ptr(),
            text.len(),
        )
    })?;
    let length = usize::try_from(length)
        .unwrap_or(0)
        .saturating_sub(1)
        .min(text.len());
    Ok(String::from_utf8_lossy(&text[..length]).into_owned())
}

/// NIS domain name (uname(2)); it has no file without /proc/sys.
pub fn host_and_domain_name() -> io::Result<(String, String)> {
    // SAFETY: utsname is plain bytes, so all zeros is a valid value.
    let mut name: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: a valid place for the answer.
    checked(unsafe { libc::uname(&raw mut name) })?;
    Ok((text_of(&name.nodename), text_of(&name.domainname)))
}

/// The bytes before the NUL of a C character array.
fn text_of(chars: &[libc::c_char]) -> String {
    let bytes: Vec<u8> = chars
        .iter()
        .take_while(|c| **c != 0)
        .map(|c| c.to_ne_bytes()[0])
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// isatty(3).
pub fn is_terminal(fd: i32) -> bool {
    // SAFETY: a number; a closed descriptor answers 0.
    unsafe { libc::isatty(fd) == 1 }
}

/// Whether output newlines become carriage return + newline (ONLCR) on a terminal.
pub fn onlcr(fd: i32) -> io::Result<bool> {
    // SAFETY: termios is plain data, so all zeros is a valid value.
    let mut settings: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: a valid place for the answer.
    checked(unsafe { libc::tcgetattr(fd, &raw mut settings) })?;
    Ok(settings.c_oflag & libc::ONLCR != 0)
}

/// (rows, columns) of a terminal.
pub fn window_size(fd: i32) -> io::Result<(u16, u16)> {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: a valid place for the answer.
    checked(unsafe { libc::ioctl(fd, libc::TIOCGWINSZ, &raw mut size) })?;
    Ok((size.ws_row, size.ws_col))
}

/// access(2) for writing, with the effective ids; it tells EROFS apart from EACCES.
pub fn writable(path: &str) -> io::Result<()> {
    let path = CString::new(path)?;
    // SAFETY: a NUL-terminated string that outlives the call.
    let answer =
        unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::W_OK, libc::AT_EACCESS) };
    checked(answer).map(|_| ())
}

/// Whether the mount under a path is read-only (statvfs(3)).
pub fn read_only(path: &str) -> io::Result<bool> {
    let path = CString::new(path)?;
    // SAFETY: statvfs is plain numbers, so all zeros is a valid value.
    let mut answer: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: a NUL-terminated string and a valid place for the answer.
    checked(unsafe { libc::statvfs(path.as_ptr(), &raw mut answer) })?;
    Ok(answer.f_flag & libc::ST_RDONLY != 0)
}

/// setitimer(2): SIGALRM after so many milliseconds, fewer than a second.
pub fn arm_timer(milliseconds: i32) -> io::Result<()> {
    // SAFETY: itimerval is plain numbers, so all zeros is a valid value.
    let mut timer: libc::itimerval = unsafe { std::mem::zeroed() };
    timer.it_value.tv_usec = (milliseconds * 1000).into();
    // SAFETY: the timer outlives the call; the old one is not asked for.
    checked(unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) })
        .map(|_| ())
}

/// Whether a timer of setitimer(2) runs.
pub fn has_timer() -> io::Result<bool> {
    // SAFETY: itimerval is plain numbers, so all zeros is a valid value.
    let mut timer: libc::itimerval = unsafe { std::mem::zeroed() };
    // SAFETY: a valid place for the answer.
    checked(unsafe { libc::getitimer(libc::ITIMER_REAL, &raw mut timer) })?;
    Ok(timer.it_value.tv_sec != 0 || timer.it_value.tv_usec != 0)
}

/// prctl(2) PR_SET_TIMERSLACK, in nanoseconds.
pub fn set_timer_slack(nanoseconds: u64) -> io::Result<()> {
    // SAFETY: plain numbers.
    checked(unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, nanoseconds, 0, 0, 0) }).map(|_| ())
}

/// prctl(2) PR_GET_PDEATHSIG.
pub fn parent_death_signal() -> io::Result<i32> {
    let mut signal = 0;
    // SAFETY: a valid place for the answer.
    checked(unsafe { libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut signal) })?;
    Ok(signal)
}

/// Blocks every signal, so that [`next_signal`] sees them: for PID 1 of a namespace signals
/// with the default action are dropped at once, except when they are blocked.
pub fn block_all_signals() {
    // SAFETY: a local signal set, filled before it is used.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
    }
}

/// Waits for the next blocked signal and answers its number.
///
/// Thawing a cgroup v2 interrupts the wait (EINTR) without any signal.
pub fn next_signal() -> io::Result<i32> {
    loop {
        match wait_for_signal() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            answer => return answer,
        }
    }
}

/// sigwaitinfo(2) for every signal.
fn wait_for_signal() -> io::Result<i32> {
    // SAFETY: a local signal set, filled before it is used; no place for details is asked.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        checked(libc::sigwaitinfo(&raw const all, std::ptr::null_mut()))
    }
}

/// Whether a blocked signal waits to be taken (sigpending(2)).
pub fn is_pending(signal: i32) -> bool {
    // SAFETY: a local signal set that the kernel fills.
    unsafe {
        let mut pending = std::mem::zeroed();
        libc::sigpending(&raw mut pending) == 0
            && libc::sigismember(&raw const pending, signal) == 1
    }
}

/// Sleeps until a signal kills the process.
pub fn wait_forever() -> ! {
    loop {
        // SAFETY: no arguments.
        unsafe { libc::pause() };
    }
}

/// Sends a signal to the probe itself, unblocked and with its default action.
pub fn kill_self(signal: i32) -> io::Result<()> {
    // SAFETY: a local, emptied set; the numbers are the caller's.
    unsafe {
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        libc::signal(signal, libc::SIG_DFL);
        checked(libc::kill(libc::getpid(), signal)).map(|_| ())
    }
}

/// fork(2): 0 in the child.
pub fn fork() -> io::Result<i32> {
    // SAFETY: the probe has one thread, so the child may do anything.
    checked(unsafe { libc::fork() })
}

/// Waits for one child to end.
pub fn wait_for(pid: i32) -> io::Result<()> {
    // SAFETY: no place for the status is given.
    checked(unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) }).map(|_| ())
}

/// ptrace(2), PTRACE_SEIZE: whether the process may be traced, which it then is.
pub fn seize(pid: i32) -> bool {
    // SAFETY: plain numbers.
    unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) == 0 }
}

/// Traces a seized process no more. It has to stop for that, or has ended.
pub fn let_go(pid: i32) {
    // SAFETY: plain numbers, and a null status.
    unsafe {
        libc::ptrace(libc::PTRACE_INTERRUPT, pid, 0, 0);
        libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL);
        libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0);
    }
}
