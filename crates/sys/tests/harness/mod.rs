//! A test program that calls clone3(2): one thread, one test after the other, each of them in a
//! child in namespaces of its own. libtest runs every test in a thread, even a single one.
//!
//! A test that cannot be run here prints `skipped: REASON`, in the place where `conformance/run`
//! looks for it.
#![allow(dead_code, reason = "each test program uses a part of it")]

use kan_sys::process::{self, Child, Ended};
use kan_sys::{memory, mount, namespace};
use libtest_mimic::{Arguments, Failed, Trial};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// A test: its name and its function.
pub type Test = (&'static str, fn());

/// The tests of a list of functions, named as the list names them.
macro_rules! tests {
    ($($test:path),* $(,)?) => { [$((stringify!($test), $test as fn())),*] };
}
pub(crate) use tests;

/// What the last panic said, and where.
static PANIC: Mutex<String> = Mutex::new(String::new());
/// The tests that have begun, this one included.
static BEGUN: Mutex<Vec<&str>> = Mutex::new(Vec::new());
/// The tests that were skipped, and why.
static SKIPPED: Mutex<Vec<(&str, String)>> = Mutex::new(Vec::new());

/// The panic payload of a test that is skipped.
struct Skip(String);

/// Ends a test that cannot be run here. In a child, the parent's test ends.
pub fn skip(reason: &str) -> ! {
    resume_unwind(Box::new(Skip(reason.into())))
}

/// Ends the test unless root runs it.
pub fn needs_root() {
    if kan_sys::credentials::effective_uid() != 0 {
        skip("needs root");
    }
}

/// The name of the test that runs.
pub fn current() -> &'static str {
    BEGUN.lock().unwrap().last().copied().unwrap_or_default()
}

/// Whether a test has begun: it has not if the command line leaves it out.
pub fn has_begun(name: &str) -> bool {
    BEGUN.lock().unwrap().contains(&name)
}

/// Runs the tests that the command line asks for.
pub fn main(tests: &'static [Test]) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    std::panic::set_hook(Box::new(|info| *PANIC.lock().unwrap() = info.to_string()));
    let trials = tests
        .iter()
        .map(|test| Trial::test(shown(test.0), || run(test)));
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    let skipped = SKIPPED.lock().unwrap();
    if !skipped.is_empty() {
        println!("successes:\n");
    }
    for (name, reason) in skipped.iter() {
        println!("---- {} stdout ----\nskipped: {reason}\n", shown(name));
    }
    conclusion.exit_code()
}

/// A test's name without `crate::`.
fn shown(name: &str) -> &str {
    name.trim_start_matches("crate::")
}

fn run(test: &Test) -> Result<(), Failed> {
    BEGUN.lock().unwrap().push(test.0);
    match catch_unwind(test.1) {
        Ok(()) => Ok(()),
        Err(payload) => match payload.downcast::<Skip>() {
            Ok(skip) => {
                SKIPPED.lock().unwrap().push((test.0, skip.0));
                Ok(())
            }
            Err(_) => Err(PANIC.lock().unwrap().as_str().into()),
        },
    }
}

/// Namespaces in which a test can do what it likes: mounts, processes, names, network.
pub const OWN: u32 = namespace::CLONE_NEWNS
    | namespace::CLONE_NEWPID
    | namespace::CLONE_NEWUTS
    | namespace::CLONE_NEWIPC
    | namespace::CLONE_NEWNET;

/// How long a child may take, seconds.
const PATIENCE: i64 = 60;
const PASSED: i32 = 0;
const PANICKED: i32 = 101;
const SKIPPED_CODE: i32 = 102;

