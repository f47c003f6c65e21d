//! config-linux.md, Namespaces, `path`: namespaces that exist already, above all user namespaces,
//! alone, with others and beside new ones.

use std::fs;

use super::mounts::bind;
use super::user_namespace::{UID, bundle_with_users};
use crate::harness::config::mount;
use crate::harness::container::text;
use crate::harness::prelude::*;
use crate::harness::report::Report;

const KINDS: [(&str, &str); 6] = [
    ("user", "user"),
    ("mount", "mnt"),
    ("pid", "pid"),
    ("network", "net"),
    ("ipc", "ipc"),
    ("uts", "uts"),
];

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("joined_namespaces::user", user),
        Case::new("joined_namespaces::user_and_pid", user_and_pid),
        Case::new("joined_namespaces::all", all),
        Case::new("joined_namespaces::by_a_bound_file", by_a_bound_file),
        Case::new("joined_namespaces::time_and_cgroup", time_and_cgroup)
            .deviates("runc 1.1", "config-linux.md, Namespaces: time", "time")
            .deviates(
                "crun 1.8",
                "config-linux.md, Namespaces: time",
                "want exit code 0",
            ),
        Case::new(
            "joined_namespaces::time_in_a_user_namespace",
            time_in_a_user_namespace,
        )
        .deviates("runc 1.1", "config-linux.md, Namespaces: time", "time")
        .deviates("crun 1.8", "config-linux.md, Namespaces: time", "time"),
        Case::new(
            "joined_namespaces::network_of_the_host_side",
            network_of_the_host_side,
        )
        .deviates(
            "runc 1.1",
            "runc 1.2: a sysfs that may not be mounted is bound",
            "sysfs",
        ),
        Case::new(
            "joined_namespaces::user_and_network_of_the_host_side",
            user_and_foreign_network,
        )
        .deviates(
            "runc 1.1",
            "runc 1.2 joins what is not the user namespace's before it",
            "failed to setns into net namespace",
        ),
        Case::new(
            "joined_namespaces::users_without_a_network",
            users_without_a_network,
        )
        .deviates(
            "runc 1.1",
            "runc 1.2: a sysfs that may not be mounted is bound",
            "sysfs",
        )
        .deviates("crun 1.8", "config.md, mounts: options", "no nosuid"),
        Case::new("joined_namespaces::exec", exec),
        Case::new("joined_namespaces::exec_in_a_pod", exec_in_a_pod),
        Case::new(
            "joined_namespaces::ids_of_the_joined_user_namespace",
            mapped_ids,
        )
        .deviates(
            "runc 1.1",
            "config.md, Linux mount options: idmap",
            "uid: got",
        ),
        Case::new("joined_namespaces::wrong_kind_is_refused", wrong_kind).deviates(
            "crun 1.8",
            "runtime.md, Errors: as if the operation were never attempted",
            "left behind",
        ),
        Case::new("joined_namespaces::offsets_need_a_time_namespace", offsets)
            .deviates(
                "runc 1.1",
                "config-linux.md, Time offsets: of the time namespace",
                "exit status: 0",
            )
            .deviates(
                "crun 1.8",
                "config-linux.md, Time offsets: of the time namespace",
                "exit status: 0",
            ),
    ]
}

/// Starts a container under another id, which waits; its first process.
fn launch_other(ctx: &mut Ctx, bundle: &mut Bundle) -> Result<i32, Fault> {
    let id = ctx.another_id();
    bundle.probe(&["sleep"]).save()?;
    let dir = text(&bundle.dir)?.to_owned();
    let created = ctx.oci(&["create", "--bundle", &dir, &id]).run()?.ok()?;
    ctx.oci(&["start", &id]).run()?.ok()?;
    created.wait_for("ready")?;
    let state = ctx.oci(&["state", &id]).run()?.ok()?;
    let state: Value = serde_json::from_str(&state.stdout)?;
    match state["pid"]
        .as_i64()
        .and_then(|pid| i32::try_from(pid).ok())
    {
        Some(pid) => Ok(pid),
        None => fail!("state has no pid: {state}"),
    }
}

/// Joins namespaces of a process, instead of making them. The mappings of a user namespace stay in
/// the config, as containerd and CRI-O write them.
pub(super) fn join(bundle: &mut Bundle, pid: i32, kinds: &[&str]) {
    for (kind, file) in KINDS.iter().filter(|(kind, _)| kinds.contains(kind)) {
        let joined = json!({"type": kind, "path": format!("/proc/{pid}/ns/{file}")});
        bundle
            .without_namespace(kind)
            .set("/linux/namespaces/-", joined);
    }
}

/// Fails unless the report is of a process in these namespaces of the other, and in no other of
/// its.
fn expect_joined(report: &Report, pid: i32, kinds: &[&str]) -> Outcome {
    for (kind, file) in KINDS {
        let other = fs::read_link(format!("/proc/{pid}/ns/{file}"))?;
        if other == fs::read_link(format!("/proc/self/ns/{file}"))? {
            continue;
        }
        let inside = format!("{file}:[{}]", report.at(&format!("/namespaces/{file}")));
        let same = other.to_string_lossy() == inside;
        equal(kind, same, kinds.contains(&kind))?;
    }
    Ok(())
}

