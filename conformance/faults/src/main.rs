//! kan under faults: killed at every system call, failed at every system call, and its binary
//! attacked from inside of containers.
//!
//! `KAN` names the binary, otherwise the newest in the build folder is taken. Arguments are those
//! of cargo's test programs: a filter, `--list`, `--exact`, `--test-threads N` (2 unless given).
//! It needs root and Linux. Each case is this program once more, alone in a mount namespace.
#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a program that reports to people"
)]

mod blocking;
mod blocking_commands;
mod cases;
mod companions;
mod helpers;
mod leftovers;
mod manager;
mod moment;
mod outcome;
mod payload;
mod race;
mod reach;
mod reach_scene;
mod reach_seen;
mod registers;
mod seal;
mod secrecy;
mod stage;
mod subject;
mod sweep;
mod tracees;
mod tracer;
mod update;

use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Trial};
use tempfile::TempDir;

use outcome::{Fault, Verdict};
use stage::Stage;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [tracer::LAUNCH, ..] => {
            eprintln!("launch: {}", tracer::launch(&words[1..]));
            ExitCode::from(127)
        }
        ["--case", name] => case(name),
        [secrecy::TRACE, pid] => match secrecy::trace(pid) {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        },
        [helpers::LISTEN, path] => helpers::listen(path),
        [manager::MANAGE] => manager::manage(),
        [race::SLOW, ..] => {
            let told = race::slow(&words[1..]).unwrap_or_else(|Fault(why)| why);
            eprintln!("{told}");
            ExitCode::SUCCESS
        }
        // In a container the program is /program, with a word of what to do.
        ["wait" | "exit" | "attack", ..] => payload::perform(&words),
        _ => tests(),
    }
}

/// One case in this very process: the last line on stdout is the summary or the fault.
fn case(name: &str) -> ExitCode {
    let Some(case) = cases::all().into_iter().find(|case| case.name == name) else {
        eprintln!("no case {name}");
        return ExitCode::FAILURE;
    };
    let verdict = subject::kan().and_then(|kan| {
        let stage = Stage::new(&case.name, &kan, case.view)?;
        let verdict = case.perform(&stage);
        stage.finish(verdict)
    });
    match verdict {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(Fault(why)) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn tests() -> ExitCode {
    let mut args = Arguments::from_args();
    args.test_threads = args.test_threads.or(Some(2));
    let summaries = Arc::new(Mutex::new(Vec::new()));
    let trials = cases::all().into_iter().map(|case| {
        let can_run = registers::CAN_FAIL_CALLS || !case.fails_calls();
        let (name, summaries) = (case.name, Arc::clone(&summaries));
        let trial = Trial::test(name.clone(), move || {
            let summary = in_own_process(&name).map_err(|Fault(why)| why)?;
            let line = format!("{name}: {summary}");
            summaries
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(line);
            Ok(())
        });
        trial.with_ignored_flag(!can_run)
    });
    let conclusion = libtest_mimic::run(&args, trials.collect());
    for line in summaries
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .iter()
    {
        eprintln!("{line}");
    }
    conclusion.exit_code()
}

fn in_own_process(name: &str) -> Verdict {
    if !rustix::process::geteuid().is_root() {
        return Err(Fault("must be run as root".into()));
    }
    let dir = TempDir::with_prefix("kan-faults-")?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--case", name]).env("TMPDIR", dir.path());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn()?;
    // It cleans up itself, unless it hung and its alarm ended it.
    let (_, _, place) = stage::surroundings(name, child.id(), dir.path());
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned();
    if output.status.success() {
        return Ok(said);
    }
    place.remove();
    // What it was doing at its end.
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = errors.lines().last().unwrap_or_default();
    Err(Fault(format!("{}: {said}\n{last}", output.status)))
}
