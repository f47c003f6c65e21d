//! `RunHook`: config.md, POSIX-platform hooks.

use crate::harness::{Test, alone, start, tests};
use crate::scene::{c, perform, perform_with, read_all, run, set};
use kan_init::Slots;
use kan_op::init::{InitHook, Stream};
use kan_op::{Failure, Flaw, InitStep, Slot};
use kan_sys::process::Ended;
use kan_sys::{io, socket};
use std::fs;
use std::time::Instant;

pub const TESTS: &[Test] = &tests![
    crate::hooks::a_hook_gets_state_arguments_and_environment,
    crate::hooks::each_hook_gets_its_own,
    crate::hooks::a_failing_hook_ends_init,
    crate::hooks::a_hook_that_takes_too_long_is_killed,
    crate::hooks::a_missing_hook_is_told,
    crate::hooks::errors_go_where_they_are_wanted,
    crate::hooks::a_failure_is_told_when_nobody_reads_the_board,
    crate::hooks::a_hook_of_the_creation_ends_with_kan,
    crate::hooks::a_hook_need_not_read_its_state,
    crate::hooks::a_hook_inherits_stdio_alone,
];

fn hook(args: &[&str]) -> InitHook {
    InitHook {
        kind: "createContainer",
        index: 0,
        path: c("/bin/sh"),
        args: args.iter().map(|text| c(text)).collect(),
        with_home: false,
        in_root: false,
        env: vec![c("PATH=/usr/bin:/bin")],
        state_before: b"before ".into(),
        state_after: b" after".into(),
        timeout: None,
        stdout: Stream::Inherited,
        stderr: Stream::Inherited,
    }
}

fn script(text: &str) -> InitHook {
    hook(&["hook", "-c", text])
}

/// What the hook's part of the failure says.
fn ended(index: usize, flaw: Flaw, part: u16) -> crate::scene::Outcome {
    let failure = Failure {
        flaw,
        part,
        call: 0,
        errno: 0,
    };
    Err((index, failure))
}

pub fn a_hook_gets_state_arguments_and_environment() {
    alone(|| {
        set();
        let text = r#"{ cat; printf '|%s' "$@" "$A" "$B"; } > /mnt/said"#;
        let mut hook = hook(&["hook", "-c", text, "zero", "one two", ""]);
        hook.env.extend([c("A=a b"), c("B=")]);
        assert_eq!(perform(&[InitStep::RunHook(hook)]), Ok(()));
        let said = fs::read_to_string("/mnt/said").unwrap();
        // The pid is init's, as its pid namespace has it.
        assert_eq!(said, "before 1 after|one two||a b|");
    });
}

fn each_hook_gets_its_own() {
    alone(|| {
        set();
        let hooks = ["one", "two", "three"].map(|name| {
            let text = format!("echo $0 $A >> /mnt/said; test -e /mnt/{name} || exit 7");
            let mut hook = hook(&["hook", "-c", &text, name]);
            hook.env.push(c(&format!("A={name}")));
            InitStep::RunHook(hook)
        });
        fs::write("/mnt/one", "").unwrap();
        fs::write("/mnt/two", "").unwrap();
        assert_eq!(perform(&hooks), ended(2, Flaw::HookExited, 7));
        let said = fs::read_to_string("/mnt/said").unwrap();
        assert_eq!(said, "one one\ntwo two\nthree three\n");
    });
}

fn a_failing_hook_ends_init() {
    alone(|| {
        set();
        let exits = [InitStep::RunHook(script("exit 3"))];
        assert_eq!(perform(&exits), ended(0, Flaw::HookExited, 3));
        let killed = [InitStep::RunHook(script("kill -TERM $$"))];
        assert_eq!(perform(&killed), ended(0, Flaw::HookSignalled, 15));
    });
}

fn a_hook_that_takes_too_long_is_killed() {
    alone(|| {
        set();
        let mut slow = script("echo $$ > /mnt/pid; exec sleep 30");
        slow.timeout = Some(1);
        let begin = Instant::now();
        let found = perform(&[InitStep::RunHook(slow)]);
        assert_eq!(found, ended(0, Flaw::HookTimedOut, 0));
        assert!((1..10).contains(&begin.elapsed().as_secs()));
        let pid = fs::read_to_string("/mnt/pid").unwrap();
        let pid = format!("/proc/{}", pid.trim());
        assert!(!std::path::Path::new(&pid).exists(), "it is gone");
        let mut fast = script("exit 0");
        fast.timeout = Some(20);
        assert_eq!(perform(&[InitStep::RunHook(fast)]), Ok(()));
    });
}

