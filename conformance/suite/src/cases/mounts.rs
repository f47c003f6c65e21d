//! config.md, Mounts: sources of every kind, mount points that are missing, options of the mount
//! and of the file system.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags};

use crate::harness::config::mount;
use crate::harness::container::text;
use crate::harness::prelude::*;
use crate::harness::report::Report;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("mounts::bind_directory", bind_directory),
        Case::new("mounts::bind_kinds_of_files", bind_kinds_of_files),
        Case::new("mounts::bind_is_writable", bind_is_writable),
        Case::new("mounts::bind_read_only", bind_read_only),
        Case::new("mounts::bind_keeps_the_flags", bind_keeps_the_flags).deviates("crun 1.8", "not in the spec; crun has its own way", "nosuid is gone"),
        Case::new("mounts::bind_and_rbind", bind_and_rbind),
        Case::new("mounts::ro_is_of_the_top", ro_is_of_the_top),
        Case::new("mounts::rro_reaches_below", rro_reaches_below),
        Case::new("mounts::recursive_flags", recursive_flags).deviates("crun 1.8", "config.md, Linux mount options: rnoatime", "mount_setattr `/all`: Invalid argument"),
        Case::new("mounts::relative_source", relative_source),
        Case::new(
            "mounts::source_in_an_earlier_mount",
            source_in_an_earlier_mount,
        ),
        Case::new("mounts::source_missing", source_missing),
        Case::new("mounts::points_are_made", points_are_made),
        Case::new("mounts::in_their_order", in_their_order),
        Case::new("mounts::dangling_symlink", dangling_symlink).deviates("crun 1.8", "config.md, mounts: the destination is a path inside the container; crun fails on a symlink to what the container lacks", "openat2 `tmp/link`"),
        Case::new(
            "mounts::dangling_symlink_of_a_file",
            dangling_symlink_of_a_file,
        ),
        Case::new("mounts::tmpfs_options", tmpfs_options),
        Case::new("mounts::tmpfs_takes_the_mode", tmpfs_takes_the_mode).deviates("crun 1.8", "not in the spec; crun has its own way", "/mode: got Number(1023)"),
        Case::new("mounts::unknown_option_is_refused", unknown_option),
        Case::new("mounts::mqueue", mqueue),
    ]
}

/// A file system on the host, below the case's directory; unmounted when dropped.
pub struct HostMount(PathBuf);

impl HostMount {
    /// A tmpfs on a directory, which is made; private, whatever it is mounted on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn tmpfs(dir: &Path, flags: &[&str]) -> Result<Self, Fault> {
        fs::create_dir_all(dir)?;
        let flags = flags.iter().fold(MountFlags::empty(), |all, flag| {
            all | match *flag {
                "nosuid" => MountFlags::NOSUID,
                "nodev" => MountFlags::NODEV,
                "noexec" => MountFlags::NOEXEC,
                _ => MountFlags::RDONLY,
            }
        });
        rustix::mount::mount("suite", dir, "tmpfs", flags, c"size=1m")?;
        let new = Self(dir.to_owned());
        new.change(rustix::mount::MountPropagationFlags::PRIVATE)?;
        Ok(new)
    }

    /// Changes its propagation.
    ///
    /// # Errors
    /// The kernel's.
    pub fn change(&self, kind: rustix::mount::MountPropagationFlags) -> Outcome {
        Ok(rustix::mount::mount_change(&self.0, kind)?)
    }
}

