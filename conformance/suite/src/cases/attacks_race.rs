//! Attacks on mounts by whoever shares a directory with the container that is being made: another
//! container's process, which exchanges what lies there for links while the runtime works.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;

use rustix::fs::{CWD, RenameFlags};

use super::attacks::Decoy;
use super::mounts::bind;
use crate::harness::config::mount;
use crate::harness::container::text;
use crate::harness::prelude::*;
use crate::harness::report::Report;

/// How often each race is run. One that is lost now and then is found within some runs of the
/// suite; the runtime must win all.
const ROUNDS: u32 = 20;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "attacks::mount_point_is_exchanged",
            mount_point_is_exchanged,
        ),
        Case::new(
            "attacks::missing_parts_are_exchanged",
            missing_parts_are_exchanged,
        )
        .lacks(
            "runc 1.1",
            "parts of paths that are made where they were looked up (CVE-2024-45310)",
            "decoys outside of the rootfs",
        ),
        Case::new("attacks::file_mount_point_is_exchanged", file_is_exchanged),
        Case::new("attacks::null_is_exchanged", null_is_exchanged).deviates(
            "runc 1.1",
            "CVE-2025-31133: the mask is whatever the image calls /dev/null",
            "the mask is another file",
        )
            .deviates("crun 1.8", "CVE-2026-88265: a stream that is opened again by name lands in what /dev/null has become", "decoy: got"),
        Case::new("attacks::sysctl_into_a_mount_on_proc", sysctl_into_a_mount),
        Case::new(
            "attacks::proc_is_a_directory_of_the_image",
            proc_is_a_directory,
        ),
        Case::new("attacks::mount_through_a_magic_link", through_a_magic_link),
    ]
}

/// Exchanges two names for each other, as fast as it can, until it is dropped.
struct Racer {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Racer {
    fn exchange(one: PathBuf, other: PathBuf) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            while !told.load(SeqCst) {
                let _ = rustix::fs::renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE);
            }
        });
        Self {
            ends,
            thread: Some(thread),
        }
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        self.ends.store(true, SeqCst);
        // A thread that panicked has nothing more to say.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A directory that is shared with the attacker: in it a directory and a link to the decoys, which
/// take turns.
fn shared(ctx: &Ctx, decoy: &Decoy) -> Result<(PathBuf, Racer), Fault> {
    let dir = ctx.dir.join("shared");
    fs::create_dir_all(dir.join("point/pts"))?;
    symlink(&decoy.dir, dir.join("link"))?;
    let racer = Racer::exchange(dir.join("point"), dir.join("link"));
    Ok((dir, racer))
}

/// Mounts of the host at or below a directory.
fn mounts_at(dir: &Path) -> Result<Vec<String>, Fault> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    let dir = text(dir)?;
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    Ok(points
        .filter(|point| point.starts_with(dir))
        .map(str::to_owned)
        .collect())
}

/// Runs a container again and again, whatever comes of it, and looks at the decoys.
fn win_every_time(ctx: &Ctx, bundle: &Bundle, decoy: &Decoy) -> Outcome {
    for _ in 0..ROUNDS {
        let _ = ctx.run(bundle)?;
        let _ = ctx.verb(&["delete", "--force"])?;
        decoy.expect_unchanged()?;
        let mounted = mounts_at(&decoy.dir)?;
        check!(mounted.is_empty(), "mounts on the host: {mounted:?}");
    }
    Ok(())
}

/// CVE-2021-30465: between the check of the mount point and the mount. What was mounted outside
/// is not in the container's table; outside nobody sees it either, for the mount namespace is the
/// container's, but the runtime has been led there.
fn mount_point_is_exchanged(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, decoy) = (ctx.bundle()?, Decoy::new(ctx)?);
    let (dir, _racer) = shared(ctx, &decoy)?;
    bundle.probe(&["report"]);
    bind(&mut bundle, &dir, "/volume", &["rbind"]);
    bundle.set(
        "/mounts/-",
        mount("/volume/point/pts", "tmpfs", &["size=77k"]),
    );
    for _ in 0..ROUNDS {
        let done = ctx.run(&bundle)?;
        let _ = ctx.verb(&["delete", "--force"])?;
        if done.status.code() == Some(0) {
            let report = Report::parse(&done.stdout)?;
            let table = report.at("/mounts").to_string();
            // A page is the smallest size there is.
            check!(
                table.contains("size=80k"),
                "the mount is elsewhere: {table}"
            );
        }
        decoy.expect_unchanged()?;
    }
    Ok(())
}

/// CVE-2024-45310: while what is missing of the way is made.
fn missing_parts_are_exchanged(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, decoy) = (ctx.bundle()?, Decoy::new(ctx)?);
    let (dir, _racer) = shared(ctx, &decoy)?;
    bundle.probe(&["exit", "0"]);
    bind(&mut bundle, &dir, "/volume", &["rbind"]);
    for number in 0..3 {
        let point = format!("/volume/point/new-{number}/a/b/c");
        bundle.set("/mounts/-", mount(&point, "tmpfs", &["size=1m"]));
    }
    win_every_time(ctx, &bundle, &decoy)
}

