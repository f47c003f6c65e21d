//! Steps on the process itself: descriptors, signals, session, namespaces, names, limits.

use crate::harness::{Test, alone, in_child, start, tests};
use crate::scene::{
    at, bind, c, flawed, mount_at, perform, perform_then, perform_with, refused, root_slots, set,
};
use kan_init::Slots;
use kan_op::{Flaw, InitStep, NamespaceSlot, Slot};
use kan_sys::fd::{AsRawFd, IntoRawFd};
use kan_sys::namespace::{CLONE_NEWIPC, CLONE_NEWNS, CLONE_NEWUTS};
use kan_sys::process::Child;
use kan_sys::{Errno, Sysno, file, io, resource, signal};
use rustix::process::{DumpableBehavior, dumpable_behavior};
use std::fs;

pub const TESTS: &[Test] = &tests![
    crate::process::close_inherited_keeps_preserved_and_slots,
    crate::process::close_inherited_without_slots_keeps_stdio,
    crate::process::a_gap_below_what_is_preserved_is_no_hiding_place,
    crate::process::reset_signals_unblocks_and_stops_ignoring,
    crate::process::reset_signals_refuses_what_the_kernel_refuses,
    crate::process::new_session_has_its_own_id,
    crate::process::hide_memory_is_not_dumpable,
    crate::process::what_is_shown_has_no_environment,
    crate::process::join_enters_a_namespace_by_its_file,
    crate::process::join_enters_several_by_a_pidfd,
    crate::process::join_refuses_another_file,
    crate::process::unshare_leaves_the_old_namespace,
    crate::process::names_are_set,
    crate::process::a_name_too_long_is_refused,
    crate::process::a_sysctl_is_written,
    crate::process::a_file_of_the_own_process_is_written,
    crate::process::a_refused_sysctl_is_an_error,
    crate::process::proc_must_be_procfs_and_uncovered,
    crate::process::a_limit_is_set,
    crate::process::a_senseless_limit_is_refused,
    crate::process::the_umask_is_set,
];

/// A descriptor under this number that nobody owns.
fn open_under(number: i32) {
    let opened = io::duplicate(io::standard(0), number).unwrap();
    assert_eq!(opened.as_raw_fd(), number);
    let _ = opened.into_raw_fd();
}

fn open_numbers() -> Vec<i32> {
    (0..300).filter(|number| io::is_open(*number)).collect()
}

pub fn close_inherited_keeps_preserved_and_slots() {
    alone(|| {
        // SAFETY: this process uses none of them.
        unsafe { io::close_range(3, u32::MAX) }.unwrap();
        for number in [3, 4, 5, 6, 40, 250] {
            open_under(number);
        }
        let mut slots = Slots::default();
        for (slot, number) in [(Slot::Channel, 4), (Slot::Fifo, 60), (Slot::Root, 61)] {
            slots.fill(slot, io::duplicate(io::standard(0), number + 100).unwrap());
        }
        let step = InitStep::CloseInherited { preserved: 2 };
        let done = perform_then(&[step], slots, || {
            assert_eq!(open_numbers(), [0, 1, 2, 3, 4, 104, 160, 161]);
        });
        assert_eq!(done, Ok(()));
    });
}

fn close_inherited_without_slots_keeps_stdio() {
    alone(|| {
        for number in [100, 101, 250] {
            open_under(number);
        }
        let step = InitStep::CloseInherited { preserved: 0 };
        assert_eq!(perform_with(&[step], Slots::default()), Ok(()));
        assert_eq!(open_numbers(), [0, 1, 2]);
        let all = InitStep::CloseInherited {
            preserved: u32::MAX,
        };
        assert_eq!(perform_with(&[all], Slots::default()), Ok(()));
    });
}

/// More was said to be preserved than there is: what init opens itself takes those numbers.
fn a_gap_below_what_is_preserved_is_no_hiding_place() {
    alone(|| {
        set();
        let steps = [
            InitStep::CloseInherited { preserved: 40 },
            InitStep::MakeDirectory { at: at("/a") },
            InitStep::SetUmask(0o22),
        ];
        let (mut after, slots) = (Vec::new(), root_slots());
        let open = || Vec::from_iter((0..43).filter(|number| io::is_open(*number)));
        let before = open();
        let done = perform_then(&steps, slots, || after = open());
        assert_eq!((done, after), (Ok(()), before));
    });
}

/// A mask of /proc/self/status, proc_pid_status(5).
fn mask(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    u64::from_str_radix(line.unwrap().trim_start_matches(':').trim(), 16).unwrap()
}

pub fn reset_signals_unblocks_and_stops_ignoring() {
    alone(|| {
        set();
        signal::set_mask(1 << 9 | 1 << 63).unwrap();
        // Rust's own start has made SIGPIPE, 13, an ignored one.
        let (pipe, user) = (1 << 12, 1 << 9);
        let ignored = mask("SigIgn");
        assert_eq!(ignored & pipe, pipe);
        assert_eq!(mask("SigBlk"), user | 1 << 63);
        let steps = [InitStep::ResetSignals { ignored }];
        assert_eq!(perform(&steps), Ok(()));
        assert_eq!(mask("SigIgn"), 0);
        assert_eq!(mask("SigBlk"), 0);
    });
}

