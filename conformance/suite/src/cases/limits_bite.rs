//! config-linux.md, "Control groups": limits are not only written, they hold.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::limits::{Expected, home, need};
use crate::harness::bundle::read;
use crate::harness::command::until;
use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("limits::memory_ends_a_process_and_counts_it", memory_bites),
        Case::new(
            "limits::memory_bites_after_update",
            memory_bites_after_update,
        ),
        Case::new("limits::pids_stop_a_fork_bomb", pids_bite),
        Case::new("limits::cpu_throttles", cpu_bites),
        Case::new("limits::cpu_set_confines", cpu_set_bites),
        Case::new("limits::oom_of_init_is_explained", oom_of_init)
            .only("kan", "the words are kan's and newer runc's"),
        Case::new("limits::devices_deny_and_allow", devices_bite),
        Case::new("update::devices_that_stay_denied", devices_that_stay_denied).only(
            "kan",
            "runc leaves devices alone, whatever the document says",
        ),
    ]
}

pub const MEMORY: Expected = Expected {
    resources: r#"{"memory": {"limit": 20971520, "swap": 20971520}}"#,
    v1: ("memory", &[]),
    v2: ("memory", &[]),
};

/// One process with a buffer of 80 MiB, which it fills.
pub const GREEDY: &str = "busybox dd if=/dev/zero of=/dev/null bs=80M count=1 2>/dev/null";

/// A number behind a key, or the whole file if the key is empty.
fn number(path: &Path, key: &str) -> Result<i64, Fault> {
    let text = read(path)?;
    let line = text.lines().find_map(|line| match key {
        "" => Some(line),
        key => line.strip_prefix(key)?.strip_prefix(' '),
    });
    match line.and_then(|number| number.trim().parse().ok()) {
        Some(number) => Ok(number),
        None => fail!("{}: no number {key:?}: {text}", path.display()),
    }
}

/// A shell that runs a script once it is let go, and the word with which it says how that ended.
///
/// # Errors
/// A skip, without busybox.
pub fn obedient(ctx: &Ctx, resources: Value, script: &str) -> Result<(Bundle, String), Fault> {
    ctx.need_busybox()?;
    let mut bundle = ctx.bundle()?;
    bundle
        .shell(&format!(
            "echo ready; while [ ! -e /go ]; do sleep 0.1; done; {script}; echo ended $?; sleep 100"
        ))
        .set("/linux/resources", resources);
    Ok((bundle, "ended".to_owned()))
}

/// Lets the shell of [`obedient`] run its script.
///
/// # Errors
/// Whatever the file system says.
pub fn let_go(bundle: &Bundle) -> Outcome {
    Ok(std::fs::write(bundle.inside("/go"), "")?)
}

fn oom_counter(dir: &Path, v2: bool) -> Result<i64, Fault> {
    match v2 {
        true => number(&dir.join("memory.events"), "oom_kill"),
        false => number(&dir.join("memory.oom_control"), "oom_kill"),
    }
}

fn memory_bites(ctx: &mut Ctx) -> Outcome {
    need(ctx, &MEMORY)?;
    let (bundle, ended) = obedient(ctx, serde_json::from_str(MEMORY.resources)?, GREEDY)?;
    let launched = ctx.launch(&bundle)?;
    launched.wait_for("ready")?;
    let (dir, v2) = home(ctx, &MEMORY)?;
    equal("OOM kills before", oom_counter(&dir, v2)?, 0)?;
    let_go(&bundle)?;
    launched.wait_for(&ended)?;
    check!(oom_counter(&dir, v2)? > 0, "no OOM kill was counted");
    check!(
        launched.stdout_now()?.contains("ended 137"),
        "it was not killed: {}",
        launched.stdout_now()?
    );
    ctx.expect_status("running")
}

/// The same program, once with room and once without.
fn memory_bites_after_update(ctx: &mut Ctx) -> Outcome {
    need(ctx, &MEMORY)?;
    let twice = format!(
        "{GREEDY}; echo first $?; rm /go; while [ ! -e /go ]; do sleep 0.1; done; {GREEDY}"
    );
    let room = json!({"memory": {"limit": 536_870_912, "swap": 536_870_912}});
    let (bundle, ended) = obedient(ctx, room, &twice)?;
    let launched = ctx.launch(&bundle)?;
    launched.wait_for("ready")?;
    let_go(&bundle)?;
    launched.wait_for("first 0")?;
    ctx.verb(&["update", "--memory", "20m", "--memory-swap", "20m"])?
        .ok()?;
    let_go(&bundle)?;
    launched.wait_for(&ended)?;
    check!(
        launched.stdout_now()?.contains("ended 137"),
        "it was not killed: {}",
        launched.stdout_now()?
    );
    Ok(())
}

const PIDS: Expected = Expected {
    resources: r#"{"pids": {"limit": 12}}"#,
    v1: ("pids", &[]),
    v2: ("pids", &[]),
};

fn pids_bite(ctx: &mut Ctx) -> Outcome {
    need(ctx, &PIDS)?;
    let bomb = "(for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do sleep 100 & done)";
    let (bundle, _) = obedient(ctx, serde_json::from_str(PIDS.resources)?, bomb)?;
    let launched = ctx.launch(&bundle)?;
    launched.wait_for("ready")?;
    let (dir, _) = home(ctx, &PIDS)?;
    let_go(&bundle)?;
    until("the limit being met", || {
        Ok(number(&dir.join("pids.events"), "max")? > 0)
    })?;
    check!(
        number(&dir.join("pids.current"), "")? <= 12,
        "more than 12 processes"
    );
    Ok(())
}

const CPU: Expected = Expected {
    resources: r#"{"cpu": {"quota": 5000, "period": 100000}}"#,
    v1: ("cpu", &[]),
    v2: ("cpu", &[]),
};

