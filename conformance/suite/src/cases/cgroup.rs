//! config-linux.md, "Control groups": a cgroup of its own in every hierarchy of the machine,
//! where `cgroupsPath` says, gone after delete.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::command::{TIMEOUT, wait_for_exit};
use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("cgroup::own_in_every_hierarchy", own_in_every_hierarchy),
        Case::new("cgroup::absolute_path", absolute_path),
        Case::new("cgroup::nested_path", nested_path),
        Case::new("cgroup::relative_path", relative_path),
        Case::new("cgroup::delete_removes_it", delete_removes_it),
        Case::new("cgroup::run_removes_it", run_removes_it),
        Case::new("cgroup::failed_create_removes_it", failed_create_removes_it),
        Case::new("cgroup::force_kills_all_of_it", force_kills_all_of_it),
        Case::new("cgroup::pids_limit", pids_limit),
        Case::new("cgroup::memory_limit", memory_limit),
        Case::new("cgroup::unified_own", unified_own),
        Case::new("cgroup::unified_absolute_path", unified_absolute_path),
        Case::new(
            "cgroup::unified_delete_removes_it",
            unified_delete_removes_it,
        ),
        Case::new("cgroup::unified_pause", unified_pause),
    ]
}

/// One cgroup of a process: the controllers (empty for v2) and the path in the hierarchy.
pub struct Place {
    /// Comma-separated; empty for v2.
    pub controllers: String,
    /// Below the mount point.
    pub path: String,
}

/// Where a process is, by /proc/PID/cgroup as the host sees it.
pub fn places(pid: i32) -> Result<Vec<Place>, Fault> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let place = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        Some(Place {
            controllers: parts.next()?.into(),
            path: parts.next()?.into(),
        })
    };
    Ok(text.lines().filter_map(place).collect())
}

/// Where a hierarchy is mounted on the host; none for one that is not.
pub fn mount_point(controllers: &str) -> Option<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").ok()?;
    table.lines().find_map(|line| {
        let (front, back) = line.split_once(" - ")?;
        let mut back = back.split(' ');
        let (fstype, options) = (back.next()?, back.nth(1)?);
        let ours = match controllers {
            "" => fstype == "cgroup2",
            _ => {
                fstype == "cgroup"
                    && controllers
                        .split(',')
                        .all(|c| options.split(',').any(|o| o == c))
            }
        };
        let point = PathBuf::from(front.split(' ').nth(4)?);
        // A mount may be hidden below another: the table shows both.
        (ours && point.join("cgroup.procs").exists()).then_some(point)
    })
}

/// The directory of a cgroup on the host.
pub fn directory(place: &Place) -> Option<PathBuf> {
    Some(mount_point(&place.controllers)?.join(place.path.trim_start_matches('/')))
}

/// The cgroups of the container in all mounted hierarchies, checked to be its own.
fn own_places(ctx: &Ctx) -> Result<Vec<(Place, PathBuf)>, Fault> {
    let pid = ctx.pid()?;
    let mut found = Vec::new();
    for place in places(pid)? {
        let Some(dir) = directory(&place) else {
            continue;
        };
        // In the view with v2 only the others are out of the runtime's reach.
        if ctx.unified && !place.controllers.is_empty() {
            continue;
        }
        let what = format!("{}:{}", place.controllers, place.path);
        check!(
            place.path.contains(&ctx.id),
            "not in a cgroup of its own: {what}"
        );
        let members = fs::read_to_string(dir.join("cgroup.procs"))?;
        equal(&what, members.trim(), pid.to_string().as_str())?;
        found.push((place, dir));
    }
    check!(!found.is_empty(), "no cgroup hierarchy is mounted");
    Ok(found)
}

/// Gives the case the view of a machine with cgroup v2 only.
pub fn only_unified(ctx: &mut Ctx) -> Outcome {
    if !ctx.world.unified && !Path::new("/sys/fs/cgroup/unified/cgroup.procs").exists() {
        skip!("no cgroup v2 hierarchy beside the v1 ones");
    }
    ctx.unified = true;
    Ok(())
}

