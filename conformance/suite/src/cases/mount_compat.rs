//! Mounts as engines write them: options that add up or share a string, destinations on the host's
//! path, and sources that a user namespace locks.

use std::fs;
use std::path::Path;

use super::mounts::{HostMount, bind};
use super::user_namespace::bundle_with_users;
use crate::harness::command::Done;
use crate::harness::config::mount;
use crate::harness::container::text;
use crate::harness::prelude::*;

/// runc 1.2: mount flags that a user namespace locks are kept unless an option asks for the opposite.
const LOCKED: &str = "runc 1.2: flags that are locked and not mentioned are kept";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("mount_compat::bind_and_rbind_add_up", bind_and_rbind),
        Case::new("mount_compat::options_share_a_string", options_share),
        Case::new("mount_compat::overlay_in_one_string", overlay_in_one),
        Case::new(
            "mount_compat::overlay_paths_are_escaped",
            overlay_escapes,
        ),
        Case::new(
            "mount_compat::unknown_options_are_refused",
            unknown_options,
        )
        .deviates(
            "runc",
            "config.md, Linux mount options: unknown ones are the filesystem's, which ignores them",
            "ramfs: ",
        )
        .deviates(
            "crun",
            "config.md, Linux mount options: unknown ones are the filesystem's, which ignores them",
            "ramfs: ",
        ),
        Case::new(
            "mount_compat::unknown_options_of_cgroups_are_refused",
            unknown_cgroup_options,
        ),
        Case::new(
            "mount_compat::destination_below_the_root_on_the_host",
            destination_on_host,
        )
        .deviates("crun 1.8", "runc: StripRoot", "nothing is mounted"),
        Case::new("mount_compat::kinds_differ", kinds_differ),
        Case::new("mount_compat::locked_flags_are_kept", locked_flags)
            .deviates("runc 1.1", LOCKED, "operation not permitted")
            .deviates("crun 1.8", LOCKED, "not permitted"),
        Case::new("mount_compat::locked_flags_stay_locked", locked_opposites)
            .deviates(
                "runc 1.1",
                "runc 1.2: an option that asks for the opposite of a locked flag is an error",
                "exit status: 0",
            )
            .deviates(
                "crun 1.8",
                "runc 1.2: an option that asks for the opposite of a locked flag is an error",
                "exit status: 0",
            ),
        Case::new("mount_compat::nosymfollow_is_not_locked", nosymfollow),
    ]
}

/// CRI-O appends `bind` to the options of each volume.
fn bind_and_rbind(ctx: &mut Ctx) -> Outcome {
    let dir = ctx.dir.join("volume");
    fs::create_dir_all(dir.join("sub"))?;
    let _below = HostMount::tmpfs(&dir.join("sub"), &[])?;
    let mut bundle = ctx.bundle()?;
    let options = ["rbind", "rprivate", "rw", "bind"];
    bind(&mut bundle, &dir, "/volume", &options);
    ctx.report(&mut bundle)?.mount("/volume/sub").map(drop)
}

/// mount(2) splits its data at commas.
fn options_share(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let options = ["nosuid", "size=64k,mode=700"];
    bundle.set("/mounts/-", mount("/t", "tmpfs", &options));
    let report = ctx.report(&mut bundle)?;
    let data = report.mount("/t")?["super_options"].to_string();
    let has_both = data.contains("size=64k") && data.contains("mode=700");
    check!(has_both, "options: {data}");
    Ok(())
}

/// A tmpfs with directories for an overlay, which does not stack on every filesystem.
fn layers(ctx: &Ctx, names: [&str; 3]) -> Result<(HostMount, [String; 3]), Fault> {
    let filesystems = fs::read_to_string("/proc/filesystems")?;
    if !filesystems.contains("\toverlay\n") {
        skip!("this kernel has no overlay");
    }
    let base = ctx.dir.join("layers");
    let mounted = HostMount::tmpfs(&base, &[])?;
    for name in names {
        fs::create_dir(base.join(name))?;
    }
    fs::write(base.join(names[0]).join("file"), "text")?;
    let path = |name| text(&base.join(name)).map(str::to_owned);
    Ok((mounted, [path(names[0])?, path(names[1])?, path(names[2])?]))
}

