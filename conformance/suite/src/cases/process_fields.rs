//! config.md, Process, and config-linux.md: what the kernel keeps of a process besides its ids.

use crate::harness::prelude::*;
use crate::harness::report::Report;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("process::scheduler", scheduler)
            .lacks("crun 1.8", "schedulers", "/scheduler: got")
            .lacks("runc 1.1", "schedulers", "/scheduler: got"),
        Case::new("process::io_priority", io_priority)
            .lacks("crun 1.8", "I/O priorities", "/io_priority: got")
            .lacks("runc 1.1", "I/O priorities", "/io_priority: got"),
        Case::new("process::personality", personality).lacks(
            "runc 1.1",
            "personalities",
            "/personality: got Number(0)",
        ),
        Case::new("process::memory_policy", memory_policy)
            .lacks("crun 1.8", "memory policies", "MPOL_BIND: no bind:0")
            .lacks("runc 1.1", "memory policies", "MPOL_BIND: no bind:0"),
        Case::new("process::time_offsets", time_offsets)
            .lacks("crun 1.8", "time namespaces", "write to sync socket")
            .lacks("runc 1.1", "time namespaces", "does not exist"),
        Case::new("process::umask", umask),
        Case::new("process::oom_score", oom_score),
        Case::new("process::callers_affinity_is_not_kept", callers_affinity)
            .lacks(
                "crun 1.8",
                "a reset of the caller's affinity",
                "/affinity: got",
            )
            .lacks(
                "runc 1.1",
                "a reset of the caller's affinity",
                "/affinity: got",
            ),
        Case::new("process::exec_affinity", exec_affinity)
            .lacks("crun 1.8", "execCPUAffinity", "/affinity: got")
            .lacks("runc 1.1", "execCPUAffinity", "/affinity: got"),
        Case::new("process::additional_gids", additional_gids),
        Case::new("process::groups_of_the_caller", groups_of_the_caller).lacks(
            "runc 1.1",
            "the annotation",
            "groups: got",
        ),
        Case::new("process::rlimits", rlimits),
        Case::new("process::rlimit_twice_is_refused", rlimit_twice).deviates(
            "crun 1.8",
            "runtime.md, Errors: as if the operation were never attempted",
            "left behind",
        ),
        Case::new(
            "process::rlimit_soft_above_hard_is_refused",
            rlimit_soft_above_hard,
        )
        .deviates(
            "crun 1.8",
            "runtime.md, Errors: as if the operation were never attempted",
            "left behind",
        ),
        Case::new("process::rlimit_unknown_is_refused", rlimit_unknown).deviates(
            "crun 1.8",
            "runtime.md, Errors: as if the operation were never attempted",
            "left behind",
        ),
        Case::new("process::labels_need_their_module", labels_without_module),
        Case::new("process::ambient_capabilities", ambient_capabilities),
        Case::new("process::cwd_is_made", cwd_is_made),
        Case::new("process::hostname", hostname),
        Case::new("process::domainname", domainname).lacks(
            "runc 1.1",
            "domainname",
            "/domainname: got",
        ),
    ]
}

/// sched(7): 3 is SCHED_BATCH, 5 SCHED_IDLE.
fn scheduler(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    for (set, want) in [
        (
            json!({"policy": "SCHED_BATCH", "nice": 7}),
            json!({"policy": 3, "priority": 0, "nice": 7}),
        ),
        (
            json!({"policy": "SCHED_IDLE"}),
            json!({"policy": 5, "priority": 0, "nice": 0}),
        ),
        (
            json!({"policy": "SCHED_OTHER", "nice": 3}),
            json!({"policy": 0, "priority": 0, "nice": 3}),
        ),
    ] {
        bundle.set("/process/scheduler", set);
        ctx.report(&mut bundle)?.expect("/scheduler", &want)?;
    }
    Ok(())
}

