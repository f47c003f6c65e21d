//! Calls in which kan could wait for somebody else without end, while the signals that tell it to
//! stop are blocked: [`RULES`] says which are allowed. ARCHITECTURE.md and `kan_sys::waiting` have one
//! way to wait, ppoll(2) on a signalfd(2) as well.
//!
//! While SIGTERM is not blocked everything is allowed, since it ends kan. Only the command's own
//! process is looked at: what its children wait for ends with them, and kan can kill them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _};

use nix::libc;
use nix::unistd::Pid;

use crate::registers;

/// Calls, and what makes them allowed while SIGTERM is blocked.
struct Rule {
    calls: &'static [&'static str],
    allowed: fn(&Call<'_>) -> bool,
    /// The same in words.
    only: &'static str,
}

/// Calls that are not listed can wait for the kernel and its devices only.
const RULES: &[Rule] = &[
    Rule {
        calls: &["ppoll", "poll"],
        allowed: |call| call.watches_signals() || call.is_short(),
        only: "if a signalfd is among the descriptors, or for a second at most",
    },
    Rule {
        calls: &["nanosleep", "clock_nanosleep"],
        allowed: |call| call.is_short(),
        only: "for a second at most",
    },
    Rule {
        calls: &["wait4", "waitid"],
        allowed: |call| call.has_no_hang() || call.of_pidfd() && call.was_ready(libc::POLLIN),
        only: "with WNOHANG, or for a pidfd that poll(2) has found ready",
    },
    Rule {
        calls: &["flock"],
        allowed: |call| call.flags(1) & LOCK_NB_OR_UN != 0,
        only: "with LOCK_NB or LOCK_UN: another command may hold the lock for as long as it likes",
    },
    Rule {
        calls: &["fcntl"],
        allowed: |call| !matches!(call.flags(1), libc::F_SETLKW | libc::F_OFD_SETLKW),
        only: "without waiting for a lock",
    },
    Rule {
        calls: &[
            "read", "readv", "preadv", "preadv2", "recvfrom", "recvmsg", "recvmmsg", "accept",
            "accept4", "splice", "tee",
        ],
        allowed: |call| !call.can_wait() || call.is_nonblocking() || call.was_ready(libc::POLLIN),
        only: "from files, which are there; with O_NONBLOCK or MSG_DONTWAIT; from a netlink socket, \
               where the kernel's answer is there when the question is sent; or if poll(2) has \
               found it ready since the last time",
    },
    Rule {
        calls: &[
            "write",
            "writev",
            "pwritev",
            "pwritev2",
            "sendto",
            "sendmsg",
            "sendmmsg",
            "sendfile",
            "copy_file_range",
            "vmsplice",
        ],
        allowed: |call| {
            !call.can_wait()
                || call.is_nonblocking()
                || call.is_small()
                || call.was_ready(libc::POLLOUT)
        },
        only: "to files; with O_NONBLOCK or MSG_DONTWAIT; up to PIPE_BUF into a pipe or socket of \
               kan's own, which is empty; or if poll(2) has found it ready since the last time",
    },
    Rule {
        calls: &["connect"],
        allowed: |call| call.is_nonblocking() || !call.can_wait(),
        only: "with O_NONBLOCK: the listener's queue may be full",
    },
    Rule {
        calls: &["open", "openat", "openat2", "creat"],
        allowed: |call| !call.opened_waiting(),
        only: "if it is no FIFO, or with O_NONBLOCK, O_RDWR or O_PATH: fifo(7)",
    },
    Rule {
        calls: &["futex"],
        allowed: |call| !matches!(call.flags(1) & 0x7f, 0 | 6 | 9 | 11 | 13),
        only: "to wake somebody up: kan has one thread",
    },
    Rule {
        calls: &["clone", "clone3"],
        allowed: |call| call.clone_flags() & CLONE_VFORK == 0,
        only: "without CLONE_VFORK, which waits for the child's execve(2)",
    },
    Rule {
        calls: &[
            "vfork",
            "pause",
            "select",
            "pselect6",
            "epoll_wait",
            "epoll_pwait",
            "epoll_pwait2",
            "rt_sigsuspend",
            "rt_sigtimedwait",
            "futex_wait",
            "futex_waitv",
            "semop",
            "semtimedop",
            "msgrcv",
            "msgsnd",
            "mq_timedreceive",
            "mq_timedsend",
            "io_uring_enter",
            "io_getevents",
        ],
        allowed: |_| false,
        only: "never",
    },
];

const LOCK_NB_OR_UN: i32 = libc::LOCK_NB | libc::LOCK_UN;
const CLONE_VFORK: u64 = 0x4000;
/// pipe(7)
const PIPE_BUF: u64 = 4096;
const NANOSECONDS: i64 = 1_000_000_000;

