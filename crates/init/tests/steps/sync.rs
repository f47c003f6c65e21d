//! `Wait`, `Tell`, `AwaitStart`, and what the board says of a step.

use crate::harness::{Test, alone, ends_within, in_child, start, tests};
use crate::kinds;
use crate::scene::{c, flawed, mount_at, perform_with, refused, set};
use kan_init::{Init, Slots};
use kan_op::{Board, Flaw, InitStep, Slot, Sync};
use kan_sys::fd::OwnedFd;
use kan_sys::process::{self, Ended};
use kan_sys::{Errno, Sysno, file, io, memory, namespace, socket};

pub const TESTS: &[Test] = &tests![
    crate::sync::wait_ends_when_the_host_tells,
    crate::sync::wait_knows_the_point,
    crate::sync::wait_for_a_dead_host_is_out_of_step,
    crate::sync::the_network_comes_with_a_message,
    crate::sync::without_one_in_the_message_init_makes_it,
    crate::sync::lo_comes_up,
    crate::sync::no_network_comes_from_a_dead_host,
    crate::sync::tell_sends_the_point,
    crate::sync::tell_to_a_dead_host_fails,
    crate::sync::without_a_channel_there_is_no_meeting,
    crate::sync::await_start_blocks_until_a_byte_comes,
    crate::sync::start_is_told_of_the_hooks,
    crate::sync::the_board_holds_the_step_of_one_who_was_killed,
    crate::sync::a_traced_board_holds_each_steps_end,
];

/// The host's end, and slots with init's.
fn channel() -> (OwnedFd, Slots) {
    let (host, init) = socket::pair().unwrap();
    let mut slots = Slots::default();
    slots.fill(Slot::Channel, init);
    (host, slots)
}

pub fn wait_ends_when_the_host_tells() {
    in_child(0, || {
        let (host, slots) = channel();
        let child = start(|| {
            let steps = [InitStep::Wait(Sync::Saved)];
            assert_eq!(perform_with(&steps, slots), Ok(()));
        });
        assert!(!ends_within(&child.child, 0));
        io::write(&host, &[Sync::Saved as u8]).unwrap();
        child.pass();
    });
}

fn network() -> std::path::PathBuf {
    std::fs::read_link("/proc/self/ns/net").unwrap()
}

pub fn the_network_comes_with_a_message() {
    alone(|| {
        set();
        let (host, slots) = channel();
        let own = file::open(c"/proc/self/ns/net", 0, 0).unwrap();
        namespace::unshare(namespace::CLONE_NEWNET).unwrap();
        let (made, sent) = (network(), file::open(c"/proc/self/ns/net", 0, 0).unwrap());
        namespace::setns(own, namespace::CLONE_NEWNET).unwrap();
        assert_ne!(network(), made);
        socket::send_descriptor(&host, c"network-made", sent).unwrap();
        assert_eq!(perform_with(&[InitStep::EnterNetwork], slots), Ok(()));
        assert_eq!(network(), made);
    });
}

/// The kernel's own: `lo` has one if it is up.
fn addresses() -> String {
    std::fs::read_to_string("/proc/self/net/fib_trie").unwrap()
}

pub fn lo_comes_up() {
    alone(|| {
        set();
        namespace::unshare(namespace::CLONE_NEWNET).unwrap();
        assert!(!addresses().contains("127.0.0.1"));
        let steps = [InitStep::RaiseLoopback];
        assert_eq!(perform_with(&steps, Slots::default()), Ok(()));
        assert!(addresses().contains("127.0.0.1"));
    });
}

fn without_one_in_the_message_init_makes_it() {
    alone(|| {
        set();
        let (host, slots) = channel();
        let before = network();
        io::write(&host, &[Sync::NetworkMade as u8]).unwrap();
        assert_eq!(perform_with(&[InitStep::EnterNetwork], slots), Ok(()));
        assert_ne!(network(), before);
    });
}

fn no_network_comes_from_a_dead_host() {
    in_child(0, || {
        let (host, slots) = channel();
        drop(host);
        let steps = [InitStep::EnterNetwork];
        assert_eq!(perform_with(&steps, slots), flawed(0, Flaw::OutOfStep));
    });
}

fn wait_knows_the_point() {
    in_child(0, || {
        let (host, slots) = channel();
        io::write(&host, &[Sync::Saved as u8]).unwrap();
        let steps = [InitStep::SetUmask(0), InitStep::Wait(Sync::IdsMapped)];
        assert_eq!(perform_with(&steps, slots), flawed(1, Flaw::OutOfStep));
    });
}