impl Drop for HostMount {
    fn drop(&mut self) {
        // The search for leftovers tells if it is still there.
        let _ = rustix::mount::unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// Adds a bind mount.
pub fn bind(bundle: &mut Bundle, source: &Path, destination: &str, options: &[&str]) {
    let mut entry = mount(destination, "bind", options);
    entry["source"] = json!(source);
    bundle.set("/mounts/-", entry);
}

/// A directory of the host with a file.
fn volume(ctx: &Ctx) -> Result<PathBuf, Fault> {
    let dir = ctx.dir.join("volume");
    fs::create_dir_all(dir.join("sub"))?;
    fs::write(dir.join("file"), "text")?;
    Ok(dir)
}

/// The probe's answer about paths inside.
fn look(ctx: &Ctx, bundle: &mut Bundle, paths: &[&str]) -> Result<Report, Fault> {
    bundle.probe(&[&["paths"], paths].concat());
    Report::parse(&ctx.run(bundle)?.ok()?.stdout)
}

/// Whether a mount of the report has an option.
fn has(mount: &Value, option: &str) -> bool {
    let options = mount["options"].as_array();
    options.is_some_and(|all| all.contains(&json!(option)))
}

fn bind_directory(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, dir) = (ctx.bundle()?, volume(ctx)?);
    bind(&mut bundle, &dir, "/new/volume", &["rbind"]);
    bundle.probe(&["cat", "/new/volume/file"]);
    equal("content", ctx.run(&bundle)?.ok()?.stdout.as_str(), "text")
}

/// "Bind mounts … may be … a file"; whatever it is, the mount point is a file.
fn bind_kinds_of_files(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, dir) = (ctx.bundle()?, volume(ctx)?);
    let _listener = UnixListener::bind(dir.join("socket"))?;
    let fifo = dir.join("fifo");
    ctx.command(&["mkfifo", text(&fifo)?]).run()?.ok()?;
    let sources = [
        (dir.join("file"), "file"),
        (dir.join("socket"), "socket"),
        (fifo, "fifo"),
        (PathBuf::from("/dev/zero"), "char"),
    ];
    for (source, kind) in &sources {
        bind(&mut bundle, source, &format!("/new/deep/{kind}"), &["bind"]);
    }
    bundle.probe(&["report"]);
    let report = ctx.report(&mut bundle)?;
    for (_, kind) in &sources {
        report.mount(&format!("/new/deep/{kind}"))?;
        // Reading a FIFO would wait for a writer.
        let made = fs::metadata(bundle.inside(&format!("new/deep/{kind}")))?;
        check!(made.is_file(), "the mount point for {kind} is no file");
    }
    ctx.need_busybox()?;
    bundle.shell("cd /new/deep; for f in *; do busybox stat -c '%n %F' $f; done");
    let done = ctx.run(&bundle)?.ok()?;
    let want = "char character special file\nfifo fifo\nfile regular file\nsocket socket\n";
    equal("types", done.stdout.as_str(), want)
}

fn bind_is_writable(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, dir) = (ctx.bundle()?, volume(ctx)?);
    bind(&mut bundle, &dir, "/volume", &["bind", "rw"]);
    bundle.probe(&["write", "/volume/file", " and more"]);
    ctx.run(&bundle)?.ok()?;
    let content = fs::read_to_string(dir.join("file"))?;
    equal("content", content.as_str(), "text and more\n")
}

fn bind_read_only(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, dir) = (ctx.bundle()?, volume(ctx)?);
    bind(&mut bundle, &dir, "/volume", &["bind", "ro"]);
    bind(&mut bundle, &dir.join("file"), "/file", &["ro", "bind"]);
    let seen = look(ctx, &mut bundle, &["/volume/file", "/file"])?;
    for path in ["/~1volume~1file", "/~1file"] {
        seen.expect(&format!("{path}/write"), &json!("EROFS"))?;
        seen.expect(&format!("{path}/read"), &json!("content"))?;
    }
    // The host's own mount is another one.
    fs::write(dir.join("file"), "changed")?;
    Ok(())
}

/// Without flags of its own it is like its source.
fn bind_keeps_the_flags(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, dir) = (ctx.bundle()?, ctx.dir.join("mounted"));
    let _mounted = HostMount::tmpfs(&dir, &["nosuid", "nodev", "noexec"])?;
    bind(&mut bundle, &dir, "/volume", &["rbind"]);
    let report = ctx.report(&mut bundle)?;
    let seen = report.mount("/volume")?;
    for flag in ["nosuid", "nodev", "noexec"] {
        check!(has(seen, flag), "{flag} is gone: {seen}");
    }
    Ok(())
}

/// A directory with another file system on a directory below; both are writable.
fn tree(ctx: &Ctx) -> Result<(PathBuf, HostMount), Fault> {
    let dir = volume(ctx)?;
    let mounted = HostMount::tmpfs(&dir.join("sub"), &[])?;
    fs::write(dir.join("sub/inner"), "inner text")?;
    Ok((dir, mounted))
}

