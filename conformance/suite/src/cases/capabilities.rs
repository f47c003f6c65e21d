//! config.md, "capabilities", where runtimes are forgiving and where they are not.

use crate::harness::container::text;
use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("capabilities::unknown_is_a_warning", unknown_is_a_warning),
        Case::new(
            "capabilities::contradictory_is_refused",
            contradictory_is_refused,
        ),
        Case::new("capabilities::missing_ones_are_a_warning", missing_ones)
            .deviates("runc 1.1", WARNING, "operation not permitted")
            .deviates("crun 1.8", WARNING, "peration not permitted"),
        Case::new("capabilities::none_at_all", none_at_all),
        Case::new("capabilities::lower_case_is_unknown", lower_case_is_unknown)
            .only("kan", "runc takes it for the same, crun refuses it"),
    ]
}

const WARNING: &str = "config.md, capabilities: what cannot be granted MUST be logged as a warning";

/// "… or cannot be granted otherwise MUST be logged as a warning by the runtime": root that lacks some,
/// as in a container around the runtime.
fn missing_ones(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    for set in ["bounding", "effective", "permitted"] {
        bundle.set(
            &format!("/process/capabilities/{set}"),
            json!(["CAP_KILL", "CAP_SYS_TIME"]),
        );
    }
    bundle.probe(&["report"]).save()?;
    let log = ctx.dir.join("log");
    let dir = text(&bundle.dir)?;
    let run = ctx.oci_with(&["--log", text(&log)?], &["run", "--bundle", dir, &ctx.id]);
    let run = run.wrapped(&["setpriv", "--bounding-set", "-sys_time"]);
    let report = crate::harness::report::Report::parse(&run.run()?.quiet()?.stdout)?;
    for set in ["bounding", "effective", "permitted"] {
        let got = report.strings(&format!("/capabilities/{set}"));
        equal(set, got, vec!["CAP_KILL"])?;
    }
    let log = crate::harness::bundle::read(&log)?;
    check!(
        log.contains("warning") && log.contains("CAP_SYS_TIME"),
        "log: {log}"
    );
    Ok(())
}

/// "Any value which cannot be mapped to a relevant kernel interface … MUST be logged as a warning",
/// in words that suites look for.
fn unknown_is_a_warning(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    for set in ["bounding", "effective", "permitted"] {
        bundle.set(
            &format!("/process/capabilities/{set}"),
            json!(["CAP_KILL", "CAP_BANANA"]),
        );
    }
    bundle.probe(&["report"]).save()?;
    let log = ctx.dir.join("log");
    let dir = text(&bundle.dir)?;
    let done = ctx.oci_with(&["--log", text(&log)?], &["run", "--bundle", dir, &ctx.id]);
    let report = crate::harness::report::Report::parse(&done.run()?.quiet()?.stdout)?;
    equal(
        "bounding set",
        report.strings("/capabilities/bounding"),
        vec!["CAP_KILL"],
    )?;
    if ctx.runtime().speaks_like_runc() {
        let log = crate::harness::bundle::read(&log)?;
        let words = "ignoring unknown or unavailable capabilities: [CAP_BANANA]";
        check!(log.contains("warning") && log.contains(words), "log: {log}");
    }
    Ok(())
}

/// What is not in the bounding set cannot be inheritable: capset(2).
fn contradictory_is_refused(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "0"]).set(
        "/process/capabilities/inheritable",
        json!(["CAP_SYS_CHROOT"]),
    );
    ctx.try_create(&bundle)?
        .refuses(&["operation not permitted"])?;
    ctx.expect_nothing_left()
}

fn none_at_all(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.set("/process/capabilities", json!({}));
    let report = ctx.report(&mut bundle)?;
    for set in [
        "bounding",
        "effective",
        "permitted",
        "inheritable",
        "ambient",
    ] {
        let all = report.strings(&format!("/capabilities/{set}"));
        check!(all.is_empty(), "{set}: {all:?}");
    }
    Ok(())
}

fn lower_case_is_unknown(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.set(
        "/process/capabilities/bounding",
        json!(["cap_kill", "CAP_KILL"]),
    );
    let report = ctx.report(&mut bundle)?;
    equal(
        "bounding set",
        report.strings("/capabilities/bounding"),
        vec!["CAP_KILL"],
    )
}
