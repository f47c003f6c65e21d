//! config.md, Linux mount options, beyond those of the kernel's own: mapped ids, copies, links,
//! remounts; and options that are longer than the kernel's calls like them.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::PathBuf;

use super::mounts::bind;
use super::user_namespace::{UID, bundle_with_users, range};
use crate::harness::config::mount;
use crate::harness::container::text;
use crate::harness::prelude::*;
use crate::harness::report::Report;

pub const NO_IDMAP: &str = "config.md, Linux mount options: idmap, ridmap";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("mount_options::mapped_ids", mapped_ids).deviates(
            "runc 1.1",
            NO_IDMAP,
            "uid: got Number(5)",
        ),
        Case::new(
            "mount_options::ids_of_the_user_namespace",
            ids_of_the_user_namespace,
        )
        .deviates("runc 1.1", NO_IDMAP, "uid: got Number(65534)"),
        Case::new(
            "mount_options::mapped_ids_in_a_user_namespace",
            mapped_in_a_user_namespace,
        )
        .deviates("runc 1.1", NO_IDMAP, "uid: got"),
        Case::new("mount_options::ridmap_reaches_below", ridmap_reaches_below)
            .deviates("runc 1.1", NO_IDMAP, "uid: got")
            .deviates("crun 1.8", NO_IDMAP, "uid: got"),
        Case::new(
            "mount_options::idmap_without_any_ids_is_refused",
            idmap_without_ids,
        )
        .deviates("runc 1.1", NO_IDMAP, "exit status: 0")
        .deviates(
            "crun 1.8",
            "runtime.md, Errors: as if the operation were never attempted",
            "left behind",
        ),
        Case::new("mount_options::tmpcopyup", tmpcopyup).deviates(
            "runc 1.1",
            "runc 1.2: tmpcopyup keeps modes",
            "sub/mode: got",
        ),
        Case::new("mount_options::tmpcopyup_read_only", tmpcopyup_read_only),
        Case::new("mount_options::tmpfs_is_open_to_all", tmpfs_is_open_to_all),
        Case::new("mount_options::an_empty_one_is_nothing", empty_option),
        Case::new(
            "mount_options::read_only_tmpfs_holds_mounts",
            read_only_tmpfs,
        ),
        Case::new("mount_options::setgid_is_inherited", setgid_is_inherited).deviates(
            "crun 1.8",
            "not in the spec; crun has its own way",
            "shared/a: got",
        ),
        Case::new("mount_options::remount", remount),
        Case::new(
            "mount_options::flags_of_file_systems",
            flags_of_file_systems,
        )
        .deviates(
            "crun 1.8",
            "mount(8), Filesystem-independent mount options",
            "Invalid argument",
        ),
        Case::new(
            "mount_options::overlay_with_long_options",
            overlay_with_long_options,
        ),
        Case::new("mount_options::bind_with_data_is_refused", bind_with_data)
            .deviates(
                "runc 1.1",
                "runc 1.2: bind mounts cannot have any filesystem-specific options applied",
                "exit status: 0",
            )
            .deviates(
                "crun 1.8",
                "runc 1.2: bind mounts cannot have any filesystem-specific options applied",
                "exit status: 0",
            ),
        Case::new("mount_options::links_of_sources_and_destinations", links)
            .deviates("runc 1.1", "options of crun's", "copy-symlink: got")
            .deviates(
                "crun 1.8",
                "options of crun 1.9 and later",
                "copy-symlink: got",
            ),
    ]
}

/// A directory with a file of somebody's.
pub fn volume(ctx: &Ctx, uid: u32, gid: u32) -> Result<PathBuf, Fault> {
    let dir = ctx.dir.join("volume");
    fs::create_dir_all(dir.join("sub"))?;
    fs::write(dir.join("file"), "text")?;
    for path in [dir.clone(), dir.join("file")] {
        chown(path, Some(uid), Some(gid))?;
    }
    Ok(dir)
}

/// Adds a bind mount with mappings.
pub fn bind_mapped(bundle: &mut Bundle, source: &PathBuf, option: &str, uids: Value, gids: Value) {
    let mut entry = mount("/volume", "bind", &["rbind", option]);
    entry["source"] = json!(source);
    entry["uidMappings"] = uids;
    entry["gidMappings"] = gids;
    bundle.set("/mounts/-", entry);
}

/// The probe's answer about paths inside.
pub fn look(ctx: &Ctx, bundle: &mut Bundle, paths: &[&str]) -> Result<Report, Fault> {
    bundle.probe(&[&["paths"], paths].concat());
    Report::parse(&ctx.run(bundle)?.ok()?.stdout)
}