/// Two bundles with users: the first one runs, the second one joins.
fn two(ctx: &mut Ctx, kinds: &[&str]) -> Result<(Bundle, i32), Fault> {
    let mut first = bundle_with_users(ctx)?;
    fs::rename(&first.dir, ctx.dir.join("first"))?;
    first.dir = ctx.dir.join("first");
    let pid = launch_other(ctx, &mut first)?;
    let mut second = bundle_with_users(ctx)?;
    join(&mut second, pid, kinds);
    Ok((second, pid))
}

fn expect_root_of_users(report: &Report) -> Outcome {
    report.expect("/uid", &json!({"real": 0, "effective": 0, "saved": 0}))?;
    for (point, fstype) in [("/proc", "proc"), ("/dev", "tmpfs"), ("/dev/pts", "devpts")] {
        equal(point, &report.mount(point)?["fstype"], fstype)?;
    }
    Ok(())
}

/// The other namespaces are new, and the joined one's own.
fn user(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, pid) = two(ctx, &["user"])?;
    let report = ctx.report(&mut bundle)?;
    expect_joined(&report, pid, &["user"])?;
    expect_root_of_users(&report)?;
    equal("sysfs", &report.mount("/sys")?["fstype"], "sysfs")?;
    bundle.probe(&["touch", "/tmp/made"]);
    ctx.run(&bundle)?.ok()?;
    let made = fs::metadata(bundle.inside("tmp/made"))?;
    equal(
        "owner on the host",
        std::os::unix::fs::MetadataExt::uid(&made),
        UID,
    )
}

fn user_and_pid(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, pid) = two(ctx, &["user", "pid"])?;
    let report = ctx.report(&mut bundle)?;
    expect_joined(&report, pid, &["user", "pid"])?;
    expect_root_of_users(&report)?;
    let seen = report.at("/processes").to_string();
    check!(
        seen.contains("1,"),
        "the other container's processes: {seen}"
    );
    Ok(())
}

/// All of another container's, its mount namespace too, in which the bundle has to lie.
fn all(ctx: &mut Ctx) -> Outcome {
    let mut first = ctx.bundle_named("first")?;
    let pid = launch_other(ctx, &mut first)?;
    let mut bundle = ctx.bundle()?;
    let kinds = ["pid", "network", "ipc", "uts"];
    join(&mut bundle, pid, &kinds);
    bundle
        .remove("/hostname")
        .remove("/domainname")
        .remove("/linux/sysctl");
    expect_joined(&ctx.report(&mut bundle)?, pid, &kinds)
}

fn by_a_bound_file(ctx: &mut Ctx) -> Outcome {
    let mut first = ctx.bundle_named("first")?;
    let pid = launch_other(ctx, &mut first)?;
    let file = ctx.dir.join("network");
    fs::write(&file, "")?;
    rustix::mount::mount_bind(format!("/proc/{pid}/ns/net"), &file)?;
    let mut bundle = ctx.bundle()?;
    bundle
        .without_namespace("network")
        .set(
            "/linux/namespaces/-",
            json!({"type": "network", "path": file}),
        )
        .remove("/linux/sysctl");
    let report = ctx.report(&mut bundle);
    rustix::mount::unmount(&file, rustix::mount::UnmountFlags::DETACH)?;
    expect_joined(&report?, pid, &["network"])
}

/// Seconds since boot as the container sees them, far from the host's.
fn expect_offset(ctx: &Ctx, bundle: &mut Bundle) -> Outcome {
    bundle.probe(&["cat", "/proc/uptime"]);
    let done = ctx.run(bundle)?.ok()?;
    let seconds = done.stdout.split('.').next().unwrap_or_default();
    let seconds: u64 = seconds.parse().unwrap_or(0);
    check!(
        seconds > 100_000_000,
        "not in the time namespace: {}",
        done.stdout
    );
    Ok(())
}

fn with_time(bundle: &mut Bundle) {
    bundle
        .set("/linux/namespaces/-", json!({"type": "time"}))
        .set(
            "/linux/timeOffsets",
            json!({"boottime": {"secs": 200_000_000}}),
        );
}

fn time_and_cgroup(ctx: &mut Ctx) -> Outcome {
    let mut first = ctx.bundle_named("first")?;
    with_time(&mut first);
    let pid = launch_other(ctx, &mut first)?;
    let mut bundle = ctx.bundle()?;
    for kind in ["time", "cgroup"] {
        let joined = json!({"type": kind, "path": format!("/proc/{pid}/ns/{kind}")});
        bundle
            .without_namespace(kind)
            .set("/linux/namespaces/-", joined);
    }
    let report = ctx.report(&mut bundle)?;
    for kind in ["time", "cgroup"] {
        let other = fs::read_link(format!("/proc/{pid}/ns/{kind}"))?;
        let inside = format!("{kind}:[{}]", report.at(&format!("/namespaces/{kind}")));
        equal(kind, other.to_string_lossy().into_owned(), inside)?;
    }
    expect_offset(ctx, &mut bundle)
}