/// The same for a file.
fn file_is_exchanged(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, decoy) = (ctx.bundle()?, Decoy::new(ctx)?);
    let (dir, _racer) = shared(ctx, &decoy)?;
    fs::write(ctx.dir.join("source"), "text")?;
    bundle.probe(&["exit", "0"]);
    bind(&mut bundle, &dir, "/volume", &["rbind"]);
    for name in ["marker", "new-file"] {
        let point = format!("/volume/point/{name}");
        bind(&mut bundle, &ctx.dir.join("source"), &point, &["bind"]);
    }
    win_every_time(ctx, &bundle, &decoy)
}

/// CVE-2025-31133: /dev/null is a device when it is looked at, and a link when it is bound on a
/// masked path.
fn null_is_exchanged(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let mut bundle = ctx.bundle()?;
    for point in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
        bundle.without_mount(point);
    }
    let dir = ctx.dir.join("shared");
    fs::create_dir(&dir)?;
    let make = |name: &str, minor: &str| {
        let path = dir.join(name);
        let args = ["mknod", "-m", "666", text(&path)?, "c", "1", minor];
        ctx.command(&args).run()?.ok().map(drop)
    };
    make("null", "3")?;
    make("zero", "5")?;
    fs::write(bundle.inside("decoy"), "decoy")?;
    fs::write(bundle.inside("secret"), "secret")?;
    symlink("/decoy", dir.join("link"))?;
    let _racer = Racer::exchange(dir.join("null"), dir.join("link"));
    bind(&mut bundle, &dir, "/dev", &["rbind"]);
    bundle.set("/linux/maskedPaths", json!(["/secret"]));
    bundle.probe(&["paths", "/secret"]);
    for _ in 0..ROUNDS {
        let done = ctx.run(&bundle)?;
        let _ = ctx.verb(&["delete", "--force"])?;
        // Standard output goes astray itself in a runtime that is fooled about /dev/null.
        if done.status.code() == Some(0) && done.stdout.starts_with('{') {
            let seen = Report::parse(&done.stdout)?;
            let secret = &seen.0["/secret"];
            let null = secret["major"] == 1 && secret["minor"] == 3;
            let masked = null || secret["read"] == "empty";
            check!(masked, "the mask is another file: {secret}");
        }
        equal("decoy", bundle.read("decoy")?.as_str(), "decoy")?;
    }
    Ok(())
}

/// Files that look like those of procfs, which a runtime may write to.
fn faked_proc(ctx: &Ctx) -> Result<Decoy, Fault> {
    let decoy = Decoy::new(ctx)?;
    let files = [
        "sys/net/ipv4/ip_forward",
        "self/attr/exec",
        "self/attr/apparmor/exec",
        "self/oom_score_adj",
        "thread-self/attr/exec",
        "sysrq-trigger",
    ];
    for file in files {
        let path = decoy.dir.join(file);
        fs::create_dir_all(path.parent().unwrap_or(&decoy.dir))?;
        fs::write(path, "decoy")?;
    }
    decoy.renewed()
}

/// CVE-2025-52881: what the runtime writes to /proc lands in a file of the attacker's, or by a
/// link of his in another of the host's.
fn sysctl_into_a_mount(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, decoy) = (ctx.bundle()?, faked_proc(ctx)?);
    bundle
        .set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}))
        .probe(&["exit", "0"]);
    for (source, point) in [("sys", "/proc/sys"), ("self", "/proc/self"), ("", "/proc")] {
        let mut bundle = Bundle {
            dir: bundle.dir.clone(),
            config: bundle.config.clone(),
        };
        bind(&mut bundle, &decoy.dir.join(source), point, &["rbind"]);
        let _ = ctx.run(&bundle)?;
        let _ = ctx.verb(&["delete", "--force"])?;
        decoy.expect_unchanged()?;
    }
    Ok(())
}

/// CVE-2019-16884: the image has a /proc of its own, and the config mounts none.
fn proc_is_a_directory(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, decoy) = (ctx.bundle()?, faked_proc(ctx)?);
    bundle
        .set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}))
        .set("/process/oomScoreAdj", json!(500))
        .without_mount("/proc")
        .probe(&["exit", "0"]);
    bind(&mut bundle, &decoy.dir, "/proc", &["bind"]);
    super::attacks::expect_decoys_unchanged(ctx, &bundle, &decoy)?;
    let _ = ctx.verb(&["delete", "--force"])?;
    Ok(())
}

/// A link to a link of procfs that leads out of the root, for it is the runtime's that is followed.
fn through_a_magic_link(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, decoy) = (ctx.bundle()?, Decoy::new(ctx)?);
    bundle.probe(&["exit", "0"]);
    for (name, target) in [
        ("root", "/proc/self/root".to_owned()),
        ("cwd", "/proc/self/cwd".to_owned()),
        ("one", "/proc/1/root".to_owned()),
        ("parent", format!("/proc/{}/root", std::process::id())),
    ] {
        symlink(target, bundle.inside(&format!("tmp/{name}")))?;
        let point = format!("/tmp/{name}{}/new", text(&decoy.dir)?);
        let mut bundle = Bundle {
            dir: bundle.dir.clone(),
            config: bundle.config.clone(),
        };
        bundle.set("/mounts/-", mount(&point, "tmpfs", &["size=1m"]));
        let _ = ctx.run(&bundle)?;
        let _ = ctx.verb(&["delete", "--force"])?;
        decoy.expect_unchanged()?;
        let mounted = mounts_at(&decoy.dir)?;
        check!(mounted.is_empty(), "mounts on the host: {mounted:?}");
    }
    Ok(())
}
