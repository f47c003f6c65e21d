//! `--systemd-cgroup`: the container's cgroup is a scope that systemd makes, as engines ask for it.
//! Not in the specification; the rules are runc's (docs/systemd.md there).

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use super::cgroup::places;
use crate::harness::bundle::read;
use crate::harness::command::send;
use crate::harness::command::{TIMEOUT, until, wait_for_exit};
use crate::harness::container::text;
use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("systemd::scope_in_its_slice", scope_in_its_slice),
        Case::new("systemd::scope_by_default", scope_by_default),
        Case::new("systemd::delete_ends_the_scope", delete_ends_the_scope),
        Case::new("systemd::run_ends_the_scope", run_ends_the_scope),
        Case::new("systemd::failed_create_leaves_no_scope", failed_create),
        Case::new("systemd::killed_create_is_deleted", killed_create).only(
            "kan",
            "runc and crun know nothing of a container whose create was killed",
        ),
        Case::new("systemd::limits_are_properties", limits_are_properties).deviates(
            "crun",
            "config-linux.md, memory: swap is memory and swap together, systemd's is swap alone",
            "MemorySwapMax: got \"100663296\"",
        ),
        Case::new(
            "systemd::update_changes_properties",
            update_changes_properties,
        ),
        Case::new("systemd::devices_after_reload", devices_after_reload),
        Case::new("systemd::annotations", annotations),
        Case::new("systemd::exec_is_in_the_scope", exec_is_in_the_scope),
        Case::new("systemd::cgroup_namespace", cgroup_namespace),
        Case::new("systemd::subgroup", subgroup).only("kan", "crun's annotation; runc has none"),
        Case::new("systemd::other_paths_are_refused", other_paths)
            .only("kan", "runc refuses them in other words, crun takes them"),
        Case::new("systemd::is_needed", is_needed).only("kan", "for a host without systemd"),
    ]
}

/// Skips the case where systemd is not process 1.
pub fn need_systemd() -> Outcome {
    if !Path::new("/run/systemd/system").is_dir() {
        skip!("systemd is not process 1 here");
    }
    Ok(())
}

/// `systemctl daemon-reload`, after which systemd writes all cgroup files anew.
pub fn reload(ctx: &Ctx) -> Outcome {
    ctx.command(&["systemctl", "daemon-reload"])
        .run()?
        .ok()
        .map(drop)
}

/// The runtime with its systemd driver.
fn driven(ctx: &Ctx, args: &[&str]) -> Result<crate::harness::command::Done, Fault> {
    let global: &[&str] = if ctx.world.by_systemd {
        &[]
    } else {
        &["--systemd-cgroup"]
    };
    ctx.oci_with(global, args).run()
}

fn create(ctx: &Ctx, bundle: &Bundle) -> Result<crate::harness::command::Done, Fault> {
    bundle.save()?;
    driven(ctx, &["create", "--bundle", text(&bundle.dir)?, &ctx.id])
}

/// A sleeper in `suite-nested.slice`, of which `suite-ID.scope` is the unit.
fn sleeper(ctx: &Ctx) -> Result<(Bundle, String), Fault> {
    need_systemd()?;
    let mut bundle = ctx.bundle()?;
    let name = ctx.id.trim_start_matches("suite-");
    let path = format!("suite-nested.slice:suite:{name}");
    bundle
        .probe(&["sleep"])
        .set("/linux/cgroupsPath", json!(path));
    Ok((bundle, format!("suite-{name}.scope")))
}

/// A property of a unit, as `systemctl show` prints it.
fn show(ctx: &Ctx, unit: &str, property: &str) -> Result<String, Fault> {
    let property = format!("--property={property}");
    let done = ctx
        .command(&["systemctl", "show", "--value", &property, unit])
        .run()?;
    Ok(done.ok()?.stdout.trim_end().to_owned())
}

