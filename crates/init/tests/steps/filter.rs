//! Seccomp filters.

use crate::harness::{Test, alone, tests};
use crate::scene::{perform, perform_then, perform_with, refused, root_slots, set};
use kan_init::{Init, Slots};
use kan_op::init::{FilterInstruction, Listener};
use kan_op::{Board, InitStep, Slot};
use kan_sys::fd::AsRawFd;
use kan_sys::{Errno, Sysno, io, memory, namespace, socket};

pub const TESTS: &[Test] = &tests![
    crate::filter::a_loaded_filter_rules,
    crate::filter::a_filter_that_is_no_program_is_refused,
    crate::filter::a_listener_is_offered_on_the_board,
    crate::filter::a_listener_is_sent_over_the_channel,
    crate::filter::close_range_may_be_forbidden,
    crate::filter::a_trace_ends_where_a_filter_begins,
];

const fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> FilterInstruction {
    FilterInstruction { code, jt, jf, k }
}

/// Answers EXDEV (18) to sethostname(2), which nothing else does, and allows all the rest.
fn no_hostname() -> InitStep {
    without(Sysno::sethostname)
}

fn without(call: Sysno) -> InitStep {
    const SECCOMP_RET_ERRNO: u32 = 0x0005_0000;
    answering(call, SECCOMP_RET_ERRNO | 18)
}

fn answering(call: Sysno, answer: u32) -> InitStep {
    const LOAD_NUMBER: u16 = 0x20;
    const EQUAL: u16 = 0x15;
    const ANSWER: u16 = 0x06;
    let program = vec![
        instruction(LOAD_NUMBER, 0, 0, 0),
        instruction(EQUAL, 0, 1, call as u32),
        instruction(ANSWER, 0, 0, answer),
        instruction(ANSWER, 0, 0, 0x7fff_0000),
    ];
    InitStep::LoadFilter {
        program,
        flags: 0,
        listener: None,
    }
}

pub fn a_loaded_filter_rules() {
    alone(|| {
        set();
        assert_eq!(perform(&[InitStep::NoNewPrivileges, no_hostname()]), Ok(()));
        let answer = namespace::set_hostname(c"x").unwrap_err();
        assert_eq!(answer.errno, Errno::EXDEV);
    });
}

/// Without an answer at its end, a program is none.
pub fn a_filter_that_is_no_program_is_refused() {
    alone(|| {
        set();
        let program = vec![instruction(0x20, 0, 0, 0)];
        let step = InitStep::LoadFilter {
            program,
            flags: 0,
            listener: None,
        };
        let failed = perform(&[InitStep::NoNewPrivileges, step]);
        assert_eq!(failed, refused(1, Sysno::seccomp, Errno::EINVAL));
    });
}

/// SECCOMP_FILTER_FLAG_NEW_LISTENER, and a program that allows everything, sends included.
fn listened(listener: Listener) -> [InitStep; 2] {
    let load = InitStep::LoadFilter {
        program: vec![instruction(0x06, 0, 0, 0x7fff_0000)],
        flags: 1 << 3,
        listener: Some(listener),
    };
    [InitStep::NoNewPrivileges, load]
}

/// What a listener's descriptor leads to.
fn is_listener(number: i32) -> bool {
    let link = std::fs::read_link(format!("/proc/self/fd/{number}"));
    link.is_ok_and(|link| link.to_string_lossy() == "anon_inode:seccomp notify")
}

/// Its number, and the descriptor is open as long as its slot is full.
pub fn a_listener_is_offered_on_the_board() {
    alone(|| {
        set();
        let board = Board::new(memory::shared_words(Board::WORDS).unwrap());
        let steps = listened(Listener::Offered);
        let mut init = Init::new(&steps, board, Slots::default());
        assert_eq!(init.perform_all(), Ok(()));
        let number = board.offered().unwrap();
        assert!(is_listener(number));
        drop(init);
        assert!(!is_listener(number));
    });
}

pub fn a_listener_is_sent_over_the_channel() {
    alone(|| {
        set();
        let (host, init_end) = socket::pair().unwrap();
        let mut slots = Slots::default();
        slots.fill(Slot::Channel, init_end);
        assert_eq!(perform_with(&listened(Listener::Sent), slots), Ok(()));
        let listener = socket::receive_descriptor(&host).unwrap();
        assert!(is_listener(listener.as_raw_fd()));
    });
}

/// An old profile that lists what is allowed does not have it. What a step closes after the filter is
/// closed all the same.
fn close_range_may_be_forbidden() {
    alone(|| {
        set();
        let steps = [
            InitStep::CloseInherited { preserved: 0 },
            InitStep::NoNewPrivileges,
            without(Sysno::close_range),
            InitStep::Close(Slot::Root),
            InitStep::SetUmask(0o22),
        ];
        let mut open = 0;
        let count = || (0..48).filter(|number| io::is_open(*number)).count();
        let done = perform_then(&steps, root_slots(), || open = count());
        assert_eq!((done, open), (Ok(()), 3));
    });
}

/// Who asks for the time is killed.
fn a_trace_ends_where_a_filter_begins() {
    alone(|| {
        set();
        const SECCOMP_RET_KILL_PROCESS: u32 = 0x8000_0000;
        let steps = [
            InitStep::NoNewPrivileges,
            answering(Sysno::clock_gettime, SECCOMP_RET_KILL_PROCESS),
            InitStep::SetUmask(0o22),
        ];
        let board = Board::new(memory::shared_words(Board::WORDS + steps.len()).unwrap());
        assert_eq!(
            Init::new(&steps, board, Slots::default()).perform_all(),
            Ok(())
        );
        let stamped = [0, 1, 2].map(|step| board.stamped(step).is_some());
        assert_eq!(stamped, [true, false, false]);
    });
}