/// ioprio_set(2): 2 is best-effort, 3 idle.
fn io_priority(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    for (class, priority, number) in [("IOPRIO_CLASS_BE", 6, 2), ("IOPRIO_CLASS_IDLE", 0, 3)] {
        let set = json!({"class": class, "priority": priority});
        bundle.set("/process/ioPriority", set);
        let want = json!({"class": number, "priority": priority});
        ctx.report(&mut bundle)?.expect("/io_priority", &want)?;
    }
    Ok(())
}

/// personality(2): 8 is PER_LINUX32, under which uname(2) names another machine.
fn personality(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let mut bundle = ctx.bundle()?;
    ctx.report(&mut bundle)?.expect("/personality", &json!(0))?;
    bundle.set("/linux/personality", json!({"domain": "LINUX32"}));
    ctx.report(&mut bundle)?.expect("/personality", &json!(8))?;
    bundle.shell("busybox uname -m");
    let done = ctx.run(&bundle)?.ok()?;
    let machine = done.stdout.trim_end();
    let other = matches!(machine, "i686" | "armv8l");
    check!(other, "uname -m: {machine}");
    Ok(())
}

/// numa(7): /proc/self/numa_maps begins each line with address and policy.
fn memory_policy(ctx: &mut Ctx) -> Outcome {
    if !std::path::Path::new("/proc/self/numa_maps").exists() {
        skip!("a kernel without NUMA");
    }
    let mut bundle = ctx.bundle()?;
    for (mode, want) in [
        ("MPOL_BIND", "bind:0"),
        ("MPOL_PREFERRED", "prefer:0"),
        ("MPOL_INTERLEAVE", "interleave:0"),
    ] {
        let set = json!({"mode": mode, "nodes": "0"});
        bundle
            .set("/linux/memoryPolicy", set)
            .probe(&["cat", "/proc/self/numa_maps"]);
        let done = ctx.run(&bundle)?.ok()?;
        let seen = done.stdout.lines().any(|line| line.contains(want));
        check!(seen, "{mode}: no {want}: {}", done.stdout);
    }
    Ok(())
}

/// time_namespaces(7): /proc/uptime is boot time. A process of `exec` has the same clocks.
fn time_offsets(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let offsets = json!({
        "boottime": {"secs": 50_000_000},
        "monotonic": {"secs": 60_000_000, "nanosecs": 5},
    });
    bundle
        .set("/linux/namespaces/-", json!({"type": "time"}))
        .set("/linux/timeOffsets", offsets)
        .probe(&["sleep"]);
    ctx.launch(&bundle)?.wait_for("ready")?;
    let host = std::fs::read_link("/proc/self/ns/time")?;
    let own = std::fs::read_link(format!("/proc/{}/ns/time", ctx.pid()?))?;
    check!(own != host, "the host's time namespace");
    let done = ctx
        .exec(&[], &["/probe", "cat", "/proc/uptime"])
        .run()?
        .ok()?;
    let seconds = done.stdout.split('.').next().unwrap_or_default();
    let seconds: u64 = seconds.parse()?;
    check!(seconds >= 50_000_000, "uptime of exec: {seconds}");
    ctx.verb(&["delete", "--force"])?.ok()?;
    for (file, line) in [
        ("/proc/uptime", "5"),
        ("/proc/self/timens_offsets", "monotonic"),
    ] {
        bundle.probe(&["cat", file]);
        let done = ctx.run(&bundle)?.ok()?;
        check!(done.stdout.starts_with(line), "{file}: {}", done.stdout);
        let set = done.stdout.contains("60000000") || file == "/proc/uptime";
        check!(set, "{file}: {}", done.stdout);
    }
    Ok(())
}

fn umask(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    for mask in [0o077, 0, 0o027] {
        bundle.set("/process/user/umask", json!(mask));
        ctx.report(&mut bundle)?.expect("/umask", &json!(mask))?;
    }
    Ok(())
}

