//! `update`, which engines use for limits of running containers: by flags, and by a document in a
//! file or on standard input.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use super::limits::{Expected, Files, compare, home, need};
use crate::harness::bundle::read;
use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("update::by_flags", by_flags),
        Case::new("update::by_flags_of_cpu", by_flags_of_cpu),
        Case::new("update::by_a_file", by_a_file),
        Case::new("update::by_standard_input", by_standard_input),
        Case::new("update::burst_and_idle", burst_and_idle)
            .only("kan", "runc 1.1 and crun have no such flags"),
        Case::new("update::keeps_the_rest", keeps_the_rest),
        Case::new("update::memory_and_swap_up_and_down", memory_and_swap),
        Case::new("update::refused_value_changes_nothing", refused_value).deviates(
            "runc 1.1",
            "a command that fails has done nothing",
            "cpuset.cpus: got",
        ),
        Case::new("update::memory_check", memory_check),
        Case::new("update::device_rules", device_rules).only(
            "kan",
            "runc leaves devices alone, whatever the document says",
        ),
        Case::new("update::frozen_stays_frozen", frozen_stays_frozen),
        Case::new("update::stopped_is_refused", stopped_is_refused),
        Case::new("update::of_created", of_created),
        Case::new("update::wrong_values_are_refused", wrong_values),
        Case::new("update::intel_rdt_without_it_is_refused", no_intel_rdt).deviates(
            "crun 1.8",
            "a flag that runc and newer crun have",
            "unrecognized option",
        ),
    ]
}

fn expect(v1: Files, v2: Files) -> Expected {
    Expected {
        resources: "{}",
        v1,
        v2,
    }
}

/// Starts a container with resources, if the machine has the controller.
fn launch(ctx: &Ctx, expected: &Expected, resources: Value) -> Outcome {
    need(ctx, expected)?;
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["sleep"]).set("/linux/resources", resources);
    ctx.launch(&bundle)?.wait_for("ready")
}

fn update(ctx: &Ctx, flags: &[&str]) -> Outcome {
    let all: Vec<&str> = std::iter::once("update")
        .chain(flags.iter().copied())
        .collect();
    ctx.verb(&all)?.quiet().map(drop)
}

fn by_flags(ctx: &mut Ctx) -> Outcome {
    let memory = expect(
        (
            "memory",
            &[
                ("memory.limit_in_bytes", "134217728"),
                ("memory.memsw.limit_in_bytes", "201326592"),
                ("memory.soft_limit_in_bytes", "67108864"),
            ],
        ),
        (
            "memory",
            &[
                ("memory.max", "134217728"),
                ("memory.swap.max", "67108864"),
                ("memory.low", "67108864"),
            ],
        ),
    );
    launch(ctx, &memory, json!({}))?;
    update(
        ctx,
        &[
            "--memory",
            "128m",
            "--memory-swap=192MB",
            "--memory-reservation",
            "67108864",
        ],
    )?;
    compare(ctx, &memory)?;
    let pids = expect(
        ("pids", &[("pids.max", "33")]),
        ("pids", &[("pids.max", "33")]),
    );
    need(ctx, &pids)?;
    update(ctx, &["--pids-limit", "33"])?;
    compare(ctx, &pids)
}

fn by_flags_of_cpu(ctx: &mut Ctx) -> Outcome {
    let cpu = expect(
        (
            "cpu",
            &[
                ("cpu.cfs_quota_us", "30000"),
                ("cpu.cfs_period_us", "60000"),
                ("cpu.shares", "512"),
            ],
        ),
        ("cpu", &[("cpu.max", "30000 60000"), ("cpu.weight", "59")]),
    );
    launch(ctx, &cpu, json!({}))?;
    update(
        ctx,
        &[
            "--cpu-quota",
            "30000",
            "--cpu-period",
            "60000",
            "--cpu-share",
            "512",
        ],
    )?;
    compare(ctx, &cpu)?;
    let set = expect(
        ("cpuset", &[("cpuset.cpus", "0"), ("cpuset.mems", "0")]),
        ("cpuset", &[("cpuset.cpus", "0"), ("cpuset.mems", "0")]),
    );
    need(ctx, &set)?;
    update(ctx, &["--cpuset-cpus", "0", "--cpuset-mems", "0"])?;
    compare(ctx, &set)
}

