//! Attacks on the setting up of the terminal and of standard streams.

use std::fs::{self, File};
use std::os::unix::fs::symlink;

use super::attacks::{Decoy, expect_decoys_unchanged, replace};
use crate::harness::container::text;
use crate::harness::prelude::*;
use crate::harness::terminal::ConsoleSocket;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "attacks::console_is_a_symlink_to_a_file",
            console_is_a_symlink_to_a_file,
        ),
        Case::new(
            "attacks::console_is_a_symlink_to_a_new_file",
            console_is_a_symlink_to_a_new_file,
        )
        .deviates(
            "crun",
            "CVE-2026-88264: /dev/console is made through the symlink",
            "decoys outside of the rootfs",
        ),
        Case::new("attacks::pts_is_a_symlink", pts_is_a_symlink),
        Case::new(
            "attacks::null_is_a_symlink_to_a_file",
            null_is_a_symlink_to_a_file,
        )
        .deviates(
            "crun",
            "CVE-2026-88265: the target of /dev/null is given to the user",
            "owner of the file behind /dev/null",
        ),
        Case::new(
            "attacks::stdout_is_not_taken_for_null",
            stdout_is_not_taken_for_null,
        )
        .deviates(
            "crun",
            "CVE-2026-88265: a stream is taken for /dev/null by its device number alone",
            "stdout",
        )
        .deviates(
            "runc 1.1",
            "CVE-2026-88265: a stream is taken for /dev/null by its device number alone",
            "stdout",
        ),
    ]
}

/// A bundle without mounts at and below /dev, so that the image's own files are used.
fn bare_bundle(ctx: &Ctx) -> Result<Bundle, Fault> {
    let mut bundle = ctx.bundle()?;
    for point in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
        bundle.without_mount(point);
    }
    bundle.probe(&["exit", "0"]);
    Ok(bundle)
}

/// Creates and starts with a console socket, whatever comes of it.
fn try_with_console(ctx: &Ctx, bundle: &mut Bundle) -> Outcome {
    bundle.set("/process/terminal", json!(true));
    let socket = ConsoleSocket::bind(&ctx.dir)?;
    let options = ["--console-socket", text(&socket.path)?];
    if ctx
        .with_bundle("create", &options, bundle)?
        .run()?
        .ok()
        .is_ok()
    {
        let _ = ctx.verb(&["start"])?;
    }
    Ok(())
}

/// CVE-2025-52565.
fn console_is_a_symlink_to_a_file(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, decoy) = (bare_bundle(ctx)?, Decoy::new(ctx)?);
    symlink(decoy.dir.join("console"), bundle.inside("dev/console"))?;
    try_with_console(ctx, &mut bundle)?;
    decoy.expect_unchanged()
}

/// CVE-2026-88264: the mount point is made through the link.
fn console_is_a_symlink_to_a_new_file(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, decoy) = (bare_bundle(ctx)?, Decoy::new(ctx)?);
    symlink(decoy.dir.join("new"), bundle.inside("dev/console"))?;
    try_with_console(ctx, &mut bundle)?;
    decoy.expect_unchanged()
}

/// CVE-2025-52565, the other end.
fn pts_is_a_symlink(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, decoy) = (bare_bundle(ctx)?, Decoy::new(ctx)?);
    replace(&bundle, "dev/pts", decoy.dir.join("pts"))?;
    try_with_console(ctx, &mut bundle)?;
    decoy.expect_unchanged()
}

/// CVE-2026-88265: standard input is /dev/null of the host; the image's may be anything, and a
/// runtime that reopens or chowns it by name reaches the target.
fn null_is_a_symlink_to_a_file(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, decoy) = (bare_bundle(ctx)?, Decoy::new(ctx)?);
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    symlink(decoy.dir.join("null"), bundle.inside("dev/null"))?;
    expect_decoys_unchanged(ctx, &bundle, &decoy)?;
    // And inside: a file of root must not become the user's.
    fs::remove_file(bundle.inside("dev/null"))?;
    fs::write(bundle.inside("decoy"), "decoy")?;
    symlink("/decoy", bundle.inside("dev/null"))?;
    let _ = ctx.verb(&["delete", "--force"])?;
    let input = File::open("/dev/null")?;
    let _ = ctx.with_bundle("run", &[], &bundle)?.stdin(input).run()?;
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(bundle.inside("decoy"))?);
    equal("owner of the file behind /dev/null", owner, 0)
}

/// CVE-2026-88265, the other half: where /dev/null of the image is a regular file, its device
/// number is that of every regular file, and standard output must not end up in it.
fn stdout_is_not_taken_for_null(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bare_bundle(ctx)?;
    fs::write(bundle.inside("dev/null"), "decoy")?;
    bundle.probe(&["echo", "out"]);
    let done = ctx.run(&bundle)?;
    if done.status.code() == Some(0) {
        equal("stdout", done.stdout.as_str(), "out\n")?;
    }
    equal("decoy", bundle.read("dev/null")?.as_str(), "decoy")
}
