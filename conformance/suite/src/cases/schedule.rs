//! config.md, `process.scheduler`, `ioPriority`, `execCPUAffinity`; config-linux.md, `memoryPolicy`:
//! what is special in them, and in processes of `exec`.

use std::fs;

use super::hooks::{add, hook};
use crate::harness::prelude::*;
use crate::harness::report::Report;

pub fn cases() -> Vec<Case> {
    let young = |case: Case, what: &'static str, symptom: &'static str| {
        case.lacks("runc 1.1", what, symptom)
            .lacks("crun 1.8", what, symptom)
    };
    vec![
        young(
            Case::new("schedule::deadline_with_hooks", deadline_with_hooks),
            "schedulers",
            "policy: got",
        ),
        young(
            Case::new("schedule::real_time", real_time),
            "schedulers",
            "policy: got",
        ),
        young(
            Case::new("schedule::flags", flags),
            "schedulers",
            "policy: got",
        ),
        young(
            Case::new("schedule::scheduler_of_exec", scheduler_of_exec),
            "schedulers",
            "policy: got",
        ),
        young(
            Case::new("schedule::io_priority_of_exec", io_priority_of_exec),
            "I/O priorities",
            "/io_priority: got",
        ),
        young(
            Case::new("schedule::contradictions_are_refused", contradictions),
            "schedulers",
            "want exit code 1",
        ),
        young(
            Case::new("schedule::memory_policy_without_nodes", without_nodes),
            "memory policies",
            "numa_maps lacks",
        ),
        young(
            Case::new(
                "schedule::memory_policy_is_checked",
                memory_policy_is_checked,
            ),
            "memory policies",
            "want exit code 1",
        ),
        Case::new("schedule::affinity_is_told", affinity_is_told).only(
            "kan",
            "other runtimes have words of their own in their logs",
        ),
    ]
}

/// A policy with its parameters, as sched_setattr(2) takes them.
fn deadline() -> Value {
    json!({"policy": "SCHED_DEADLINE", "runtime": 10_000_000, "deadline": 20_000_000, "period": 30_000_000})
}

/// 6 is SCHED_DEADLINE. A task of it can't fork, and hooks are forked: those of startContainer by
/// the very process that becomes the program.
fn deadline_with_hooks(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let mut bundle = ctx.bundle()?;
    bundle.set("/process/scheduler", deadline());
    for kind in ["", "createRuntime", "createContainer", "startContainer"] {
        if !kind.is_empty() {
            add(&mut bundle, kind, hook("true"));
        }
        let report = ctx.report(&mut bundle)?;
        equal("policy", policy(&report), 6)?;
    }
    Ok(())
}

/// Without SCHED_RESET_ON_FORK, which a runtime may need for its hooks.
fn policy(report: &Report) -> i64 {
    let number = report.at("/scheduler/policy").as_i64().unwrap_or(-1);
    number & !0x4000_0000
}

/// The kernel gives no real-time share to a new cgroup of v1 by itself.
fn real_time(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let share = "cpu.rt_runtime_us";
    let shared = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"];
    if !ctx.unified
        && shared
            .iter()
            .any(|dir| fs::exists(format!("{dir}/{share}")).unwrap_or(false))
    {
        let cpu = json!({"realtimePeriod": 1_000_000, "realtimeRuntime": 10_000});
        bundle.set("/linux/resources/cpu", cpu);
    }
    for (policy, number) in [("SCHED_FIFO", 1), ("SCHED_RR", 2)] {
        bundle.set(
            "/process/scheduler",
            json!({"policy": policy, "priority": 7}),
        );
        let report = ctx.report(&mut bundle)?;
        equal("policy", report.at("/scheduler/policy"), &json!(number))?;
        equal("priority", report.at("/scheduler/priority"), &json!(7))?;
    }
    Ok(())
}