/// A call at its entry, or of open(2) at its exit.
struct Call<'a> {
    pid: Pid,
    name: &'static str,
    args: [u64; 6],
    /// What open(2) has returned.
    result: i64,
    /// What the last poll(2) has found of each descriptor.
    ready: &'a HashMap<i32, i16>,
    netlink: &'a HashSet<i32>,
}

/// What was seen of one command or more.
#[derive(Default)]
pub struct Judge {
    /// Which command.
    pub command: String,
    /// Calls that were not allowed.
    pub faults: Vec<String>,
    /// How many of each name were allowed while SIGTERM was blocked.
    pub allowed: BTreeMap<&'static str, usize>,
    ready: HashMap<i32, i16>,
    /// Sockets of netlink(7): the kernel answers while it is asked.
    netlink: HashSet<i32>,
    entered: [u64; 6],
}

impl Judge {
    /// At the entry and the exit of each call.
    pub fn look(&mut self, pid: Pid, number: u64, is_entry: bool) {
        let name = registers::name(number);
        if is_entry {
            self.entered = registers::arguments(pid).unwrap_or_default();
        }
        let opens = matches!(name, "open" | "openat" | "openat2" | "creat");
        let rule = RULES.iter().find(|rule| rule.calls.contains(&name));
        if let Some(rule) = rule.filter(|_| is_entry != opens) {
            self.judge(pid, name, rule);
        }
        self.remember(pid, name, is_entry);
    }

    fn judge(&mut self, pid: Pid, name: &'static str, rule: &Rule) {
        if !blocks_term(pid) {
            return;
        }
        let call = Call {
            pid,
            name,
            args: self.entered,
            result: registers::result(pid).unwrap_or(-1),
            ready: &self.ready,
            netlink: &self.netlink,
        };
        if (rule.allowed)(&call) {
            *self.allowed.entry(name).or_default() += 1;
            return;
        }
        let at = call.path(call.fd());
        let args = self.entered.map(|arg| format!("{arg:#x}"));
        self.faults.push(format!(
            "{}: {name}({}), {at}, allowed only {}",
            self.command,
            args.join(", "),
            rule.only
        ));
    }

    /// A descriptor is ready from a poll(2) that says so to its next use.
    fn remember(&mut self, pid: Pid, name: &str, is_entry: bool) {
        let [first, second, ..] = self.entered;
        match name {
            "ppoll" | "poll" if !is_entry => {
                self.ready.clear();
                for (fd, _, found) in polled(pid, first, second) {
                    // One descriptor may be there twice.
                    *self.ready.entry(fd).or_default() |= found;
                }
            }
            "close_range" | "execve" | "execveat" => self.ready.clear(),
            "socket" if !is_entry && number(first) == libc::AF_NETLINK => {
                let made = registers::result(pid).ok();
                self.netlink
                    .extend(made.and_then(|fd| i32::try_from(fd).ok()));
            }
            "waitid" if !is_entry => {
                self.ready.remove(&number(second));
            }
            "read" | "readv" | "recvfrom" | "recvmsg" | "accept" | "accept4" | "write"
            | "writev" | "sendto" | "sendmsg" | "close" | "dup3"
                if !is_entry =>
            {
                self.ready.remove(&number(first));
                if name == "close" {
                    self.netlink.remove(&number(first));
                }
            }
            _ => {}
        }
    }
}