fn bind_and_rbind(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let (dir, _mounted) = tree(ctx)?;
    bind(&mut bundle, &dir, "/one", &["bind"]);
    bind(&mut bundle, &dir, "/all", &["rbind"]);
    let seen = look(ctx, &mut bundle, &["/one/sub/inner", "/all/sub/inner"])?;
    seen.expect("/~1one~1sub~1inner/read", &json!("missing"))?;
    seen.expect("/~1all~1sub~1inner/read", &json!("content"))
}

/// mount(8): only the recursive options reach the mounts below.
fn ro_is_of_the_top(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let (dir, _mounted) = tree(ctx)?;
    bind(&mut bundle, &dir, "/all", &["rbind", "ro"]);
    let seen = look(ctx, &mut bundle, &["/all", "/all/sub"])?;
    seen.expect("/~1all/read_only_mount", &json!(true))?;
    seen.expect("/~1all~1sub/read_only_mount", &json!(false))
}

/// config.md, Linux mount options: "rro: recursive read-only (since kernel 5.12)".
fn rro_reaches_below(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let (dir, _mounted) = tree(ctx)?;
    bind(&mut bundle, &dir, "/all", &["rbind", "rro"]);
    let seen = look(ctx, &mut bundle, &["/all", "/all/sub", "/all/sub/inner"])?;
    seen.expect("/~1all/read_only_mount", &json!(true))?;
    seen.expect("/~1all~1sub/read_only_mount", &json!(true))?;
    seen.expect("/~1all~1sub~1inner/write", &json!("EROFS"))?;
    fs::write(dir.join("sub/inner"), "changed")?;
    Ok(())
}

fn recursive_flags(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let (dir, _mounted) = tree(ctx)?;
    let options = ["rbind", "rnosuid", "rnodev", "rnoexec", "rnoatime"];
    bind(&mut bundle, &dir, "/all", &options);
    let report = ctx.report(&mut bundle)?;
    for point in ["/all", "/all/sub"] {
        let seen = report.mount(point)?;
        for flag in ["nosuid", "nodev", "noexec", "noatime"] {
            check!(has(seen, flag), "{point}: no {flag}: {seen}");
        }
    }
    Ok(())
}

/// "A source … either an absolute path … or relative to the bundle", wherever the caller is.
fn relative_source(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    fs::create_dir(bundle.dir.join("data"))?;
    fs::write(bundle.dir.join("data/file"), "text")?;
    bind(&mut bundle, Path::new("data"), "/data", &["bind"]);
    bind(&mut bundle, Path::new("./data/file"), "/file", &["bind"]);
    let seen = look(ctx, &mut bundle, &["/data/file", "/file"])?;
    seen.expect("/~1data~1file/read", &json!("content"))?;
    seen.expect("/~1file/read", &json!("content"))
}

/// By its path on the host, where the earlier mount is in the container only.
fn source_in_an_earlier_mount(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, dir) = (ctx.bundle()?, volume(ctx)?);
    fs::write(dir.join("sub/deep"), "deep text")?;
    let inside = bundle.inside("earlier/sub");
    bind(&mut bundle, &dir, "/earlier", &["bind"]);
    bind(&mut bundle, &inside, "/later", &["bind"]);
    bind(&mut bundle, &inside.join("deep"), "/file", &["bind"]);
    let seen = look(ctx, &mut bundle, &["/later/deep", "/file"])?;
    seen.expect("/~1later~1deep/read", &json!("content"))?;
    seen.expect("/~1file/read", &json!("content"))
}

fn source_missing(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bind(&mut bundle, &ctx.dir.join("nowhere"), "/volume", &["bind"]);
    ctx.try_create(&bundle)?
        .refuses(&["no such file or directory"])?;
    ctx.expect_nothing_left()
}

