//! runtime.md, "State" and "state": the document and the truth of its status.

use std::fs;

use rustix::process::Signal;

use crate::harness::command::send;
use crate::harness::command::{TIMEOUT, until, wait_for_exit};
use crate::harness::container::text;
use crate::harness::prelude::*;
use crate::harness::reaper::state_and_parent;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("state::has_the_properties_of_the_spec", properties),
        Case::new("state::is_pretty_printed", is_pretty_printed),
        Case::new(
            "state::names_the_bundle_absolutely",
            names_the_bundle_absolutely,
        ),
        Case::new("state::follows_the_lifecycle", follows_the_lifecycle),
        Case::new("state::program_of_any_name", program_of_any_name),
        Case::new("state::pid_is_that_of_the_host", pid_is_that_of_the_host),
        Case::new("state::pid_of_stopped_is_absent_or_zero", pid_of_stopped),
        Case::new("state::annotations", annotations),
        Case::new("state::zombie_is_stopped", zombie_is_stopped),
        Case::new(
            "state::stopped_when_init_is_killed_from_outside",
            killed_from_outside,
        ),
    ]
}

/// "ociVersion", "id", "status" and "bundle" are REQUIRED; "pid" is REQUIRED on Linux when the
/// status is created or running.
fn properties(ctx: &mut Ctx) -> Outcome {
    let bundle = ctx.bundle()?;
    ctx.create(&bundle)?;
    let state = ctx.state()?;
    let version = state["ociVersion"].as_str().unwrap_or_default();
    check!(
        version.split('.').count() >= 3,
        "ociVersion is no semantic version: {version:?}"
    );
    equal("id", &state["id"], &json!(ctx.id))?;
    equal("status", &state["status"], "created")?;
    check!(state["bundle"].is_string(), "bundle is no string: {state}");
    check!(
        state["pid"].as_i64().is_some_and(|p| p > 0),
        "pid is no positive number: {state}"
    );
    Ok(())
}

/// What a process is called says little: a program may have the name that the runtime's own had.
fn program_of_any_name(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    for name in ["kan", "runc:[2:INIT]", "a) R (b"] {
        let path = format!("/{name}");
        fs::copy(bundle.inside("/probe"), bundle.inside(&path))?;
        bundle.args(&[&path, "sleep"]);
        let created = ctx.create(&bundle)?;
        equal(name, &ctx.state()?["status"], "created")?;
        ctx.start()?;
        created.wait_for("ready")?;
        equal(name, &ctx.state()?["status"], "running")?;
        ctx.oci(&["delete", "--force", &ctx.id]).run()?.ok()?;
    }
    Ok(())
}

/// Scripts and suites look for `"status": "running"` with its space.
fn is_pretty_printed(ctx: &mut Ctx) -> Outcome {
    let bundle = ctx.bundle()?;
    ctx.create(&bundle)?;
    let shown = ctx.verb(&["state"])?.quiet()?.stdout;
    let id = format!("\"id\": \"{}\",", ctx.id);
    check!(
        shown.lines().any(|l| l.trim_start() == id),
        "no line with the id: {shown}"
    );
    check!(
        shown.contains("\"status\": \"created\""),
        "status without a space: {shown}"
    );
    Ok(())
}

/// "bundle (string, REQUIRED) is the absolute path to the container's bundle directory."
fn names_the_bundle_absolutely(ctx: &mut Ctx) -> Outcome {
    let bundle = ctx.bundle()?;
    bundle.save()?;
    ctx.oci(&["create", "--bundle", "bundle", &ctx.id])
        .cwd(&ctx.dir)
        .run()?
        .ok()?;
    equal(
        "bundle",
        ctx.state()?["bundle"].as_str(),
        Some(text(&bundle.dir)?),
    )
}

fn follows_the_lifecycle(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["sleep"]);
    let created = ctx.create(&bundle)?;
    ctx.expect_status("created")?;
    ctx.start()?;
    created.wait_for("ready")?;
    ctx.expect_status("running")?;
    ctx.kill("TERM")?.ok()?;
    ctx.wait_stopped()?;
    ctx.delete()?;
    ctx.verb(&["state"])?.refuses(&["container does not exist"])
}

/// "pid (int): for hooks executed in the runtime namespace, it is the pid as seen by the
/// runtime"; the same holds for the answer of `state`.
fn pid_is_that_of_the_host(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let pid = ctx.pid()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let inner = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))
        .unwrap_or_default();
    let inner: Vec<&str> = inner.split_whitespace().collect();
    equal(
        "pids of init, outermost first",
        inner,
        vec![pid.to_string().as_str(), "1"],
    )?;
    let command = fs::read_to_string(format!("/proc/{pid}/cmdline"))?;
    equal("its command line", command.as_str(), "/probe\0sleep\0")
}

fn pid_of_stopped(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "0"]);
    ctx.launch(&bundle)?;
    ctx.wait_stopped()?;
    let state = ctx.state()?;
    check!(
        state["pid"].is_null() || state["pid"] == 0,
        "a stopped container has a pid: {state}"
    );
    Ok(())
}

fn annotations(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let given = json!({"org.test.one": "1", "org.test.empty": "", "org.test.text": "ä \"q\""});
    bundle.set("/annotations", given.clone());
    ctx.create(&bundle)?;
    let state = ctx.state()?;
    for (key, value) in given.as_object().into_iter().flatten() {
        equal(key, &state["annotations"][key], value)?;
    }
    Ok(())
}

/// "stopped: the container process has exited": nobody has waited for it yet, but it is gone.
fn zombie_is_stopped(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["sleep"]);
    let created = ctx.create(&bundle)?;
    let pid = ctx.pid()?;
    ctx.hold_zombie(pid);
    ctx.start()?;
    created.wait_for("ready")?;
    send(pid, Signal::TERM)?;
    check!(wait_for_exit(pid, TIMEOUT)?, "init does not end");
    let letter = state_and_parent(pid).map(|s| s.0);
    equal("state of the process", letter.as_deref(), Some("Z"))?;
    ctx.expect_status("stopped")?;
    ctx.kill("TERM")?.refuses(&["container not running"])?;
    ctx.delete()
}

fn killed_from_outside(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    send(ctx.pid()?, Signal::KILL)?;
    until("status stopped", || Ok(ctx.state()?["status"] == "stopped"))
}
