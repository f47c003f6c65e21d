//! runtime.md, "start": runs the program of a created container, and nothing else.

use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "start::runs_the_program_of_a_created_container",
            runs_the_program,
        ),
        Case::new("start::running_is_refused", running_is_refused),
        Case::new("start::stopped_is_refused", stopped_is_refused),
        Case::new(
            "start::killed_before_start_is_refused",
            killed_before_start_is_refused,
        ),
        Case::new("start::without_process_is_refused", without_process)
            .deviates(
                "runc 1.1",
                "config.md: process is required when start is called, not before",
                "process property must not be empty",
            )
            .deviates(
                "crun 1.8",
                "config.md: process is required when start is called, not before",
                "create",
            ),
        Case::new(
            "start::returns_while_the_program_runs",
            returns_while_the_program_runs,
        ),
    ]
}

fn runs_the_program(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["echo", "hello", "there"]);
    let created = ctx.launch(&bundle)?;
    ctx.wait_stopped()?;
    equal(
        "stdout of the container",
        created.stdout_now()?.as_str(),
        "hello there\n",
    )
}

/// "Attempting to start a container that is not created MUST have no effect on the container
/// and MUST generate an error."
fn running_is_refused(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let pid = ctx.pid()?;
    ctx.verb(&["start"])?
        .refuses(&["cannot start an already running container"])?;
    equal("pid", ctx.pid()?, pid)?;
    ctx.expect_status("running")
}

fn stopped_is_refused(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["write", "/runs", "once"]);
    ctx.launch(&bundle)?;
    ctx.wait_stopped()?;
    ctx.verb(&["start"])?
        .refuses(&["cannot start a container that has stopped"])?;
    equal("runs", bundle.read("runs")?.as_str(), "once\n")?;
    ctx.expect_status("stopped")
}

fn killed_before_start_is_refused(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["touch", "/ran"]);
    ctx.create(&bundle)?;
    ctx.kill("KILL")?.ok()?;
    ctx.wait_stopped()?;
    ctx.verb(&["start"])?
        .refuses(&["cannot start a container that has stopped"])?;
    check!(!bundle.inside("ran").exists(), "the program ran");
    Ok(())
}

fn returns_while_the_program_runs(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    ctx.expect_status("running")?;
    ctx.kill("TERM")?.ok()?;
    ctx.wait_stopped()
}

/// config.md: process "is REQUIRED when start is called"; runtime.md: "If process was not set, it
/// MUST generate an error."
fn without_process(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.remove("/process");
    ctx.create(&bundle)?;
    ctx.expect_status("created")?;
    ctx.verb(&["start"])?
        .refuses(&["process property must not be empty"])?;
    ctx.expect_status("created")?;
    ctx.delete()?;
    ctx.expect_nothing_left()
}