/// Fails if systemd still knows a unit of the case.
fn no_unit(ctx: &Ctx) -> Outcome {
    let list = ["systemctl", "list-units", "--all", "--no-legend", "--plain"];
    let known = ctx.command(&list).run()?.ok()?.stdout;
    let name = ctx.id.trim_start_matches("suite-");
    let left: Vec<_> = known.lines().filter(|line| line.contains(name)).collect();
    check!(left.is_empty(), "left in systemd's list: {left:?}");
    Ok(())
}

/// The container's cgroup: its path in v2, or in systemd's own v1 hierarchy.
fn place(pid: i32) -> Result<String, Fault> {
    let all = places(pid)?;
    let wanted = |controllers: &str| all.iter().find(|place| place.controllers == controllers);
    match wanted("name=systemd").or(wanted("")) {
        Some(place) => Ok(place.path.clone()),
        None => fail!("no cgroup that systemd would make"),
    }
}

/// crun puts the container into a cgroup below the scope.
fn is_at(got: &str, want: &str) -> bool {
    got == want || got == format!("{want}/container")
}

fn scope_in_its_slice(ctx: &mut Ctx) -> Outcome {
    let (bundle, unit) = sleeper(ctx)?;
    create(ctx, &bundle)?.ok()?;
    let got = place(ctx.pid()?)?;
    let want = format!("/suite.slice/suite-nested.slice/{unit}");
    check!(is_at(&got, &want), "in {got}, not in {want}");
    equal("Delegate", show(ctx, &unit, "Delegate")?, "yes")?;
    equal("Slice", show(ctx, &unit, "Slice")?, "suite-nested.slice")?;
    equal("ActiveState", show(ctx, &unit, "ActiveState")?, "active")?;
    ctx.start()?;
    ctx.expect_status("running")
}

fn scope_by_default(ctx: &mut Ctx) -> Outcome {
    need_systemd()?;
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["sleep"]);
    create(ctx, &bundle)?.ok()?;
    let got = place(ctx.pid()?)?;
    let prefix = match ctx.runtime().name.as_str() {
        name @ ("runc" | "crun") => name.to_owned(),
        _ => "kan".to_owned(),
    };
    let want = format!("/system.slice/{prefix}-{}.scope", ctx.id);
    check!(is_at(&got, &want), "in {got}, not in {want}");
    Ok(())
}

fn delete_ends_the_scope(ctx: &mut Ctx) -> Outcome {
    let (bundle, _) = sleeper(ctx)?;
    create(ctx, &bundle)?.ok()?;
    ctx.start()?;
    ctx.verb(&["delete", "--force"])?.ok()?;
    no_unit(ctx)?;
    ctx.expect_nothing_left()
}

fn run_ends_the_scope(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, _) = sleeper(ctx)?;
    bundle.probe(&["exit", "7"]).save()?;
    let ran = driven(ctx, &["run", "--bundle", text(&bundle.dir)?, &ctx.id])?;
    ran.exits(7)?;
    no_unit(ctx)?;
    ctx.expect_nothing_left()
}

fn failed_create(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, _) = sleeper(ctx)?;
    bundle.args(&["/nope"]);
    create(ctx, &bundle)?.refuses(&[""])?;
    no_unit(ctx)?;
    ctx.expect_nothing_left()
}

/// The scope is there, the container not yet: a hook makes time for the kill.
fn killed_create(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, unit) = sleeper(ctx)?;
    let here = ctx.dir.join("hook.pid");
    let script = format!("echo $$ >{}; exec sleep 3", text(&here)?);
    let hook = json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]);
    bundle.set("/hooks/createRuntime", hook).save()?;
    let dir = text(&bundle.dir)?;
    let running = ctx
        .oci_with(&["--systemd-cgroup"], &["create", "--bundle", dir, &ctx.id])
        .spawn()?;
    let hook = || {
        fs::read_to_string(&here)
            .unwrap_or_default()
            .trim()
            .parse::<i32>()
    };
    until("the hook", || Ok(hook().is_ok()))?;
    equal("ActiveState", show(ctx, &unit, "ActiveState")?, "active")?;
    send(running.pid(), Signal::KILL)?;
    running.wait()?;
    ctx.verb(&["delete", "--force"])?.ok()?;
    no_unit(ctx)?;
    check!(wait_for_exit(hook()?, TIMEOUT)?, "the hook does not end");
    ctx.expect_nothing_left()
}