const DOCUMENT: &str =
    r#"{"memory": {"limit": 100663296}, "cpu": {"shares": 256}, "pids": {"limit": 77}}"#;

fn of_the_document() -> [Expected; 3] {
    [
        expect(
            ("memory", &[("memory.limit_in_bytes", "100663296")]),
            ("memory", &[("memory.max", "100663296")]),
        ),
        expect(
            ("cpu", &[("cpu.shares", "256")]),
            ("cpu", &[("cpu.weight", "35")]),
        ),
        expect(
            ("pids", &[("pids.max", "77")]),
            ("pids", &[("pids.max", "77")]),
        ),
    ]
}

fn by_a_file(ctx: &mut Ctx) -> Outcome {
    let all = of_the_document();
    launch(ctx, &all[0], json!({}))?;
    let file = ctx.dir.join("resources.json");
    fs::write(&file, DOCUMENT)?;
    let file = file.to_string_lossy().into_owned();
    update(ctx, &["--resources", &file])?;
    all.iter().try_for_each(|expected| compare(ctx, expected))
}

/// The shim's `--resources -`, and `--resources=-`.
fn by_standard_input(ctx: &mut Ctx) -> Outcome {
    let all = of_the_document();
    launch(ctx, &all[0], json!({}))?;
    let file = ctx.dir.join("resources.json");
    for (option, text) in [
        (&["--resources", "-"][..], r#"{"pids": {"limit": 5}}"#),
        (&["--resources=-"], DOCUMENT),
    ] {
        fs::write(&file, text)?;
        let mut command = ctx.oci(&["update"]).args(option).arg(&ctx.id);
        command = command.stdin(Stdio::from(fs::File::open(&file)?));
        command.run()?.quiet()?;
    }
    all.iter().try_for_each(|expected| compare(ctx, expected))
}

fn burst_and_idle(ctx: &mut Ctx) -> Outcome {
    let cpu = expect(
        ("cpu", &[("cpu.cfs_burst_us", "10000"), ("cpu.idle", "1")]),
        ("cpu", &[("cpu.max.burst", "10000"), ("cpu.idle", "1")]),
    );
    launch(ctx, &cpu, json!({"cpu": {"quota": 30000}}))?;
    update(ctx, &["--cpu-burst", "10000", "--cpu-idle", "1"])?;
    compare(ctx, &cpu)?;
    // They outlive an update of something else.
    update(ctx, &["--cpu-period", "90000"])?;
    compare(ctx, &cpu)?;
    let normal = expect(
        ("cpu", &[("cpu.idle", "0"), ("cpu.shares", "300")]),
        ("cpu", &[("cpu.idle", "0"), ("cpu.weight", "39")]),
    );
    update(ctx, &["--cpu-idle", "0", "--cpu-share", "300"])?;
    compare(ctx, &normal)
}

fn keeps_the_rest(ctx: &mut Ctx) -> Outcome {
    let start = expect(
        (
            "cpu",
            &[
                ("cpu.cfs_quota_us", "30000"),
                ("cpu.cfs_period_us", "70000"),
                ("cpu.shares", "2048"),
            ],
        ),
        ("cpu", &[("cpu.max", "30000 70000"), ("cpu.weight", "174")]),
    );
    let cpu = json!({"cpu": {"quota": 30000, "period": 60000, "shares": 2048}});
    launch(ctx, &start, cpu)?;
    update(ctx, &["--cpu-period", "70000"])?;
    compare(ctx, &start)?;
    update(ctx, &["--cpu-quota", "40000"])?;
    let after = expect(
        (
            "cpu",
            &[
                ("cpu.cfs_quota_us", "40000"),
                ("cpu.cfs_period_us", "70000"),
                ("cpu.shares", "2048"),
            ],
        ),
        ("cpu", &[("cpu.max", "40000 70000"), ("cpu.weight", "174")]),
    );
    compare(ctx, &after)
}

/// The kernel refuses the wrong order: memory must not be above memory with swap.
fn memory_and_swap(ctx: &mut Ctx) -> Outcome {
    let step = |v1: Files, v2: Files, flags: &[&str]| -> Outcome {
        update(ctx, flags)?;
        compare(ctx, &expect(v1, v2))
    };
    let none = expect(("memory", &[]), ("memory", &[]));
    launch(
        ctx,
        &none,
        json!({"memory": {"limit": 33_554_432, "swap": 67_108_864}}),
    )?;
    step(
        (
            "memory",
            &[
                ("memory.limit_in_bytes", "134217728"),
                ("memory.memsw.limit_in_bytes", "201326592"),
            ],
        ),
        (
            "memory",
            &[("memory.max", "134217728"), ("memory.swap.max", "67108864")],
        ),
        &["--memory", "128M", "--memory-swap", "192M"],
    )?;
    step(
        (
            "memory",
            &[
                ("memory.limit_in_bytes", "25165824"),
                ("memory.memsw.limit_in_bytes", "25165824"),
            ],
        ),
        (
            "memory",
            &[("memory.max", "25165824"), ("memory.swap.max", "0")],
        ),
        &["--memory", "24M", "--memory-swap", "24M"],
    )?;
    step(
        (
            "memory",
            &[
                ("memory.limit_in_bytes", "9223372036854771712"),
                ("memory.memsw.limit_in_bytes", "9223372036854771712"),
            ],
        ),
        (
            "memory",
            &[("memory.max", "max"), ("memory.swap.max", "max")],
        ),
        &["--memory", "-1"],
    )
}

/// The values before it, which the kernel took, are taken back.
fn refused_value(ctx: &mut Ctx) -> Outcome {
    let start = expect(
        ("memory", &[("memory.limit_in_bytes", "67108864")]),
        ("memory", &[("memory.max", "67108864")]),
    );
    launch(ctx, &start, json!({"memory": {"limit": 67_108_864}}))?;
    // No cgroup has so many CPUs.
    let done = ctx.verb(&["update", "--memory", "50331648", "--cpuset-cpus", "4000"])?;
    check!(!done.status.success(), "it was taken");
    let set = expect(("cpuset", &[]), ("cpuset", &[]));
    let before = home(ctx, &set).and_then(|(dir, _)| read(&dir.join("cpuset.cpus")));
    compare(ctx, &start)?;
    if ctx.world.by_systemd {
        // The kernel takes the limit below, and ends the container and with it the scope.
        return Ok(());
    }
    // The other way round too: CPUs that are there come before memory that is in use.
    let done = ctx.verb(&["update", "--memory", "4096", "--cpuset-cpus", "0"])?;
    if !done.status.success() {
        let after = home(ctx, &set).and_then(|(dir, _)| read(&dir.join("cpuset.cpus")));
        if let (Ok(before), Ok(after)) = (before, after) {
            equal("cpuset.cpus", after, before)?;
        }
        compare(ctx, &start)?;
    }
    Ok(())
}

/// checkBeforeUpdate: config-linux.md, memory. cgroup v1 refuses such a limit by itself.
fn memory_check(ctx: &mut Ctx) -> Outcome {
    let start = expect(
        ("memory", &[("memory.limit_in_bytes", "67108864")]),
        ("memory", &[("memory.max", "67108864")]),
    );
    launch(ctx, &start, json!({"memory": {"limit": 67_108_864}}))?;
    let file = ctx.dir.join("resources.json");
    fs::write(
        &file,
        r#"{"memory": {"limit": 8192, "checkBeforeUpdate": true}}"#,
    )?;
    let file = file.to_string_lossy().into_owned();
    let texts = [
        "rejecting memory limit 8192 <= usage ",
        "unable to set memory limit to 8192 (current usage: ",
    ];
    ctx.verb(&["update", "--resources", &file])?
        .refuses(&texts)?;
    compare(ctx, &start)
}

/// Other rules for devices hold at once, and outlive an update that says nothing of devices.
fn device_rules(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let mut bundle = ctx.bundle()?;
    let device =
        json!([{"path": "/dev/other", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666}]);
    bundle
        .shell("echo ready; sleep 1000")
        .set("/linux/resources/devices", json!([{"allow": false}]))
        .set("/linux/devices", device);
    ctx.launch(&bundle)?.wait_for("ready")?;
    // The machine may lack the device, which is another error.
    let denied = || -> Result<bool, Fault> {
        let tried = ctx
            .exec(&[], &["/bin/sh", "-c", "true </dev/other"])
            .run()?;
        Ok(tried.stderr.contains("Operation not permitted"))
    };
    check!(denied()?, "the device is allowed at the start");
    let file = ctx.dir.join("resources.json");
    let name = file.to_string_lossy().into_owned();
    let allow = r#"{"devices": [{"allow": false}, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "r"}]}"#;
    for (text, allowed) in [
        (allow, true),
        (r#"{"pids": {"limit": 50}}"#, true),
        (r#"{"devices": [{"allow": false}]}"#, false),
    ] {
        if ctx.unified && text.contains("pids") {
            continue;
        }
        fs::write(&file, text)?;
        update(ctx, &["--resources", &name])?;
        equal(text, denied()?, !allowed)?;
    }
    Ok(())
}

fn frozen_stays_frozen(ctx: &mut Ctx) -> Outcome {
    let pids = expect(
        ("pids", &[("pids.max", "21")]),
        ("pids", &[("pids.max", "21")]),
    );
    launch(ctx, &pids, json!({}))?;
    ctx.verb(&["pause"])?.ok()?;
    update(ctx, &["--pids-limit", "21"])?;
    compare(ctx, &pids)?;
    ctx.expect_status("paused")?;
    ctx.verb(&["resume"])?.ok()?;
    ctx.expect_status("running")
}

fn stopped_is_refused(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "0"]);
    ctx.launch(&bundle)?;
    ctx.wait_stopped()?;
    ctx.verb(&["update", "--pids-limit", "21"])?
        .refuses(&["container not running"])?;
    ctx.oci(&["update", "--pids-limit", "21", "no-such-container"])
        .run()?
        .refuses(&["does not exist"])
}

fn of_created(ctx: &mut Ctx) -> Outcome {
    let pids = expect(
        ("pids", &[("pids.max", "21")]),
        ("pids", &[("pids.max", "21")]),
    );
    need(ctx, &pids)?;
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["sleep"]);
    ctx.create(&bundle)?;
    update(ctx, &["--pids-limit", "21"])?;
    compare(ctx, &pids)?;
    ctx.expect_status("created")
}

