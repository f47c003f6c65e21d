//! What the runtime says, and where: engines read the log file, people read standard error.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::cgroup::{has_controller, mount_point};
use crate::harness::container::{in_own_mounts, text};
use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("logs::json_record_of_an_error", json_record_of_an_error),
        Case::new(
            "logs::json_record_of_a_failed_program",
            json_record_of_a_failed_program,
        ),
        Case::new("logs::json_record_of_a_bad_flag", json_record_of_a_bad_flag).deviates(
            "crun",
            "not in the spec; crun has its own command line",
            "want exit code 1",
        ),
        Case::new("logs::json_holds_one_error", json_holds_one_error),
        Case::new("logs::json_holds_nothing_else", json_holds_nothing_else).only(
            "kan",
            "runc warns there too where cgroup v2 has no memory controller",
        ),
        Case::new(
            "logs::success_writes_nothing_in_the_log",
            success_writes_nothing,
        ),
        Case::new("logs::every_verb_is_quiet", every_verb_is_quiet).deviates(
            "crun",
            "not in the spec; runc's verb",
            "unknown command events",
        ),
        Case::new("logs::text_log", text_log),
        Case::new("logs::unknown_format_is_refused", unknown_format_is_refused),
        Case::new("logs::error_is_one_line_of_kan", error_is_one_line)
            .only("kan", "the form of its messages is its own promise"),
        Case::new("logs::version", version),
        Case::new("logs::help", help).deviates(
            "crun",
            "not in the spec; crun has its own command line",
            "invalid option -- 'h'",
        ),
        Case::new("logs::journald_hears_it", |ctx| {
            delivered(ctx, "journald", "/run/systemd/journal", "socket")
        })
        .deviates(
            "crun 1.8",
            "crun(1): --log=journald:IDENTIFIER",
            "no identifier",
        ),
        Case::new("logs::syslog_hears_it", |ctx| {
            delivered(ctx, "syslog", "/dev", "log")
        }),
    ]
}

/// Runs a failing command with a log file and answers the last record of it.
fn last_record(ctx: &Ctx, args: &[&str]) -> Result<(Value, usize), Fault> {
    let log = ctx.dir.join("log.json");
    let global = ["--log", text(&log)?, "--log-format", "json"];
    ctx.oci_with(&global, args).run()?.exits(1)?;
    let written = fs::read_to_string(&log)?;
    let lines: Vec<&str> = written.lines().collect();
    match lines
        .last()
        .and_then(|line| serde_json::from_str(line).ok())
    {
        Some(record) => Ok((record, lines.len())),
        None => fail!("the log's last line is no JSON: {written:?}"),
    }
}

/// Checks level and time and answers the message.
fn message(record: &Value) -> Result<&str, Fault> {
    equal("level", &record["level"], "error")?;
    let time = record["time"].as_str().unwrap_or_default();
    let shape: String = time
        .chars()
        .take(19)
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    equal("time, digits as 0", shape.as_str(), "0000-00-00T00:00:00")?;
    let zone = &time[19.min(time.len())..];
    check!(
        zone.ends_with('Z') || zone.contains(['+', '-']),
        "time without zone: {time}"
    );
    match record["msg"].as_str() {
        Some(message) => Ok(message),
        None => fail!("no msg: {record}"),
    }
}

fn json_record_of_an_error(ctx: &mut Ctx) -> Outcome {
    let (record, _) = last_record(ctx, &["start", &ctx.id])?;
    let message = message(&record)?;
    let plain = message.contains("does not exist");
    check!(plain || !ctx.runtime().speaks_like_runc(), "msg: {message}");
    Ok(())
}

fn json_record_of_a_failed_program(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.args(&["nosuch"]).save()?;
    let dir = text(&bundle.dir)?;
    let (record, _) = last_record(ctx, &["create", "--bundle", dir, &ctx.id])?;
    let message = message(&record)?;
    let plain = message.contains("executable file not found in");
    check!(plain || !ctx.runtime().speaks_like_runc(), "msg: {message}");
    Ok(())
}

/// Engines see nothing but the log.
fn json_record_of_a_bad_flag(ctx: &mut Ctx) -> Outcome {
    let (record, lines) = last_record(ctx, &["create", "--bogus", &ctx.id])?;
    let message = message(&record)?;
    check!(message.contains("-bogus"), "msg: {message}");
    equal("lines in the log", lines, 1)
}

/// Answers the number of lines in the log of a failed create, and of those that are errors.
fn lines_of_a_failure(ctx: &Ctx) -> Result<(usize, usize), Fault> {
    let mut bundle = ctx.bundle()?;
    bundle.args(&["/nope"]).save()?;
    let dir = text(&bundle.dir)?;
    let (_, lines) = last_record(ctx, &["create", "--bundle", dir, &ctx.id])?;
    let written = fs::read_to_string(ctx.dir.join("log.json"))?;
    Ok((lines, written.matches("\"level\":\"error\"").count()))
}

fn json_holds_one_error(ctx: &mut Ctx) -> Outcome {
    equal("errors in the log", lines_of_a_failure(ctx)?.1, 1)
}

/// podman parses the whole file as one object.
fn json_holds_nothing_else(ctx: &mut Ctx) -> Outcome {
    equal(
        "lines and errors in the log",
        lines_of_a_failure(ctx)?,
        (1, 1),
    )
}

