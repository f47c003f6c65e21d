//! Published attacks, with decoys in temporary directories: after each the decoys are as they
//! were, whatever the runtime answers.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::harness::config::mount;
use crate::harness::container::text;
use crate::harness::prelude::*;
use crate::harness::report::Report;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "attacks::cwd_through_a_descriptor",
            cwd_through_a_descriptor,
        ),
        Case::new(
            "attacks::cwd_through_a_leaked_descriptor",
            cwd_through_a_leaked_descriptor,
        ).deviates("crun 1.8", "CVE-2024-21626: hardened in crun 1.14.1", "is outside of the root"),
        Case::new(
            "attacks::proc_is_a_symlink_outside",
            proc_is_a_symlink_outside,
        ),
        Case::new(
            "attacks::proc_is_a_symlink_inside",
            proc_is_a_symlink_inside,
        ),
        Case::new("attacks::sys_is_a_symlink_inside", sys_is_a_symlink_inside),
        Case::new(
            "attacks::dev_is_a_symlink_outside",
            dev_is_a_symlink_outside,
        ).deviates("runc 1.1", "CVE-2026-41579: ptmx and the links of /dev are made through the symlink", "decoys outside of the rootfs"),
        Case::new(
            "attacks::dev_is_a_symlink_without_a_mount",
            dev_is_a_symlink_without_a_mount,
        ).deviates("crun 1.8", "CVE-2026-47766: devices are made through the symlink", "decoys outside of the rootfs")
        .deviates(
            "runc 1.1",
            "CVE-2026-41579: ptmx and the links of /dev are made through the symlink",
            "decoys outside of the rootfs",
        ),
        Case::new(
            "attacks::mount_through_an_absolute_symlink",
            mount_through_a_symlink,
        ).deviates("crun 1.8", "config.md, mounts: the destination is a path inside the container; crun fails on a symlink to what the container lacks", "openat2 `link`"),
        Case::new(
            "attacks::file_mount_through_an_absolute_symlink",
            file_mount_through_a_symlink,
        ).deviates("crun 1.8", "config.md, mounts: the destination is a path inside the container; crun fails on a symlink to what the container lacks", "openat2 `link`"),
        Case::new("attacks::mount_through_dotdot", mount_through_dotdot),
        Case::new("attacks::mask_through_dev_null", mask_through_dev_null).deviates(
            "runc 1.1",
            "CVE-2025-31133: the mask is whatever the image calls /dev/null",
            "the mask is another file",
        ),
        Case::new(
            "attacks::runtime_binary_is_out_of_reach",
            runtime_binary_is_out_of_reach,
        ),
    ]
}

/// A directory of the host that must not change, and what it was like.
pub struct Decoy {
    /// Its path on the host.
    pub dir: PathBuf,
    before: Vec<String>,
}

impl Decoy {
    /// A directory with a file and a directory whose names tempt a runtime.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn new(ctx: &Ctx) -> Result<Self, Fault> {
        let dir = ctx.dir.join("outside");
        fs::create_dir_all(dir.join("pts"))?;
        for file in ["ptmx", "null", "fd", "stdin", "marker", "console"] {
            fs::write(dir.join(file), "decoy")?;
        }
        let before = listing(&dir)?;
        Ok(Self { dir, before })
    }

    /// The same, as it is now.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn renewed(self) -> Result<Self, Fault> {
        let before = listing(&self.dir)?;
        Ok(Self { before, ..self })
    }

    /// Fails if anything below it has changed.
    ///
    /// # Errors
    /// With both listings.
    pub fn expect_unchanged(&self) -> Outcome {
        equal(
            "decoys outside of the rootfs",
            &listing(&self.dir)?,
            &self.before,
        )
    }
}

/// Everything below a directory: name, kind, mode, owner, content.
fn listing(dir: &Path) -> Result<Vec<String>, Fault> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let meta = fs::symlink_metadata(entry.path())?;
        let content = match meta.file_type() {
            kind if kind.is_file() => fs::read_to_string(entry.path())?,
            kind if kind.is_symlink() => format!("{:?}", fs::read_link(entry.path())?),
            kind if kind.is_char_device() => "character device".into(),
            _ => "other".into(),
        };
        let owner = format!("{:o} {}:{}", meta.mode(), meta.uid(), meta.gid());
        all.push(format!("{} {owner} {content}", entry.path().display()));
        if meta.is_dir() {
            all.extend(listing(&entry.path())?);
        }
    }
    all.sort();
    Ok(all)
}

/// Replaces a directory of the rootfs by a symlink.
pub fn replace(bundle: &Bundle, path: &str, target: impl AsRef<Path>) -> Outcome {
    let path = bundle.inside(path);
    if path.is_dir() {
        fs::remove_dir_all(&path)?;
    }
    Ok(symlink(target, path)?)
}

