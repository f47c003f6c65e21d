//! Programs that execve(2) would run, and where they and the hooks find themselves: HOME and the
//! working directory.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use super::hooks::{add, hook};
use crate::harness::bundle::read;
use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "program_compat::dac_override_may_execute",
            dac_override_executes,
        ),
        Case::new(
            "program_compat::dac_override_may_search",
            dac_override_searches,
        ),
        Case::new("program_compat::relative_path_entry", relative_path).deviates(
            "runc 1.1",
            "execvp(3): entries of PATH may be relative; os/exec of Go 1.19 refuses them",
            "exit status: 1",
        ),
        Case::new("program_compat::empty_name_is_not_found", empty_name),
        Case::new("program_compat::bytes_that_are_no_text", bytes_of_exec).deviates(
            "runc 1.1",
            "execve(2): arguments are bytes; Go's JSON has text alone",
            "want exit code 0",
        ),
        Case::new("program_compat::home_of_a_hidden_passwd", hidden_passwd).lacks(
            "crun 1.8",
            "a home that is found each time",
            "HOME: got",
        ),
        Case::new(
            "program_compat::home_of_start_container_hooks",
            home_of_hooks,
        ),
        Case::new("program_compat::directories_of_hooks", directories_of_hooks).deviates(
            "crun 1.8",
            "not in the spec; runc's way",
            "createContainer: got",
        ),
    ]
}

/// A user who is not root, with a capability that overrides permissions.
fn override_permissions(bundle: &mut Bundle) {
    let sets = json!(["CAP_DAC_OVERRIDE"]);
    for set in ["bounding", "permitted", "effective"] {
        bundle.set(&format!("/process/capabilities/{set}"), sets.clone());
    }
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
}

/// A copy of the probe in a directory of its own.
fn copied(bundle: &Bundle) -> Outcome {
    fs::create_dir(bundle.inside("own"))?;
    fs::copy(bundle.inside("probe"), bundle.inside("own/probe"))?;
    Ok(())
}

fn mode(bundle: &Bundle, path: &str, mode: u32) -> Outcome {
    let path = bundle.inside(path);
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

/// capabilities(7): CAP_DAC_OVERRIDE bypasses execute permission checks.
fn dac_override_executes(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    copied(&bundle)?;
    mode(&bundle, "own/probe", 0o700)?;
    override_permissions(&mut bundle);
    bundle.args(&["/own/probe", "exit", "7"]);
    ctx.run(&bundle)?.exits(7).map(drop)
}

fn dac_override_searches(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    copied(&bundle)?;
    mode(&bundle, "own", 0o700)?;
    override_permissions(&mut bundle);
    bundle
        .set("/process/env/0", json!("PATH=/own"))
        .args(&["probe", "exit", "7"]);
    ctx.run(&bundle)?.exits(7).map(drop)
}

fn relative_path(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    copied(&bundle)?;
    bundle
        .set("/process/env/0", json!("PATH=own:/nowhere"))
        .args(&["probe", "exit", "7"]);
    ctx.run(&bundle)?.exits(7).map(drop)
}

/// Arguments, environment and working directory of `exec` are bytes, execve(2).
fn bytes_of_exec(ctx: &mut Ctx) -> Outcome {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;
    ctx.need_busybox()?;
    let bundle = ctx.launch_sleeper()?;
    let bytes = |text: &[u8]| OsString::from_vec(text.to_vec());
    fs::create_dir(bundle.rootfs().join(bytes(b"dir-\xfe")))?;
    let script = "printf '%s' \"$0 $V $(pwd)\" | busybox od -An -v -tx1 | tr -d ' \\n'";
    let exec = ctx
        .oci(&["exec", "--env"])
        .arg(bytes(b"V=\xff"))
        .arg("--cwd")
        .arg(bytes(b"/dir-\xfe"))
        .arg(&ctx.id)
        .args(&["/bin/sh", "-c", script])
        .arg(bytes(b"a\xfd"));
    let done = exec.run()?.ok()?;
    equal("bytes", done.stdout.trim(), "61fd20ff202f6469722dfe")
}

fn empty_name(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.args(&[""]);
    ctx.try_create(&bundle)?.refuses(&[
        "executable file not found in $PATH",
        "no such file or directory",
    ])?;
    ctx.expect_nothing_left()
}

/// The user can't read the file, and has a home all the same.
fn hidden_passwd(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    // The file of all bundles is one, with many names.
    fs::remove_file(bundle.inside("etc/passwd"))?;
    fs::write(
        bundle.inside("etc/passwd"),
        "some:x:1000:1000::/home/some:/bin/sh\n",
    )?;
    mode(&bundle, "etc/passwd", 0o600)?;
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    ctx.need_busybox()?;
    bundle.shell("echo $HOME");
    let done = ctx.run(&bundle)?.ok()?;
    equal("HOME", done.stdout.trim(), "/home/some")
}

/// The hook inherits the process's environment, and HOME is part of it.
fn home_of_hooks(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let mut bundle = ctx.bundle()?;
    // The file of all bundles is one, with many names.
    fs::remove_file(bundle.inside("etc/passwd"))?;
    fs::write(
        bundle.inside("etc/passwd"),
        "root:x:0:0::/home/of-root:/bin/sh\n",
    )?;
    let script = "set -u; echo $HOME >/home-of-hook";
    let entry = json!({"path": "/bin/sh", "args": ["sh", "-c", script]});
    add(&mut bundle, "startContainer", entry);
    bundle.probe(&["exit", "0"]);
    ctx.run(&bundle)?.ok()?;
    equal("HOME", bundle.read("home-of-hook")?.trim(), "/home/of-root")
}

/// As in runc: the bundle, and for createContainer hooks the root.
fn directories_of_hooks(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let (mut bundle, dir) = (ctx.bundle()?, ctx.dir.join("said"));
    fs::create_dir(&dir)?;
    chown(&dir, Some(0), Some(0))?;
    for kind in ["prestart", "createRuntime", "createContainer", "poststart"] {
        let script = format!("pwd -P >{}/{kind}", dir.display());
        add(&mut bundle, kind, hook(&script));
    }
    bundle.probe(&["exit", "0"]);
    let elsewhere = Path::new("/");
    ctx.with_bundle("create", &[], &bundle)?
        .cwd(elsewhere)
        .run()?
        .ok()?;
    ctx.oci(&["start", &ctx.id]).cwd(elsewhere).run()?.ok()?;
    ctx.wait_stopped()?;
    let (base, root) = (bundle.dir.canonicalize()?, bundle.rootfs().canonicalize()?);
    for (kind, want) in [
        ("prestart", &base),
        ("createRuntime", &base),
        ("createContainer", &root),
        ("poststart", &base),
    ] {
        let found = read(&dir.join(kind))?;
        equal(kind, Path::new(found.trim()), want.as_path())?;
    }
    Ok(())
}
