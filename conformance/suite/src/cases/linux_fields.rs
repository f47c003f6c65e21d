//! config-linux.md: sysctl, devices.

use std::fs;

use crate::harness::prelude::*;
use crate::harness::report::Report;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("sysctl::of_namespaces", of_namespaces),
        Case::new("sysctl::slashes", slashes),
        Case::new("sysctl::of_the_host_is_refused", of_the_host_is_refused),
        Case::new("sysctl::needs_the_namespace", needs_the_namespace),
        Case::new("sysctl::no_way_around", no_way_around),
        Case::new("rdt::needs_the_file_system", rdt_needs_its_file_system)
            .lacks("crun 1.8", "Intel RDT", "exit status: 0"),
        Case::new("rdt::class_is_a_name", rdt_class_is_a_name).lacks("crun 1.8", "Intel RDT", "exit status: 0"),
        Case::new("devices::types_modes_and_owners", types_modes_and_owners),
        Case::new("devices::default_mode", default_mode),
        Case::new("devices::fifo", fifo),
        Case::new("devices::instead_of_a_default", instead_of_a_default).deviates("runc 1.1", "config-linux.md, Default Devices: /dev/null is supplied and of use; runc denies one that is listed", "error reopening /dev/null").deviates(
            "crun 1.8",
            "config-linux.md, Devices: uid and gid of the device",
            "null: got",
        ),
        Case::new("devices::can_be_used", can_be_used),
        Case::new("devices::unknown_type_is_refused", unknown_type).deviates(
            "crun 1.8",
            "config-linux.md, Devices: the type is c, b, u or p",
            "exit status: 0, want exit code 1",
        ),
        Case::new("devices::number_missing_is_refused", number_missing)
            .deviates(
                "runc 1.1",
                "config-linux.md, Devices: major and minor are required",
                "exit status: 0, want exit code 1",
            )
            .deviates(
                "crun 1.8",
                "config-linux.md, Devices: major and minor are required",
                "exit status: 0, want exit code 1",
            ),
    ]
}

/// Reads a setting inside, with others set.
fn inside(ctx: &Ctx, settings: Value, file: &str) -> Result<String, Fault> {
    let mut bundle = ctx.bundle()?;
    bundle
        .set("/linux/sysctl", settings)
        .probe(&["cat", &format!("/proc/sys/{file}")]);
    let done = ctx.run(&bundle)?.ok()?;
    fs::remove_dir_all(&bundle.dir)?;
    Ok(done.stdout.trim_end().to_owned())
}

fn of_namespaces(ctx: &mut Ctx) -> Outcome {
    for (key, value) in [
        ("kernel.shmmax", "123456"),
        ("kernel.msgmax", "4321"),
        ("kernel.sem", "10\t20\t30\t40"),
        ("fs.mqueue.msg_max", "7"),
        ("net.ipv4.ip_forward", "1"),
        ("net.ipv4.ping_group_range", "5\t6"),
    ] {
        let file = key.replace('.', "/");
        let host = fs::read_to_string(format!("/proc/sys/{file}")).unwrap_or_default();
        let seen = inside(ctx, json!({key: value}), &file)?;
        equal(key, seen.as_str(), value)?;
        let after = fs::read_to_string(format!("/proc/sys/{file}")).unwrap_or_default();
        equal("the host's", after, host)?;
    }
    Ok(())
}

/// sysctl(8): a slash as the first separator makes dots parts of names.
fn slashes(ctx: &mut Ctx) -> Outcome {
    let seen = inside(
        ctx,
        json!({"net/ipv4/ip_forward": "1"}),
        "net/ipv4/ip_forward",
    )?;
    equal("net/ipv4/ip_forward", seen.as_str(), "1")
}

/// Creates with a setting, which must be refused.
fn refused(ctx: &Ctx, bundle: &mut Bundle, key: &str, texts: &[&str]) -> Outcome {
    // The value that it has: an attack that succeeds must not change the host.
    let file = key.replace('.', "/");
    let value = fs::read_to_string(format!("/proc/sys/{file}")).unwrap_or_default();
    let value = value.trim_end();
    bundle.set("/linux/sysctl", json!({key: value}));
    ctx.try_create(bundle)?.refuses(texts)?;
    ctx.expect_nothing_left()
}

fn of_the_host_is_refused(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    for key in [
        "kernel.core_pattern",
        "kernel.panic",
        "vm.swappiness",
        "fs.file-max",
        "kernel",
        "nonsense",
    ] {
        refused(
            ctx,
            &mut bundle,
            key,
            &[
                "is not in a separate kernel namespace",
                "is not in a namespace of its own",
            ],
        )?;
    }
    Ok(())
}

/// Without a namespace of its own they would be the host's.
fn needs_the_namespace(ctx: &mut Ctx) -> Outcome {
    for (kind, key) in [("network", "net.ipv4.ip_forward"), ("ipc", "kernel.shmmax")] {
        let mut bundle = ctx.bundle_named(kind)?;
        bundle.without_namespace(kind);
        // A sysfs needs the network namespace.
        bundle.without_mount("/sys").without_mount("/dev/mqueue");
        refused(ctx, &mut bundle, key, &["namespace"])?;
    }
    Ok(())
}