fn time_in_a_user_namespace(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle_with_users(ctx)?;
    with_time(&mut bundle);
    expect_offset(ctx, &mut bundle)?;
    fs::remove_dir_all(&bundle.dir)?;
    let (mut second, _) = two(ctx, &["user"])?;
    with_time(&mut second);
    expect_offset(ctx, &mut second)
}

/// As engines do it: the network namespace is set up first, and does not belong to the user
/// namespace that is made. /sys can only be the host's then.
fn network_of_the_host_side(ctx: &mut Ctx) -> Outcome {
    let mut first = ctx.bundle_named("first")?;
    let pid = launch_other(ctx, &mut first)?;
    let mut bundle = bundle_with_users(ctx)?;
    join(&mut bundle, pid, &["network", "uts"]);
    bundle.remove("/linux/sysctl").remove("/hostname");
    let report = ctx.report(&mut bundle)?;
    expect_joined(&report, pid, &["network", "uts"])?;
    expect_root_of_users(&report)?;
    report.mount("/sys").map(drop)
}

fn user_and_foreign_network(ctx: &mut Ctx) -> Outcome {
    let mut other = ctx.bundle_named("other")?;
    let foreign = launch_other(ctx, &mut other)?;
    let (mut bundle, pid) = two(ctx, &["user"])?;
    join(&mut bundle, foreign, &["network"]);
    bundle.remove("/linux/sysctl");
    let report = ctx.report(&mut bundle)?;
    expect_joined(&report, pid, &["user"])?;
    expect_joined(&report, foreign, &["network"])
}

/// The host's network: sysfs belongs to it, and falls back to a bind mount.
fn users_without_a_network(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle_with_users(ctx)?;
    bundle.without_namespace("network").remove("/linux/sysctl");
    bundle.without_mount("/sys");
    let options = ["nosuid", "noexec", "nodev", "ro"];
    bundle.set("/mounts/-", mount("/sys", "sysfs", &options));
    let report = ctx.report(&mut bundle)?;
    let seen = report.mount("/sys")?;
    equal("fstype", &seen["fstype"], "sysfs")?;
    let seen = seen["options"].to_string();
    for option in options {
        check!(seen.contains(option), "no {option}: {seen}");
    }
    Ok(())
}

fn exec(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, pid) = two(ctx, &["user"])?;
    bundle.probe(&["sleep"]);
    ctx.launch(&bundle)?.wait_for("ready")?;
    let report = ctx.exec_report(&[])?;
    expect_joined(&report, pid, &["user"])?;
    report.expect("/uid/effective", &json!(0))
}

/// As engines run the containers of a pod: pids and all else that is shared have a path in the config.
fn exec_in_a_pod(ctx: &mut Ctx) -> Outcome {
    let kinds = ["pid", "network", "ipc", "uts"];
    let mut first = ctx.bundle_named("first")?;
    let pid = launch_other(ctx, &mut first)?;
    let mut bundle = ctx.bundle()?;
    join(&mut bundle, pid, &kinds);
    bundle
        .remove("/hostname")
        .remove("/domainname")
        .remove("/linux/sysctl");
    bundle.probe(&["sleep"]);
    ctx.launch(&bundle)?.wait_for("ready")?;
    for _ in 0..3 {
        let report = ctx.exec_report(&[])?;
        expect_joined(&report, pid, &kinds)?;
    }
    Ok(())
}

fn mapped_ids(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, _) = two(ctx, &["user"])?;
    let dir = ctx.dir.join("volume");
    fs::create_dir(&dir)?;
    fs::write(dir.join("file"), "text")?;
    bind(&mut bundle, &dir, "/volume", &["bind", "idmap"]);
    bundle.probe(&["paths", "/volume/file"]);
    let seen = Report::parse(&ctx.run(&bundle)?.ok()?.stdout)?;
    seen.expect("/~1volume~1file/uid", &json!(0))?;
    seen.expect("/~1volume~1file/gid", &json!(0))
}

fn wrong_kind(ctx: &mut Ctx) -> Outcome {
    for kind in ["user", "network"] {
        let mut bundle = ctx.bundle_named(kind)?;
        let joined = json!({"type": kind, "path": "/proc/self/ns/uts"});
        bundle
            .without_namespace(kind)
            .set("/linux/namespaces/-", joined);
        ctx.try_create(&bundle)?.refuses(&[""])?;
        ctx.expect_nothing_left()?;
    }
    Ok(())
}

fn offsets(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.set("/linux/timeOffsets", json!({"monotonic": {"secs": 1000}}));
    ctx.try_create(&bundle)?.refuses(&[""])?;
    ctx.expect_nothing_left()
}
