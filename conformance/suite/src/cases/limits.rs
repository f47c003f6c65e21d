//! config-linux.md, "Control groups": what `linux.resources` asks for stands in the files of the
//! container's cgroup, after create and after update.

use std::fs;
use std::path::{Path, PathBuf};

use super::cgroup::{directory, has_controller, mount_point, only_unified, places};
use crate::harness::bundle::read;
use crate::harness::prelude::*;

/// Not in runtime-spec 1.0, which is as far as runc 1.1 goes.
const NEWER: &str = "a field that is newer than the runtime must not be passed over in silence";

pub fn cases() -> Vec<Case> {
    let mut all: Vec<Case> = LIMITS
        .iter()
        .map(|limit| Case::new(limit.name, limit.body))
        .collect();
    for (name, runtime, rule, symptom) in DEVIATIONS {
        if let Some(at) = all.iter().position(|case| case.name == *name) {
            let case = all.remove(at);
            all.insert(at, case.deviates(runtime, rule, symptom));
        }
    }
    all.extend([
        Case::new("limits::cpu_bandwidth_in_any_order", bandwidth_in_any_order),
        Case::new("limits::unified_file", unified_file),
        Case::new("limits::unified_on_v1_is_refused", unified_on_v1).only(
            "kan",
            "runc refuses every unified, crun 1.8 has no such host",
        ),
        Case::new("limits::missing_controller_is_named", missing_controller)
            .only("kan", "the words are kan's"),
        Case::new("limits::frozen_cgroup_is_refused", frozen_cgroup),
        Case::new("limits::used_cgroup_is_refused", used_cgroup)
            .deviates(
                "runc 1.1",
                "runc 1.2 and newer refuse it: killing the container kills the others too",
                "DEPRECATED: running container in a non-empty cgroup",
            )
            .deviates(
                "crun",
                "not in the spec; runc's rule, and deleting one container must not end another",
                "exit status: 0, want exit code 1",
            ),
    ]);
    all
}

/// Case, runtime, rule, symptom.
const DEVIATIONS: &[(&str, &str, &str, &str)] = &[
    (
        "limits::huge_pages",
        "crun 1.8",
        "config-linux.md, hugepageLimits: of reservations too, where the kernel counts them",
        "hugetlb.2MB.rsvd.max is",
    ),
    (
        "limits::pids_none",
        "runc 1.1",
        "config-linux.md, pids: 0 is a limit since 1.3",
        "pids.max is \"max\"",
    ),
    (
        "limits::cpu_burst",
        "runc 1.1",
        NEWER,
        "is \"0\", want \"5000\"",
    ),
    ("limits::cpu_idle", "runc 1.1", NEWER, "cpu.idle is \"0\""),
];

/// One limit: resources, its controller in v1 and v2, and what files hold then.
pub struct Limit {
    name: &'static str,
    body: fn(&mut Ctx) -> Outcome,
}

/// Resources, and for each version the controller and what its files hold.
pub struct Expected {
    /// `linux.resources`; `DEVICE` stands for a disk's number.
    pub resources: &'static str,
    /// In cgroup v1.
    pub v1: Files,
    /// In cgroup v2.
    pub v2: Files,
}

/// The controller, then files and what they hold: the whole of it, or a line.
pub type Files = (&'static str, &'static [(&'static str, &'static str)]);

/// A controller that a version does not have.
const NOT_THERE: Files = ("", &[]);

macro_rules! limits {
    ($($name:ident $resources:literal, $v1:expr, $v2:expr;)*) => {
        const LIMITS: &[Limit] = &[$(Limit {
            name: concat!("limits::", stringify!($name)),
            body: |ctx| after_create(ctx, &Expected { resources: $resources, v1: $v1, v2: $v2 }),
        }),*];
    };
}