/// Runs with a working directory; it must fail, or the program be inside of its root.
fn expect_inside(ctx: &Ctx, bundle: &Bundle, wrap: &[&str]) -> Outcome {
    let cwd = &bundle.config["process"]["cwd"];
    let done = ctx.with_bundle("run", &[], bundle)?.wrapped(wrap).run()?;
    if done.status.code() != Some(0) {
        return Ok(());
    }
    let report = Report::parse(&done.stdout)?;
    let got = report.at("/cwd").as_str().unwrap_or("(none)");
    check!(
        got.starts_with('/'),
        "cwd {cwd} is outside of the root: {got}"
    );
    Ok(())
}

/// CVE-2024-21626.
fn cwd_through_a_descriptor(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["report"]);
    for fd in 3..20 {
        for tail in ["", "/../../.."] {
            bundle.set("/process/cwd", json!(format!("/proc/self/fd/{fd}{tail}")));
            expect_inside(ctx, &bundle, &[])?;
        }
    }
    Ok(())
}

/// The same with a descriptor that a careless caller leaks.
fn cwd_through_a_leaked_descriptor(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle
        .probe(&["report"])
        .set("/process/cwd", json!("/proc/self/fd/9"));
    expect_inside(ctx, &bundle, &["sh", "-c", "exec 9</; exec \"$0\" \"$@\""])
}

/// Tries a bundle whose mount point is a symlink: refused, with the decoys untouched.
fn expect_ordinary_directory(ctx: &Ctx, bundle: &Bundle, decoy: &Decoy) -> Outcome {
    let done = ctx.run(bundle)?;
    decoy.expect_unchanged()?;
    done.refuses(&["must be mounted on ordinary directory"])
}

/// CVE-2019-19921.
fn proc_is_a_symlink_outside(ctx: &mut Ctx) -> Outcome {
    let (bundle, decoy) = (ctx.bundle()?, Decoy::new(ctx)?);
    replace(&bundle, "proc", &decoy.dir)?;
    expect_ordinary_directory(ctx, &bundle, &decoy)
}

/// CVE-2023-27561, the return of the same.
fn proc_is_a_symlink_inside(ctx: &mut Ctx) -> Outcome {
    let (bundle, decoy) = (ctx.bundle()?, Decoy::new(ctx)?);
    fs::create_dir(bundle.inside("elsewhere"))?;
    replace(&bundle, "proc", "/elsewhere")?;
    expect_ordinary_directory(ctx, &bundle, &decoy)
}

/// CVE-2023-28642.
fn sys_is_a_symlink_inside(ctx: &mut Ctx) -> Outcome {
    let (bundle, decoy) = (ctx.bundle()?, Decoy::new(ctx)?);
    fs::create_dir(bundle.inside("elsewhere"))?;
    replace(&bundle, "sys", "/elsewhere")?;
    expect_ordinary_directory(ctx, &bundle, &decoy)
}

/// Runs a bundle in both ways, whatever comes of it, and looks at the decoys.
pub fn expect_decoys_unchanged(ctx: &Ctx, bundle: &Bundle, decoy: &Decoy) -> Outcome {
    let _ = ctx.run(bundle)?;
    decoy.expect_unchanged()?;
    if ctx.try_create(bundle)?.ok().is_ok() {
        let _ = ctx.verb(&["start"])?;
    }
    decoy.expect_unchanged()
}

fn dev_is_a_symlink_outside(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, decoy) = (ctx.bundle()?, Decoy::new(ctx)?);
    bundle.probe(&["exit", "0"]);
    replace(&bundle, "dev", &decoy.dir)?;
    expect_decoys_unchanged(ctx, &bundle, &decoy)
}

/// CVE-2026-41579: ptmx, fd and stdin are replaced before the root is entered.
fn dev_is_a_symlink_without_a_mount(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, decoy) = (ctx.bundle()?, Decoy::new(ctx)?);
    bundle.probe(&["exit", "0"]);
    for point in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
        bundle.without_mount(point);
    }
    replace(&bundle, "dev", &decoy.dir)?;
    expect_decoys_unchanged(ctx, &bundle, &decoy)?;
    fs::remove_file(bundle.inside("dev"))?;
    symlink("../../outside", bundle.inside("dev"))?;
    let _ = ctx.verb(&["delete", "--force"])?;
    expect_decoys_unchanged(ctx, &bundle, &decoy)
}

/// CVE-2019-18837, CVE-2024-45310: the link means a place below the rootfs.
fn mount_through_a_symlink(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, decoy) = (ctx.bundle()?, Decoy::new(ctx)?);
    symlink(&decoy.dir, bundle.inside("link"))?;
    bundle.set("/mounts/-", mount("/link/new/sub", "tmpfs", &["size=1m"]));
    let report = ctx.report(&mut bundle)?;
    decoy.expect_unchanged()?;
    let inside = format!("{}/new/sub", text(&decoy.dir)?);
    equal("fstype", &report.mount(&inside)?["fstype"], "tmpfs")
}

fn file_mount_through_a_symlink(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, decoy) = (ctx.bundle()?, Decoy::new(ctx)?);
    symlink(&decoy.dir, bundle.inside("link"))?;
    fs::write(ctx.dir.join("source"), "text")?;
    let mut entry = mount("/link/new-file", "bind", &["bind", "ro"]);
    entry["source"] = json!(ctx.dir.join("source"));
    bundle
        .set("/mounts/-", entry)
        .probe(&["cat", "/link/new-file"]);
    let done = ctx.run(&bundle)?.ok()?;
    decoy.expect_unchanged()?;
    equal("content", done.stdout.as_str(), "text")
}

