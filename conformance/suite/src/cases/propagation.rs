//! config.md, Linux mount options, and config-linux.md, Rootfs Mount Propagation: which mounts
//! pass from one side to the other (mount_namespaces(7), Shared subtrees).

use std::path::PathBuf;

use rustix::mount::MountPropagationFlags;

use super::mounts::{HostMount, bind};
use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("propagation::of_mounts", of_mounts).lacks(
            "crun 1.8",
            "propagation in a view of v2 alone",
            "shared: got []",
        ),
        Case::new("propagation::recursive", recursive).lacks(
            "crun 1.8",
            "propagation in a view of v2 alone",
            "/rshared: got []",
        ),
        Case::new(
            "propagation::slave_sees_later_mounts",
            slave_sees_later_mounts,
        )
        .lacks(
            "crun 1.8",
            "propagation in a view of v2 alone",
            "seen: got false",
        ),
        Case::new("propagation::private_sees_none", private_sees_none),
        Case::new(
            "propagation::shared_reaches_the_host",
            shared_reaches_the_host,
        ),
        Case::new("propagation::root_shared", root_shared).deviates(
            "runc 1.1",
            "config-linux.md: rootfsPropagation sets the rootfs's mount propagation",
            "root: []",
        ),
        Case::new("propagation::root_private", root_private),
        Case::new("propagation::root_unbindable", root_unbindable).deviates(
            "runc 1.1",
            "config-linux.md: rootfsPropagation sets the rootfs's mount propagation",
            "invalid argument",
        ),
        Case::new("propagation::root_recursively", root_recursively)
            .deviates(
                "runc 1.1",
                "config-linux.md: rootfsPropagation sets the rootfs's mount propagation",
                "rshared: []",
            )
            .deviates(
                "crun 1.8",
                "its masks can't be made in a root that is unbindable already",
                "Invalid argument",
            ),
        Case::new("propagation::root_is_not_shared", root_is_not_shared),
        Case::new("propagation::unknown_is_refused", unknown_is_refused).deviates(
            "crun 1.8",
            "config-linux.md: the value is shared, slave, private or unbindable",
            "exit status: 0, want exit code 1",
        ),
    ]
}

/// A shared file system of the host, and its directory.
fn shared(ctx: &Ctx) -> Result<(PathBuf, HostMount), Fault> {
    if ctx.unified && !ctx.world.unified {
        skip!("the view of cgroup v2 alone is a private mount namespace");
    }
    let dir = ctx.dir.join("shared");
    let mounted = HostMount::tmpfs(&dir, &[])?;
    mounted.change(MountPropagationFlags::SHARED)?;
    std::fs::create_dir(dir.join("later"))?;
    Ok((dir, mounted))
}

/// The propagation of a mount as the kernel writes it, without numbers.
fn kinds(mount: &Value) -> Vec<String> {
    let fields = mount["propagation"].as_array().into_iter().flatten();
    let words = fields.filter_map(Value::as_str);
    words
        .map(|word| word.split(':').next().unwrap_or_default().to_owned())
        .collect()
}

fn of_mounts(ctx: &mut Ctx) -> Outcome {
    let (dir, _mounted) = shared(ctx)?;
    let mut bundle = ctx.bundle()?;
    let wanted = [
        ("shared", &["shared"][..]),
        ("slave", &["master"]),
        ("private", &[]),
        ("unbindable", &["unbindable"]),
    ];
    for (option, _) in wanted {
        bind(&mut bundle, &dir, &format!("/{option}"), &["bind", option]);
    }
    let report = ctx.report(&mut bundle)?;
    for (option, want) in wanted {
        let seen = kinds(report.mount(&format!("/{option}"))?);
        expect_kinds(option, &seen, want)?;
    }
    Ok(())
}

/// Fails unless these are the kinds. A shared mount may receive what the host mounts, too.
fn expect_kinds(what: &str, seen: &[String], want: &[&str]) -> Outcome {
    let both = seen == ["shared", "master"] && want == ["shared"];
    check!(both || seen == want, "{what}: got {seen:?}, want {want:?}");
    Ok(())
}

/// With an `r` in front the mounts below change too.
fn recursive(ctx: &mut Ctx) -> Outcome {
    let (dir, _mounted) = shared(ctx)?;
    let below = HostMount::tmpfs(&dir.join("below"), &[])?;
    below.change(MountPropagationFlags::SHARED)?;
    let mut bundle = ctx.bundle()?;
    let wanted = [
        ("rshared", &["shared"][..]),
        ("rslave", &["master"]),
        ("rprivate", &[]),
    ];
    for (option, _) in wanted {
        bind(&mut bundle, &dir, &format!("/{option}"), &["rbind", option]);
    }
    let report = ctx.report(&mut bundle)?;
    for (option, want) in wanted {
        for point in [format!("/{option}"), format!("/{option}/below")] {
            let seen = kinds(report.mount(&point)?);
            expect_kinds(&point, &seen, want)?;
        }
    }
    Ok(())
}