limits! {
    memory r#"{"memory": {"limit": 67108864}}"#,
        ("memory", &[("memory.limit_in_bytes", "67108864")]),
        ("memory", &[("memory.max", "67108864")]);
    memory_and_swap r#"{"memory": {"limit": 67108864, "swap": 100663296}}"#,
        ("memory", &[("memory.limit_in_bytes", "67108864"), ("memory.memsw.limit_in_bytes", "100663296")]),
        ("memory", &[("memory.max", "67108864"), ("memory.swap.max", "33554432")]);
    memory_without_swap r#"{"memory": {"limit": 67108864, "swap": 67108864}}"#,
        ("memory", &[("memory.memsw.limit_in_bytes", "67108864")]),
        ("memory", &[("memory.swap.max", "0")]);
    memory_none r#"{"memory": {"limit": -1, "swap": -1}}"#,
        ("memory", &[("memory.limit_in_bytes", "9223372036854771712"), ("memory.memsw.limit_in_bytes", "9223372036854771712")]),
        ("memory", &[("memory.max", "max"), ("memory.swap.max", "max")]);
    memory_reservation r#"{"memory": {"reservation": 33554432}}"#,
        ("memory", &[("memory.soft_limit_in_bytes", "33554432")]),
        ("memory", &[("memory.low", "33554432")]);
    memory_v1 r#"{"memory": {"swappiness": 7, "disableOOMKiller": true}}"#,
        ("memory", &[("memory.swappiness", "7"), ("memory.oom_control", "oom_kill_disable 1")]),
        NOT_THERE;
    cpu_shares r#"{"cpu": {"shares": 2048}}"#,
        ("cpu", &[("cpu.shares", "2048")]),
        ("cpu", &[("cpu.weight", "174")]);
    cpu_default_shares r#"{"cpu": {"shares": 1024}}"#,
        ("cpu", &[("cpu.shares", "1024")]),
        ("cpu", &[("cpu.weight", "100")]);
    cpu_quota r#"{"cpu": {"quota": 30000, "period": 60000}}"#,
        ("cpu", &[("cpu.cfs_quota_us", "30000"), ("cpu.cfs_period_us", "60000")]),
        ("cpu", &[("cpu.max", "30000 60000")]);
    cpu_quota_alone r#"{"cpu": {"quota": 30000}}"#,
        ("cpu", &[("cpu.cfs_quota_us", "30000"), ("cpu.cfs_period_us", "100000")]),
        ("cpu", &[("cpu.max", "30000 100000")]);
    cpu_period_alone r#"{"cpu": {"period": 60000}}"#,
        ("cpu", &[("cpu.cfs_quota_us", "-1"), ("cpu.cfs_period_us", "60000")]),
        ("cpu", &[("cpu.max", "max 60000")]);
    cpu_burst r#"{"cpu": {"quota": 30000, "period": 60000, "burst": 5000}}"#,
        ("cpu", &[("cpu.cfs_burst_us", "5000")]),
        ("cpu", &[("cpu.max.burst", "5000")]);
    cpu_idle r#"{"cpu": {"idle": 1}}"#,
        ("cpu", &[("cpu.idle", "1")]),
        ("cpu", &[("cpu.idle", "1")]);
    cpu_sets r#"{"cpu": {"cpus": "0", "mems": "0"}}"#,
        ("cpuset", &[("cpuset.cpus", "0"), ("cpuset.mems", "0")]),
        ("cpuset", &[("cpuset.cpus", "0"), ("cpuset.mems", "0")]);
    pids r#"{"pids": {"limit": 42}}"#,
        ("pids", &[("pids.max", "42")]),
        ("pids", &[("pids.max", "42")]);
    pids_none r#"{"pids": {"limit": 0}}"#,
        ("pids", &[("pids.max", "1")]),
        ("pids", &[("pids.max", "1")]);
    pids_unlimited r#"{"pids": {"limit": -1}}"#,
        ("pids", &[("pids.max", "max")]),
        ("pids", &[("pids.max", "max")]);
    block_io_throttles r#"{"blockIO": {
            "throttleReadBpsDevice": [{DEVICE, "rate": 1048576}],
            "throttleWriteBpsDevice": [{DEVICE, "rate": 2097152}],
            "throttleReadIOPSDevice": [{DEVICE, "rate": 300}],
            "throttleWriteIOPSDevice": [{DEVICE, "rate": 400}]}}"#,
        ("blkio", &[
            ("blkio.throttle.read_bps_device", "DEVICE 1048576"),
            ("blkio.throttle.write_bps_device", "DEVICE 2097152"),
            ("blkio.throttle.read_iops_device", "DEVICE 300"),
            ("blkio.throttle.write_iops_device", "DEVICE 400"),
        ]),
        ("io", &[("io.max", "DEVICE rbps=1048576 wbps=2097152 riops=300 wiops=400")]);
    huge_pages r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}"#,
        ("hugetlb", &[("hugetlb.2MB.limit_in_bytes", "4194304"), ("hugetlb.2MB.rsvd.limit_in_bytes", "4194304")]),
        ("hugetlb", &[("hugetlb.2MB.max", "4194304"), ("hugetlb.2MB.rsvd.max", "4194304")]);
}