/// Also in a root that is read-only for the container.
fn points_are_made(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, dir) = (ctx.bundle()?, volume(ctx)?);
    bundle
        .set("/root/readonly", json!(true))
        .set("/mounts/-", mount("/a/b/c", "tmpfs", &["size=1m"]))
        .set("/mounts/-", mount("/a/b/c/d/e", "tmpfs", &["size=1m"]));
    bind(&mut bundle, &dir.join("file"), "/a/b/c/x/file", &["bind"]);
    let report = ctx.report(&mut bundle)?;
    equal("fstype", &report.mount("/a/b/c")?["fstype"], "tmpfs")?;
    equal("fstype", &report.mount("/a/b/c/d/e")?["fstype"], "tmpfs")?;
    report.mount("/a/b/c/x/file")?;
    check!(
        bundle.inside("a/b/c").is_dir(),
        "no mount point in the root"
    );
    Ok(())
}

/// "The runtime MUST mount entries in the listed order."
fn in_their_order(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, dir) = (ctx.bundle()?, volume(ctx)?);
    let second = ctx.dir.join("second");
    fs::create_dir(&second)?;
    fs::write(second.join("file"), "of the second")?;
    bind(&mut bundle, &dir, "/volume", &["bind"]);
    bind(&mut bundle, &second, "/volume", &["bind"]);
    bundle.probe(&["cat", "/volume/file"]);
    let done = ctx.run(&bundle)?.ok()?;
    equal("content", done.stdout.as_str(), "of the second")
}

/// What a link means is looked for inside the root, and made there.
fn dangling_symlink(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    std::os::unix::fs::symlink("../../../../deep/down", bundle.inside("tmp/link"))?;
    bundle.set("/mounts/-", mount("/tmp/link/end", "tmpfs", &["size=1m"]));
    let report = ctx.report(&mut bundle)?;
    equal(
        "fstype",
        &report.mount("/deep/down/end")?["fstype"],
        "tmpfs",
    )
}

fn dangling_symlink_of_a_file(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, dir) = (ctx.bundle()?, volume(ctx)?);
    std::os::unix::fs::symlink("/etc/deep/file", bundle.inside("etc/link"))?;
    bind(&mut bundle, &dir.join("file"), "/etc/link", &["bind"]);
    bundle.probe(&["cat", "/etc/deep/file"]);
    let done = ctx.run(&bundle)?.ok()?;
    equal("content", done.stdout.as_str(), "text")
}

fn tmpfs_options(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let options = [
        "nosuid",
        "nodev",
        "noexec",
        "noatime",
        "ro",
        "size=512k",
        "mode=1750",
        "uid=7",
        "gid=8",
        "nr_inodes=77",
    ];
    bundle.set("/mounts/-", mount("/tmpfs", "tmpfs", &options));
    let report = ctx.report(&mut bundle)?;
    let seen = report.mount("/tmpfs")?;
    for option in &options[..5] {
        check!(has(seen, option), "no {option}: {seen}");
    }
    let data = seen["super_options"].to_string();
    for option in ["size=512k", "mode=1750", "uid=7", "gid=8", "nr_inodes=77"] {
        check!(data.contains(option), "no {option}: {data}");
    }
    Ok(())
}

/// Without `mode` it is like the directory beneath.
fn tmpfs_takes_the_mode(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    fs::create_dir(bundle.inside("there"))?;
    fs::set_permissions(bundle.inside("there"), fs::Permissions::from_mode(0o1751))?;
    bundle.set("/mounts/-", mount("/there", "tmpfs", &["size=1m"]));
    look(ctx, &mut bundle, &["/there"])?.expect("/~1there/mode", &json!(0o1751))
}

fn unknown_option(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.set("/mounts/-", mount("/tmpfs", "tmpfs", &["nonsense=1"]));
    ctx.try_create(&bundle)?.refuses(&[""])?;
    ctx.expect_nothing_left()
}

/// The container's own queues, not the host's.
fn mqueue(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    ctx.need_busybox()?;
    bundle.shell("touch /dev/mqueue/queue && cat /dev/mqueue/queue && ls /dev/mqueue");
    let done = ctx.run(&bundle)?.ok()?;
    check!(done.stdout.contains("QSIZE:0"), "no queue: {}", done.stdout);
    check!(
        done.stdout.ends_with("queue\n"),
        "no queue: {}",
        done.stdout
    );
    let report = ctx.report(&mut bundle)?;
    equal("fstype", &report.mount("/dev/mqueue")?["fstype"], "mqueue")
}
