//! What the container inherits from the caller of the runtime: descriptors, signal handling;
//! and what it must not.

use std::fs;

use crate::harness::prelude::*;
use crate::harness::report::Report;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("streams::only_stdio_is_open", only_stdio_is_open),
        Case::new("streams::leaked_descriptors_are_closed", leaked_are_closed),
        Case::new(
            "streams::leaked_descriptors_are_closed_detached",
            leaked_are_closed_detached,
        ),
        Case::new("streams::preserve_fds", preserve_fds),
        Case::new(
            "streams::preserve_fds_keeps_no_more",
            preserve_fds_keeps_no_more,
        ),
        Case::new("streams::preserve_fds_of_create", preserve_fds_of_create),
        Case::new("streams::closed_stdin", closed_stdin)
            .deviates(
                "crun 1.8",
                "runtime.md, create: nothing forbids a caller without standard input",
                "Bad file descriptor",
            )
            .deviates(
                "runc 1.1",
                "CVE-2024-21626's class: no descriptor of the runtime may reach the container",
                "stdin is pipe:",
            ),
        Case::new("streams::signal_mask_is_reset", signal_mask_is_reset).deviates(
            "runc 1.1",
            "config.md: process describes the program's attributes; a caller's mask is none",
            "/signals/blocked: got Array [String(\"USR1\")]",
        ),
        Case::new(
            "streams::ignored_signals_are_reset",
            ignored_signals_are_reset,
        ),
        Case::new(
            "streams::environment_is_not_inherited",
            environment_is_not_inherited,
        ),
        Case::new("streams::umask_is_not_inherited", umask_is_not_inherited),
    ]
}

/// A shell that opens files and a directory of the host without close-on-exec, then runs the
/// rest of the command line: what conmon, shims and careless callers leak.
pub const LEAKY: &[&str] = &[
    "sh",
    "-c",
    "exec 3</etc/passwd 4</ 5</etc/group 9</tmp; exec \"$0\" \"$@\"",
];

/// Runs a report under a wrapping program, with options for `run`.
fn report_under(ctx: &Ctx, wrap: &[&str], options: &[&str]) -> Result<Report, Fault> {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["report"]);
    let done = ctx
        .with_bundle("run", options, &bundle)?
        .wrapped(wrap)
        .run()?
        .ok()?;
    Report::parse(&done.stdout)
}

fn only_stdio_is_open(ctx: &mut Ctx) -> Outcome {
    equal(
        "open fds",
        report_under(ctx, &[], &[])?.open_fds(),
        vec![0, 1, 2],
    )
}

/// CVE-2024-21626 and before it CVE-2016-9962: a descriptor of a host directory is a way out.
fn leaked_are_closed(ctx: &mut Ctx) -> Outcome {
    equal(
        "open fds",
        report_under(ctx, LEAKY, &[])?.open_fds(),
        vec![0, 1, 2],
    )
}

fn leaked_are_closed_detached(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["report"]);
    let created = ctx
        .with_bundle("create", &[], &bundle)?
        .wrapped(LEAKY)
        .run()?
        .ok()?;
    ctx.oci(&["start", &ctx.id]).wrapped(LEAKY).run()?.ok()?;
    ctx.wait_stopped()?;
    let report = Report::parse(&created.stdout_now()?)?;
    equal("open fds", report.open_fds(), vec![0, 1, 2])
}

fn preserve_fds(ctx: &mut Ctx) -> Outcome {
    let report = report_under(ctx, LEAKY, &["--preserve-fds", "3"])?;
    equal("open fds", report.open_fds(), vec![0, 1, 2, 3, 4, 5])?;
    report.expect("/fds/3/type", &json!("file"))?;
    report.expect("/fds/4/type", &json!("dir"))?;
    report.expect("/fds/5/type", &json!("file"))
}

fn preserve_fds_keeps_no_more(ctx: &mut Ctx) -> Outcome {
    let report = report_under(ctx, LEAKY, &["--preserve-fds=1"])?;
    equal("open fds", report.open_fds(), vec![0, 1, 2, 3])
}

/// The descriptors are those of `create`; `start` is another process.
fn preserve_fds_of_create(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["report"]);
    let create = ctx.with_bundle("create", &["--preserve-fds", "2"], &bundle)?;
    let created = create.wrapped(LEAKY).run()?.ok()?;
    ctx.start()?;
    ctx.wait_stopped()?;
    let report = Report::parse(&created.stdout_now()?)?;
    equal("open fds", report.open_fds(), vec![0, 1, 2, 3, 4])
}

/// A caller without standard input must not get some other descriptor in its place.
fn closed_stdin(ctx: &mut Ctx) -> Outcome {
    let report = report_under(ctx, &["sh", "-c", "exec \"$0\" \"$@\" <&-"], &[])?;
    let target = report.at("/fds/0/target").as_str().unwrap_or_default();
    let fd = report.at("/fds/0/fd");
    check!(*fd != 0 || target == "/dev/null", "stdin is {target}");
    check!(
        !report.open_fds().iter().any(|fd| *fd > 2),
        "open: {:?}",
        report.open_fds()
    );
    Ok(())
}

/// podman blocks USR1, conmon ignores PIPE; both pass through execve(2).
fn signal_mask_is_reset(ctx: &mut Ctx) -> Outcome {
    let report = report_under(ctx, &["env", "--block-signal=USR1,TERM"], &[])?;
    report.expect("/signals/blocked", &json!([]))
}

fn ignored_signals_are_reset(ctx: &mut Ctx) -> Outcome {
    let report = report_under(ctx, &["env", "--ignore-signal=PIPE,USR2,HUP"], &[])?;
    report.expect("/signals/ignored", &json!([]))
}

fn environment_is_not_inherited(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle
        .probe(&["report"])
        .set("/process/env", json!(["A=1", "KAN_SUITE=x", "B=two words"]));
    let done = ctx
        .with_bundle("run", &[], &bundle)?
        .env("SECRET", "x")
        .run()?
        .ok()?;
    let report = Report::parse(&done.stdout)?;
    let mut env = report.strings("/env");
    // HOME may be added from the container's passwd (config.md does not forbid it).
    env.retain(|entry| !entry.starts_with("HOME="));
    equal(
        "environment",
        env,
        vec!["A=1", "KAN_SUITE=x", "B=two words"],
    )
}

/// config.md: without `umask` in the config it is 0022.
fn umask_is_not_inherited(ctx: &mut Ctx) -> Outcome {
    let wrap = ["sh", "-c", "umask 0077; exec \"$0\" \"$@\""];
    report_under(ctx, &wrap, &[])?.expect("/umask", &json!(0o022))?;
    let mut bundle = ctx.bundle_named("second")?;
    bundle.probe(&["touch", "/made"]);
    ctx.with_bundle("run", &[], &bundle)?
        .wrapped(&wrap)
        .run()?
        .ok()?;
    let mode = fs::metadata(bundle.inside("made"))?;
    equal(
        "mode",
        std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777,
        0o644,
    )
}