/// Limits, and what systemd is to know of each.
const LIMITS: &str = r#"{"memory": {"limit": 67108864, "reservation": 33554432, "swap": 100663296},
    "cpu": {"shares": 2048, "quota": 30000, "period": 60000, "cpus": "0", "mems": "0"},
    "pids": {"limit": 42}}"#;
const PROPERTIES: &[(&str, &str)] = &[
    ("MemoryMax", "67108864"),
    ("MemoryLow", "33554432"),
    ("MemorySwapMax", "33554432"),
    ("CPUQuotaPerSecUSec", "500ms"),
    ("CPUQuotaPeriodUSec", "60ms"),
    ("AllowedCPUs", "0"),
    ("AllowedMemoryNodes", "0"),
    ("TasksMax", "42"),
];

fn need_v2(ctx: &Ctx) -> Outcome {
    if !ctx.world.unified {
        skip!("the properties of cgroup v1 are others");
    }
    Ok(())
}

fn limits_are_properties(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, unit) = sleeper(ctx)?;
    need_v2(ctx)?;
    bundle.set("/linux/resources", serde_json::from_str(LIMITS)?);
    create(ctx, &bundle)?.ok()?;
    for (property, want) in PROPERTIES {
        equal(property, show(ctx, &unit, property)?, *want)?;
    }
    Ok(())
}

fn update_changes_properties(ctx: &mut Ctx) -> Outcome {
    let (bundle, unit) = sleeper(ctx)?;
    create(ctx, &bundle)?.ok()?;
    ctx.start()?;
    let flags = ["update", "--pids-limit", "33", "--memory", "134217728"];
    ctx.verb(&flags)?.ok()?;
    equal("TasksMax", show(ctx, &unit, "TasksMax")?, "33")?;
    if ctx.world.unified {
        equal("MemoryMax", show(ctx, &unit, "MemoryMax")?, "134217728")?;
        let dir = PathBuf::from("/sys/fs/cgroup").join(place(ctx.pid()?)?.trim_start_matches('/'));
        reload(ctx)?;
        equal("pids.max", read(&dir.join("pids.max"))?.trim(), "33")?;
        equal(
            "memory.max",
            read(&dir.join("memory.max"))?.trim(),
            "134217728",
        )?;
    }
    Ok(())
}

/// What is denied stays so, and what is allowed too.
fn devices_after_reload(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let (mut bundle, _) = sleeper(ctx)?;
    // Neither is there: what is not denied is missing.
    let node = |path: &str, minor| json!({"path": path, "type": "c", "major": 60, "minor": minor, "fileMode": 438});
    bundle
        .set(
            "/linux/devices",
            json!([node("/dev/denied", 1), node("/dev/allowed", 2)]),
        )
        .set(
            "/linux/resources/devices",
            json!([{"allow": false, "access": "rwm"},
                   {"allow": true, "type": "c", "major": 60, "minor": 2, "access": "rwm"}]),
        );
    create(ctx, &bundle)?.ok()?;
    ctx.start()?;
    for _ in 0..2 {
        let open = |path: &str| {
            ctx.exec(&[], &["/bin/sh", "-c", &format!(": <{path}")])
                .run()
        };
        let denied = open("/dev/denied")?;
        check!(
            denied.stderr.contains("Operation not permitted"),
            "/dev/denied: {}",
            denied.stderr
        );
        let allowed = open("/dev/allowed")?.stderr;
        check!(
            allowed.contains("No such device"),
            "/dev/allowed: {allowed}"
        );
        open("/dev/null")?.ok()?;
        reload(ctx)?;
    }
    Ok(())
}