fn own_in_every_hierarchy(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    own_places(ctx).map(drop)
}

/// Creates a sleeper with a cgroupsPath and answers its cgroups.
fn created_at(ctx: &Ctx, path: &str) -> Result<Vec<(Place, PathBuf)>, Fault> {
    let mut bundle = ctx.bundle()?;
    bundle
        .probe(&["sleep"])
        .set("/linux/cgroupsPath", json!(path));
    ctx.create(&bundle)?;
    own_places(ctx)
}

/// "If the value is an absolute path (starting with /), the runtime MUST take the path to be
/// relative to the cgroups mount point."
fn absolute_path(ctx: &mut Ctx) -> Outcome {
    let path = format!("/{}-absolute", ctx.id);
    for (place, _) in created_at(ctx, &path)? {
        equal(&place.controllers, place.path.as_str(), path.as_str())?;
    }
    Ok(())
}

fn nested_path(ctx: &mut Ctx) -> Outcome {
    let parent = format!("/{}-parent", ctx.id);
    let path = format!("{parent}/inner/{}", ctx.id);
    let places = created_at(ctx, &path)?;
    for (place, _) in &places {
        equal(&place.controllers, place.path.as_str(), path.as_str())?;
    }
    ctx.delete()?;
    for (_, dir) in places {
        check!(!dir.exists(), "{} is still there", dir.display());
        // The parents may be the runtime's or an engine's, so nobody has to remove them.
        for parent in dir.ancestors().skip(1).take(2) {
            let _ = fs::remove_dir(parent);
        }
    }
    Ok(())
}

/// "If the value is a relative path (not starting with /), the runtime MAY interpret the path
/// relative to a runtime-determined location in the cgroups hierarchy." It must be the same one
/// each time.
fn relative_path(ctx: &mut Ctx) -> Outcome {
    let path = format!("{}-relative", ctx.id);
    let first: Vec<_> = created_at(ctx, &path)?
        .into_iter()
        .map(|(_, dir)| dir)
        .collect();
    check!(
        first.iter().all(|dir| dir.ends_with(&path)),
        "not at {path}: {first:?}"
    );
    ctx.delete()?;
    let mut bundle = ctx.bundle_named("again")?;
    bundle.set("/linux/cgroupsPath", json!(path));
    ctx.create(&bundle)?;
    let second: Vec<_> = own_places(ctx)?.into_iter().map(|(_, dir)| dir).collect();
    equal("cgroups of the second container", second, first)
}

fn delete_removes_it(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let places = own_places(ctx)?;
    ctx.kill("TERM")?.ok()?;
    ctx.wait_stopped()?;
    ctx.delete()?;
    for (_, dir) in places {
        check!(!dir.exists(), "{} is still there", dir.display());
    }
    ctx.expect_nothing_left()
}

fn run_removes_it(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let path = format!("/{}-run", ctx.id);
    bundle
        .probe(&["exit", "0"])
        .set("/linux/cgroupsPath", json!(path));
    ctx.run(&bundle)?.ok()?;
    ctx.expect_nothing_left()
}

/// The failure comes late, in the container itself.
fn failed_create_removes_it(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle
        .args(&["/nope"])
        .set("/linux/cgroupsPath", json!(format!("/{}-failed", ctx.id)));
    ctx.try_create(&bundle)?.refuses(&[""])?;
    ctx.expect_nothing_left()
}