/// CVE-2022-0811's class: a key that only begins like one of a namespace.
fn no_way_around(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let own = fs::read_to_string("/proc/sys/kernel/core_pattern")?;
    for key in [
        "net/../kernel/core_pattern",
        "net/ipv4/../../kernel/core_pattern",
        "net...kernel.core_pattern",
        "kernel.shm_rmid_forced/../core_pattern",
        "fs/mqueue/../../kernel/core_pattern",
    ] {
        bundle.set("/linux/sysctl", json!({key: own.trim_end()}));
        let done = ctx.try_create(&bundle)?;
        check!(!done.status.success(), "{key} is taken");
        ctx.expect_nothing_left()?;
    }
    Ok(())
}

fn types_modes_and_owners(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.set(
        "/linux/devices",
        json!([
            {"path": "/dev/one", "type": "c", "major": 1, "minor": 3,
                "fileMode": 0o600, "uid": 7, "gid": 8},
            {"path": "/dev/sub/dir/two", "type": "b", "major": 7, "minor": 300,
                "fileMode": 0o640, "uid": 0, "gid": 6},
            {"path": "/dev/three", "type": "u", "major": 1, "minor": 5,
                "fileMode": 0o622, "uid": 1, "gid": 1},
        ]),
    );
    let report = ctx.report(&mut bundle)?;
    let want = [
        ("one", "char", [1, 3, 0o600, 7, 8]),
        ("sub/dir/two", "block", [7, 300, 0o640, 0, 6]),
        ("three", "char", [1, 5, 0o622, 1, 1]),
    ];
    for (name, kind, [major, minor, mode, uid, gid]) in want {
        let want = json!({"type": kind, "major": major, "minor": minor, "mode": mode,
            "uid": uid, "gid": gid});
        equal(name, report.device(name)?, &want)?;
    }
    Ok(())
}

/// The umask of the caller is no part of the config.
fn default_mode(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let device = json!({"path": "/dev/plain", "type": "c", "major": 1, "minor": 3});
    bundle.set("/linux/devices/-", device).probe(&["report"]);
    let wrap = ["sh", "-c", "umask 0077; exec \"$0\" \"$@\""];
    let cmd = ctx.with_bundle("run", &[], &bundle)?.wrapped(&wrap);
    let report = Report::parse(&cmd.run()?.ok()?.stdout)?;
    for name in ["plain", "null", "tty"] {
        equal(name, &report.device(name)?["mode"], 0o666)?;
        equal(name, &report.device(name)?["uid"], 0)?;
    }
    Ok(())
}

fn fifo(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let device = json!({"path": "/dev/fifo", "type": "p", "fileMode": 0o644, "uid": 5});
    bundle.set("/linux/devices/-", device);
    let report = ctx.report(&mut bundle)?;
    let want = json!({"type": "fifo", "mode": 0o644, "uid": 5, "gid": 0});
    equal("fifo", report.device("fifo")?, &want)
}

fn instead_of_a_default(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let device = json!({"path": "/dev/null", "type": "c", "major": 1, "minor": 3,
        "fileMode": 0o666, "uid": 3, "gid": 4});
    bundle.set("/linux/devices/-", device);
    let report = ctx.report(&mut bundle)?;
    let want = json!({"type": "char", "major": 1, "minor": 3, "mode": 0o666, "uid": 3,
        "gid": 4});
    equal("null", report.device("null")?, &want)
}

fn can_be_used(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let device = json!({"path": "/dev/nothing", "type": "c", "major": 1, "minor": 3,
        "fileMode": 0o666});
    bundle
        .set("/linux/devices/-", device)
        .probe(&["write", "/dev/nothing", "text"]);
    ctx.run(&bundle)?.ok().map(drop)
}

fn unknown_type(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let device = json!({"path": "/dev/x", "type": "x", "major": 1, "minor": 3});
    bundle.set("/linux/devices/-", device);
    ctx.try_create(&bundle)?.refuses(&[""])?;
    ctx.expect_nothing_left()
}

/// "major, minor (int64, REQUIRED unless type is p)".
fn number_missing(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let device = json!({"path": "/dev/x", "type": "c"});
    bundle.set("/linux/devices/-", device);
    ctx.try_create(&bundle)?.refuses(&[""])?;
    ctx.expect_nothing_left()
}

/// A machine without resctrl can't honour the field.
fn rdt_needs_its_file_system(ctx: &mut Ctx) -> Outcome {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    if mounts.contains(" - resctrl ") {
        skip!("resctrl is mounted");
    }
    let mut bundle = ctx.bundle()?;
    bundle.set("/linux/intelRdt", json!({"l3CacheSchema": "L3:0=f"}));
    ctx.try_create(&bundle)?.refuses(&["Intel RDT"])?;
    ctx.expect_nothing_left()
}

/// "closID" becomes a directory, and must not lead elsewhere.
fn rdt_class_is_a_name(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    for name in ["..", ".", "a/b", "../../tmp/x"] {
        bundle.set("/linux/intelRdt", json!({"closID": name}));
        ctx.try_create(&bundle)?
            .refuses(&["ClosID", "class of service"])?;
        ctx.expect_nothing_left()?;
    }
    Ok(())
}
