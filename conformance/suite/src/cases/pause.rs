//! `pause` and `resume`, which runtime.md leaves to the runtime and every engine uses.

use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("pause::status_is_paused_until_resume", status_is_paused),
        Case::new("pause::stops_the_program", stops_the_program),
        Case::new("pause::twice_is_refused", twice_is_refused).deviates(
            "crun",
            "not in the spec; crun has its own command line",
            "exit status: 0, want exit code 1",
        ),
        Case::new("pause::not_running_is_refused", not_running_is_refused),
        Case::new(
            "pause::resume_of_running_is_refused",
            resume_of_running_is_refused,
        )
        .deviates(
            "crun",
            "not in the spec; crun has its own command line",
            "exit status: 0, want exit code 1",
        ),
        Case::new("pause::delete_force", delete_force),
        Case::new("pause::kill_reaches_it", kill_reaches_it),
    ]
}

fn status_is_paused(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    ctx.verb(&["pause"])?.ok()?;
    ctx.expect_status("paused")?;
    ctx.verb(&["resume"])?.ok()?;
    ctx.expect_status("running")
}

/// A signal that arrives meanwhile is acted on after the resume.
fn stops_the_program(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["listen", "0"]);
    let created = ctx.launch(&bundle)?;
    created.wait_for("ready")?;
    ctx.verb(&["pause"])?.ok()?;
    ctx.kill("USR1")?.ok()?;
    std::thread::sleep(std::time::Duration::from_millis(100));
    equal(
        "output while paused",
        created.stdout_now()?.as_str(),
        "ready\n",
    )?;
    ctx.verb(&["resume"])?.ok()?;
    created.wait_for("signal USR1")
}

fn twice_is_refused(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    ctx.verb(&["pause"])?.ok()?;
    ctx.verb(&["pause"])?.refuses(&["container not running"])?;
    ctx.expect_status("paused")
}

fn not_running_is_refused(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "0"]);
    ctx.launch(&bundle)?;
    ctx.wait_stopped()?;
    ctx.verb(&["pause"])?.refuses(&["container not running"])?;
    ctx.verb(&["resume"])?.refuses(&["container not paused"])
}

fn resume_of_running_is_refused(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    ctx.verb(&["resume"])?.refuses(&["container not paused"])?;
    ctx.expect_status("running")
}

fn delete_force(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    ctx.verb(&["pause"])?.ok()?;
    ctx.verb(&["delete", "--force"])?.ok()?;
    ctx.expect_nothing_left()
}

/// A frozen v1 cgroup holds even KILL until it is thawed, which is the runtime's to know.
fn kill_reaches_it(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let pid = ctx.pid()?;
    ctx.verb(&["pause"])?.ok()?;
    ctx.kill("KILL")?.ok()?;
    let gone = crate::harness::command::wait_for_exit(pid, std::time::Duration::from_secs(3))?;
    check!(gone, "still there, frozen, after KILL");
    ctx.wait_stopped()
}
