//! config-linux.md, "Cgroup ownership": whose the container's cgroup is on cgroup v2.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::cgroup::{has_controller, places};
use crate::harness::bundle::read;
use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("cgroup::owned_by_its_user", owned_by_its_user)
            .deviates(
                "crun",
                "config-linux.md, Cgroup ownership: a MAY; crun gives it to the container's root",
                "owner of ",
            )
            .deviates(
                "runc",
                "config-linux.md, Cgroup ownership: a MAY; runc does it with systemd's driver alone",
                "owner of ",
            ),
        Case::new("cgroup::not_owned_if_read_only", not_owned_if_read_only).deviates(
            "crun 1.8",
            "config-linux.md, Cgroup ownership: only if it is mounted read/write",
            "owner of ",
        ),
        Case::new("cgroup::delegated_below", delegated_below).only(
            "kan",
            "crun's annotation; with crun it takes systemd's driver",
        ),
    ]
}

/// Ids of the container's users on the host.
const HOST_IDS: u32 = 70_000;

/// A sleeper in namespaces of its own, as user 5, with a mount of its cgroup.
fn sleeper(ctx: &Ctx, option: &str) -> Result<Bundle, Fault> {
    if !ctx.world.unified {
        skip!("only cgroup v2 is delegated");
    }
    let mut bundle = ctx.bundle()?;
    let mapping = json!([{"containerID": 0, "hostID": HOST_IDS, "size": 100}]);
    bundle
        .probe(&["sleep"])
        .set("/linux/namespaces/-", json!({"type": "user"}))
        .set("/linux/namespaces/-", json!({"type": "cgroup"}))
        .set("/linux/uidMappings", mapping.clone())
        .set("/linux/gidMappings", mapping)
        .set("/process/user", json!({"uid": 5, "gid": 5}))
        .set(
            "/mounts/-",
            json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                   "options": ["nosuid", "noexec", "nodev", option]}),
        );
    Ok(bundle)
}

fn directory(pid: i32) -> Result<PathBuf, Fault> {
    match places(pid)?
        .into_iter()
        .find(|place| place.controllers.is_empty())
    {
        Some(place) => Ok(PathBuf::from("/sys/fs/cgroup").join(place.path.trim_start_matches('/'))),
        None => fail!("not in a cgroup of v2"),
    }
}

fn owners(ctx: &Ctx, want: [u32; 3]) -> Outcome {
    let dir = directory(ctx.pid()?)?;
    for (file, want) in ["", "cgroup.procs", "cgroup.max.depth"]
        .into_iter()
        .zip(want)
    {
        let got = dir.join(file).metadata()?.uid();
        equal(&format!("owner of {file:?}"), got, want)?;
    }
    Ok(())
}

/// "[…] and the cgroup filesystem is mounted read/write […] the owner of the container's cgroup to
/// the host uid that maps to the value of process.user.uid": the directory and what
/// /sys/kernel/cgroup/delegate lists, not the limits.
fn owned_by_its_user(ctx: &mut Ctx) -> Outcome {
    let bundle = sleeper(ctx, "rw")?;
    ctx.create(&bundle)?;
    owners(ctx, [HOST_IDS + 5, HOST_IDS + 5, 0])?;
    ctx.start()?;
    ctx.exec_report(&[]).map(drop)
}

fn not_owned_if_read_only(ctx: &mut Ctx) -> Outcome {
    let bundle = sleeper(ctx, "ro")?;
    ctx.create(&bundle)?;
    owners(ctx, [0, 0, 0])
}

/// The container's limits stay above, in what it sees as the root.
fn delegated_below(ctx: &mut Ctx) -> Outcome {
    let mut bundle = sleeper(ctx, "rw")?;
    if !has_controller(Path::new("/sys/fs/cgroup"), "pids") {
        skip!("no controller pids in cgroup v2");
    }
    bundle
        .set("/annotations", json!({"run.oci.delegate-cgroup": "inner"}))
        .set("/linux/resources/pids/limit", json!(44));
    ctx.create(&bundle)?;
    let dir = directory(ctx.pid()?)?;
    check!(dir.ends_with("inner"), "in {}", dir.display());
    equal("owner", dir.metadata()?.uid(), HOST_IDS)?;
    equal(
        "limit of its own",
        read(&dir.join("pids.max"))?.trim(),
        "max",
    )?;
    let above = dir.parent().unwrap_or(&dir);
    equal("limit above", read(&above.join("pids.max"))?.trim(), "44")?;
    ctx.start()?;
    let seen = ctx
        .exec(&[], &["/bin/cat", "/proc/1/cgroup"])
        .run()?
        .ok()?
        .stdout;
    equal("seen from inside", seen.trim(), "0::/inner")?;
    ctx.verb(&["delete", "--force"])?.ok()?;
    ctx.expect_nothing_left()
}
