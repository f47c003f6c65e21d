//! A container without a mount namespace: its mounts lie on the host's, below root.path, and its
//! processes have that as their root, as runc has it.

use std::fs;

use crate::harness::container::text;
use crate::harness::prelude::*;
use crate::harness::report::Report;

const LEFT: &str = "runc and crun leave the mounts of a container that shares the host's to others";
const WRITABLE: &str = "config.md: root.readonly; crun's root can be written to";
const NO_ROOT: &str = "crun does not mount the root itself";
const IN_HOSTS_ROOT: &str =
    "runtime.md: exec is in the container; runc's and crun's is in the host's root";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("no_mount_namespace::run", run)
            .deviates("runc 1.1", LEFT, "left behind")
            .deviates("crun 1.8", WRITABLE, "read_only_mount"),
        Case::new(
            "no_mount_namespace::created_and_deleted",
            created_and_deleted,
        )
        .deviates("runc 1.1", LEFT, "left behind")
        .deviates("crun 1.8", NO_ROOT, "no mount at"),
        Case::new("no_mount_namespace::failure_leaves_nothing", failure)
            .deviates("runc 1.1", LEFT, "left behind")
            .deviates("crun 1.8", LEFT, "left behind"),
        Case::new("no_mount_namespace::exec_is_inside", exec)
            .deviates("runc 1.1", IN_HOSTS_ROOT, "root")
            .deviates("crun 1.8", IN_HOSTS_ROOT, "root"),
        Case::new(
            "no_mount_namespace::failed_exec_takes_nothing",
            failed_exec,
        )
        .deviates("runc 1.1", LEFT, "left behind")
        .deviates("crun 1.8", LEFT, "left behind"),
        Case::new("no_mount_namespace::root_is_a_dot", root_is_a_dot)
            .deviates("runc 1.1", LEFT, "left behind")
            .deviates("crun 1.8", LEFT, "left behind"),
        Case::new("no_mount_namespace::masks_need_one", masks_need_one).deviates(
            "crun 1.8",
            "config-linux.md: maskedPaths hides paths in the container; crun leaves them as they are",
            "want exit code 1",
        ),
    ]
}

fn bundle(ctx: &Ctx) -> Result<Bundle, Fault> {
    if ctx.unified && !ctx.world.unified {
        skip!("the view of cgroup v2 alone is a mount namespace of its own");
    }
    let mut bundle = ctx.bundle()?;
    bundle
        .without_namespace("mount")
        .remove("/linux/maskedPaths")
        .remove("/linux/readonlyPaths");
    Ok(bundle)
}

/// The mounts below the case's directory.
fn mounts_below(ctx: &Ctx) -> Result<Vec<String>, Fault> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    let here = text(&ctx.dir)?;
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    Ok(points
        .filter(|point| point.starts_with(here))
        .map(str::to_owned)
        .collect())
}

fn run(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle(ctx)?;
    bundle.set("/root/readonly", json!(true));
    let report = ctx.report(&mut bundle)?;
    let host = fs::read_link("/proc/self/ns/mnt")?;
    let inside = format!("mnt:[{}]", report.at("/namespaces/mnt"));
    equal(
        "mount namespace",
        host.to_string_lossy().into_owned(),
        inside,
    )?;
    report.expect("/root/~1/read_only_mount", &json!(true))?;
    report.expect("/cwd", &json!("/"))?;
    equal("null", &report.device("null")?["minor"], 3)?;
    equal("mounts", mounts_below(ctx)?, Vec::<String>::new())
        .or_else(|_| fail!("left behind: {:?}", mounts_below(ctx)))
}

fn created_and_deleted(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle(ctx)?;
    bundle.probe(&["sleep"]);
    ctx.launch(&bundle)?.wait_for("ready")?;
    let below = mounts_below(ctx)?;
    for point in ["", "/proc", "/dev", "/sys"] {
        let path = bundle.inside(point);
        let path = text(&path)?.trim_end_matches('/').to_owned();
        check!(below.contains(&path), "no mount at {path}: {below:?}");
    }
    ctx.verb(&["delete", "--force"])?.ok()?;
    let left = mounts_below(ctx)?;
    check!(left.is_empty(), "left behind: {left:?}");
    check!(
        bundle.inside("probe").is_file(),
        "the bundle's own files are gone"
    );
    Ok(())
}

fn failure(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle(ctx)?;
    bundle.args(&["/nope"]);
    ctx.try_create(&bundle)?.refuses(&[""])?;
    let left = mounts_below(ctx)?;
    check!(left.is_empty(), "left behind: {left:?}");
    ctx.expect_nothing_left()
}

fn exec(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle(ctx)?;
    fs::write(bundle.inside("marker"), "of the container")?;
    bundle.probe(&["sleep"]);
    ctx.launch(&bundle)?.wait_for("ready")?;
    let done = ctx.exec(&[], &["/probe", "paths", "/marker"]).run()?;
    let inside = done.ok().and_then(|done| {
        let seen = Report::parse(&done.stdout)?;
        seen.expect("/~1marker/read", &json!("content"))
    });
    ctx.verb(&["delete", "--force"])?.ok()?;
    inside.or_else(|_| fail!("exec is not in the container's root"))
}

/// What a process that can't be made takes back is its own, and no mount of the container's.
fn failed_exec(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle(ctx)?;
    bundle.probe(&["sleep"]);
    ctx.launch(&bundle)?.wait_for("ready")?;
    let before = mounts_below(ctx)?;
    let done = ctx.exec(&[], &["/nope"]).run()?;
    let after = mounts_below(ctx)?;
    ctx.verb(&["delete", "--force"])?.ok()?;
    let left = mounts_below(ctx)?;
    check!(!done.status.success(), "it was executed");
    equal("mounts", after, before)?;
    check!(left.is_empty(), "left behind: {left:?}");
    Ok(())
}

/// root.path is relative to the bundle: `.` is the bundle itself.
fn root_is_a_dot(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle(ctx)?;
    for entry in fs::read_dir(bundle.rootfs())? {
        let entry = entry?;
        fs::rename(entry.path(), bundle.dir.join(entry.file_name()))?;
    }
    bundle.set("/root/path", json!("."));
    let report = ctx.report(&mut bundle)?;
    report.expect("/cwd", &json!("/"))?;
    let left = mounts_below(ctx)?;
    check!(left.is_empty(), "left behind: {left:?}");
    Ok(())
}

/// There would be nothing to hide them from.
fn masks_need_one(ctx: &mut Ctx) -> Outcome {
    for field in ["maskedPaths", "readonlyPaths"] {
        let mut bundle = bundle(ctx)?;
        bundle.set(&format!("/linux/{field}"), json!(["/proc/kcore"]));
        ctx.try_create(&bundle)?.refuses(&[""])?;
        fs::remove_dir_all(&bundle.dir)?;
    }
    ctx.expect_nothing_left()
}