fn cpu_bites(ctx: &mut Ctx) -> Outcome {
    need(ctx, &CPU)?;
    let busy = "while :; do :; done";
    let (bundle, _) = obedient(ctx, serde_json::from_str(CPU.resources)?, busy)?;
    ctx.launch(&bundle)?.wait_for("ready")?;
    let (dir, _) = home(ctx, &CPU)?;
    let_go(&bundle)?;
    let stat = dir.join("cpu.stat");
    until("throttling", || Ok(number(&stat, "nr_throttled")? >= 3))?;
    // Without a limit it comes to an end.
    ctx.verb(&["update", "--cpu-quota", "-1"])?.ok()?;
    let before = number(&stat, "nr_throttled")?;
    std::thread::sleep(Duration::from_millis(400));
    let after = number(&stat, "nr_throttled")?;
    check!(after <= before + 1, "still throttled: {before}, {after}");
    Ok(())
}

const SET: Expected = Expected {
    resources: r#"{"cpu": {"cpus": "0"}}"#,
    v1: ("cpuset", &[]),
    v2: ("cpuset", &[]),
};

fn cpu_set_bites(ctx: &mut Ctx) -> Outcome {
    need(ctx, &SET)?;
    let mut bundle = ctx.bundle()?;
    bundle
        .probe(&["sleep"])
        .set("/linux/resources", serde_json::from_str(SET.resources)?);
    ctx.launch(&bundle)?.wait_for("ready")?;
    let allowed = || -> Result<String, Fault> {
        let status = read(&PathBuf::from(format!("/proc/{}/status", ctx.pid()?)))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        Ok(line.unwrap_or_default().trim().to_owned())
    };
    equal("CPUs at the start", allowed()?.as_str(), "0")?;
    if read(Path::new("/sys/devices/system/cpu/online"))?.trim() == "0" {
        return Ok(());
    }
    ctx.verb(&["update", "--cpuset-cpus", "0-1"])?.ok()?;
    ctx.verb(&["update", "--cpuset-cpus", "1"])?.ok()?;
    equal("CPUs after update", allowed()?.as_str(), "1")
}

/// Less than init itself needs to make the root.
fn oom_of_init(ctx: &mut Ctx) -> Outcome {
    need(ctx, &MEMORY)?;
    if ctx.world.by_systemd {
        skip!("systemd may have removed the cgroup before anybody can read its counters");
    }
    let mut bundle = ctx.bundle()?;
    bundle.set(
        "/linux/resources",
        json!({"memory": {"limit": 20480, "swap": 20480}}),
    );
    let done = ctx.try_create(&bundle)?;
    done.refuses(&["was OOM-killed (memory limit too low?)"])?;
    ctx.expect_nothing_left()
}

/// `c 10:229`, /dev/fuse, has no rule of its own. The machine may lack it, which is another error.
fn devices_bite(ctx: &mut Ctx) -> Outcome {
    if ctx.unified && ctx.runtime().matches("crun 1.8") {
        skip!("crun's filter raises RLIMIT_MEMLOCK, which this machine may refuse");
    }
    let reads = |allowed: bool| -> Result<String, Fault> {
        ctx.need_busybox()?;
        let mut bundle = ctx.bundle_named(if allowed { "allowed" } else { "denied" })?;
        let mut rules = vec![json!({"allow": false, "access": "rwm"})];
        if allowed {
            rules.push(
                json!({"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}),
            );
        }
        let device = json!([{"path": "/dev/other", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666}]);
        bundle
            .shell("echo tried; true </dev/other")
            .set("/linux/resources/devices", json!(rules))
            .set("/linux/devices", device);
        let done = ctx.run(&bundle)?;
        Ok(done.stdout + &done.stderr)
    };
    const EPERM: &str = "Operation not permitted";
    let denied = reads(false)?;
    check!(denied.contains(EPERM), "not denied: {denied}");
    let allowed = reads(true)?;
    check!(
        allowed.contains("tried") && !allowed.contains(EPERM),
        "not allowed: {allowed}"
    );
    Ok(())
}

/// Both lists deny it, and it is never to be had in between; v1 knows its way from one default to
/// the other only by way of everything or nothing.
fn devices_that_stay_denied(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let mut bundle = ctx.bundle()?;
    let fuse = rustix::fs::makedev(10, 229);
    let mode = rustix::fs::Mode::from_raw_mode(0o666);
    let kind = rustix::fs::FileType::CharacterDevice;
    rustix::fs::mknodat(rustix::fs::CWD, bundle.inside("fuse"), kind, mode, fuse)?;
    let kept = json!({"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw"});
    let few = json!([{"allow": false}, kept]);
    let most = json!([{"allow": true},
        {"allow": false, "type": "c", "major": 10, "minor": 229, "access": "rwm"}]);
    bundle.set("/linux/resources/devices", few.clone());
    bundle.shell(
        "exec 2>/errors; echo ready; while true; do \
         true </fuse && echo opened; true </dev/null || echo lost; done",
    );
    let program = ctx.launch(&bundle)?;
    program.wait_for("ready")?;
    let file = ctx.dir.join("devices.json");
    for round in 0..40 {
        let list = if round % 2 == 0 { &most } else { &few };
        std::fs::write(&file, json!({ "devices": list }).to_string())?;
        let name = file.to_string_lossy().into_owned();
        ctx.verb(&["update", "--resources", &name])?.ok()?;
        ctx.expect_status("running")?;
    }
    let said = program.stdout_now()?;
    check!(!said.contains("opened"), "it was open for a moment");
    check!(!said.contains("lost"), "what both allow was refused");
    Ok(())
}
