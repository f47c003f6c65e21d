//! `exec --cgroup`: a process in a cgroup below the container's.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::container::text;
use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "exec_cgroup::below_in_one_hierarchy",
            below_in_one_hierarchy,
        ),
        Case::new("exec_cgroup::below_everywhere", below_everywhere),
        Case::new("exec_cgroup::unified_below", unified_below),
        Case::new("exec_cgroup::missing_is_refused", missing_is_refused),
        Case::new("exec_cgroup::outside_is_refused", outside_is_refused),
        Case::new(
            "exec_cgroup::unknown_controller_is_refused",
            unknown_controller,
        ),
        Case::new("exec_cgroup::contradictions_are_refused", contradictions),
        Case::new("exec_cgroup::unified_follows_init", unified_follows_init),
    ]
}

/// crun takes `--cgroup PATH` alone, and makes what is missing.
fn speaks_like_runc(ctx: &Ctx) -> Outcome {
    if !ctx.runtime().speaks_like_runc() {
        skip!("crun's --cgroup is another flag");
    }
    Ok(())
}

/// The cgroups of a process, by controllers, which are empty for v2.
fn places(pid: i32) -> Result<Vec<(String, String)>, Fault> {
    let table = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let place = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
    };
    Ok(table.lines().filter_map(place).collect())
}

fn path_in(pid: i32, controller: &str) -> Result<String, Fault> {
    let all = places(pid)?;
    let found = all
        .into_iter()
        .find(|(names, _)| names.split(',').any(|name| name == controller));
    match found {
        Some((_, path)) => Ok(path),
        None => fail!("no hierarchy of {controller:?}"),
    }
}

/// Executes a sleeper in the container: its pid.
fn exec_sleeper(ctx: &Ctx, options: &[&str]) -> Result<i32, Fault> {
    let file = ctx.dir.join("exec.pid");
    let options = [options, &["--detach", "--pid-file", text(&file)?]].concat();
    let done = ctx.exec(&options, &["/probe", "sleep"]).run()?.ok()?;
    done.wait_for("ready")?;
    Ok(crate::harness::bundle::read(&file)?.parse()?)
}

/// Where a v1 hierarchy is mounted, on machines that have it at the usual place.
fn hierarchy(ctx: &Ctx, controller: &str) -> Result<PathBuf, Fault> {
    let path = PathBuf::from("/sys/fs/cgroup").join(controller);
    if ctx.unified || !path.join("cgroup.procs").exists() {
        skip!("no cgroup v1 hierarchy at {}", path.display());
    }
    Ok(path)
}

fn below_in_one_hierarchy(ctx: &mut Ctx) -> Outcome {
    speaks_like_runc(ctx)?;
    let top = hierarchy(ctx, "pids")?;
    ctx.launch_sleeper()?;
    let own = path_in(ctx.pid()?, "pids")?;
    fs::create_dir(top.join(own.trim_start_matches('/')).join("sub"))?;
    let pid = exec_sleeper(ctx, &["--cgroup", "pids:sub"])?;
    equal("pids", path_in(pid, "pids")?, format!("{own}/sub"))?;
    let devices = path_in(ctx.pid()?, "devices")?;
    equal("devices", path_in(pid, "devices")?, devices)
}

/// cgroup v1's cpuset takes nobody in before it has CPUs and memory.
fn make_below(own: &Path) -> Outcome {
    let sub = own.join("sub");
    fs::create_dir(&sub)?;
    for name in ["cpuset.cpus", "cpuset.mems"] {
        if sub.join(name).exists() {
            fs::write(sub.join(name), fs::read(own.join(name))?)?;
        }
    }
    Ok(())
}

