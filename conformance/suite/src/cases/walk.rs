//! The first walk of a new user: unpack an image's files, write the default config, run a shell
//! in the terminal and look around.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::harness::container::text;
use crate::harness::prelude::*;
use crate::harness::terminal::{Master, Terminal};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("walk::shell_in_a_terminal", shell_in_a_terminal),
        Case::new("walk::read_only_root_of_the_default", read_only_root),
    ]
}

/// Programs that the image offers.
const APPLETS: [&str; 9] = [
    "sh", "ps", "whoami", "hostname", "touch", "ls", "cat", "echo", "tty",
];

/// A file tree like that of a small image.
fn make_image(dir: &Path, busybox: &Path) -> Outcome {
    for sub in ["bin", "etc", "tmp", "root", "proc", "sys", "dev", "usr/bin"] {
        fs::create_dir_all(dir.join(sub))?;
    }
    fs::copy(busybox, dir.join("bin/busybox"))?;
    for applet in APPLETS {
        symlink("/bin/busybox", dir.join("bin").join(applet))?;
    }
    fs::write(dir.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    fs::write(dir.join("etc/group"), "root:x:0:\n")?;
    // docker export leaves these as empty files.
    for file in [
        "etc/hosts",
        "etc/hostname",
        "etc/resolv.conf",
        "dev/console",
    ] {
        fs::write(dir.join(file), "")?;
    }
    Ok(())
}

/// A bundle whose rootfs comes out of a tar archive, with the config of `RUNTIME spec`.
fn unpacked_bundle(ctx: &Ctx) -> Result<Bundle, Fault> {
    let Some(busybox) = &ctx.world.busybox else {
        skip!("no static busybox in PATH")
    };
    let (image, archive) = (ctx.dir.join("image"), ctx.dir.join("rootfs.tar"));
    make_image(&image, busybox)?;
    let mut bundle = Bundle {
        dir: ctx.dir.join("bundle"),
        config: Value::Null,
    };
    fs::create_dir_all(bundle.rootfs())?;
    let (busybox, rootfs) = (text(busybox)?, bundle.rootfs());
    let pack = [
        busybox,
        "tar",
        "-cf",
        text(&archive)?,
        "-C",
        text(&image)?,
        ".",
    ];
    ctx.command(&pack).run()?.ok()?;
    let unpack = [busybox, "tar", "-xf", text(&archive)?, "-C", text(&rootfs)?];
    ctx.command(&unpack).run()?.ok()?;
    ctx.default_config(&mut bundle)?;
    Ok(bundle)
}

/// Types a command and answers what it printed: the lines between its echo and its end mark.
fn ask(master: &mut Master, command: &str) -> Result<Vec<String>, Fault> {
    // The mark is computed, so that the echo of the command is not taken for its output.
    master.write(&format!("{command}; echo end-$((40+2))\r"))?;
    let seen = master.read_until("end-42")?;
    let lines = seen.lines().map(|line| line.trim_end().to_owned());
    // The shell asks its terminal for the position of the cursor after each prompt.
    let lines = lines.filter(|l| !l.is_empty() && !l.contains("end-") && !l.contains('\u{1b}'));
    Ok(lines.collect())
}

/// The only edit is the one that a person makes to write files: a writable root.
fn shell_in_a_terminal(ctx: &mut Ctx) -> Outcome {
    let mut bundle = unpacked_bundle(ctx)?;
    bundle.set("/root/readonly", json!(false)).save()?;
    let hostname = bundle.config["hostname"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let mut term = Terminal::open(24, 80)?;
    let cmd = ctx.oci(&["run", &ctx.id]).cwd(&bundle.dir);
    let running = term.control(cmd)?.spawn()?;
    term.release();
    term.master.read_until("# ")?;
    let processes = ask(&mut term.master, "ps")?;
    check!(processes.len() == 3, "ps: {processes:?}");
    check!(processes[0].contains("PID"), "ps: {processes:?}");
    check!(
        processes[1].ends_with(" sh") && processes[1].contains(" 1 "),
        "ps: {processes:?}"
    );
    check!(processes[2].contains("ps"), "ps: {processes:?}");
    equal("whoami", ask(&mut term.master, "whoami")?, vec!["root"])?;
    equal(
        "hostname",
        ask(&mut term.master, "hostname")?,
        vec![hostname],
    )?;
    check!(
        ask(&mut term.master, "tty")?[0].starts_with("/dev/"),
        "sh has no terminal"
    );
    ask(&mut term.master, "touch /tmp/was-here")?;
    term.master.write("exit 7\r")?;
    running.wait()?.exits(7)?;
    check!(
        bundle.inside("tmp/was-here").exists(),
        "the file is not in the rootfs"
    );
    ctx.expect_nothing_left()
}

fn read_only_root(ctx: &mut Ctx) -> Outcome {
    let bundle = unpacked_bundle(ctx)?;
    let mut term = Terminal::open(24, 80)?;
    let cmd = ctx.oci(&["run", &ctx.id]).cwd(&bundle.dir);
    let running = term.control(cmd)?.spawn()?;
    term.release();
    term.master.read_until("# ")?;
    let said = ask(&mut term.master, "touch /tmp/was-here")?;
    check!(
        said.iter().any(|l| l.contains("Read-only file system")),
        "touch says {said:?}"
    );
    term.master.write("exit\r")?;
    running.wait()?.exits(0)?;
    check!(
        !bundle.inside("tmp/was-here").exists(),
        "the file is in the rootfs"
    );
    Ok(())
}