fn oom_score(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    for score in [0, 1, 1000] {
        bundle.set("/process/oomScoreAdj", json!(score));
        ctx.report(&mut bundle)?
            .expect("/oom_score_adj", &json!(score))?;
    }
    Ok(())
}

/// An engine that is bound to a CPU does not mean its containers.
fn callers_affinity(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["report"]);
    let free = ctx.report(&mut bundle)?;
    let all = free.at("/affinity").clone();
    if all.as_array().map_or(0, Vec::len) < 2 {
        skip!("one CPU only");
    }
    let first = all[0].to_string();
    let cmd = ctx.with_bundle("run", &[], &bundle)?;
    let done = cmd.wrapped(&["taskset", "-c", &first]).run()?.ok()?;
    Report::parse(&done.stdout)?.expect("/affinity", &all)?;
    bundle.probe(&["sleep"]);
    ctx.launch(&bundle)?.wait_for("ready")?;
    let cmd = ctx.exec(&[], &["/probe", "report"]);
    let done = cmd.wrapped(&["taskset", "-c", &first]).run()?.ok()?;
    Report::parse(&done.stdout)?.expect("/affinity", &all)
}

/// config.md: "final" is the CPUs of the process after its move into the cgroup.
fn exec_affinity(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let all = ctx.report(&mut bundle)?.at("/affinity").clone();
    let last = all.as_array().and_then(|all| all.last()).cloned();
    let last = last.unwrap_or_default();
    if all.as_array().map_or(0, Vec::len) < 2 {
        skip!("one CPU only");
    }
    let affinity = json!({"initial": all[0].to_string(), "final": last.to_string()});
    bundle
        .set("/process/execCPUAffinity", affinity)
        .probe(&["report"]);
    ctx.report(&mut bundle)?.expect("/affinity", &all)?;
    bundle.probe(&["sleep"]);
    ctx.launch(&bundle)?.wait_for("ready")?;
    ctx.exec_report(&[])?.expect("/affinity", &json!([last]))
}

fn additional_gids(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    for gids in [json!([]), json!([5]), json!([0, 1000, 2_000_000_000])] {
        let user = json!({"uid": 1000, "gid": 1001, "additionalGids": gids});
        bundle.set("/process/user", user);
        let report = ctx.report(&mut bundle)?;
        report.expect("/groups", &gids)?;
        report.expect("/gid/real", &json!(1001))?;
    }
    Ok(())
}

/// One entry of rlimits.
fn limit(name: &str, soft: u64, hard: u64) -> Value {
    json!({"type": name, "soft": soft, "hard": hard})
}

fn rlimits(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let limits = [
        ("RLIMIT_NOFILE", 100, 200),
        ("RLIMIT_CORE", 0, 4096),
        ("RLIMIT_NPROC", 500, 600),
        ("RLIMIT_FSIZE", 1 << 40, 1 << 41),
        ("RLIMIT_STACK", 1 << 20, 1 << 21),
        ("RLIMIT_CPU", 1000, 2000),
        ("RLIMIT_AS", 1 << 40, u64::MAX),
        ("RLIMIT_MSGQUEUE", 1000, 1000),
        ("RLIMIT_SIGPENDING", 77, 88),
        ("RLIMIT_RTTIME", 1_000_000, 2_000_000),
    ];
    let set: Vec<_> = limits.iter().map(|(n, s, h)| limit(n, *s, *h)).collect();
    bundle.set("/process/rlimits", json!(set));
    let report = ctx.report(&mut bundle)?;
    for (name, soft, hard) in limits {
        let want = json!({"soft": soft, "hard": hard});
        report.expect(&format!("/rlimits/{name}"), &want)?;
    }
    Ok(())
}

/// Creates with such rlimits, which must be refused.
fn rlimits_refused(ctx: &Ctx, limits: &[Value]) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.set("/process/rlimits", json!(limits));
    ctx.try_create(&bundle)?.refuses(&[""])?;
    ctx.expect_nothing_left()
}