/// The container's cgroup in the hierarchy that has a controller, and whether that is v2.
///
/// # Errors
/// If its process has no cgroup there.
pub fn home(ctx: &Ctx, expected: &Expected) -> Result<(PathBuf, bool), Fault> {
    let v2 = in_v2(ctx, expected);
    let wanted = if v2 { "" } else { expected.v1.0 };
    for place in places(ctx.pid()?)? {
        let ours = match wanted {
            "" => place.controllers.is_empty(),
            name => place.controllers.split(',').any(|other| other == name),
        };
        if let (true, Some(dir)) = (ours, directory(&place)) {
            return Ok((dir, v2));
        }
    }
    fail!("no cgroup with {wanted:?}")
}

fn in_v2(ctx: &Ctx, expected: &Expected) -> bool {
    ctx.unified || mount_point(expected.v1.0).is_none()
}

/// Skips the case where no hierarchy has the controller.
///
/// # Errors
/// The skip.
pub fn need(ctx: &Ctx, expected: &Expected) -> Outcome {
    if !in_v2(ctx, expected) {
        return Ok(());
    }
    let controller = expected.v2.0;
    let offered = mount_point("").is_some_and(|dir| has_controller(&dir, controller));
    // runc leaves v2 of a hybrid host alone.
    let used = ctx.unified || ctx.runtime().name == "kan";
    if controller.is_empty() || !offered || !used {
        skip!("no controller {} on this machine", expected.v1.0);
    }
    Ok(())
}

/// A disk, as `major:minor`.
fn disk() -> Result<Option<String>, Fault> {
    for entry in fs::read_dir("/sys/block")? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let is_plain = !["loop", "ram", "zram", "dm-", "md"]
            .iter()
            .any(|p| name.starts_with(p));
        if is_plain {
            return Ok(Some(read(&path.join("dev"))?.trim().to_owned()));
        }
    }
    Ok(None)
}

/// The resources of a case, with a disk's number where they speak of one.
///
/// # Errors
/// A skip, if there is no disk.
pub fn resources(expected: &Expected) -> Result<Value, Fault> {
    let mut text = expected.resources.to_owned();
    if text.contains("DEVICE") {
        let Some(number) = disk()? else {
            skip!("no disk on this machine");
        };
        let (major, minor) = number.split_once(':').unwrap_or_default();
        text = text.replace("DEVICE", &format!("\"major\": {major}, \"minor\": {minor}"));
    }
    Ok(serde_json::from_str(&text)?)
}

/// Skips a case that says by its path where the cgroup is.
fn need_own_paths(ctx: &Ctx) -> Outcome {
    if ctx.world.by_systemd {
        skip!("systemd's cgroups have no such paths");
    }
    Ok(())
}

/// What systemd makes of `cpu.max`: it keeps whole percents of a CPU, and no period without a quota.
fn is_rounded(file: &str, got: &str, want: &str) -> bool {
    let parts = |text: &str| -> Option<(String, i64)> {
        let (quota, period) = text.trim().split_once(' ')?;
        Some((quota.to_owned(), period.parse().ok()?))
    };
    let (Some((got, got_period)), Some((want, period))) = (parts(got), parts(want)) else {
        return false;
    };
    let quotas = got.parse::<i64>().ok().zip(want.parse::<i64>().ok());
    let is_near = |(got, want): (i64, i64)| (0..=period / 100).contains(&(got - want));
    let is_same = match quotas {
        Some(both) => got_period == period && is_near(both),
        None => got == want,
    };
    file == "cpu.max" && is_same
}