fn wait_for_a_dead_host_is_out_of_step() {
    in_child(0, || {
        let (host, slots) = channel();
        drop(host);
        let steps = [InitStep::Wait(Sync::Saved)];
        assert_eq!(perform_with(&steps, slots), flawed(0, Flaw::OutOfStep));
    });
}

pub fn tell_sends_the_point() {
    in_child(0, || {
        for sync in Sync::ALL {
            let (host, slots) = channel();
            assert_eq!(perform_with(&[InitStep::Tell(sync)], slots), Ok(()));
            let mut told = [0; 2];
            assert_eq!(io::read(&host, &mut told), Ok(1));
            assert_eq!(told[0], sync as u8);
        }
    });
}

/// With SIGPIPE ignored, as Rust starts with it; with its default action it ends init, too.
fn tell_to_a_dead_host_fails() {
    in_child(0, || {
        let (host, slots) = channel();
        drop(host);
        let found = perform_with(&[InitStep::Tell(Sync::Ready)], slots);
        assert_eq!(found, refused(0, Sysno::write, Errno::EPIPE));
    });
}

fn without_a_channel_there_is_no_meeting() {
    in_child(0, || {
        for step in [
            InitStep::Wait(Sync::Saved),
            InitStep::Tell(Sync::Ready),
            InitStep::AwaitStart,
            InitStep::TellHooksRun,
        ] {
            let found = perform_with(&[step], Slots::default());
            assert_eq!(found, flawed(0, Flaw::OutOfStep));
        }
    });
}

pub fn start_is_told_of_the_hooks() {
    alone(|| {
        let (reads, writes) = io::pipe().unwrap();
        let mut slots = Slots::default();
        slots.fill(Slot::Fifo, writes);
        assert_eq!(perform_with(&[InitStep::TellHooksRun], slots), Ok(()));
        let mut told = [0; 2];
        assert_eq!(io::read(&reads, &mut told).unwrap(), 1);
        assert_eq!(told[0], kan_op::HOOKS_RUN);
    });
}

pub fn await_start_blocks_until_a_byte_comes() {
    alone(|| {
        set();
        mount_at("tmpfs", "/srv");
        let srv = file::open(c"/srv", 0, 0).unwrap();
        file::mknodat(&srv, c"fifo", file::S_IFIFO | 0o600, 0).unwrap();
        let fifo = file::open(c"/srv/fifo", file::O_RDWR, 0).unwrap();
        let mut slots = Slots::default();
        slots.fill(Slot::Fifo, fifo);
        let child = start(|| {
            let kept = vec![c("kept"); 1000];
            assert_eq!(perform_with(&[InitStep::AwaitStart], slots), Ok(()));
            assert!(kept.iter().all(|text| text.as_c_str() == c"kept"));
        });
        assert!(!ends_within(&child.child, 1));
        let flags = file::O_WRONLY | file::O_NONBLOCK;
        let start = file::open(c"/srv/fifo", flags, 0).unwrap();
        io::write(&start, b"s").unwrap();
        child.pass();
    });
}

fn the_board_holds_the_step_of_one_who_was_killed() {
    alone(|| {
        let (host, slots) = channel();
        let board = Board::new(memory::shared_words(Board::WORDS).unwrap());
        let steps = [
            InitStep::SetUmask(0),
            InitStep::Tell(Sync::Ready),
            InitStep::Wait(Sync::Saved),
        ];
        let mut init = Init::new(&steps, board, slots);
        let child = process::fork(
            process::Alone::check().unwrap(),
            0,
            None,
            &mut init,
            kan_init::run,
        )
        .unwrap();
        io::read(&host, &mut [0]).unwrap();
        // It says that it is ready one step before it waits.
        while board.step() != 2 {
            std::thread::yield_now();
        }
        process::pidfd_send_signal(&child.pidfd, 9).unwrap();
        let ended = crate::harness::wait(&child);
        assert_eq!(ended, Ended::Signalled(9));
        assert_eq!((board.step(), board.failure()), (2, None));
    });
}

fn a_traced_board_holds_each_steps_end() {
    in_child(0, || {
        let steps = [
            InitStep::SetUmask(0),
            InitStep::SetUmask(0),
            InitStep::AwaitStart,
        ];
        let words = memory::shared_words(Board::WORDS + steps.len()).unwrap();
        let board = Board::new(words);
        let before = memory::monotonic_ns();
        let failed = Init::new(&steps, board, Slots::default()).perform_all();
        assert_eq!(failed.unwrap_err().flaw, Flaw::OutOfStep);
        kinds::note(&steps[..2]);
        let (first, second) = (board.stamped(0).unwrap(), board.stamped(1).unwrap());
        assert!(before < first && first <= second && second <= memory::monotonic_ns());
        assert_eq!(board.stamped(2), None, "it did not end well");
    });
}