/// sigaction(2): nobody ignores SIGKILL, so nobody may say so.
fn reset_signals_refuses_what_the_kernel_refuses() {
    alone(|| {
        set();
        let found = perform(&[InitStep::ResetSignals { ignored: 1 << 8 }]);
        assert_eq!(found, refused(0, Sysno::rt_sigaction, Errno::EINVAL));
    });
}

pub fn new_session_has_its_own_id() {
    alone(|| {
        set();
        kan_sys::process::setsid().unwrap();
        let child = start(|| {
            let own = rustix::process::getpid();
            assert_ne!(rustix::process::getsid(None).ok(), Some(own));
            assert_eq!(perform(&[InitStep::NewSession]), Ok(()));
            assert_eq!(rustix::process::getsid(None).unwrap(), own);
            let again = perform(&[InitStep::NewSession]);
            assert_eq!(again, refused(0, Sysno::setsid, Errno::EPERM));
        });
        child.pass();
    });
}

pub fn hide_memory_is_not_dumpable() {
    alone(|| {
        set();
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::Dumpable));
        assert_eq!(perform(&[InitStep::HideMemory]), Ok(()));
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
    });
}

pub fn what_is_shown_has_no_environment() {
    alone(|| {
        set();
        let environment = || fs::read("/proc/self/environ").unwrap();
        assert!(environment().iter().any(|byte| *byte != 0));
        let steps = [InitStep::HideMemory, InitStep::ShowMemory];
        assert_eq!(perform(&steps), Ok(()));
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::Dumpable));
        assert!(environment().iter().all(|byte| *byte == 0));
    });
}

fn hostname() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap()
}

/// A process in a UTS and an IPC namespace of its own, once it has its name.
fn somebody_else() -> Child {
    let (from, to) = io::pipe().unwrap();
    let other = start(|| {
        kan_sys::namespace::unshare(CLONE_NEWUTS | CLONE_NEWIPC).unwrap();
        kan_sys::namespace::set_hostname(c"joined").unwrap();
        io::write(&to, b".").unwrap();
        loop {
            std::thread::park();
        }
    });
    io::read(&from, &mut [0]).unwrap();
    other.child
}

pub fn join_enters_a_namespace_by_its_file() {
    alone(|| {
        set();
        let other = somebody_else();
        let path = format!("/proc/{}/ns/uts", other.pid);
        let mut slots = Slots::default();
        let slot = Slot::Namespace(NamespaceSlot::Uts);
        slots.fill(slot, file::open(&c(&path), 0, 0).unwrap());
        let flags = CLONE_NEWUTS;
        let steps = [InitStep::Join { slot, flags }, InitStep::Close(slot)];
        assert_ne!(hostname(), "joined\n");
        let done = perform_with(&steps, slots);
        assert_eq!(done, flawed(1, Flaw::OutOfStep), "the slot is empty");
        assert_eq!(hostname(), "joined\n");
    });
}

fn join_enters_several_by_a_pidfd() {
    alone(|| {
        set();
        let other = somebody_else();
        let ipc = || fs::read_link("/proc/self/ns/ipc").unwrap();
        let theirs = fs::read_link(format!("/proc/{}/ns/ipc", other.pid)).unwrap();
        assert_ne!(ipc(), theirs);
        let mut slots = Slots::default();
        slots.fill(Slot::Namespace(NamespaceSlot::Ipc), other.pidfd);
        let join = InitStep::Join {
            slot: Slot::Namespace(NamespaceSlot::Ipc),
            flags: CLONE_NEWUTS | CLONE_NEWIPC,
        };
        assert_eq!(perform_with(&[join], slots), Ok(()));
        assert_eq!(hostname(), "joined\n");
        assert_eq!(ipc(), theirs);
    });
}

fn join_refuses_another_file() {
    alone(|| {
        set();
        let mut slots = Slots::default();
        slots.fill(
            Slot::Namespace(NamespaceSlot::Ipc),
            file::open(c"/dev/null", 0, 0).unwrap(),
        );
        let join = InitStep::Join {
            slot: Slot::Namespace(NamespaceSlot::Ipc),
            flags: CLONE_NEWUTS,
        };
        let found = perform_with(&[join], slots);
        assert_eq!(found, refused(0, Sysno::setns, Errno::EINVAL));
    });
}

pub fn unshare_leaves_the_old_namespace() {
    alone(|| {
        set();
        let link = || fs::read_link("/proc/self/ns/uts").unwrap();
        let before = link();
        let flags = CLONE_NEWUTS;
        assert_eq!(perform(&[InitStep::Unshare { flags }]), Ok(()));
        assert_ne!(link(), before);
        let unknown = perform(&[InitStep::Unshare { flags: 1 }]);
        assert_eq!(unknown, refused(0, Sysno::unshare, Errno::EINVAL));
    });
}