fn below_everywhere(ctx: &mut Ctx) -> Outcome {
    speaks_like_runc(ctx)?;
    hierarchy(ctx, "pids")?;
    ctx.launch_sleeper()?;
    let init = ctx.pid()?;
    for (names, path) in places(init)? {
        // The first name of a hierarchy is always a link or the mount itself.
        let name = names.split(',').next().unwrap_or_default();
        let name = name.strip_prefix("name=").unwrap_or(name);
        let top =
            PathBuf::from("/sys/fs/cgroup").join(if name.is_empty() { "unified" } else { name });
        if path.contains(&ctx.id) && top.is_dir() {
            make_below(&top.join(path.trim_start_matches('/')))?;
        }
    }
    let pid = exec_sleeper(ctx, &["--cgroup", "sub"])?;
    for (names, path) in places(init)?
        .iter()
        .filter(|(_, path)| path.contains(&ctx.id))
    {
        let name = names.split(',').next().unwrap_or_default();
        equal(name, path_in(pid, name)?, format!("{path}/sub"))?;
    }
    Ok(())
}

fn unified_below(ctx: &mut Ctx) -> Outcome {
    super::cgroup::only_unified(ctx)?;
    speaks_like_runc(ctx)?;
    ctx.launch_sleeper()?;
    let own = path_in(ctx.pid()?, "")?;
    fs::create_dir(unified().join(own.trim_start_matches('/')).join("sub"))?;
    let pid = exec_sleeper(ctx, &["--cgroup", "/sub"])?;
    equal("cgroup", path_in(pid, "")?, format!("{own}/sub"))
}

/// The v2 hierarchy as this machine shows it to the suite.
fn unified() -> PathBuf {
    let hybrid = PathBuf::from("/sys/fs/cgroup/unified");
    if hybrid.join("cgroup.controllers").exists() {
        hybrid
    } else {
        "/sys/fs/cgroup".into()
    }
}

fn refused(ctx: &Ctx, options: &[&str], texts: &[&str]) -> Outcome {
    let done = ctx.exec(options, &["/probe", "touch", "/ran"]).run()?;
    done.refuses_with(255, texts)?;
    ctx.expect_status("running")
}

fn missing_is_refused(ctx: &mut Ctx) -> Outcome {
    speaks_like_runc(ctx)?;
    let bundle = ctx.launch_sleeper()?;
    refused(
        ctx,
        &["--cgroup", "/nosuch"],
        &["no such file or directory"],
    )?;
    check!(!bundle.inside("ran").exists(), "it ran");
    Ok(())
}

fn outside_is_refused(ctx: &mut Ctx) -> Outcome {
    speaks_like_runc(ctx)?;
    ctx.launch_sleeper()?;
    for path in ["..", "/../..", "a/../../b"] {
        let texts = ["bad sub cgroup path", "is not a sub cgroup path"];
        refused(ctx, &["--cgroup", path], &texts)?;
    }
    Ok(())
}

fn unknown_controller(ctx: &mut Ctx) -> Outcome {
    speaks_like_runc(ctx)?;
    ctx.launch_sleeper()?;
    refused(
        ctx,
        &["--cgroup", "nosuch:/"],
        &["unknown controller nosuch"],
    )
}

fn contradictions(ctx: &mut Ctx) -> Outcome {
    speaks_like_runc(ctx)?;
    ctx.launch_sleeper()?;
    for options in [
        &["--cgroup", "a", "--cgroup", "b"][..],
        &["--cgroup", "pids:a:b"],
    ] {
        refused(ctx, options, &["--cgroup"])?;
    }
    Ok(())
}

/// A container that has made itself cgroups, as systemd does, has no processes in its own one
/// any more: where controllers are on for the children, none may be there.
fn unified_follows_init(ctx: &mut Ctx) -> Outcome {
    super::cgroup::only_unified(ctx)?;
    speaks_like_runc(ctx)?;
    ctx.launch_sleeper()?;
    let init = ctx.pid()?;
    let own = path_in(init, "")?;
    let own = unified().join(own.trim_start_matches('/'));
    let controllers = crate::harness::bundle::read(&own.join("cgroup.controllers"))?;
    let Some(controller) = controllers.split_whitespace().next() else {
        skip!("no controllers in cgroup v2 here");
    };
    fs::create_dir(own.join("init.scope"))?;
    fs::write(own.join("init.scope/cgroup.procs"), init.to_string())?;
    fs::write(own.join("cgroup.subtree_control"), format!("+{controller}"))?;
    let pid = exec_sleeper(ctx, &[])?;
    equal("cgroup", path_in(pid, "")?, path_in(init, "")?)
}
