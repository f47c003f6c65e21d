//! runtime.md, "delete": everything that create made goes, and only then.

use crate::harness::command::{TIMEOUT, wait_for_exit};
use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("delete::stopped", stopped),
        Case::new("delete::running_is_refused", running_is_refused),
        Case::new("delete::created_kills_it", created_kills_it),
        Case::new("delete::force_kills_running", force_kills_running),
        Case::new("delete::force_of_unknown_is_no_error", force_of_unknown),
        Case::new("delete::id_can_be_used_again", id_can_be_used_again),
        Case::new("delete::leaves_the_bundle", leaves_the_bundle),
        Case::new("delete::options_after_the_id", options_after_the_id).deviates(
            "crun",
            "not in the spec; crun has its own command line",
            "requires a maximum of",
        ),
    ]
}

fn stopped(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "3"]);
    ctx.launch(&bundle)?;
    ctx.wait_stopped()?;
    ctx.delete()?;
    ctx.expect_nothing_left()?;
    ctx.verb(&["delete"])?
        .refuses(&["container does not exist"])
}

/// "Attempting to delete a container that is not stopped MUST have no effect on the container
/// and MUST generate an error."
fn running_is_refused(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let text = format!(
        "cannot delete container {} that is not stopped: running",
        ctx.id
    );
    ctx.verb(&["delete"])?.refuses(&[&text])?;
    ctx.expect_status("running")
}

/// Against the sentence above: engines clean up a failed start this way, and runc has always
/// killed it.
fn created_kills_it(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["touch", "/ran"]);
    ctx.create(&bundle)?;
    let pid = ctx.pid()?;
    ctx.delete()?;
    check!(wait_for_exit(pid, TIMEOUT)?, "init {pid} is still there");
    check!(!bundle.inside("ran").exists(), "the program ran");
    ctx.expect_nothing_left()
}

fn force_kills_running(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let pid = ctx.pid()?;
    ctx.verb(&["delete", "--force"])?.ok()?;
    check!(wait_for_exit(pid, TIMEOUT)?, "init {pid} is still there");
    ctx.expect_nothing_left()
}

fn force_of_unknown(ctx: &mut Ctx) -> Outcome {
    ctx.verb(&["delete", "--force"])?.ok().map(drop)
}

fn id_can_be_used_again(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["write", "/runs", "again"]);
    for _ in 0..3 {
        ctx.launch(&bundle)?;
        ctx.wait_stopped()?;
        ctx.delete()?;
    }
    equal(
        "runs",
        bundle.read("runs")?.as_str(),
        "again\nagain\nagain\n",
    )
}

/// "Note that resources associated with the container, but not created by this container, MUST
/// NOT be deleted."
fn leaves_the_bundle(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["touch", "/kept"]);
    ctx.launch(&bundle)?;
    ctx.wait_stopped()?;
    ctx.delete()?;
    check!(bundle.inside("kept").exists(), "the rootfs lost a file");
    check!(
        bundle.dir.join("config.json").exists(),
        "the bundle lost its config"
    );
    Ok(())
}

fn options_after_the_id(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    ctx.oci(&["delete", &ctx.id, "--force"]).run()?.ok()?;
    ctx.expect_nothing_left()
}