/// Without a PID namespace the children survive their parent; the cgroup knows them.
fn force_kills_all_of_it(ctx: &mut Ctx) -> Outcome {
    if ctx.unified && ctx.runtime().matches("runc 1.1") {
        // runtime.md, delete: "MUST delete the resources that were created during the create step".
        skip!("runc 1.1 mostly, but not always, leaves this cgroup behind with v2");
    }
    let mut bundle = ctx.bundle()?;
    ctx.need_busybox()?;
    bundle
        .without_namespace("pid")
        .shell("sleep 1000 & sleep 1000 & echo ready; wait");
    ctx.launch(&bundle)?.wait_for("ready")?;
    let (_, dir) = match own_members(ctx)? {
        Some(found) => found,
        None => skip!("no cgroup hierarchy with members"),
    };
    let members: Vec<i32> = fs::read_to_string(dir.join("cgroup.procs"))?
        .lines()
        .filter_map(|pid| pid.parse().ok())
        .collect();
    equal("processes in the cgroup", members.len(), 3)?;
    ctx.verb(&["delete", "--force"])?.ok()?;
    for pid in members {
        check!(wait_for_exit(pid, TIMEOUT)?, "{pid} survived");
    }
    ctx.expect_nothing_left()
}

/// One of the container's cgroups, with as many members as it may have.
fn own_members(ctx: &Ctx) -> Result<Option<(Place, PathBuf)>, Fault> {
    let wanted = if ctx.unified { "" } else { "pids" };
    let mut found = places(ctx.pid()?)?
        .into_iter()
        .filter(|p| p.controllers == wanted);
    Ok(found
        .next()
        .and_then(|place| directory(&place).map(|dir| (place, dir))))
}

/// Creates with a resource and answers what the control file of its limit holds, which has one
/// name in v1 and another in v2.
fn limit(ctx: &Ctx, set: (&str, Value), controller: &str, files: [&str; 2]) -> Result<i64, Fault> {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["sleep"]).set(set.0, set.1);
    // A controller that is not there may be refused, which is no reason for a failure.
    let created = ctx.try_create(&bundle)?;
    let wanted = if ctx.unified { "" } else { controller };
    let root = mount_point(wanted);
    let offered = root.filter(|dir| !ctx.unified || has_controller(dir, controller));
    if offered.is_none() {
        skip!("no controller {controller} on this machine");
    }
    created.ok()?;
    for (place, dir) in own_places(ctx)? {
        if place.controllers == wanted {
            let file = dir.join(files[usize::from(ctx.unified)]);
            return Ok(crate::harness::bundle::read(&file)?.trim().parse()?);
        }
    }
    fail!("not in a cgroup with {controller}")
}

/// Whether a v2 hierarchy offers a controller.
pub fn has_controller(dir: &Path, controller: &str) -> bool {
    let offered = fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default();
    offered.split_whitespace().any(|c| c == controller)
}

fn pids_limit(ctx: &mut Ctx) -> Outcome {
    let set = ("/linux/resources/pids/limit", json!(42));
    equal(
        "pids.max",
        limit(ctx, set, "pids", ["pids.max", "pids.max"])?,
        42,
    )
}

fn memory_limit(ctx: &mut Ctx) -> Outcome {
    let set = ("/linux/resources/memory/limit", json!(64 << 20));
    let files = ["memory.limit_in_bytes", "memory.max"];
    equal("memory limit", limit(ctx, set, "memory", files)?, 64 << 20)
}

fn unified_own(ctx: &mut Ctx) -> Outcome {
    only_unified(ctx)?;
    own_in_every_hierarchy(ctx)
}

fn unified_absolute_path(ctx: &mut Ctx) -> Outcome {
    only_unified(ctx)?;
    absolute_path(ctx)
}

fn unified_delete_removes_it(ctx: &mut Ctx) -> Outcome {
    only_unified(ctx)?;
    delete_removes_it(ctx)
}

fn unified_pause(ctx: &mut Ctx) -> Outcome {
    only_unified(ctx)?;
    ctx.launch_sleeper()?;
    let places = own_places(ctx)?;
    ctx.verb(&["pause"])?.ok()?;
    ctx.expect_status("paused")?;
    for (_, dir) in &places {
        let events = fs::read_to_string(dir.join("cgroup.events"))?;
        check!(events.contains("frozen 1"), "not frozen: {events}");
    }
    ctx.verb(&["resume"])?.ok()?;
    ctx.expect_status("running")
}