/// Launches a container with the shared directory, then mounts on a directory in it; answers
/// whether the container sees that.
fn sees_later(ctx: &Ctx, option: &str) -> Result<bool, Fault> {
    let (dir, _mounted) = shared(ctx)?;
    let mut bundle = ctx.bundle()?;
    bind(&mut bundle, &dir, "/volume", &["rbind", option]);
    bundle.probe(&["sleep"]);
    ctx.launch(&bundle)?.wait_for("ready")?;
    let _later = HostMount::tmpfs(&dir.join("later"), &[])?;
    let report = ctx.exec_report(&[])?;
    report.mount("/volume")?;
    let seen = report.mount("/volume/later").is_ok();
    ctx.verb(&["delete", "--force"])?.ok()?;
    Ok(seen)
}

fn slave_sees_later_mounts(ctx: &mut Ctx) -> Outcome {
    equal("seen", sees_later(ctx, "rslave")?, true)
}

fn private_sees_none(ctx: &mut Ctx) -> Outcome {
    equal("seen", sees_later(ctx, "rprivate")?, false)
}

/// And a slave's own mounts stay where they are. Without the field for the root all of the host's
/// mounts are taken for slaves.
fn shared_reaches_the_host(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let (dir, _mounted) = shared(ctx)?;
    for (option, reaches) in [("rshared", true), ("rslave", false)] {
        let mut bundle = ctx.bundle_named(option)?;
        bind(&mut bundle, &dir, "/volume", &["rbind", option]);
        bundle.set("/linux/rootfsPropagation", json!("shared"));
        for set in ["bounding", "effective", "permitted"] {
            let names = json!(["CAP_SYS_ADMIN"]);
            bundle.set(&format!("/process/capabilities/{set}"), names);
        }
        bundle.shell("mount -t tmpfs inner /volume/later && exec /probe sleep");
        ctx.launch(&bundle)?.wait_for("ready")?;
        let table = std::fs::read_to_string("/proc/self/mountinfo")?;
        let point = dir.join("later");
        let seen = table.contains(&*point.to_string_lossy());
        ctx.verb(&["delete", "--force"])?.ok()?;
        if seen {
            rustix::mount::unmount(&point, rustix::mount::UnmountFlags::DETACH)?;
        }
        equal(option, seen, reaches)?;
    }
    Ok(())
}

/// The propagation of the container's root with a rootfsPropagation.
fn of_root(ctx: &Ctx, wanted: &str) -> Result<Vec<String>, Fault> {
    let mut bundle = ctx.bundle()?;
    if !wanted.is_empty() {
        bundle.set("/linux/rootfsPropagation", json!(wanted));
    }
    Ok(kinds(ctx.report(&mut bundle)?.mount("/")?))
}

fn root_shared(ctx: &mut Ctx) -> Outcome {
    let seen = of_root(ctx, "shared")?;
    check!(seen.contains(&"shared".to_owned()), "root: {seen:?}");
    Ok(())
}

fn root_private(ctx: &mut Ctx) -> Outcome {
    equal("root", of_root(ctx, "private")?, Vec::<String>::new())
}

fn root_unbindable(ctx: &mut Ctx) -> Outcome {
    equal("root", of_root(ctx, "unbindable")?, ["unbindable"])
}

/// runc and crun take the names of mount(8) with an `r` as well, and engines send them.
fn root_recursively(ctx: &mut Ctx) -> Outcome {
    for (wanted, kind) in [
        ("rshared", Some("shared")),
        ("rprivate", None),
        ("rslave", None),
        ("runbindable", Some("unbindable")),
    ] {
        let seen = of_root(ctx, wanted)?;
        let has = |kind: &str| seen.iter().any(|other| other == kind);
        check!(kind.is_none_or(has), "{wanted}: {seen:?}");
        check!(
            kind == Some("shared") || !has("shared"),
            "{wanted}: {seen:?}"
        );
        let _ = ctx.verb(&["delete", "--force"])?;
        std::fs::remove_dir_all(ctx.dir.join("bundle"))?;
    }
    Ok(())
}

/// Without the field a mount inside must not reach the host.
fn root_is_not_shared(ctx: &mut Ctx) -> Outcome {
    let seen = of_root(ctx, "")?;
    check!(!seen.contains(&"shared".to_owned()), "root: {seen:?}");
    Ok(())
}

fn unknown_is_refused(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.set("/linux/rootfsPropagation", json!("sideways"));
    ctx.try_create(&bundle)?.refuses(&[""])?;
    ctx.expect_nothing_left()
}