/// An argument that is an int.
fn number(argument: u64) -> i32 {
    let [a, b, c, d, ..] = argument.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

fn blocks_term(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
    let blocked = blocked.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    blocked.is_some_and(|mask| mask & 1 << (libc::SIGTERM - 1) != 0)
}

fn memory(pid: Pid, at: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let read =
        File::open(format!("/proc/{pid}/mem")).and_then(|mem| mem.read_exact_at(&mut bytes, at));
    if read.is_err() {
        bytes.clear();
    }
    bytes
}

/// `struct pollfd`: descriptor, events, and what was found.
fn polled(pid: Pid, at: u64, count: u64) -> Vec<(i32, i16, i16)> {
    let length = usize::try_from(count).unwrap_or(0).min(64) * 8;
    let entry = |one: &[u8]| {
        let fd = i32::from_ne_bytes([one[0], one[1], one[2], one[3]]);
        let events = i16::from_ne_bytes([one[4], one[5]]);
        (fd, events, i16::from_ne_bytes([one[6], one[7]]))
    };
    memory(pid, at, length).chunks_exact(8).map(entry).collect()
}

impl Call<'_> {
    fn fd(&self) -> i32 {
        match self.name {
            "waitid" => number(self.args[1]),
            "open" | "openat" | "openat2" | "creat" => i32::try_from(self.result).unwrap_or(-1),
            _ => number(self.args[0]),
        }
    }

    fn flags(&self, nth: usize) -> i32 {
        number(self.args[nth])
    }

    /// What a descriptor is, proc_pid_fd(5).
    fn path(&self, fd: i32) -> String {
        let link = fs::read_link(format!("/proc/{}/fd/{fd}", self.pid));
        link.map_or_else(
            |_| "no descriptor".into(),
            |link| link.display().to_string(),
        )
    }

    /// The flags of open(2).
    fn open_flags(&self, fd: i32) -> i32 {
        let info = fs::read_to_string(format!("/proc/{}/fdinfo/{fd}", self.pid));
        let info = info.unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok());
        flags.unwrap_or(0)
    }

    fn was_ready(&self, events: i16) -> bool {
        let over = libc::POLLHUP | libc::POLLERR;
        let found = self.ready.get(&self.fd());
        found.is_some_and(|found| found & (events | over) != 0)
    }

    fn watches_signals(&self) -> bool {
        let all = polled(self.pid, self.args[0], self.args[1]);
        all.iter().any(|(fd, events, _)| {
            *fd >= 0 && events & libc::POLLIN != 0 && self.path(*fd) == "anon_inode:[signalfd]"
        })
    }

    /// Whether it ends by itself, within a second.
    fn is_short(&self) -> bool {
        let at = match self.name {
            "poll" => return (0..=1000).contains(&self.flags(2)),
            "ppoll" | "clock_nanosleep" => self.args[2],
            _ => self.args[0],
        };
        let is_absolute = self.name == "clock_nanosleep" && self.flags(1) != 0;
        let time = memory(self.pid, at, 16);
        let (seconds, rest) = time.split_at(time.len() / 2);
        let word = |bytes: &[u8]| bytes.try_into().map(i64::from_ne_bytes).unwrap_or(i64::MAX);
        let (seconds, rest) = (word(seconds), word(rest));
        at != 0 && !is_absolute && seconds <= 1 && seconds * NANOSECONDS + rest <= NANOSECONDS
    }

    fn has_no_hang(&self) -> bool {
        let nth = if self.name == "wait4" { 2 } else { 3 };
        self.flags(nth) & libc::WNOHANG != 0
    }

    fn of_pidfd(&self) -> bool {
        const P_PIDFD: i32 = 3;
        self.name == "waitid" && self.flags(0) == P_PIDFD
    }

    fn is_nonblocking(&self) -> bool {
        let nth = match self.name {
            "recvmsg" | "sendmsg" => Some(2),
            "recvfrom" | "sendto" | "recvmmsg" | "sendmmsg" => Some(3),
            _ => None,
        };
        nth.is_some_and(|nth| self.flags(nth) & libc::MSG_DONTWAIT != 0)
            || self.open_flags(self.fd()) & libc::O_NONBLOCK != 0
    }

    /// Whether the descriptor is of a kind that can make its user wait for somebody else.
    fn can_wait(&self) -> bool {
        let link = self.path(self.fd());
        let file = format!("/proc/{}/fd/{}", self.pid, self.fd());
        let Ok(about) = fs::metadata(file) else {
            return false;
        };
        let kind = about.file_type();
        let waiting = [
            "eventfd",
            "signalfd",
            "timerfd",
            "inotify",
            "seccomp notify",
        ];
        kind.is_fifo()
            || kind.is_socket() && !self.netlink.contains(&self.fd())
            || kind.is_char_device() && is_terminal(about.rdev())
            || waiting.iter().any(|name| link.contains(name))
    }

    /// A byte or a short message.
    fn is_small(&self) -> bool {
        match self.name {
            "write" | "sendto" => self.args[2] <= PIPE_BUF,
            "sendmsg" => self.message_length() <= PIPE_BUF,
            _ => false,
        }
    }

    /// Of the pieces of a `struct msghdr`.
    fn message_length(&self) -> u64 {
        let word = |at: u64| {
            let bytes = memory(self.pid, at, 8);
            bytes.try_into().map_or(u64::MAX, u64::from_ne_bytes)
        };
        let (pieces, count) = (word(self.args[1] + 16), word(self.args[1] + 24));
        let length = |nth| word(pieces + nth * 16 + 8);
        (0..count.min(64)).map(length).fold(0, u64::saturating_add)
    }

    fn opened_waiting(&self) -> bool {
        let fd = self.fd();
        let about = fs::metadata(format!("/proc/{}/fd/{fd}", self.pid));
        let flags = self.open_flags(fd);
        let is_fifo = about.is_ok_and(|about| about.file_type().is_fifo());
        is_fifo && flags & (libc::O_NONBLOCK | libc::O_RDWR | libc::O_PATH) == 0
    }

    fn clone_flags(&self) -> u64 {
        match self.name {
            "clone3" => {
                let bytes = memory(self.pid, self.args[0], 8);
                bytes.try_into().map_or(u64::MAX, u64::from_ne_bytes)
            }
            _ => self.args[0],
        }
    }
}

/// Major numbers of terminals: Documentation/admin-guide/devices.txt.
fn is_terminal(device: u64) -> bool {
    matches!(libc::major(device), 4 | 5 | 136..=143)
}