/// Engines set properties of the scope so; text in GVariant's format.
fn annotations(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, unit) = sleeper(ctx)?;
    bundle.set(
        "/annotations",
        json!({
            "org.systemd.property.TimeoutStopUSec": "uint64 7000000",
            "org.systemd.property.CollectMode": "'inactive-or-failed'",
            "org.systemd.property.After": "['dbus.service', 'multi-user.target']"
        }),
    );
    create(ctx, &bundle)?.ok()?;
    equal(
        "TimeoutStopUSec",
        show(ctx, &unit, "TimeoutStopUSec")?,
        "7s",
    )?;
    equal(
        "CollectMode",
        show(ctx, &unit, "CollectMode")?,
        "inactive-or-failed",
    )?;
    let after = show(ctx, &unit, "After")?;
    for wanted in ["dbus.service", "multi-user.target"] {
        check!(after.contains(wanted), "After: {after}");
    }
    Ok(())
}

fn exec_is_in_the_scope(ctx: &mut Ctx) -> Outcome {
    let (bundle, unit) = sleeper(ctx)?;
    create(ctx, &bundle)?.ok()?;
    ctx.start()?;
    let file = ctx.dir.join("exec.pid");
    let options = ["--detach", "--pid-file", text(&file)?];
    ctx.exec(&options, &["/probe", "sleep"]).run()?.ok()?;
    let pid: i32 = read(&file)?.trim().parse()?;
    let got = place(pid)?;
    check!(got.contains(&unit), "in {got}, not in {unit}");
    ctx.verb(&["delete", "--force"])?.ok()?;
    no_unit(ctx)
}

/// The namespace is rooted at the container's cgroup, not at the runtime's.
fn cgroup_namespace(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let (mut bundle, _) = sleeper(ctx)?;
    bundle
        .shell("grep -E '^(0::|[0-9]+:name=systemd:)' /proc/self/cgroup")
        .set("/linux/namespaces/-", json!({"type": "cgroup"}))
        .save()?;
    let ran = driven(ctx, &["run", "--bundle", text(&bundle.dir)?, &ctx.id])?.ok()?;
    for line in ran.stdout.lines() {
        check!(line.ends_with(":/"), "seen from inside: {line}");
    }
    check!(!ran.stdout.is_empty(), "nothing was seen");
    Ok(())
}

fn subgroup(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, unit) = sleeper(ctx)?;
    bundle
        .set("/annotations", json!({"run.oci.systemd.subgroup": "inner"}))
        .set("/linux/resources", serde_json::from_str(LIMITS)?);
    create(ctx, &bundle)?.ok()?;
    ctx.start()?;
    let got = place(ctx.pid()?)?;
    equal(
        "cgroup",
        got.as_str(),
        format!("/suite.slice/suite-nested.slice/{unit}/inner").as_str(),
    )?;
    equal("TasksMax", show(ctx, &unit, "TasksMax")?, "42")?;
    if ctx.world.unified {
        let dir = PathBuf::from("/sys/fs/cgroup").join(got.trim_start_matches('/'));
        equal("pids.max", read(&dir.join("pids.max"))?.trim(), "42")?;
    }
    ctx.exec_report(&[])?;
    ctx.verb(&["delete", "--force"])?.ok()?;
    no_unit(ctx)?;
    ctx.expect_nothing_left()
}

fn other_paths(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, _) = sleeper(ctx)?;
    for path in ["/a/b", "a:b", "a.slice/b.slice:c:d", "a:b:c"] {
        bundle.set("/linux/cgroupsPath", json!(path));
        create(ctx, &bundle)?.refuses(&["cgroupsPath"])?;
    }
    ctx.expect_nothing_left()
}

fn is_needed(ctx: &mut Ctx) -> Outcome {
    if fs::metadata("/run/systemd/system").is_ok() {
        skip!("systemd is process 1 here");
    }
    let bundle = ctx.bundle()?;
    create(ctx, &bundle)?.refuses(&["systemd not running on this host"])?;
    ctx.expect_nothing_left()
}