/// Performs a hook whose errors are wanted: the outcome and what it said.
fn with_errors(mut hook: InitHook) -> (crate::scene::Outcome, String) {
    let (from, to) = io::pipe().unwrap();
    let mut slots = Slots::default();
    slots.fill(Slot::HookErrors, to);
    hook.stdout = Stream::Null;
    hook.stderr = Stream::Into(Slot::HookErrors);
    let done = perform_with(&[InitStep::RunHook(hook)], slots);
    (done, read_all(from))
}

fn a_missing_hook_is_told() {
    alone(|| {
        set();
        let mut missing = script("");
        missing.path = c("/mnt/missing");
        let (done, said) = with_errors(missing);
        assert_eq!(done, ended(0, Flaw::HookExited, 127));
        assert_eq!(said.to_lowercase(), "no such file or directory\n");
    });
}

fn errors_go_where_they_are_wanted() {
    alone(|| {
        set();
        let (done, said) = with_errors(script("echo error >&2; exit 1"));
        assert_eq!(done, ended(0, Flaw::HookExited, 1));
        assert_eq!(said, "error\n");
        let both = script("echo out; echo error >&2; exit 1");
        let ran = run(&[InitStep::RunHook(both)], Slots::default());
        assert_eq!(
            (ran.stdout.as_str(), ran.stderr.as_str()),
            ("out\n", "error\n")
        );
        assert_eq!(ran.ended, Ended::Exited(255));
    });
}

/// After `start` nobody reads the board any more.
fn a_failure_is_told_when_nobody_reads_the_board() {
    alone(|| {
        set();
        for (alive, line) in [
            (true, ""),
            (
                false,
                "error running startContainer hook #0: exit status 1\n",
            ),
        ] {
            let (ours, theirs) = socket::pair().unwrap();
            let ours = alive.then_some(ours);
            let mut slots = Slots::default();
            slots.fill(Slot::Channel, theirs);
            let mut hook = script("exit 1");
            hook.kind = "startContainer";
            let ran = run(&[InitStep::RunHook(hook)], slots);
            drop(ours);
            assert_eq!(ran.stderr, line);
        }
    });
}

/// Nobody would find what is left of a container that is only half created.
fn a_hook_of_the_creation_ends_with_kan() {
    alone(|| {
        set();
        let (ours, theirs) = socket::pair().unwrap();
        let mut slots = Slots::default();
        slots.fill(Slot::Channel, theirs);
        drop(ours);
        let slow = script("echo $$ > /mnt/pid; exec sleep 30");
        let begin = Instant::now();
        let done = perform_with(&[InitStep::RunHook(slow)], slots);
        assert_eq!(done, ended(0, Flaw::OutOfStep, 0));
        assert!(begin.elapsed().as_secs() < 10);
    });
}

/// More than a pipe holds, pipe(7): writing it ends with EPIPE, and no signal.
fn a_hook_need_not_read_its_state() {
    alone(|| {
        set();
        let mut large = script("exit 0");
        large.state_after = vec![b'x'; 1 << 20];
        let steps = [
            // SIGPIPE's default action, which ends a process.
            InitStep::ResetSignals { ignored: 1 << 12 },
            InitStep::RunHook(large.clone()),
        ];
        // Not the first process of a pid namespace, whom no such signal reaches.
        start(|| assert_eq!(perform(&steps), Ok(()))).pass();
        let mut reads = script("test $(wc -c) = 1048584");
        reads.state_after = large.state_after;
        assert_eq!(perform(&[InitStep::RunHook(reads)]), Ok(()));
    });
}

fn a_hook_inherits_stdio_alone() {
    alone(|| {
        set();
        let list = script("ls /proc/self/fd > /mnt/list");
        let steps = [
            InitStep::CloseInherited { preserved: 0 },
            InitStep::RunHook(list),
        ];
        let mut slots = Slots::default();
        slots.fill(Slot::Channel, io::duplicate(io::standard(0), 50).unwrap());
        assert_eq!(perform_with(&steps, slots), Ok(()));
        let list = fs::read_to_string("/mnt/list").unwrap();
        assert_eq!(list, "0\n1\n2\n3\n", "3 is that of ls itself");
    });
}
