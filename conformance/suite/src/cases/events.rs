//! `events`: statistics in runc's shape and news of being out of memory, a line of JSON each, until
//! the container is deleted.

use std::time::Duration;

use super::limits::need;
use super::limits_bite::{GREEDY, MEMORY, let_go, obedient};
use crate::harness::command::Running;
use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("events::statistics_have_every_part", every_part),
        Case::new("events::statistics_are_true", are_true),
        Case::new("events::come_in_the_interval", in_the_interval),
        Case::new("events::out_of_memory_is_told", oom_is_told),
        Case::new("events::end_with_the_container", end_with_the_container),
        Case::new(
            "events::end_with_the_container_though_another_came",
            another_came,
        )
        .only(
            "kan",
            "others look at the container's cgroup, which is there again",
        ),
        Case::new("events::wrong_intervals_are_refused", wrong_intervals),
        Case::new("events::of_stopped_are_refused", of_stopped),
    ]
}

fn no_crun(ctx: &Ctx) -> Outcome {
    if ctx.runtime().name == "crun" {
        skip!("crun has no events");
    }
    Ok(())
}

fn statistics(ctx: &Ctx) -> Result<Value, Fault> {
    let done = ctx.verb(&["events", "--stats"])?.quiet()?;
    equal("lines", done.stdout.lines().count(), 1)?;
    let start = format!("{{\"type\":\"stats\",\"id\":\"{}\",\"data\":{{", ctx.id);
    check!(
        done.stdout.starts_with(&start),
        "starts with {}",
        done.stdout
    );
    Ok(serde_json::from_str(&done.stdout)?)
}

fn every_part(ctx: &mut Ctx) -> Outcome {
    no_crun(ctx)?;
    ctx.launch_sleeper()?;
    let event = statistics(ctx)?;
    for part in [
        "cpu",
        "cpuset",
        "memory",
        "pids",
        "blkio",
        "hugetlb",
        "intel_rdt",
        "network_interfaces",
    ] {
        check!(event["data"].get(part).is_some(), "no {part}: {event}");
    }
    for pointer in [
        "/data/cpu/usage/kernel",
        "/data/cpu/usage/user",
        "/data/memory/usage/limit",
        "/data/memory/usage/failcnt",
        "/data/memory/swap/limit",
        "/data/cpuset/cpu_exclusive",
    ] {
        check!(
            event.pointer(pointer).is_some_and(Value::is_number),
            "no number {pointer}: {event}"
        );
    }
    Ok(())
}

fn are_true(ctx: &mut Ctx) -> Outcome {
    no_crun(ctx)?;
    need(ctx, &MEMORY)?;
    ctx.need_busybox()?;
    let mut bundle = ctx.bundle()?;
    bundle
        .shell("echo ready; while [ ! -e /go ]; do :; done; sleep 100 & sleep 100 & wait")
        .set(
            "/linux/resources",
            json!({"memory": {"limit": 67_108_864}, "pids": {"limit": 40}}),
        );
    ctx.launch(&bundle)?.wait_for("ready")?;
    let number =
        |event: &Value, pointer: &str| event.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let first = statistics(ctx)?;
    std::thread::sleep(Duration::from_millis(100));
    let_go(&bundle)?;
    crate::harness::command::until("three processes", || {
        Ok(number(&statistics(ctx)?, "/data/pids/current") == 3)
    })?;
    let second = statistics(ctx)?;
    let total = |event: &Value| number(event, "/data/cpu/usage/total");
    check!(
        total(&second) > total(&first),
        "no CPU time was used: {second}"
    );
    check!(total(&second) < 60_000_000_000, "not nanoseconds: {second}");
    equal("the limit of pids", number(&second, "/data/pids/limit"), 40)?;
    equal(
        "the limit of memory",
        number(&second, "/data/memory/usage/limit"),
        67_108_864,
    )?;
    let used = number(&second, "/data/memory/usage/usage");
    check!(used > 4096 && used < 67_108_864, "{used} bytes are in use");
    check!(
        second.pointer("/data/memory/raw/pgfault").is_some(),
        "no memory.stat: {second}"
    );
    Ok(())
}