fn success_writes_nothing(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "0"]).save()?;
    let log = ctx.dir.join("log.json");
    let global = ["--log", text(&log)?, "--log-format", "json"];
    let dir = text(&bundle.dir)?;
    for args in [
        vec!["create", "--bundle", dir, &ctx.id],
        vec!["start", &ctx.id],
    ] {
        ctx.oci_with(&global, &args).run()?.quiet()?;
    }
    ctx.wait_stopped()?;
    ctx.oci_with(&global, &["delete", &ctx.id]).run()?.quiet()?;
    let written = fs::read_to_string(&log).unwrap_or_default();
    equal("log", written.as_str(), "")
}

/// What a verb says on standard error, engines show as the container's words.
fn every_verb_is_quiet(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let has_pids = !ctx.unified || mount_point("").is_some_and(|dir| has_controller(&dir, "pids"));
    let update = ["update", "--pids-limit", "20"];
    for verb in [
        &["state"][..],
        &["ps", "--format", "json"],
        &["events", "--stats"],
        // Nothing is asked for where there is no controller to ask.
        if has_pids { &update } else { &update[..1] },
        &["pause"],
        &["resume"],
        &["kill", "--all"],
    ] {
        let mut args = verb.to_vec();
        args.push(&ctx.id);
        if verb.contains(&"kill") {
            args.push("KILL");
        }
        ctx.oci(&args).run()?.quiet()?;
    }
    ctx.wait_stopped()?;
    for args in [&["list"][..], &["delete", &ctx.id], &["--version"]] {
        ctx.oci(args).run()?.quiet()?;
    }
    ctx.oci(&["delete", "--force", &ctx.id]).run()?.quiet()?;
    Ok(())
}

fn text_log(ctx: &mut Ctx) -> Outcome {
    let log = ctx.dir.join("log.txt");
    ctx.oci_with(&["--log", text(&log)?], &["start", &ctx.id])
        .run()?
        .exits(1)?;
    let written = fs::read_to_string(&log)?;
    let words = if ctx.runtime().speaks_like_runc() {
        "does not exist"
    } else {
        &ctx.id
    };
    check!(written.contains(words), "log: {written:?}");
    Ok(())
}

fn unknown_format_is_refused(ctx: &mut Ctx) -> Outcome {
    let done = ctx
        .oci_with(&["--log-format", "xml"], &["state", &ctx.id])
        .run()?;
    check!(done.status.code() != Some(0), "accepted");
    check!(
        done.stderr.contains("xml") || done.stdout.contains("xml"),
        "does not name the format"
    );
    Ok(())
}

fn error_is_one_line(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.args(&["nosuch"]).save()?;
    let dir = text(&bundle.dir)?;
    for args in [
        vec!["state", &ctx.id],
        vec!["create", "--bundle", dir, &ctx.id],
    ] {
        let done = ctx.oci(&args).run()?.exits(1)?;
        check!(
            done.stderr.starts_with("kan: "),
            "stderr: {:?}",
            done.stderr
        );
        equal("lines on stderr", done.stderr.lines().count(), 1)?;
    }
    Ok(())
}

fn version(ctx: &mut Ctx) -> Outcome {
    let done = ctx.oci(&["--version"]).run()?.ok()?;
    let lines: Vec<&str> = done.stdout.lines().collect();
    let begin = format!("{} version ", ctx.runtime().name);
    check!(
        lines.first().is_some_and(|l| l.starts_with(&begin)),
        "first line: {lines:?}"
    );
    check!(
        lines.iter().any(|l| l.starts_with("commit: ")),
        "no commit: {lines:?}"
    );
    check!(
        lines.iter().any(|l| l.starts_with("spec: 1.")),
        "no spec: {lines:?}"
    );
    Ok(())
}

fn help(ctx: &mut Ctx) -> Outcome {
    for args in [
        vec!["--help"],
        vec!["-h"],
        vec!["create", "--help"],
        vec!["run", "--help"],
    ] {
        let done = ctx.oci(&args).run()?.ok()?;
        check!(!done.stdout.is_empty(), "{args:?} prints nothing");
    }
    Ok(())
}

/// crun's `--log=journald:ID` and `--log=syslog:ID`: a failure reaches who listens at the usual
/// place, here a socket of the case's own, in a mount namespace of the command's.
fn delivered(ctx: &mut Ctx, kind: &str, place: &str, name: &str) -> Outcome {
    if ctx.runtime().matches("runc") {
        skip!("runc's log is a file");
    }
    let path = ctx.dir.join("listens");
    let listens = UnixDatagram::bind(&path)?;
    listens.set_read_timeout(Some(Duration::from_secs(5)))?;
    let covered = if place.starts_with("/run") {
        "/run"
    } else {
        place
    };
    let script = format!(
        "mount -t tmpfs none {covered} && mkdir -p {place} && ln -s {} {place}/{name} && exec \"$@\"",
        text(&path)?
    );
    let log = format!("{kind}:somebody");
    let cmd = ctx.oci_with(&["--log", &log], &["state", "nosuch"]);
    let private = [&in_own_mounts(&script)[..], &["sh"]].concat();
    let done = cmd.wrapped(&private).run()?;
    check!(!done.status.success(), "there is such a container");
    let mut entry = [0; 4096];
    let Ok(length) = listens.recv(&mut entry) else {
        fail!("nothing came: {}", done.stderr);
    };
    let heard = String::from_utf8_lossy(&entry[..length]);
    check!(heard.contains("somebody"), "no identifier: {heard:?}");
    let error = done.stderr.trim();
    let why = error.rsplit(": ").next().unwrap_or(error);
    check!(heard.contains(why), "not {why:?}: {heard:?}");
    let graves = if kind == "syslog" {
        &["<27>", "<11>"][..]
    } else {
        &["PRIORITY=3\n"]
    };
    let is_error = graves.iter().any(|grave| heard.contains(grave));
    check!(is_error, "not an error: {heard:?}");
    Ok(())
}