fn mount_through_dotdot(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, decoy) = (ctx.bundle()?, Decoy::new(ctx)?);
    symlink("../../../outside", bundle.inside("tmp/up"))?;
    bundle.set("/mounts/-", mount("/tmp/up/new", "tmpfs", &["size=1m"]));
    bundle.set(
        "/mounts/-",
        mount("/../../outside/new2", "tmpfs", &["size=1m"]),
    );
    let _ = ctx.report(&mut bundle);
    decoy.expect_unchanged()
}

/// CVE-2025-31133: masks are made from /dev/null, which the image may replace. Either the
/// container is refused, or the mask is really the null device.
fn mask_through_dev_null(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    for point in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
        bundle.without_mount(point);
    }
    fs::write(bundle.inside("decoy"), "decoy")?;
    fs::write(bundle.inside("secret"), "secret")?;
    symlink("/decoy", bundle.inside("dev/null"))?;
    ctx.need_busybox()?;
    bundle.set("/linux/maskedPaths", json!(["/secret"]));
    // Not to standard output, which may go astray itself here.
    bundle.shell("/probe paths /secret > /out");
    let done = ctx.run(&bundle)?;
    if done.status.code() == Some(0) {
        let seen = Report::parse(&bundle.read("out")?)?;
        let secret = &seen.0["/secret"];
        let null = secret["major"] == 1 && secret["minor"] == 3;
        check!(
            null || secret["read"] == "empty",
            "the mask is another file: {secret}"
        );
    }
    equal("decoy", bundle.read("decoy")?.as_str(), "decoy")
}

/// Holds on to what a process executes, by the pid in /target, and writes to it as soon as nobody
/// executes it any more.
pub const WRITER: &str = "echo ready; while [ ! -s /target ]; do sleep 0.02; done; read n </target; \
    exec 3</proc/$n/exe; echo opened; while true; do \
    if echo changed 2>/dev/null >/proc/self/fd/3; then echo hit; fi; sleep 0.02; done";

/// The pid of a process in the innermost of its PID namespaces.
pub fn inner_pid(pid: i32) -> Result<String, Fault> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let pids = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))
        .unwrap_or_default();
    Ok(pids
        .split_whitespace()
        .next_back()
        .unwrap_or_default()
        .to_owned())
}

/// CVE-2019-5736: a program `#!/proc/self/exe` makes the runtime execute itself inside, where
/// another process of the container can reach its file. Here that other process is in a second
/// container, whose PID namespace the first one joins, and the log is a FIFO, so that the runtime
/// blocks until it is killed.
fn runtime_binary_is_out_of_reach(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let (copy, state, victim) = (
        ctx.dir.join("runtime-copy"),
        ctx.state_dir(),
        ctx.another_id(),
    );
    fs::copy(&ctx.runtime().path, &copy)?;
    let before = fs::read(&copy)?;
    let mut attacker = ctx.bundle()?;
    attacker.shell(WRITER);
    let attack = ctx.launch(&attacker)?;
    attack.wait_for("ready")?;
    let mut bundle = ctx.bundle_named("victim")?;
    fs::write(bundle.inside("evil"), "#!/proc/self/exe --log=/fifo\n")?;
    fs::set_permissions(bundle.inside("evil"), fs::Permissions::from_mode(0o755))?;
    ctx.command(&["mkfifo", text(&bundle.inside("fifo"))?])
        .run()?
        .ok()?;
    let joined = json!({"type": "pid", "path": format!("/proc/{}/ns/pid", ctx.pid()?)});
    bundle
        .without_namespace("pid")
        .set("/linux/namespaces/-", joined)
        .args(&["/evil"])
        .save()?;
    let run = |argv: &[&str]| {
        let base = [text(&copy)?, "--root", text(&state)?];
        ctx.in_view(ctx.command(&base).args(argv)).run()
    };
    let pid_file = ctx.dir.join("victim.pid");
    let options = [
        "--pid-file",
        text(&pid_file)?,
        "--bundle",
        text(&bundle.dir)?,
    ];
    run(&[&["create"], &options[..], &[&victim]].concat())?.ok()?;
    let inner = inner_pid(fs::read_to_string(&pid_file)?.parse()?)?;
    // A runtime that is linked dynamically has no loader inside, and fails here.
    let _ = run(&["start", &victim])?;
    std::thread::sleep(Duration::from_millis(300));
    fs::write(attacker.inside("target"), format!("{inner}\n"))?;
    std::thread::sleep(Duration::from_millis(300));
    let _ = run(&["kill", &victim, "KILL"])?;
    std::thread::sleep(Duration::from_millis(300));
    check!(
        fs::read(&copy)? == before,
        "the runtime's binary was changed"
    );
    check!(
        !attack.stdout_now()?.contains("hit"),
        "the attacker could write"
    );
    Ok(())
}