pub fn expect_owner(seen: &Report, path: &str, uid: u32, gid: u32) -> Outcome {
    let path = path.replace('/', "~1");
    seen.expect(&format!("/{path}/uid"), &json!(uid))?;
    seen.expect(&format!("/{path}/gid"), &json!(gid))
}

/// "uidMappings: the mapping to convert UIDs from the source file system to the destination
/// mount point": without a user namespace.
fn mapped_ids(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, dir) = (ctx.bundle()?, volume(ctx, 5, 6)?);
    let (uids, gids) = (json!([range(0, 1000, 10)]), json!([range(0, 2000, 10)]));
    bind_mapped(&mut bundle, &dir, "idmap", uids, gids);
    expect_owner(
        &look(ctx, &mut bundle, &["/volume/file"])?,
        "/volume/file",
        1005,
        2006,
    )?;
    // What the container makes is mapped the other way.
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777))?;
    bundle.set("/process/user", json!({"uid": 1007, "gid": 2008}));
    bundle.probe(&["touch", "/volume/new"]);
    ctx.run(&bundle)?.ok()?;
    let made = fs::metadata(dir.join("new"))?;
    equal("owner on the host", (made.uid(), made.gid()), (7, 8))
}

/// `idmap` alone: files of the host's root are the container's root's.
fn ids_of_the_user_namespace(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, dir) = (bundle_with_users(ctx)?, volume(ctx, 3, 4)?);
    bind(&mut bundle, &dir, "/volume", &["bind", "idmap"]);
    expect_owner(
        &look(ctx, &mut bundle, &["/volume/file"])?,
        "/volume/file",
        3,
        4,
    )?;
    bundle.probe(&["touch", "/volume/new"]);
    chown(&dir, Some(0), Some(0))?;
    ctx.run(&bundle)?.ok()?;
    let made = fs::metadata(dir.join("new"))?;
    equal("owner on the host", (made.uid(), made.gid()), (0, 0))
}

/// Its own mappings, into ids that the container has.
fn mapped_in_a_user_namespace(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, dir) = (bundle_with_users(ctx)?, volume(ctx, 500, 600)?);
    let uids = json!([range(500, UID + 7, 1)]);
    let gids = json!([range(600, 200_008, 1)]);
    bind_mapped(&mut bundle, &dir, "idmap", uids, gids);
    expect_owner(
        &look(ctx, &mut bundle, &["/volume/file"])?,
        "/volume/file",
        7,
        8,
    )
}

fn ridmap_reaches_below(ctx: &mut Ctx) -> Outcome {
    let dir = volume(ctx, 5, 6)?;
    let _below = super::mounts::HostMount::tmpfs(&dir.join("sub"), &[])?;
    fs::write(dir.join("sub/file"), "text")?;
    for (option, uid) in [("idmap", 0), ("ridmap", 1000)] {
        let mut bundle = ctx.bundle_named(option)?;
        let map = || json!([range(0, 1000, 10)]);
        bind_mapped(&mut bundle, &dir, option, map(), map());
        let seen = look(ctx, &mut bundle, &["/volume/sub/file"])?;
        expect_owner(&seen, "/volume/sub/file", uid, uid)?;
        ctx.verb(&["delete", "--force"])?;
    }
    Ok(())
}

fn idmap_without_ids(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, dir) = (ctx.bundle()?, volume(ctx, 0, 0)?);
    bind(&mut bundle, &dir, "/volume", &["bind", "idmap"]);
    ctx.try_create(&bundle)?.refuses(&[""])?;
    ctx.expect_nothing_left()
}

/// A directory of the image with files of all kinds.
fn full_directory(bundle: &Bundle) -> Outcome {
    fs::create_dir_all(bundle.inside("full/sub"))?;
    fs::write(bundle.inside("full/sub/file"), "text")?;
    fs::set_permissions(
        bundle.inside("full/sub/file"),
        fs::Permissions::from_mode(0o4710),
    )?;
    chown(bundle.inside("full/sub"), Some(7), Some(8))?;
    fs::set_permissions(
        bundle.inside("full/sub"),
        fs::Permissions::from_mode(0o2751),
    )?;
    symlink("sub/file", bundle.inside("full/link"))?;
    Ok(())
}

