//! The black-box conformance suite for OCI runtimes.
//!
//! `RUNTIME` names the runtime: `kan` (default; its binary through `KAN` or the build folder),
//! `runc`, `crun` or a path. Arguments are those of cargo's test programs: a filter, `--list`,
//! `--exact`, `--test-threads N` (2 unless given). It needs root and Linux, and the probe
//! (package kan-conformance-probe) built beside it or named by `PROBE`.
#![allow(clippy::print_stderr, reason = "a program that reports to people")]

mod cases;
mod harness;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use harness::case::Case;
use harness::container::Ctx;
use harness::leftovers::Snapshot;
use harness::outcome::{Fault, Outcome};
use harness::reaper;
use harness::runtime::Runtime;
use harness::world::World;

fn main() -> ExitCode {
    let mut args = Arguments::from_args();
    args.test_threads = args.test_threads.or(Some(2));
    if args.list {
        let trials = cases::all()
            .into_iter()
            .map(|c| Trial::test(c.name, || Ok(())))
            .collect();
        return libtest_mimic::run(&args, trials).exit_code();
    }
    match prepare() {
        Ok(world) => run(&args, world),
        Err(why) => {
            eprintln!("conformance suite: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Finds the runtime and makes the surroundings of all cases.
fn prepare() -> Result<World, String> {
    if !rustix::process::geteuid().is_root() {
        return Err("must be run as root".into());
    }
    reaper::become_subreaper().map_err(|e| format!("PR_SET_CHILD_SUBREAPER: {e}"))?;
    World::new(Runtime::from_environment()?)
}

/// Runs the cases and compares the host before and after.
fn run(args: &Arguments, world: World) -> ExitCode {
    let mut world = Arc::new(world);
    let runtime = &world.runtime;
    eprintln!(
        "testing {} {}: {}",
        runtime.name,
        runtime.version,
        runtime.path.display()
    );
    let before = Snapshot::take();
    let trials = cases::all()
        .into_iter()
        .map(|case| trial(case, Arc::clone(&world)))
        .collect();
    let conclusion = libtest_mimic::run(args, trials);
    if let Some(world) = Arc::get_mut(&mut world) {
        world.spare_mounts();
    }
    let added = Snapshot::take().added_since(&before);
    for what in &added {
        eprintln!("left on the host after the run: {what}");
    }
    if added.is_empty() {
        conclusion.exit_code()
    } else {
        ExitCode::FAILURE
    }
}

/// One case as libtest-mimic wants it.
fn trial(case: Case, world: Arc<World>) -> Trial {
    let known = case
        .deviations
        .iter()
        .any(|d| world.runtime.matches(d.runtime));
    let kind = if known { "deviation" } else { "" };
    Trial::ignorable_test(case.name, move || perform(&case, world)).with_kind(kind)
}

/// Runs one case, cleans up after it and judges both.
fn perform(case: &Case, world: Arc<World>) -> Result<Completion, Failed> {
    let runtime = world.runtime.clone();
    if let Some((only, reason)) = case.only
        && !runtime.matches(only)
    {
        return Ok(Completion::ignored_with(format!(
            "only for {only}: {reason}"
        )));
    }
    match case.judge(&runtime, attempt(case, world)) {
        Ok(()) => Ok(Completion::Completed),
        Err(Fault::Skipped(reason)) => Ok(Completion::ignored_with(reason)),
        Err(Fault::Failed(why)) => Err(why.into()),
    }
}

/// The body, then the search for leftovers, which fails the case too.
fn attempt(case: &Case, world: Arc<World>) -> Outcome {
    let mut ctx = Ctx::new(world, case.name)?;
    let body = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (case.body)(&mut ctx)))
        .unwrap_or_else(|_| Err(Fault::Failed("the case panicked".into())));
    match (body, ctx.finish()) {
        (Err(Fault::Failed(first)), Err(then)) => Err(Fault::Failed(format!("{first}\n{then}"))),
        (Ok(()), left) => left,
        (body, _) => body,
    }
}