/// Fails unless the files hold what is expected.
///
/// # Errors
/// With the file and what it holds.
pub fn compare(ctx: &Ctx, expected: &Expected) -> Outcome {
    compare_now(ctx, expected, |_, _, _| false)?;
    if !ctx.world.by_systemd {
        return Ok(());
    }
    // systemd writes the files again, from what it knows.
    super::systemd::reload(ctx)?;
    match compare_now(ctx, expected, is_rounded) {
        Err(Fault::Failed(why)) => fail!("after daemon-reload: {why}"),
        other => other,
    }
}

fn compare_now(
    ctx: &Ctx,
    expected: &Expected,
    is_as_good: fn(&str, &str, &str) -> bool,
) -> Outcome {
    let (dir, v2) = home(ctx, expected)?;
    let (_, files) = if v2 { expected.v2 } else { expected.v1 };
    for (file, want) in files {
        let want = match disk()? {
            Some(number) => want.replace("DEVICE", &number),
            None => (*want).to_owned(),
        };
        let text = read(&dir.join(file))?;
        let holds = text.trim_end() == want || text.lines().any(|line| line == want);
        let holds = holds || is_as_good(file, &text, &want);
        check!(holds, "{file} is {:?}, want {want:?}", text.trim_end());
    }
    Ok(())
}

fn after_create(ctx: &mut Ctx, expected: &Expected) -> Outcome {
    need(ctx, expected)?;
    let mut bundle = ctx.bundle()?;
    bundle
        .probe(&["sleep"])
        .set("/linux/resources", resources(expected)?);
    ctx.create(&bundle)?;
    compare(ctx, expected)?;
    // And they let the container run.
    ctx.start()
}

/// The parent's own quota must not get in the way of either half.
fn bandwidth_in_any_order(ctx: &mut Ctx) -> Outcome {
    need_own_paths(ctx)?;
    let expected = Expected {
        resources: r#"{"cpu": {"quota": 20000, "period": 200000}}"#,
        v1: (
            "cpu",
            &[
                ("cpu.cfs_quota_us", "20000"),
                ("cpu.cfs_period_us", "200000"),
            ],
        ),
        v2: ("cpu", &[("cpu.max", "20000 200000")]),
    };
    need(ctx, &expected)?;
    let mut bundle = ctx.bundle()?;
    let parent = format!("/{}-parent", ctx.id);
    bundle
        .probe(&["sleep"])
        .set("/linux/cgroupsPath", json!(format!("{parent}/{}", ctx.id)))
        .set("/linux/resources", resources(&expected)?);
    ctx.create(&bundle)?;
    let (dir, _) = home(ctx, &expected)?;
    ctx.delete()?;
    let upper = dir.parent().unwrap_or(Path::new("/nonexistent")).to_owned();
    let made = if in_v2(ctx, &expected) {
        fs::write(upper.join("cpu.max"), "15000 100000")
    } else {
        fs::write(upper.join("cpu.cfs_quota_us"), "15000")
    };
    let outcome = made.map_err(Fault::from).and_then(|()| {
        ctx.create(&bundle)?;
        compare(ctx, &expected)?;
        ctx.delete()
    });
    remove_everywhere(&parent);
    outcome
}

/// Removes a cgroup from every hierarchy.
fn remove_everywhere(path: &str) {
    let Ok(table) = fs::read_to_string("/proc/self/cgroup") else {
        return;
    };
    for line in table.lines() {
        let controllers = line.split(':').nth(1).unwrap_or_default();
        if let Some(mount) = mount_point(controllers) {
            let _ = fs::remove_dir(mount.join(path.trim_start_matches('/')));
        }
    }
}