/// Runs `body` in a child with these CLONE_NEW*; what it panics with, this panics with.
pub fn in_child(flags: u32, body: impl FnOnce()) {
    if flags != 0 {
        needs_root();
    }
    let report = Report::new();
    let body = || {
        if flags & namespace::CLONE_NEWNS != 0 {
            share_no_mount();
        }
        body();
    };
    let mut life = Some((body, report));
    let child = process::fork(
        process::Alone::check().unwrap(),
        flags.into(),
        None,
        &mut life,
        live,
    )
    .unwrap();
    match wait(&child) {
        Ended::Exited(PASSED) => {}
        Ended::Exited(SKIPPED_CODE) => skip(&report.read()),
        Ended::Exited(PANICKED) => panic!("in the child: {}", report.read()),
        other => panic!("the child ended: {other:?}"),
    }
}

/// A new mount namespace may be told of mounts in the old one, and tell of its own.
fn share_no_mount() {
    const MS_PRIVATE: u32 = 1 << 18;
    let private = mount::Change {
        propagation: MS_PRIVATE,
        ..mount::Change::default()
    };
    mount::change_at_path(c"/", private, mount::Depth::Recursive).unwrap();
}

/// As [`in_child`] in namespaces of its own.
pub fn alone(body: impl FnOnce()) {
    in_child(OWN, body);
}

fn live<F: FnOnce()>(life: &mut Option<(F, Report)>) -> ! {
    let Some((body, report)) = life.take() else {
        process::exit(PANICKED)
    };
    // What a failed test leaves behind ends with it.
    let _ = process::set_parent_death_signal(9);
    let code = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(()) => PASSED,
        Err(payload) => match payload.downcast::<Skip>() {
            Ok(skip) => {
                report.write(&skip.0);
                SKIPPED_CODE
            }
            Err(_) => {
                report.write(&PANIC.lock().unwrap());
                PANICKED
            }
        },
    };
    process::exit(code)
}

/// A child beside the caller.
pub struct Beside {
    pub child: Child,
    report: Report,
}

impl Beside {
    /// Waits for its end; what it panicked with, this panics with.
    pub fn pass(&self) {
        let ended = wait(&self.child);
        assert_eq!(ended, Ended::Exited(PASSED), "{}", self.report.read());
    }
}

/// Starts `body` beside the caller; it is killed with the caller's pid namespace at the latest.
pub fn start(body: impl FnOnce()) -> Beside {
    let report = Report::new();
    let mut life = Some((body, report));
    let child = process::fork(process::Alone::check().unwrap(), 0, None, &mut life, live).unwrap();
    Beside { child, report }
}

/// Waits for a child, and kills one that takes too long.
pub fn wait(child: &Child) -> Ended {
    if !ends_within(child, PATIENCE) {
        process::pidfd_send_signal(&child.pidfd, 9).unwrap();
        process::wait(&child.pidfd).unwrap();
        panic!("the child took too long");
    }
    process::wait(&child.pidfd).unwrap()
}

/// Whether a child ends within so many seconds: poll(2) on its pidfd.
pub fn ends_within(child: &Child, seconds: i64) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut pidfd = [PollFd::new(&child.pidfd, PollFlags::IN)];
    let limit = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    poll(&mut pidfd, Some(&limit)).unwrap() == 1
}

/// Text in shared memory: it needs no descriptor, which the child's steps might close.
#[derive(Clone, Copy)]
pub struct Report(&'static [AtomicU64]);

impl Report {
    const LETTERS: usize = 500;

    pub fn new() -> Self {
        Self(memory::shared_words(Self::LETTERS).unwrap())
    }

    /// A letter a word: what is too long is cut off.
    pub fn write(&self, text: &str) {
        for (word, letter) in self.0.iter().zip(text.chars()) {
            word.store(u32::from(letter).into(), SeqCst);
        }
    }

    pub fn read(&self) -> String {
        let letters = self.0.iter().map(|word| word.load(SeqCst));
        letters
            .take_while(|letter| *letter != 0)
            .filter_map(|letter| char::from_u32(u32::try_from(letter).ok()?))
            .collect()
    }
}
