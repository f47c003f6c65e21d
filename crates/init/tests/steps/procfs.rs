//! A procfs of another pid namespace on kernels without the option `pidns`, and what happens when
//! somebody in there stops the process that opens it. A tracer does it here.

use crate::harness::{Test, alone, tests};
use crate::scene::{attach, c, root_slots, set};
use kan_init::Init;
use kan_op::init::{FilterInstruction, NewMount};
use kan_op::{Board, InitStep, NamespaceSlot, Slot, Sync};
use kan_sys::fd::OwnedFd;
use kan_sys::process::{self, Alone, Child};
use kan_sys::{Sysno, file, io, memory, namespace, socket};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &tests![
    crate::procfs::an_opener_that_is_stopped_ends_when_kan_does,
    crate::procfs::an_opener_dies_with_its_parent,
];

/// Makes fsconfig(2) refuse a descriptor with EINVAL, as it does before Linux 6.17.
fn older_kernel() -> InitStep {
    const FSCONFIG_SET_FD: u32 = 5;
    let instruction = |code, jt, jf, k| FilterInstruction { code, jt, jf, k };
    let program = vec![
        instruction(0x20, 0, 0, 0),
        instruction(0x15, 0, 3, Sysno::fsconfig as u32),
        // The second argument.
        instruction(0x20, 0, 0, 24),
        instruction(0x15, 0, 1, FSCONFIG_SET_FD),
        instruction(0x06, 0, 0, 0x0005_0000 | 22),
        instruction(0x06, 0, 0, 0x7fff_0000),
    ];
    InitStep::LoadFilter {
        program,
        flags: 0,
        listener: None,
    }
}

/// A process in a new pid namespace.
fn other() -> Child {
    let waits = |(): &mut ()| -> ! {
        let _ = io::wait_readable(socket::pair().unwrap().0, Some(20));
        process::exit(0)
    };
    let flags = namespace::CLONE_NEWPID.into();
    process::fork(Alone::check().unwrap(), flags, None, &mut (), waits).unwrap()
}

/// The process that mounts, traced, whose channel's other end is returned as well.
fn mounter(pids: &Child) -> (Child, OwnedFd) {
    let path = c(&format!("/proc/{}/ns/pid", pids.pid));
    let slot = Slot::Namespace(NamespaceSlot::Pid);
    let steps = [
        InitStep::Wait(Sync::Saved),
        older_kernel(),
        InitStep::NewFilesystem(NewMount {
            pids: Some(slot),
            ..NewMount::plain(Slot::Tree, c("proc"))
        }),
        attach("/mnt"),
    ];
    let mut slots = root_slots();
    slots.fill(slot, file::open(&path, 0, 0).unwrap());
    let (kan, channel) = socket::pair().unwrap();
    slots.fill(Slot::Channel, channel);
    let words = memory::shared_words(Board::WORDS).unwrap();
    let mut with = (Init::new(&steps, Board::new(words), slots), kan);
    let child = process::fork(
        Alone::check().unwrap(),
        0,
        None,
        &mut with,
        |(init, kan)| {
            // Where init complains.
            let null = file::open(c"/dev/null", file::O_RDWR, 0).unwrap();
            io::dup_onto(null, io::Standard::Error).unwrap();
            // SAFETY: nobody here uses the other end.
            unsafe { io::close(std::os::fd::AsRawFd::as_raw_fd(kan)) };
            kan_init::run(init)
        },
    );
    let (child, kan) = (child.unwrap(), with.1);
    let options = Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACESYSGOOD;
    ptrace::seize(Pid::from_raw(child.pid), options).unwrap();
    io::write(&kan, &[Sync::Saved as u8]).unwrap();
    (child, kan)
}

/// Until the first process that is born, the maker, has ended, and the second one, the opener, stands
/// before its first instruction.
fn until_opener() -> Pid {
    let (mut maker, mut opener) = (None, None);
    let mut has_ended = false;
    while !has_ended || opener.is_none() {
        let status = waitpid(None, Some(WaitPidFlag::__WALL)).unwrap();
        let pid = status.pid().unwrap();
        match status {
            WaitStatus::Exited(..) => has_ended |= maker == Some(pid),
            WaitStatus::PtraceEvent(_, _, event) if event == nix::libc::PTRACE_EVENT_STOP => {
                if maker.is_none() {
                    maker = Some(pid);
                    ptrace::cont(pid, None).unwrap();
                } else {
                    opener = Some(pid);
                }
            }
            WaitStatus::PtraceEvent(..) => ptrace::cont(pid, None).unwrap(),
            WaitStatus::Stopped(_, signal) => ptrace::cont(pid, Some(signal)).unwrap(),
            _ => panic!("{status:?}"),
        }
    }
    opener.unwrap()
}

/// How a traced process ends.
fn end_of(pid: Pid) -> WaitStatus {
    let begin = Instant::now();
    loop {
        let flags = WaitPidFlag::__WALL | WaitPidFlag::WNOHANG;
        match waitpid(pid, Some(flags)).unwrap() {
            WaitStatus::StillAlive => {
                assert!(begin.elapsed() < Duration::from_secs(2), "{pid} lives on");
                std::thread::sleep(Duration::from_millis(5));
            }
            ended @ (WaitStatus::Exited(..) | WaitStatus::Signaled(..)) => return ended,
            _ => ptrace::cont(pid, None).unwrap(),
        }
    }
}

pub fn an_opener_that_is_stopped_ends_when_kan_does() {
    alone(|| {
        set();
        let other = other();
        let (mounter, kan) = mounter(&other);
        let opener = until_opener();
        drop(kan);
        let mounter = Pid::from_raw(mounter.pid);
        assert_eq!(end_of(mounter), WaitStatus::Exited(mounter, 255));
        assert_eq!(
            end_of(opener),
            WaitStatus::Signaled(opener, Signal::SIGKILL, false)
        );
        process::pidfd_send_signal(&other.pidfd, 9).unwrap();
    });
}

pub fn an_opener_dies_with_its_parent() {
    alone(|| {
        set();
        let other = other();
        let (mounter, _kan) = mounter(&other);
        let opener = until_opener();
        loop {
            ptrace::syscall(opener, None).unwrap();
            let status = waitpid(opener, Some(WaitPidFlag::__WALL)).unwrap();
            assert_eq!(status, WaitStatus::PtraceSyscall(opener));
            let info = ptrace::syscall_info(opener).unwrap();
            // SAFETY: at the entry of a call, `op` 1, this is the union's member.
            if info.op == 1 && unsafe { info.u.entry.nr } == Sysno::fsopen as u64 {
                break;
            }
        }
        process::pidfd_send_signal(&mounter.pidfd, 9).unwrap();
        let ended = WaitStatus::Signaled(opener, Signal::SIGKILL, false);
        assert_eq!(end_of(opener), ended);
        process::pidfd_send_signal(&other.pidfd, 9).unwrap();
    });
}