/// "tmpcopyup: copy up the contents to a tmpfs".
fn tmpcopyup(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    full_directory(&bundle)?;
    bundle.set(
        "/mounts/-",
        mount("/full", "tmpfs", &["tmpcopyup", "size=1m"]),
    );
    let seen = look(
        ctx,
        &mut bundle,
        &["/full/sub", "/full/sub/file", "/full/link"],
    )?;
    seen.expect("/~1full~1sub~1file/mode", &json!(0o4710))?;
    seen.expect("/~1full~1sub~1file/read", &json!("content"))?;
    seen.expect("/~1full~1sub/mode", &json!(0o2751))?;
    seen.expect("/~1full~1link/read", &json!("content"))?;
    expect_owner(&seen, "/full/sub", 7, 8)?;
    equal(
        "fstype",
        &ctx.report(&mut bundle)?.mount("/full")?["fstype"],
        "tmpfs",
    )?;
    bundle.probe(&["write", "/full/sub/file", "more"]);
    ctx.run(&bundle)?.ok()?;
    equal("beneath", bundle.read("full/sub/file")?.as_str(), "text")
}

fn tmpcopyup_read_only(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    full_directory(&bundle)?;
    bundle.set("/mounts/-", mount("/full", "tmpfs", &["tmpcopyup", "ro"]));
    let seen = look(ctx, &mut bundle, &["/full/sub/file"])?;
    seen.expect("/~1full~1sub~1file/read", &json!("content"))?;
    seen.expect("/~1full~1sub~1file/write", &json!("EROFS"))
}

/// Where there was no directory it is like /tmp.
fn tmpfs_is_open_to_all(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.set("/mounts/-", mount("/not/there", "tmpfs", &["size=1m"]));
    look(ctx, &mut bundle, &["/not/there"])?.expect("/~1not~1there/mode", &json!(0o1777))
}

/// podman 5 gives such to the tmpfs mounts of containers with systemd.
fn empty_option(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.set("/mounts/-", mount("/t", "tmpfs", &["", "mode=700", ""]));
    look(ctx, &mut bundle, &["/t"])?.expect("/~1t/mode", &json!(0o700))
}

/// Mount points are made in it all the same.
fn read_only_tmpfs(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, dir) = (ctx.bundle()?, volume(ctx, 0, 0)?);
    bundle.set("/mounts/-", mount("/ro", "tmpfs", &["ro", "mode=755"]));
    bind(&mut bundle, &dir, "/ro/deep/volume", &["rbind"]);
    let seen = look(ctx, &mut bundle, &["/ro", "/ro/deep/volume/file"])?;
    seen.expect("/~1ro/read_only_mount", &json!(true))?;
    seen.expect("/~1ro~1deep~1volume~1file/read", &json!("content"))?;
    seen.expect("/~1ro~1deep~1volume~1file/write", &json!("yes"))
}

/// mkdir(2): what is made below a directory with the set-group-ID bit belongs to its group.
fn setgid_is_inherited(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    fs::create_dir(bundle.inside("shared"))?;
    chown(bundle.inside("shared"), Some(0), Some(77))?;
    fs::set_permissions(bundle.inside("shared"), fs::Permissions::from_mode(0o2755))?;
    bundle.set("/mounts/-", mount("/shared/a/b", "tmpfs", &["size=1m"]));
    bundle.probe(&["exit", "0"]);
    ctx.run(&bundle)?.ok()?;
    for path in ["shared/a", "shared/a/b"] {
        let made = fs::metadata(bundle.inside(path))?;
        equal(path, (made.mode() & 0o7777, made.gid()), (0o2755, 77))?;
    }
    Ok(())
}

/// What is mounted there already changes.
fn remount(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, dir) = (ctx.bundle()?, volume(ctx, 0, 0)?);
    bundle.set("/mounts/-", mount("/t", "tmpfs", &["size=64k", "mode=700"]));
    let again = ["remount", "ro", "noexec", "size=128k"];
    bundle.set("/mounts/-", mount("/t", "tmpfs", &again));
    bind(&mut bundle, &dir, "/volume", &["bind"]);
    bind(
        &mut bundle,
        &dir,
        "/volume",
        &["bind", "remount", "ro", "nodev"],
    );
    let report = ctx.report(&mut bundle)?;
    let seen = report.mount("/t")?;
    for option in ["ro", "noexec"] {
        check!(
            seen["options"].to_string().contains(option),
            "no {option}: {seen}"
        );
    }
    let data = seen["super_options"].to_string();
    check!(data.contains("size=128k"), "no size=128k: {data}");
    let seen = report.mount("/volume")?["options"].to_string();
    check!(
        seen.contains("\"ro\"") && seen.contains("nodev"),
        "remounted: {seen}"
    );
    Ok(())
}