fn runs_on_overlay(ctx: &mut Ctx, options: &[&str], upper: &Path) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.set("/mounts/-", mount("/layers", "overlay", options));
    bundle.probe(&["write", "/layers/file", "more"]);
    ctx.run(&bundle)?.ok()?;
    let copied = fs::read_to_string(upper.join("file"))?;
    equal("upper/file", copied, "textmore\n".to_owned())
}

fn overlay_in_one(ctx: &mut Ctx) -> Outcome {
    let (_mounted, [lower, upper, work]) = layers(ctx, ["lower", "upper", "work"])?;
    let all = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    runs_on_overlay(ctx, &[&all], Path::new(&upper))
}

/// The kernel's filesystems/overlayfs.rst: a backslash keeps a colon, or a comma, in a path.
fn overlay_escapes(ctx: &mut Ctx) -> Outcome {
    let (_mounted, paths) = layers(ctx, ["lo,w:er", "up,per", "wo:rk"])?;
    let [lower, upper, work] = paths.clone().map(|path| {
        let path = path.replace(',', "\\,");
        path.replace(':', "\\:")
    });
    let options = [
        format!("lowerdir={lower}"),
        format!("upperdir={upper}"),
        format!("workdir={work}"),
    ];
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    runs_on_overlay(ctx, &options, Path::new(&paths[1]))
}

fn unknown_options(ctx: &mut Ctx) -> Outcome {
    for fstype in ["tmpfs", "proc", "sysfs", "mqueue", "devpts", "ramfs"] {
        let mut bundle = ctx.bundle_named(fstype)?;
        bundle.set("/mounts/-", mount("/t", fstype, &["ro", "banana"]));
        let tried = ctx.try_create(&bundle)?;
        check!(
            tried.status.code() == Some(1),
            "{fstype}: banana is accepted: {}",
            tried.stderr
        );
        let names_it = tried.stderr.contains("banana");
        check!(
            names_it || !ctx.runtime().matches("kan"),
            "{fstype}: the option is not named: {}",
            tried.stderr
        );
    }
    ctx.expect_nothing_left()
}

fn unknown_cgroup_options(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle
        .set("/linux/namespaces/-", json!({"type": "cgroup"}))
        .set("/mounts/-", mount("/t", "cgroup2", &["ro", "banana"]));
    ctx.try_create(&bundle)?
        .refuses(&["banana", "invalid argument"])?;
    ctx.expect_nothing_left()
}

/// As in runc, whose bundles have had such destinations since Docker wrote them.
fn destination_on_host(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    fs::create_dir_all(bundle.inside("made/here"))?;
    let inside = text(&bundle.inside("made/here"))?.to_owned();
    bundle.set("/mounts/-", mount(&inside, "tmpfs", &["size=64k"]));
    let report = ctx.report(&mut bundle)?;
    report.mount("/made/here").map(drop)
}

/// Docker adds its advice to this text.
fn kinds_differ(ctx: &mut Ctx) -> Outcome {
    let dir = ctx.dir.join("volume");
    fs::create_dir(&dir)?;
    fs::write(dir.join("file"), "text")?;
    let file = dir.join("file");
    for (name, source, destination) in [
        ("dir-on-file", &dir, "/etc/passwd"),
        ("file-on-dir", &file, "/etc"),
    ] {
        let mut bundle = ctx.bundle_named(name)?;
        bind(&mut bundle, source, destination, &["bind"]);
        let tried = ctx.try_create(&bundle)?;
        let said = tried.stderr.clone();
        tried.refuses(&["not a directory"])?;
        let names_both = said.contains(text(source)?) && said.contains(destination);
        check!(
            names_both || !ctx.runtime().speaks_like_runc(),
            "{name}: both paths should be named: {said}"
        );
    }
    ctx.expect_nothing_left()
}