fn wrong_values(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    for flags in [
        ["--memory", "many"],
        ["--cpu-quota", "1x"],
        ["--memory-swap", "1kk"],
        ["--resources", "/nonexistent"],
    ] {
        let done = ctx.verb(&["update", flags[0], flags[1]])?;
        check!(!done.status.success(), "{flags:?} was taken");
    }
    let file: PathBuf = ctx.dir.join("broken.json");
    fs::write(&file, r#"{"memory": {"limit": "#)?;
    let name = file.to_string_lossy().into_owned();
    let done = ctx.verb(&["update", "--resources", &name])?;
    check!(!done.status.success(), "half a document was taken");
    ctx.expect_status("running")
}

/// This is a machine without it; with it, only the unit tests have a tree to write to.
fn no_intel_rdt(ctx: &mut Ctx) -> Outcome {
    if std::path::Path::new("/sys/fs/resctrl/info").exists() {
        skip!("this machine has Intel RDT");
    }
    ctx.launch_sleeper()?;
    for (flag, schema, text) in [
        (
            "--l3-cache-schema",
            "L3:0=f",
            "Intel RDT/CAT: l3 cache schema is not enabled",
        ),
        (
            "--mem-bw-schema",
            "MB:0=20",
            "Intel RDT/MBA: memory bandwidth schema is not enabled",
        ),
    ] {
        ctx.verb(&["update", flag, schema])?.refuses(&[text])?;
    }
    ctx.expect_status("running")
}