/// Flags that mount(8) lists as independent of the file system.
fn flags_of_file_systems(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let options = [
        "iversion", "lazytime", "sync", "dirsync", "nosuid", "silent", "size=64k",
    ];
    bundle.set("/mounts/-", mount("/t", "tmpfs", &options));
    let report = ctx.report(&mut bundle)?;
    let seen = report.mount("/t")?;
    check!(
        seen["options"].to_string().contains("nosuid"),
        "no nosuid: {seen}"
    );
    let data = seen["super_options"].to_string();
    for option in ["lazytime", "sync", "dirsync", "size=64k"] {
        check!(data.contains(option), "no {option}: {data}");
    }
    Ok(())
}

/// 60 lower directories, whose names alone take thousands of bytes.
fn overlay_with_long_options(ctx: &mut Ctx) -> Outcome {
    let filesystems = fs::read_to_string("/proc/filesystems")?;
    if !filesystems.contains("\toverlay\n") {
        skip!("this kernel has no overlay");
    }
    let mut bundle = ctx.bundle()?;
    // Overlay does not stack on every file system; a tmpfs it takes.
    let base = ctx.dir.join("layers");
    let _layers = super::mounts::HostMount::tmpfs(&base, &[])?;
    let mut lower = Vec::new();
    for number in 0..20 {
        let dir = base.join(format!("a-layer-with-quite-a-long-name-{number}"));
        fs::create_dir(&dir)?;
        fs::write(dir.join(format!("file-{number}")), "text")?;
        lower.push(text(&dir)?.to_owned());
    }
    for dir in ["upper", "work"] {
        fs::create_dir(base.join(dir))?;
    }
    let lower = format!("lowerdir={}", lower.join(":"));
    check!(lower.len() > 256, "not long enough");
    let upper = format!("upperdir={}", base.join("upper").display());
    let work = format!("workdir={}", base.join("work").display());
    bundle.set(
        "/mounts/-",
        mount("/layers", "overlay", &[&lower, &upper, &work, "nosuid"]),
    );
    let seen = look(ctx, &mut bundle, &["/layers/file-0", "/layers/file-19"])?;
    for path in ["/~1layers~1file-0", "/~1layers~1file-19"] {
        seen.expect(&format!("{path}/read"), &json!("content"))?;
    }
    let report = ctx.report(&mut bundle)?;
    let options = report.mount("/layers")?["options"].to_string();
    check!(options.contains("nosuid"), "no nosuid: {options}");
    bundle.probe(&["touch", "/layers/new"]);
    ctx.run(&bundle)?.ok()?;
    check!(
        base.join("upper/new").exists(),
        "not in the upper directory"
    );
    Ok(())
}

fn bind_with_data(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, dir) = (ctx.bundle()?, volume(ctx, 0, 0)?);
    bind(&mut bundle, &dir, "/volume", &["bind", "size=1m"]);
    ctx.try_create(&bundle)?
        .refuses(&["bind mounts cannot have any filesystem-specific options applied"])?;
    ctx.expect_nothing_left()
}

/// crun's options for symbolic links.
fn links(ctx: &mut Ctx) -> Outcome {
    let dir = volume(ctx, 0, 0)?;
    let link = ctx.dir.join("link");
    symlink(dir.join("file"), &link)?;
    for (option, destination) in [
        ("copy-symlink", "/made/link"),
        ("src-nofollow", "/taken"),
        ("dest-nofollow", "/pointer"),
    ] {
        let mut bundle = ctx.bundle_named(option)?;
        fs::create_dir(bundle.inside("target"))?;
        symlink("/target", bundle.inside("pointer"))?;
        symlink("nowhere", bundle.inside("taken"))?;
        let options = match option {
            "src-nofollow" => vec!["bind", option, "dest-nofollow"],
            _ => vec!["bind", option],
        };
        bind(&mut bundle, &link, destination, &options);
        ctx.need_busybox()?;
        bundle.shell(&format!(
            "busybox readlink {destination}; cat {destination} 2>/dev/null; busybox ls /target"
        ));
        let done = ctx.run(&bundle)?.ok()?;
        let target = format!("{}\n", dir.join("file").display());
        let want = match option {
            // The mount hides the link; it leads to a file of the host's.
            "dest-nofollow" => "text".to_owned(),
            _ => target,
        };
        equal(option, done.stdout, want)?;
        ctx.verb(&["delete", "--force"])?;
    }
    Ok(())
}
