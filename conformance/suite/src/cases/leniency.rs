//! What callers get away with everywhere: values that are clear although they are not in the right
//! form, and things in the environment that are gone. Where nothing is lost it is a warning, which
//! appears on stderr if there is no log.

use std::fs;

use crate::harness::container::text;
use crate::harness::prelude::*;
use crate::harness::report::Report;

const CANNOT_BE_GRANTED: &str =
    "config.md, Capabilities: what cannot be granted MUST be logged as a warning";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("leniency::versions_that_mean_1", versions).lacks(
            "crun 1.8",
            "versions that are not in the form of SemVer",
            "unknown version specified",
        ),
        Case::new(
            "leniency::a_version_in_another_form_is_warned_of",
            version_warning,
        )
        .only("kan", "the others do not look at the version"),
        Case::new("leniency::priority_without_a_number", io_priority),
        Case::new("leniency::device_path_with_slashes", device_path).deviates(
            "crun 1.8",
            "runc: the path is cleaned",
            "No such file or directory",
        ),
        Case::new("leniency::letters_of_device_access", device_access),
        Case::new("leniency::service_manager_is_gone", stale_notify_socket).deviates(
            "runc 1.1",
            "not in the spec: what `run` does, `start` can do as well",
            "exit status: 1",
        ),
        Case::new("leniency::warnings_are_on_stderr", warnings_on_stderr).deviates(
            "crun 1.8",
            "config.md, Capabilities: unknown ones are passed over with a warning",
            "stderr lacks",
        ),
        Case::new("leniency::warnings_are_in_the_log_alone", warnings_in_log).deviates(
            "crun 1.8",
            "config.md, Capabilities: unknown ones are passed over with a warning",
            "log lacks",
        ),
        Case::new("leniency::ambient_capability_that_cannot_be", ambient)
            .deviates("runc 1.1", CANNOT_BE_GRANTED, "lacks a warning")
            .deviates("crun 1.8", CANNOT_BE_GRANTED, "lacks a warning"),
        Case::new("leniency::log_that_cannot_be_written", unusable_log),
    ]
}

fn versions(ctx: &mut Ctx) -> Outcome {
    for version in ["1.0", "v1.0.0", ""] {
        let mut bundle = ctx.bundle_named(&format!("version-{version}"))?;
        bundle
            .set("/ociVersion", json!(version))
            .probe(&["exit", "7"]);
        ctx.run(&bundle)?.exits(7)?;
    }
    Ok(())
}

fn version_warning(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle
        .set("/ociVersion", json!("1.0"))
        .probe(&["exit", "0"]);
    let said = ctx.run(&bundle)?.ok()?.stderr;
    check!(
        said.contains("warning: ociVersion: \"1.0\""),
        "stderr lacks the version: {said}"
    );
    Ok(())
}

/// Go's runtimes can't tell a missing number from 0.
fn io_priority(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle
        .set("/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE"}))
        .probe(&["exit", "7"]);
    ctx.run(&bundle)?.exits(7).map(drop)
}

fn device_path(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let device = json!({"path": "/dev//some/", "type": "c", "major": 1, "minor": 3});
    bundle
        .set("/linux/devices", json!([device]))
        .probe(&["paths", "/dev/some"]);
    let report = Report::parse(&ctx.run(&bundle)?.ok()?.stdout)?;
    report.expect("/~1dev~1some/type", &json!("char"))
}

fn device_access(ctx: &mut Ctx) -> Outcome {
    for access in ["mwr", "rwmx", "rrw"] {
        let mut bundle = ctx.bundle_named(access)?;
        let rule = json!({"allow": true, "type": "c", "major": 10, "minor": 229, "access": access});
        bundle
            .set("/linux/resources/devices", json!([rule]))
            .probe(&["exit", "7"]);
        ctx.run(&bundle)?.exits(7)?;
    }
    Ok(())
}

fn stale_notify_socket(ctx: &mut Ctx) -> Outcome {
    let gone = ctx.dir.join("gone");
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "7"]);
    let run = ctx.with_bundle("run", &[], &bundle)?;
    run.env("NOTIFY_SOCKET", text(&gone)?).run()?.exits(7)?;
    let create = ctx.with_bundle("create", &[], &bundle)?;
    create.env("NOTIFY_SOCKET", text(&gone)?).run()?.ok()?;
    let start = ctx.oci(&["start", &ctx.id]);
    start.env("NOTIFY_SOCKET", text(&gone)?).run()?.ok()?;
    ctx.wait_stopped()
}

const UNKNOWN: &str = "CAP_OF_NOBODY";

fn with_unknown_capability(ctx: &Ctx) -> Result<Bundle, Fault> {
    let mut bundle = ctx.bundle()?;
    bundle
        .set("/process/capabilities/bounding/-", json!(UNKNOWN))
        .probe(&["exit", "0"]);
    Ok(bundle)
}

fn warnings_on_stderr(ctx: &mut Ctx) -> Outcome {
    let bundle = with_unknown_capability(ctx)?;
    let said = ctx.run(&bundle)?.ok()?.stderr;
    check!(said.contains(UNKNOWN), "stderr lacks {UNKNOWN}: {said}");
    bundle.save()?;
    let args = ["run", "--bundle", text(&bundle.dir)?, &ctx.id];
    let said = ctx.oci_with(&["--debug"], &args).run()?.ok()?.stderr;
    check!(
        said.contains(UNKNOWN),
        "--debug: stderr lacks {UNKNOWN}: {said}"
    );
    Ok(())
}

fn warnings_in_log(ctx: &mut Ctx) -> Outcome {
    let bundle = with_unknown_capability(ctx)?;
    bundle.save()?;
    let log = ctx.dir.join("log");
    let args = ["run", "--bundle", text(&bundle.dir)?, &ctx.id];
    let global = ["--log", text(&log)?];
    let done = ctx.oci_with(&global, &args).run()?.quiet()?;
    drop(done);
    let said = fs::read_to_string(&log)?;
    check!(said.contains(UNKNOWN), "log lacks {UNKNOWN}: {said}");
    Ok(())
}

/// capabilities(7): an ambient capability has to be permitted and inheritable.
fn ambient(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "7"]);
    bundle.set("/process/capabilities/ambient", json!(["CAP_CHOWN"]));
    bundle.set("/process/capabilities/inheritable", json!([]));
    let said = ctx.run(&bundle)?.exits(7)?.stderr;
    check!(said.contains("ambient"), "stderr lacks a warning: {said}");
    Ok(())
}

/// At once, and not when there is something to say.
fn unusable_log(ctx: &mut Ctx) -> Outcome {
    let log = ctx.dir.join("missing/log");
    let global = ["--log", text(&log)?];
    ctx.oci_with(&global, &["list"])
        .run()?
        .refuses(&["no such file or directory"])
}
