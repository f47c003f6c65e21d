//! Init allocates nothing between clone and exec, whether it succeeds or fails: a counting global
//! allocator, its counts in memory that parent and child share.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test program")]

#[path = "../../../sys/tests/harness/mod.rs"]
mod harness;
#[path = "../host/mod.rs"]
mod host;
mod plans;

use harness::{OWN, Test, in_child, tests};
use kan_init::{Init, Slots};
use kan_op::init::RootEntry;
use kan_op::{Board, Failure, Flaw, InitStep};
use kan_sys::fd::OwnedFd;
use kan_sys::process::{self, Ended};
use kan_sys::{Errno, Sysno, io, memory};
use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::io::Read;
use std::process::ExitCode;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering::SeqCst};

/// Where calls of the allocator are counted; nowhere while it is null.
static COUNT: AtomicPtr<AtomicU64> = AtomicPtr::new(std::ptr::null_mut());

struct Counting;

fn count() {
    // SAFETY: null, or a word of memory that is never unmapped.
    if let Some(word) = unsafe { COUNT.load(SeqCst).as_ref() } {
        word.fetch_add(1, SeqCst);
    }
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    /// Freeing takes the same locks as allocating.
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const TESTS: &[Test] = &tests![
    crate::an_allocation_is_counted,
    crate::freeing_is_counted,
    crate::nothing_is_allocated_up_to_exec,
    crate::nothing_is_allocated_with_a_terminal,
    crate::nothing_is_allocated_when_another_root_is_entered,
    crate::nothing_is_allocated_when_exec_fails,
    crate::nothing_is_allocated_when_a_step_fails,
];

fn main() -> ExitCode {
    harness::main(TESTS)
}

/// What a child did that counted.
#[derive(Debug)]
struct Counted {
    calls: u64,
    ended: Ended,
    said: String,
    step: usize,
    failure: Option<Failure>,
}

/// Counts from the child's first instruction on.
struct Life<'p> {
    init: Init<'p>,
    word: &'static AtomicU64,
    out: OwnedFd,
    first: fn(),
}

fn live(life: &mut Life<'_>) -> ! {
    COUNT.store(std::ptr::from_ref(life.word).cast_mut(), SeqCst);
    (life.first)();
    for standard in [io::Standard::Output, io::Standard::Error] {
        let _ = io::dup_onto(&life.out, standard);
    }
    kan_init::run(&mut life.init)
}

/// Performs the steps in a child as kan does, with the allocator's calls counted.
fn count_in(steps: &[InitStep], slots: Slots, first: fn()) -> Counted {
    let words = memory::shared_words(1 + Board::WORDS).unwrap();
    let board = Board::new(&words[1..]);
    let (from, out) = io::pipe().unwrap();
    let mut life = Life {
        init: Init::new(steps, board, slots),
        word: &words[0],
        out,
        first,
    };
    let child = process::fork(
        process::Alone::check().unwrap(),
        OWN.into(),
        None,
        &mut life,
        live,
    )
    .unwrap();
    drop(life);
    let mut said = String::new();
    fs::File::from(from).read_to_string(&mut said).unwrap();
    Counted {
        ended: harness::wait(&child),
        calls: words[0].load(SeqCst),
        said,
        step: board.step(),
        failure: board.failure(),
    }
}

fn nothing_first() {}

fn an_allocation_is_counted() {
    in_child(OWN, || {
        let allocate = || std::mem::forget(std::hint::black_box(vec![1u8; 10]));
        let counted = count_in(&[], Slots::default(), allocate);
        assert_eq!(counted.calls, 1);
        let none = count_in(&[], Slots::default(), nothing_first);
        assert_eq!((none.calls, none.ended), (0, Ended::Exited(255)));
    });
}

fn freeing_is_counted() {
    in_child(OWN, || {
        let both = || drop(std::hint::black_box(Box::new(1)));
        assert_eq!(count_in(&[], Slots::default(), both).calls, 2);
    });
}

/// The steps ran to the exec of a program that says `done`, without a call of the allocator.
fn assert_silent_success(steps: &[InitStep], slots: Slots) {
    let counted = count_in(steps, slots, nothing_first);
    assert_eq!(counted.failure, None, "{counted:?}");
    assert_eq!(counted.ended, Ended::Exited(0), "{counted:?}");
    assert!(counted.said.ends_with("done\n"), "{counted:?}");
    assert_eq!(counted.step, steps.len() - 1);
    assert_eq!(counted.calls, 0);
}

fn nothing_is_allocated_up_to_exec() {
    in_child(OWN, || {
        plans::prepare();
        let mut steps = plans::beginning();
        steps.extend(plans::root());
        steps.extend(plans::inside());
        steps.extend(plans::enter_and_become_a_user());
        steps.extend(plans::end(plans::ECHO));
        assert_silent_success(&steps, plans::slots());
    });
}

fn nothing_is_allocated_with_a_terminal() {
    in_child(OWN, || {
        plans::prepare();
        let (kept, steps, slots) = plans::terminal();
        let counted = count_in(&steps, slots, nothing_first);
        assert_eq!(counted.failure, None, "{counted:?}");
        assert_eq!(counted.ended, Ended::Exited(0), "{counted:?}");
        assert_eq!(counted.calls, 0);
        drop(kept);
    });
}

fn nothing_is_allocated_when_another_root_is_entered() {
    for entry in plans::OTHER_ENTRIES {
        in_child(OWN, || {
            plans::prepare();
            let mut steps = plans::root();
            steps.push(InitStep::EnterRoot(entry));
            steps.extend(plans::end(plans::ECHO));
            assert_silent_success(&steps, plans::slots());
        });
    }
}

/// With nobody at the other end of the channel, init says it itself.
fn nothing_is_allocated_when_exec_fails() {
    in_child(OWN, || {
        plans::prepare();
        let mut steps = plans::root();
        steps.push(InitStep::EnterRoot(RootEntry::Chroot));
        steps.extend(plans::end(plans::BROKEN));
        let counted = count_in(&steps, plans::lonely_slots(), nothing_first);
        let failure = counted.failure.unwrap();
        let expected = (Flaw::Call, number(Sysno::execve), errno(Errno::ENOENT));
        assert_eq!((failure.flaw, failure.call, failure.errno), expected);
        let line = format!("exec {}: no such file or directory", plans::BROKEN);
        let why = "its interpreter /nowhere does not exist in the container";
        assert_eq!(counted.said, format!("{line} ({why})\n"));
        assert_eq!(counted.calls, 0);
    });
}

fn number(call: Sysno) -> u16 {
    u16::try_from(call.id()).unwrap()
}

fn errno(errno: Errno) -> u16 {
    u16::try_from(errno.into_raw()).unwrap()
}

fn nothing_is_allocated_when_a_step_fails() {
    for (name, failing, flaw) in plans::failing() {
        in_child(OWN, || {
            plans::prepare();
            let mut steps = plans::root();
            let at = steps.len();
            steps.push(failing.clone());
            steps.extend(plans::end(plans::ECHO));
            let counted = count_in(&steps, plans::lonely_slots(), nothing_first);
            let failure = counted
                .failure
                .unwrap_or_else(|| panic!("{name} succeeded"));
            assert_eq!(
                (failure.flaw, counted.step),
                (flaw, at),
                "{name}: {failure:?}"
            );
            assert_eq!(counted.ended, Ended::Exited(255), "{name}");
            assert_eq!(counted.calls, 0, "{name}");
        });
    }
}