/// sched_getscheduler(2) answers the policy with SCHED_RESET_ON_FORK, 0x40000000, where it is set.
fn flags(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    for name in ["SCHED_FLAG_RESET_ON_FORK", "SCHED_RESET_ON_FORK"] {
        let set = json!({"policy": "SCHED_BATCH", "flags": [name]});
        bundle.set("/process/scheduler", set);
        let report = ctx.report(&mut bundle)?;
        equal(
            "policy",
            report.at("/scheduler/policy"),
            &json!(0x4000_0003),
        )?;
    }
    let mut reclaiming = deadline();
    reclaiming["flags"] = json!(["SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN"]);
    bundle.set("/process/scheduler", reclaiming);
    let report = ctx.report(&mut bundle)?;
    equal("policy", report.at("/scheduler/policy"), &json!(6))?;
    bundle.set(
        "/process/scheduler",
        json!({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_BOGUS"]}),
    );
    ctx.try_create(&bundle)?.refuses(&["SCHED_FLAG_BOGUS"])?;
    ctx.expect_nothing_left()
}

/// Starts a sleeper in a container with these settings of its process.
fn sleeper(ctx: &Ctx, process: &[(&str, Value)]) -> Result<Bundle, Fault> {
    let mut bundle = ctx.bundle()?;
    for (key, value) in process {
        bundle.set(&format!("/process/{key}"), value.clone());
    }
    bundle.probe(&["sleep"]);
    add(&mut bundle, "startContainer", hook("true"));
    ctx.launch(&bundle)?.wait_for("ready")?;
    Ok(bundle)
}

/// The container's own, where nothing else is said; and that of a process document.
fn scheduler_of_exec(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    sleeper(ctx, &[("scheduler", deadline())])?;
    let report = ctx.exec_report(&[])?;
    equal("policy", report.at("/scheduler/policy"), &json!(6))?;
    let batch = json!({"policy": "SCHED_BATCH", "nice": 4});
    let report = by_document(ctx, "scheduler", batch)?;
    equal("policy", report.at("/scheduler/policy"), &json!(3))?;
    equal("nice", report.at("/scheduler/nice"), &json!(4))
}

/// The report of a process that a document describes.
fn by_document(ctx: &Ctx, key: &str, value: Value) -> Result<Report, Fault> {
    let document =
        json!({"cwd": "/", "args": ["/probe", "report"], "user": {"uid": 0, "gid": 0}, key: value});
    let file = ctx.dir.join("process.json");
    fs::write(&file, document.to_string())?;
    let cmd = ctx.oci(&["exec", "--process"]).arg(&file).arg(&ctx.id);
    Report::parse(&cmd.run()?.ok()?.stdout)
}

/// ioprio_set(2): 2 is best-effort, 3 idle.
fn io_priority_of_exec(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let class = |class, priority: u32| json!({"class": class, "priority": priority});
    sleeper(ctx, &[("ioPriority", class("IOPRIO_CLASS_BE", 6))])?;
    let report = ctx.exec_report(&[])?;
    report.expect("/io_priority", &json!({"class": 2, "priority": 6}))?;
    let report = by_document(ctx, "ioPriority", class("IOPRIO_CLASS_IDLE", 0))?;
    report.expect("/io_priority", &json!({"class": 3, "priority": 0}))
}

/// runc's rules, with its words.
fn contradictions(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    for (set, text) in [
        (json!({"policy": "SCHED_OTHER", "priority": 1}), "priority"),
        (
            json!({"policy": "SCHED_FIFO", "priority": 1, "runtime": 5}),
            "runtime",
        ),
        (json!({"policy": "SCHED_OTHER", "nice": 20}), "nice"),
        (json!({"policy": "SCHED_NONE"}), "SCHED_NONE"),
        (json!({"nice": 1}), "policy"),
    ] {
        bundle.set("/process/scheduler", set);
        ctx.try_create(&bundle)?.refuses(&[text])?;
        ctx.expect_nothing_left()?;
    }
    Ok(())
}

/// set_mempolicy(2): a policy that prefers no node is that of the CPU's own.
fn without_nodes(ctx: &mut Ctx) -> Outcome {
    if !fs::exists("/proc/self/numa_maps")? {
        skip!("a kernel without NUMA");
    }
    let mut bundle = ctx.bundle()?;
    for (set, want) in [
        (json!({"mode": "MPOL_LOCAL", "nodes": ""}), " local"),
        (json!({"mode": "MPOL_LOCAL"}), " local"),
        (json!({"mode": "MPOL_PREFERRED", "nodes": ""}), " local"),
        (json!({"mode": "MPOL_DEFAULT", "nodes": ""}), " default"),
    ] {
        bundle
            .set("/linux/memoryPolicy", set.clone())
            .probe(&["cat", "/proc/self/numa_maps"]);
        let done = ctx.run(&bundle)?.ok()?;
        check!(
            done.stdout.contains(want),
            "{set}: numa_maps lacks {want:?}: {}",
            done.stdout
        );
    }
    Ok(())
}

fn memory_policy_is_checked(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    for (set, text) in [
        (
            json!({"mode": "MPOL_NONE", "nodes": "0"}),
            "invalid memory policy",
        ),
        (
            json!({"mode": "MPOL_BIND", "nodes": "x"}),
            "invalid memory policy",
        ),
        (
            json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_NONE"]}),
            "invalid memory policy",
        ),
    ] {
        bundle.set("/linux/memoryPolicy", set);
        ctx.try_create(&bundle)?.refuses(&[text])?;
        ctx.expect_nothing_left()?;
    }
    Ok(())
}

/// The log of `exec --debug` says on which CPUs, as a mask.
fn affinity_is_told(ctx: &mut Ctx) -> Outcome {
    let affinity = json!({"initial": "0", "final": "0-1"});
    sleeper(ctx, &[("execCPUAffinity", affinity)])?;
    let log = ctx.dir.join("exec.log");
    let global = ["--debug", "--log", &log.to_string_lossy()];
    let cmd = ctx.oci_with(&global, &["exec", &ctx.id, "/probe", "exit", "0"]);
    cmd.run()?.ok()?;
    let said = fs::read_to_string(&log)?;
    for mask in ["affinity: 0x1)", "affinity: 0x3)"] {
        check!(said.contains(mask), "no {mask} in {said}");
    }
    Ok(())
}
