//! Mounts of control groups, masks, overlays and what user namespaces make of flags.

use std::collections::BTreeSet;
use std::fs;

use super::mounts::{HostMount, bind};
use super::user_namespace::bundle_with_users;
use crate::harness::config::mount;
use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    let mut all = of_cgroups();
    all.extend(of_others());
    all
}

fn of_cgroups() -> Vec<Case> {
    vec![
        Case::new("mount_kinds::cgroup_read_write", cgroup_read_write),
        Case::new(
            "mount_kinds::cgroup_without_a_namespace",
            cgroup_without_a_namespace,
        )
        .deviates(
            "crun 1.8",
            "runc's rule: without a cgroup namespace a container sees its own part",
            "others' processes",
        ),
        Case::new("mount_kinds::unified_cgroup_read_write", unified_read_write),
        Case::new(
            "mount_kinds::unified_cgroup_without_a_namespace",
            unified_without_a_namespace,
        ),
    ]
}

fn of_others() -> Vec<Case> {
    vec![
        Case::new(
            "mount_kinds::masked_directories_share_a_file_system",
            masks_share,
        )
        .deviates(
            "runc 1.1",
            "runc 1.4: masked directories share one file system",
            "file systems",
        )
        .deviates(
            "crun 1.8",
            "runc 1.4: masked directories share one file system",
            "file systems",
        ),
        Case::new("mount_kinds::duplicates_are_masked_once", masked_once)
            .deviates("runc 1.1", "runc 1.4: duplicates are masked once", "covers")
            .deviates("crun 1.8", "runc 1.4: duplicates are masked once", "covers"),
        Case::new(
            "mount_kinds::relative_layers_of_an_overlay",
            relative_layers,
        )
        .deviates(
            "runc 1.1",
            "as in crun: relative to the bundle",
            "no such file or directory",
        ),
        Case::new(
            "mount_kinds::locked_flags_are_kept_unless_named",
            locked_flags,
        )
        .deviates(
            "runc 1.1",
            "runc 1.2: locked flags are kept unless they are named",
            "operation not permitted",
        )
        .deviates("crun 1.8", "config.md, mounts: options", "no noexec"),
        Case::new("mount_kinds::devices_of_a_user_namespace", devices_of_users)
            .deviates(
                "runc 1.1",
                "config-linux.md, Devices: a FIFO needs no privilege",
                "no such file or directory",
            )
            .deviates(
                "crun 1.8",
                "config-linux.md, Devices: MUST generate an error if it can't be had",
                "exit status: 0",
            ),
        Case::new(
            "mount_kinds::shm_and_mqueue_of_a_user_namespace",
            queues_of_users,
        ),
        Case::new(
            "mount_kinds::bind_of_a_tree_in_a_user_namespace",
            tree_of_users,
        )
        .deviates(
            "runc 1.1",
            "mount(8), bind mounts: without rbind the mounts below are not there",
            "invalid argument",
        )
        .deviates(
            "crun 1.8",
            "mount(8), bind mounts: rbind takes the mounts below along",
            "sub~1above/read: got",
        ),
    ]
}

/// A directory for a group is made and removed below the container's own.
const MAKE_GROUP: &str = "for d in /sys/fs/cgroup /sys/fs/cgroup/memory; do \
     if [ -e $d/cgroup.procs ]; then mkdir $d/sub && busybox rmdir $d/sub && echo made $d; fi; done";

fn with_cgroup(ctx: &Ctx, options: &[&str]) -> Result<Bundle, Fault> {
    ctx.need_busybox()?;
    let mut bundle = ctx.bundle()?;
    bundle.without_mount("/sys/fs/cgroup");
    // What its directories permit is the runtime's business.
    for set in ["bounding", "effective", "permitted"] {
        let names = json!(["CAP_DAC_OVERRIDE"]);
        bundle.set(&format!("/process/capabilities/{set}"), names);
    }
    let mut entry = mount("/sys/fs/cgroup", "cgroup", options);
    entry["source"] = json!("cgroup");
    bundle.set("/mounts/-", entry);
    Ok(bundle)
}

fn expect_made(ctx: &Ctx, bundle: &mut Bundle, made: bool) -> Outcome {
    bundle.shell(&format!("{MAKE_GROUP} 2>&1; true"));
    let done = ctx.run(bundle)?.ok()?;
    equal(
        &done.stdout,
        done.stdout.contains("made /sys/fs/cgroup"),
        made,
    )
}