/// "If rlimits contains duplicated entries with same type, the runtime MUST generate an error."
fn rlimit_twice(ctx: &mut Ctx) -> Outcome {
    let limits = [limit("RLIMIT_CORE", 1, 2), limit("RLIMIT_CORE", 3, 4)];
    rlimits_refused(ctx, &limits)
}

fn rlimit_soft_above_hard(ctx: &mut Ctx) -> Outcome {
    rlimits_refused(ctx, &[limit("RLIMIT_CORE", 2, 1)])
}

/// "The runtime MUST generate an error for any values which cannot be mapped".
fn rlimit_unknown(ctx: &mut Ctx) -> Outcome {
    rlimits_refused(ctx, &[limit("RLIMIT_UNKNOWN", 1, 2)])
}

/// capabilities(7): what is inheritable and ambient survives execve(2) of a user's program.
fn ambient_capabilities(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    for set in [
        "bounding",
        "effective",
        "permitted",
        "inheritable",
        "ambient",
    ] {
        let names = json!(["CAP_KILL", "CAP_NET_BIND_SERVICE"]);
        bundle.set(&format!("/process/capabilities/{set}"), names);
    }
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    let report = ctx.report(&mut bundle)?;
    for set in [
        "effective",
        "permitted",
        "inheritable",
        "ambient",
        "bounding",
    ] {
        let got = report.strings(&format!("/capabilities/{set}"));
        equal(set, got, ["CAP_KILL", "CAP_NET_BIND_SERVICE"])?;
    }
    Ok(())
}

/// runc's way, which images rely on: WORKDIR need not exist.
fn cwd_is_made(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.set("/process/cwd", json!("/new/work/dir"));
    ctx.report(&mut bundle)?
        .expect("/cwd", &json!("/new/work/dir"))
}

fn hostname(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let long = "a".repeat(64);
    for name in ["host.example.org", &long] {
        bundle.set("/hostname", json!(name));
        ctx.report(&mut bundle)?.expect("/hostname", &json!(name))?;
    }
    // HOST_NAME_MAX is 64.
    bundle.set("/hostname", json!("a".repeat(65)));
    ctx.try_create(&bundle)?.refuses(&[""])?;
    ctx.expect_nothing_left()
}

/// config.md: "domainname … of the container as seen by processes running inside".
fn domainname(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.set("/domainname", json!("suite.example.org"));
    ctx.report(&mut bundle)?
        .expect("/domainname", &json!("suite.example.org"))
}

/// A machine without the module can't honour the field; passing it over would leave the container
/// unconfined without a word.
fn labels_without_module(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let has = |path: &str| std::path::Path::new(path).exists();
    if !has("/sys/module/apparmor/parameters/enabled") {
        bundle.set("/process/apparmorProfile", json!("suite"));
        let refused = ctx.try_create(&bundle)?;
        refused.refuses(&["unable to apply apparmor profile"])?;
        ctx.expect_nothing_left()?;
        bundle.remove("/process/apparmorProfile");
    }
    if !has("/sys/fs/selinux/enforce") {
        let label = json!("system_u:system_r:container_t:s0");
        bundle.set("/process/selinuxLabel", label);
        let refused = ctx.try_create(&bundle)?;
        refused.refuses(&["selinux label is specified in config, but selinux is disabled"])?;
        ctx.expect_nothing_left()?;
    }
    Ok(())
}

/// crun's annotation, which podman sets for `--group-add keep-groups`.
fn groups_of_the_caller(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle
        .set("/annotations", json!({"run.oci.keep_original_groups": "1"}))
        .set("/process/user", json!({"uid": 1000, "gid": 1001}))
        .probe(&["report"]);
    let cmd = ctx.with_bundle("run", &[], &bundle)?;
    let caller = ["setpriv", "--groups", "7,70"];
    let done = cmd.wrapped(&caller).run()?.ok()?;
    Report::parse(&done.stdout)?.expect("/groups", &json!([7, 70]))
}