pub fn names_are_set() {
    alone(|| {
        set();
        let steps = [
            InitStep::SetHostname(c("box")),
            InitStep::SetDomainname(c("example.org")),
        ];
        assert_eq!(perform(&steps), Ok(()));
        assert_eq!(hostname(), "box\n");
        let domain = fs::read_to_string("/proc/sys/kernel/domainname").unwrap();
        assert_eq!(domain, "example.org\n");
    });
}

/// 64 bytes are the most, sethostname(2).
fn a_name_too_long_is_refused() {
    alone(|| {
        set();
        let long = c(&"x".repeat(65));
        let host = perform(&[InitStep::SetHostname(long.clone())]);
        assert_eq!(host, refused(0, Sysno::sethostname, Errno::EINVAL));
        let domain = perform(&[InitStep::SetDomainname(long)]);
        assert_eq!(domain, refused(0, Sysno::setdomainname, Errno::EINVAL));
    });
}

fn write(file: &str, value: &str) -> InitStep {
    InitStep::WriteProc {
        file: c(file),
        value: c(value),
    }
}

pub fn a_sysctl_is_written() {
    alone(|| {
        set();
        let step = write("sys/net/ipv4/ip_forward", "1");
        assert_eq!(perform(&[step]), Ok(()));
        let found = fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
        assert_eq!(found, "1\n");
    });
}

/// What the plan writes for process.oomScoreAdj: /proc/self is a link.
fn a_file_of_the_own_process_is_written() {
    alone(|| {
        set();
        assert_eq!(perform(&[write("self/oom_score_adj", "345")]), Ok(()));
        let found = fs::read_to_string("/proc/self/oom_score_adj").unwrap();
        assert_eq!(found, "345\n");
    });
}

fn a_refused_sysctl_is_an_error() {
    alone(|| {
        set();
        let value = perform(&[write("sys/net/ipv4/ip_forward", "banana")]);
        assert_eq!(value, refused(0, Sysno::write, Errno::EINVAL));
        let missing = perform(&[write("sys/net/missing", "1")]);
        assert_eq!(missing, refused(0, Sysno::openat2, Errno::ENOENT));
    });
}

/// CVE-2019-16884, CVE-2025-52881.
fn proc_must_be_procfs_and_uncovered() {
    alone(|| {
        set();
        fs::write("/mnt/decoy", "decoy").unwrap();
        let magic = perform(&[write("self/root/mnt/decoy", "x")]);
        assert_eq!(magic, refused(0, Sysno::openat2, Errno::ELOOP));
        let above = perform(&[write("../mnt/decoy", "x")]);
        assert_eq!(above, refused(0, Sysno::openat2, Errno::EXDEV));
        bind("/mnt/decoy", "/proc/sys/net/ipv4/ip_forward");
        let covered = perform(&[write("sys/net/ipv4/ip_forward", "1")]);
        assert_eq!(covered, refused(0, Sysno::openat2, Errno::EXDEV));
        bind("/proc/sys", "/proc");
        let part = perform(&[write("net/ipv4/conf/lo/forwarding", "1")]);
        assert_eq!(part, flawed(0, Flaw::WrongKind));
        mount_at("tmpfs", "/proc");
        fs::write("/proc/file", "decoy").unwrap();
        let other = perform(&[write("file", "x")]);
        assert_eq!(other, flawed(0, Flaw::WrongKind));
        assert_eq!(fs::read_to_string("/mnt/decoy").unwrap(), "decoy");
        assert_eq!(fs::read_to_string("/proc/file").unwrap(), "decoy");
    });
}

const RLIMIT_NOFILE: u32 = 7;

pub fn a_limit_is_set() {
    in_child(CLONE_NEWNS, || {
        let step = InitStep::SetLimit {
            resource: RLIMIT_NOFILE,
            soft: 100,
            hard: 200,
        };
        assert_eq!(perform_with(&[step], Slots::default()), Ok(()));
        assert_eq!(resource::limit(RLIMIT_NOFILE), Ok((100, 200)));
        let none = InitStep::SetLimit {
            resource: 4,
            soft: 0,
            hard: u64::MAX,
        };
        assert_eq!(perform_with(&[none], Slots::default()), Ok(()));
        assert_eq!(resource::limit(4), Ok((0, u64::MAX)));
    });
}

fn a_senseless_limit_is_refused() {
    in_child(0, || {
        for (resource, soft, hard) in [(RLIMIT_NOFILE, 20, 10), (99, 1, 1)] {
            let step = InitStep::SetLimit {
                resource,
                soft,
                hard,
            };
            let found = perform_with(&[step], Slots::default());
            assert_eq!(found, refused(0, Sysno::prlimit64, Errno::EINVAL));
        }
    });
}

pub fn the_umask_is_set() {
    in_child(0, || {
        let step = InitStep::SetUmask(0o135);
        assert_eq!(perform_with(&[step], Slots::default()), Ok(()));
        assert_eq!(file::umask(0), 0o135);
    });
}