fn read_write_and_read_only(ctx: &Ctx, namespace: bool) -> Outcome {
    let flags = ["nosuid", "noexec", "nodev"];
    for (options, made) in [
        (flags.to_vec(), true),
        ([&flags[..], &["ro"]].concat(), false),
    ] {
        let mut bundle = with_cgroup(ctx, &options)?;
        if !namespace {
            bundle.without_namespace("cgroup");
        }
        expect_made(ctx, &mut bundle, made)?;
        let report = ctx.report(&mut bundle)?;
        let seen = report.mount("/sys/fs/cgroup")?["options"].to_string();
        for flag in flags {
            check!(seen.contains(flag), "no {flag}: {seen}");
        }
        fs::remove_dir_all(&bundle.dir)?;
    }
    Ok(())
}

fn cgroup_read_write(ctx: &mut Ctx) -> Outcome {
    read_write_and_read_only(ctx, true)
}

/// The container sees its own part of each hierarchy, and no more.
fn cgroup_without_a_namespace(ctx: &mut Ctx) -> Outcome {
    read_write_and_read_only(ctx, false)?;
    let mut bundle = with_cgroup(ctx, &["ro"])?;
    bundle.without_namespace("cgroup");
    bundle.shell(
        "for d in /sys/fs/cgroup /sys/fs/cgroup/memory; do \
         if [ -e $d/cgroup.procs ]; then busybox wc -l <$d/cgroup.procs; fi; done",
    );
    let done = ctx.run(&bundle)?.ok()?;
    let counts: Vec<u32> = done
        .stdout
        .split_whitespace()
        .filter_map(|n| n.parse().ok())
        .collect();
    check!(!counts.is_empty(), "no cgroup.procs: {}", done.stdout);
    check!(
        counts.iter().all(|count| *count <= 3),
        "others' processes: {counts:?}"
    );
    Ok(())
}

fn unified_read_write(ctx: &mut Ctx) -> Outcome {
    ctx.unified = true;
    read_write_and_read_only(ctx, true)
}

fn unified_without_a_namespace(ctx: &mut Ctx) -> Outcome {
    ctx.unified = true;
    read_write_and_read_only(ctx, false)
}

fn masks_share(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let names = ["/one", "/two", "/three"];
    for name in names {
        fs::create_dir(bundle.inside(name))?;
        fs::write(bundle.inside(&format!("{name}/secret")), "text")?;
    }
    bundle.set("/linux/maskedPaths", json!(names));
    let report = ctx.report(&mut bundle)?;
    let mut devices = BTreeSet::new();
    for name in names {
        let seen = report.mount(name)?;
        check!(
            seen["options"].to_string().contains("\"ro\""),
            "writable: {seen}"
        );
        devices.insert(seen["device"].to_string());
    }
    equal("file systems", devices.len(), 1)
}

fn masked_once(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    fs::create_dir(bundle.inside("one"))?;
    bundle.set(
        "/linux/maskedPaths",
        json!(["/one", "/proc/keys", "/one", "/proc/keys"]),
    );
    let report = ctx.report(&mut bundle)?;
    let mounts = report.at("/mounts").as_array().cloned().unwrap_or_default();
    let covers = mounts.iter().filter(|mount| mount["mount_point"] == "/one");
    equal("covers", covers.count(), 1)
}

fn relative_layers(ctx: &mut Ctx) -> Outcome {
    if !fs::read_to_string("/proc/filesystems")?.contains("\toverlay\n") {
        skip!("this kernel has no overlay");
    }
    let mut bundle = ctx.bundle()?;
    let _layers = HostMount::tmpfs(&bundle.dir.join("layers"), &[])?;
    for dir in ["one", "two", "upper", "work"] {
        fs::create_dir(bundle.dir.join("layers").join(dir))?;
    }
    fs::write(bundle.dir.join("layers/two/file"), "text")?;
    let options = [
        "lowerdir=layers/one:layers/two",
        "upperdir=layers/upper",
        "workdir=layers/work",
    ];
    bundle.set("/mounts/-", mount("/all", "overlay", &options));
    bundle.probe(&["cat", "/all/file"]);
    let done = ctx.run(&bundle)?.ok()?;
    equal("content", done.stdout.as_str(), "text")
}