/// Starts `events` in the background.
fn listen(ctx: &Ctx, interval: &str) -> Result<Running, Fault> {
    ctx.oci(&["events", "--interval", interval, &ctx.id])
        .spawn()
}

fn in_the_interval(ctx: &mut Ctx) -> Outcome {
    no_crun(ctx)?;
    ctx.launch_sleeper()?;
    let mut events = listen(ctx, "150ms")?;
    crate::harness::command::until("three events", || Ok(events.stdout().lines().count() >= 3))?;
    events.wait_for("\"type\":\"stats\"")?;
    ctx.verb(&["delete", "--force"])?.ok()?;
    events.wait()?.ok()?;
    Ok(())
}

fn oom_is_told(ctx: &mut Ctx) -> Outcome {
    no_crun(ctx)?;
    need(ctx, &MEMORY)?;
    let (bundle, ended) = obedient(ctx, serde_json::from_str(MEMORY.resources)?, GREEDY)?;
    let launched = ctx.launch(&bundle)?;
    launched.wait_for("ready")?;
    let mut events = listen(ctx, "300ms")?;
    // By its first line it has begun.
    events.wait_for("stats")?;
    check!(
        !events.stdout().contains("\"type\":\"oom\""),
        "out of memory at the start"
    );
    let_go(&bundle)?;
    launched.wait_for(&ended)?;
    events.wait_for(&format!("{{\"type\":\"oom\",\"id\":\"{}\"}}\n", ctx.id))?;
    ctx.verb(&["delete", "--force"])?.ok()?;
    let told = events.wait()?.ok()?.stdout;
    if ctx.runtime().name == "kan" {
        told.lines()
            .try_for_each(|line| super::schemas::conforms("events", line))?;
    }
    Ok(())
}

fn end_with_the_container(ctx: &mut Ctx) -> Outcome {
    no_crun(ctx)?;
    ctx.launch_sleeper()?;
    // Long before the first statistics are due.
    let events = listen(ctx, "1h")?;
    std::thread::sleep(Duration::from_millis(200));
    ctx.verb(&["delete", "--force"])?.ok()?;
    let done = events.wait()?.ok()?;
    check!(
        !done.stdout.contains("\"type\":\"oom\""),
        "out of memory at its end: {}",
        done.stdout
    );
    Ok(())
}

fn wrong_intervals(ctx: &mut Ctx) -> Outcome {
    no_crun(ctx)?;
    ctx.launch_sleeper()?;
    for interval in ["0s", "-1s"] {
        let flag = format!("--interval={interval}");
        let done = ctx.verb(&["events", &flag])?;
        done.refuses(&["duration interval must be greater than 0"])?;
    }
    check!(
        !ctx.verb(&["events", "--interval=5x"])?.status.success(),
        "5x was taken"
    );
    Ok(())
}

fn of_stopped(ctx: &mut Ctx) -> Outcome {
    no_crun(ctx)?;
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "0"]);
    ctx.launch(&bundle)?;
    ctx.wait_stopped()?;
    let text = format!("container with id {} is not running", ctx.id);
    ctx.verb(&["events", "--stats"])?.refuses(&[&text])
}

/// A container of the same id was created before anybody looked again.
fn another_came(ctx: &mut Ctx) -> Outcome {
    let bundle = ctx.launch_sleeper()?;
    let mut events = ctx
        .oci(&["events", "--interval", "100ms", &ctx.id])
        .spawn()?;
    events.wait_for("stats")?;
    events.signal(rustix::process::Signal::STOP)?;
    ctx.kill("KILL")?.ok()?;
    ctx.wait_stopped()?;
    ctx.delete()?;
    ctx.create(&bundle)?;
    events.signal(rustix::process::Signal::CONT)?;
    events.wait()?.exits(0)?;
    Ok(())
}