/// A volume whose mount has nosuid and nodev.
fn locked_volume(ctx: &Ctx) -> Result<HostMount, Fault> {
    let dir = ctx.dir.join("volume");
    let mounted = HostMount::tmpfs(&dir, &["nosuid", "nodev"])?;
    fs::write(dir.join("file"), "text")?;
    Ok(mounted)
}

/// Runs the container as root of a user namespace that exists already, as rootless engines do.
fn run_in_users(ctx: &mut Ctx, bundle: &mut Bundle) -> Result<Done, Fault> {
    // Group 5 does not exist in there.
    let mounts = bundle.config["mounts"].as_array_mut();
    for entry in mounts.into_iter().flatten() {
        if let Some(options) = entry["options"].as_array_mut() {
            options.retain(|option| option != "gid=5");
        }
    }
    bundle.probe(&["report"]);
    let run = ctx.with_bundle("run", &[], bundle)?;
    let done = run.wrapped(&["unshare", "--user", "--map-root-user", "--mount"]);
    done.run()
}

fn locked_flags(ctx: &mut Ctx) -> Outcome {
    let _volume = locked_volume(ctx)?;
    let dir = ctx.dir.join("volume");
    for (name, source, at, options) in [
        ("rbind,ro", dir.clone(), "/volume", &["rbind", "ro"][..]),
        ("bind,nosuid", dir.clone(), "/volume", &["bind", "nosuid"]),
        ("file", dir.join("file"), "/file", &["bind", "ro"]),
        ("remount", dir.clone(), "/volume", &["bind"]),
    ] {
        let mut bundle = ctx.bundle_named(name)?;
        bind(&mut bundle, &source, at, options);
        if name == "remount" {
            bind(&mut bundle, &source, at, &["bind", "remount", "ro"]);
        }
        let done = run_in_users(ctx, &mut bundle)?.ok()?;
        let report = crate::harness::report::Report::parse(&done.stdout)?;
        let seen = report.mount(at)?["options"].to_string();
        check!(
            seen.contains("nosuid") && seen.contains("nodev"),
            "{name}: {seen}"
        );
        let is_read_only = seen.contains("\"ro\"");
        equal(&format!("{name}: ro"), is_read_only, name != "bind,nosuid")?;
    }
    Ok(())
}

fn locked_opposites(ctx: &mut Ctx) -> Outcome {
    let volume = locked_volume(ctx)?;
    let dir = ctx.dir.join("volume");
    for option in ["suid", "dev"] {
        let mut bundle = ctx.bundle_named(option)?;
        bind(&mut bundle, &dir, "/volume", &["bind", option]);
        run_in_users(ctx, &mut bundle)?.refuses(&[option])?;
    }
    drop(volume);
    ctx.expect_nothing_left()
}

/// mount_namespaces(7) lists what is locked, and nosymfollow is not among it.
fn nosymfollow(ctx: &mut Ctx) -> Outcome {
    let dir = ctx.dir.join("volume");
    let _volume = HostMount::tmpfs(&dir, &[])?;
    let flags = rustix::mount::MountFlags::NOSYMFOLLOW;
    rustix::mount::mount_remount(&dir, flags | rustix::mount::MountFlags::BIND, c"")?;
    let plain = ctx.bundle_named("plain")?;
    for (name, mut bundle) in [("plain", plain), ("users", bundle_with_users(ctx)?)] {
        bind(&mut bundle, &dir, "/volume", &["bind", "ro"]);
        let report = ctx.report(&mut bundle)?;
        let seen = report.mount("/volume")?["options"].to_string();
        check!(!seen.contains("nosymfollow"), "{name}: {seen}");
        ctx.verb(&["delete", "--force"])?;
    }
    Ok(())
}