/// mount_namespaces(7): in a user namespace the flags of the host's mounts are locked. They stay
/// where a config does not speak of them, and one that would clear them is refused.
fn locked_flags(ctx: &mut Ctx) -> Outcome {
    let dir = ctx.dir.join("volume");
    let _volume = HostMount::tmpfs(&dir, &["nosuid", "nodev", "ro"])?;
    let mut bundle = bundle_with_users(ctx)?;
    bind(&mut bundle, &dir, "/volume", &["rbind", "noexec"]);
    let report = ctx.report(&mut bundle)?;
    let seen = report.mount("/volume")?["options"].to_string();
    for flag in ["nosuid", "nodev", "noexec", "\"ro\""] {
        check!(seen.contains(flag), "no {flag}: {seen}");
    }
    fs::remove_dir_all(&bundle.dir)?;
    for option in ["rw", "suid", "dev"] {
        let mut bundle = bundle_with_users(ctx)?;
        bind(&mut bundle, &dir, "/volume", &["rbind", option]);
        ctx.try_create(&bundle)?
            .refuses(&["operation not permitted"])?;
        fs::remove_dir_all(&bundle.dir)?;
    }
    Ok(())
}

/// A FIFO is made, a device is the host's.
fn devices_of_users(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle_with_users(ctx)?;
    let fifo = json!({"path": "/dev/pipe", "type": "p", "fileMode": 0o640, "uid": 5, "gid": 6});
    let zero = json!({"path": "/dev/deep/zero", "type": "c", "major": 1, "minor": 5});
    let same = json!({"path": "/dev/full", "type": "c", "major": 1, "minor": 7, "fileMode": 0o600});
    bundle.set("/linux/devices", json!([fifo, same]));
    let report = ctx.report(&mut bundle)?;
    let pipe = report.device("pipe")?;
    equal("pipe", &pipe["type"], "fifo")?;
    equal("mode", &pipe["mode"], 0o640)?;
    equal("uid", &pipe["uid"], 5)?;
    equal("gid", &pipe["gid"], 6)?;
    equal("full", &report.device("full")?["mode"], 0o666)?;
    // What the host does not have at that path can't be bound.
    bundle.set("/linux/devices", json!([zero]));
    ctx.try_create(&bundle)?
        .refuses(&["no such file or directory"])?;
    ctx.expect_nothing_left()
}

fn queues_of_users(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let mut bundle = bundle_with_users(ctx)?;
    bundle.shell("touch /dev/mqueue/queue /dev/shm/file && busybox stat -c %u /dev/shm/file");
    let done = ctx.run(&bundle)?.ok()?;
    equal("owner", done.stdout.trim_end(), "0")
}

/// A bind mount that is not recursive shows what lies below the host's mounts, and one that is
/// those mounts, each with its flags.
fn tree_of_users(ctx: &mut Ctx) -> Outcome {
    let dir = ctx.dir.join("tree");
    fs::create_dir_all(dir.join("sub"))?;
    fs::write(dir.join("sub/below"), "text")?;
    let _sub = HostMount::tmpfs(&dir.join("sub"), &["nosuid"])?;
    fs::write(dir.join("sub/above"), "text")?;
    let mut bundle = bundle_with_users(ctx)?;
    bind(&mut bundle, &dir, "/all", &["rbind", "rro"]);
    bind(&mut bundle, &dir, "/one", &["bind", "ro"]);
    let paths = ["/all/sub/above", "/one/sub/below", "/one/sub/above"];
    bundle.probe(&[&["paths"], &paths[..]].concat());
    let seen = crate::harness::report::Report::parse(&ctx.run(&bundle)?.ok()?.stdout)?;
    for (path, read) in paths.iter().zip(["content", "content", "missing"]) {
        let path = path.replace('/', "~1");
        seen.expect(&format!("/{path}/read"), &json!(read))?;
    }
    let report = ctx.report(&mut bundle)?;
    let options = report.mount("/all/sub")?["options"].to_string();
    let kept = options.contains("nosuid") && options.contains("\"ro\"");
    check!(kept, "flags: {options}");
    Ok(())
}
