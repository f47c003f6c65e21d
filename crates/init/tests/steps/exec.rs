//! `FindProgram` and `Execute`, and what is said when exec fails.

use crate::harness::{Test, alone, tests};
use crate::scene::{Ran, c, flawed, inside, names, perform, refused, run, set};
use kan_init::Slots;
use kan_op::init::Program;
use kan_op::{Flaw, InitStep, Slot};
use kan_sys::process::Ended;
use kan_sys::{Errno, Sysno, socket};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

pub const TESTS: &[Test] = &tests![
    crate::exec::arguments_and_environment_arrive,
    crate::exec::nothing_but_stdio_is_inherited,
    crate::exec::the_first_candidate_that_exists_is_taken,
    crate::exec::a_refused_candidate_is_passed_over,
    crate::exec::no_candidate_is_not_found,
    crate::exec::a_directory_is_no_program,
    crate::exec::a_file_without_permission_is_no_program,
    crate::exec::a_program_must_be_found_first,
    crate::exec::a_failed_exec_is_on_the_board,
    crate::exec::a_failed_exec_is_told_when_nobody_reads_the_board,
];

fn program(candidates: &[&str], args: &[&str], env: &[&str]) -> InitStep {
    let all = |texts: &[&str]| texts.iter().map(|text| c(text)).collect();
    InitStep::Execute(Program {
        candidates: all(candidates),
        args: all(args),
        env: all(env),
        with_home: false,
    })
}

fn execute(candidates: &[&str], args: &[&str]) -> Ran {
    run_program(program(candidates, args, &[]))
}

fn run_program(program: InitStep) -> Ran {
    run(&[InitStep::FindProgram, program], Slots::default())
}

pub fn arguments_and_environment_arrive() {
    alone(|| {
        set();
        let script = r#"printf '%s|' "$0" "$@" "$A" "$B""#;
        let args = ["sh", "-c", script, "zero", "one two", "", "drei\n"];
        let ran = run_program(program(&["/bin/sh"], &args, &["A=a b", "B="]));
        assert_eq!(ran.stdout, "zero|one two||drei\n|a b||");
        assert_eq!((ran.ended, ran.failure), (Ended::Exited(0), None));
        assert_eq!(ran.step, 1);
    });
}

fn nothing_but_stdio_is_inherited() {
    alone(|| {
        set();
        let (ours, theirs) = socket::pair().unwrap();
        let mut slots = Slots::default();
        slots.fill(Slot::Channel, theirs);
        let steps = [
            InitStep::CloseInherited { preserved: 0 },
            InitStep::FindProgram,
            program(&["/bin/ls"], &["ls", "/proc/self/fd"], &[]),
        ];
        let ran = run(&steps, slots);
        drop(ours);
        assert_eq!(ran.stdout, "0\n1\n2\n3\n", "3 is that of ls itself");
    });
}

pub fn the_first_candidate_that_exists_is_taken() {
    alone(|| {
        set();
        fs::write(inside("file"), "").unwrap();
        let below = format!("{}/below", inside("file").to_str().unwrap());
        let candidates = ["/mnt/missing", &below, "/bin/echo", "/bin/false"];
        let ran = execute(&candidates, &["echo", "second"]);
        assert_eq!(ran.stdout, "second\n");
    });
}

/// A script on a path of the scene, with these permission bits.
fn script(name: &str, text: &str, mode: u32) -> String {
    let path = inside(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().into()
}

fn a_refused_candidate_is_passed_over() {
    alone(|| {
        set();
        let plain = script("plain", "", 0o644);
        let directory = inside("").to_str().unwrap().to_owned();
        let candidates = [plain.as_str(), &directory, "/bin/echo"];
        assert_eq!(execute(&candidates, &["echo", "third"]).stdout, "third\n");
    });
}

/// The outcome of `FindProgram` with these candidates.
fn find(candidates: &[&str]) -> crate::scene::Outcome {
    // The last step is not reached.
    let steps = [
        InitStep::FindProgram,
        InitStep::Close(Slot::Null),
        program(candidates, &["x"], &[]),
    ];
    perform(&steps)
}

fn no_candidate_is_not_found() {
    alone(|| {
        set();
        symlink("nowhere", inside("dangling")).unwrap();
        let dangling = inside("dangling");
        assert_eq!(find(&[]), flawed(0, Flaw::NotFound));
        let found = find(&["/mnt/missing", dangling.to_str().unwrap()]);
        assert_eq!(found, flawed(0, Flaw::NotFound));
    });
}

fn a_directory_is_no_program() {
    alone(|| {
        set();
        assert_eq!(find(&["/bin"]), flawed(0, Flaw::IsDirectory));
        assert_eq!(
            find(&["/bin", "/mnt/missing"]),
            flawed(0, Flaw::IsDirectory)
        );
    });
}

fn a_file_without_permission_is_no_program() {
    alone(|| {
        set();
        let plain = script("plain", "", 0o644);
        let expected = refused(0, Sysno::faccessat, Errno::EACCES);
        assert_eq!(find(&[&plain]), expected);
        assert_eq!(
            find(&[&plain, "/mnt/missing", "/bin"]),
            expected,
            "the first refusal"
        );
    });
}

fn a_program_must_be_found_first() {
    alone(|| {
        set();
        let found = perform(&[program(&["/bin/true"], &["true"], &[])]);
        assert_eq!(found, flawed(0, Flaw::OutOfStep));
        let none = perform(&[InitStep::FindProgram]);
        assert_eq!(none, flawed(0, Flaw::OutOfStep));
    });
}

/// A script whose interpreter is missing: what faccessat2(2) cannot see.
fn broken() -> (String, InitStep) {
    let path = script("broken", "#!/nowhere\n", 0o755);
    let step = program(&[&path], &["broken"], &[]);
    (path, step)
}

fn with_channel(step: InitStep, alive: bool) -> Ran {
    let (ours, theirs) = socket::pair().unwrap();
    let ours = alive.then_some(ours);
    let mut slots = Slots::default();
    slots.fill(Slot::Channel, theirs);
    let ran = run(&[InitStep::FindProgram, step], slots);
    drop(ours);
    ran
}

fn a_failed_exec_is_on_the_board() {
    alone(|| {
        set();
        let ran = with_channel(broken().1, true);
        let failure = refused(1, Sysno::execve, Errno::ENOENT).unwrap_err().1;
        assert_eq!((ran.step, ran.failure), (1, Some(failure)));
        assert_eq!(ran.ended, Ended::Exited(255));
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    });
}

fn a_failed_exec_is_told_when_nobody_reads_the_board() {
    alone(|| {
        set();
        let (path, step) = broken();
        let ran = with_channel(step, false);
        let why = "its interpreter /nowhere does not exist in the container";
        let line = format!("exec {path}: no such file or directory ({why})\n");
        assert_eq!(ran.stderr, line);
        assert_eq!(ran.ended, Ended::Exited(255));
        assert_eq!(names(crate::scene::ROOT), ["broken"]);
    });
}