fn unified_file(ctx: &mut Ctx) -> Outcome {
    only_unified(ctx)?;
    let mut bundle = ctx.bundle()?;
    bundle
        .probe(&["sleep"])
        .set("/linux/resources/unified", json!({"cgroup.max.depth": "7"}));
    ctx.create(&bundle)?;
    for place in places(ctx.pid()?)? {
        if let (true, Some(dir)) = (place.controllers.is_empty(), directory(&place)) {
            let text = read(&dir.join("cgroup.max.depth"))?;
            return equal("cgroup.max.depth", text.trim(), "7");
        }
    }
    fail!("not in a v2 cgroup")
}

fn unified_on_v1(ctx: &mut Ctx) -> Outcome {
    if ctx.unified || mount_point("memory").is_none() {
        skip!("no memory controller of v1");
    }
    let mut bundle = ctx.bundle()?;
    bundle.set(
        "/linux/resources/unified",
        json!({"memory.max": "67108864"}),
    );
    let text = "linux.resources.unified[\"memory.max\"]: invalid configuration";
    ctx.try_create(&bundle)?.refuses(&[text])?;
    ctx.expect_nothing_left()
}

/// Field, file and controller.
fn missing_controller(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.set(
        "/linux/resources/rdma",
        json!({"nothing0": {"hcaHandles": 1}}),
    );
    if mount_point("rdma").is_some()
        || mount_point("").is_some_and(|dir| has_controller(&dir, "rdma"))
    {
        skip!("this machine has the rdma controller");
    }
    let texts = [
        "has no rdma.max: the rdma controller is not available here",
        "no cgroup hierarchy of this host has the rdma controller",
    ];
    let done = ctx.try_create(&bundle)?;
    check!(
        done.stderr.contains("linux.resources.rdma.nothing0: "),
        "no field: {}",
        done.stderr
    );
    done.refuses(&texts)?;
    ctx.expect_nothing_left()
}

/// runc's rule: init would hang in it.
fn frozen_cgroup(ctx: &mut Ctx) -> Outcome {
    need_own_paths(ctx)?;
    if ctx.runtime().name == "crun" {
        skip!("crun waits in it, for ever");
    }
    let path = format!("/{}-frozen", ctx.id);
    let v1 = (!ctx.unified).then(|| mount_point("freezer")).flatten();
    let (mount, file, value) = match (v1, mount_point("")) {
        (Some(mount), _) => (mount, "freezer.state", "FROZEN"),
        (None, Some(mount)) => (mount, "cgroup.freeze", "1"),
        _ => skip!("no freezer on this machine"),
    };
    let dir = mount.join(path.trim_start_matches('/'));
    fs::create_dir(&dir)?;
    let frozen = fs::write(dir.join(file), value);
    let mut bundle = ctx.bundle()?;
    bundle
        .probe(&["sleep"])
        .set("/linux/cgroupsPath", json!(path));
    let tried = frozen
        .map_err(Fault::from)
        .and_then(|()| ctx.try_create(&bundle));
    let _ = ctx.verb(&["delete", "--force"]);
    remove_everywhere(&path);
    tried?.refuses(&["container's cgroup unexpectedly frozen"])
}

/// A cgroup with somebody else's processes is not the container's.
fn used_cgroup(ctx: &mut Ctx) -> Outcome {
    need_own_paths(ctx)?;
    let path = format!("/{}-used", ctx.id);
    let mut bundle = ctx.bundle()?;
    bundle
        .probe(&["sleep"])
        .set("/linux/cgroupsPath", json!(path));
    ctx.create(&bundle)?;
    let other = ctx.another_id();
    let second = ctx.bundle_named("second")?;
    let mut second = second;
    second
        .probe(&["sleep"])
        .set("/linux/cgroupsPath", json!(path))
        .save()?;
    let dir = second.dir.to_string_lossy().into_owned();
    ctx.oci(&["create", "--bundle", &dir, &other])
        .run()?
        .refuses(&["container's cgroup is not empty"])?;
    // The first is as it was.
    ctx.expect_status("created")
}
