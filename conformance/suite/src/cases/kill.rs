//! runtime.md, "kill": signals reach the program, by every spelling, and only while there is
//! one.

use crate::harness::command::Done;
use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("kill::default_is_term", default_is_term),
        Case::new("kill::by_name_and_number", by_name_and_number),
        Case::new("kill::kill_stops_it", kill_stops_it),
        Case::new("kill::created", created),
        Case::new("kill::stopped_is_refused", stopped_is_refused),
        Case::new(
            "kill::all_of_stopped_is_no_error",
            all_of_stopped_is_no_error,
        ),
        Case::new("kill::unknown_signal", unknown_signal).deviates(
            "crun 1.8",
            "runtime.md, kill: the signal MUST be sent; here success is told and nothing sent",
            "exit status: 0, want exit code 1",
        ),
        Case::new("kill::options_after_the_id", options_after_the_id).deviates(
            "crun",
            "not in the spec; crun has its own command line",
            "requires a maximum of",
        ),
    ]
}

/// Starts a container that prints the signals it gets and ends with code 7 at TERM.
fn launch_listener(ctx: &Ctx) -> Result<Done, Fault> {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["listen", "7"]);
    let created = ctx.launch(&bundle)?;
    created.wait_for("ready")?;
    Ok(created)
}

fn default_is_term(ctx: &mut Ctx) -> Outcome {
    let created = launch_listener(ctx)?;
    ctx.verb(&["kill"])?.quiet()?;
    ctx.wait_stopped()?;
    equal(
        "signals",
        created.stdout_now()?.as_str(),
        "ready\nsignal TERM\n",
    )
}

/// Signals are sent one after the other, so that none is merged with the next.
fn by_name_and_number(ctx: &mut Ctx) -> Outcome {
    let created = launch_listener(ctx)?;
    let spellings = [
        ("HUP", "HUP"),
        ("SIGUSR1", "USR1"),
        ("12", "USR2"),
        ("2", "INT"),
        ("SIGWINCH", "WINCH"),
    ];
    for (spelled, name) in spellings {
        ctx.kill(spelled)?.quiet()?;
        created.wait_for(&format!("signal {name}\n"))?;
    }
    ctx.kill("15")?.quiet()?;
    created.wait_for("signal TERM\n")?;
    ctx.wait_stopped()
}

fn kill_stops_it(ctx: &mut Ctx) -> Outcome {
    launch_listener(ctx)?;
    ctx.kill("9")?.ok()?;
    ctx.wait_stopped()?;
    ctx.delete()?;
    ctx.expect_nothing_left()
}

/// "neither created nor running" is the error; created is fine.
fn created(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["touch", "/ran"]);
    ctx.create(&bundle)?;
    ctx.kill("KILL")?.ok()?;
    ctx.wait_stopped()?;
    check!(!bundle.inside("ran").exists(), "the program ran");
    ctx.delete()
}

/// "Attempting to send a signal to a container that is neither created nor running MUST have no
/// effect on the container and MUST generate an error."
fn stopped_is_refused(ctx: &mut Ctx) -> Outcome {
    launch_listener(ctx)?;
    ctx.kill("TERM")?.ok()?;
    ctx.wait_stopped()?;
    ctx.kill("TERM")?.refuses(&["container not running"])?;
    ctx.kill("9")?.refuses(&["container not running"])?;
    ctx.expect_status("stopped")
}

/// podman and the containerd shim call it so while they clean up.
fn all_of_stopped_is_no_error(ctx: &mut Ctx) -> Outcome {
    launch_listener(ctx)?;
    ctx.kill("TERM")?.ok()?;
    ctx.wait_stopped()?;
    ctx.oci(&["kill", "--all", &ctx.id, "9"])
        .run()?
        .ok()
        .map(drop)
}

fn unknown_signal(ctx: &mut Ctx) -> Outcome {
    let created = launch_listener(ctx)?;
    for signal in ["NOSUCH", "SIGNOSUCH"] {
        ctx.kill(signal)?
            .refuses(&[&format!("unknown signal \"{signal}\"")])?;
    }
    ctx.kill("999")?.refuses(&[""])?;
    ctx.expect_status("running")?;
    equal("signals", created.stdout_now()?.as_str(), "ready\n")
}

fn options_after_the_id(ctx: &mut Ctx) -> Outcome {
    launch_listener(ctx)?;
    ctx.oci(&["kill", &ctx.id, "KILL", "--all"]).run()?.ok()?;
    ctx.wait_stopped()
}
