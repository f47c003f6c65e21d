//! Messages that name the cause: the kernel's own words, what is wrong with a program, which option
//! was meant, what a user lacks.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::rootless::{Home, USER};
use crate::harness::config::mount;
use crate::harness::container::text;
use crate::harness::prelude::*;

/// The words are kan's own promise; what the others say is no better or worse.
const OWN_WORDS: &str = "the words are kan's own";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("messages::filesystem_option", filesystem_option).only("kan", OWN_WORDS),
        Case::new("messages::missing_interpreter", missing_interpreter).only("kan", OWN_WORDS),
        Case::new("messages::another_architecture", another_architecture).only("kan", OWN_WORDS),
        Case::new("messages::root_is_a_file", root_is_a_file),
        Case::new("messages::many_groups", many_groups).only("kan", OWN_WORDS),
        Case::new("messages::mistyped_options", mistyped_options).only("kan", OWN_WORDS),
        Case::new("rootless::explicit_cgroup_is_not_replaced", explicit_cgroup).lacks(
            "crun 1.8",
            "cgroups that a machine has of both versions",
            "drop all controllers",
        ),
        Case::new("rootless::runtime_directory_is_missing", runtime_directory)
            .only("kan", OWN_WORDS),
        Case::new(
            "rootless::joined_namespace_without_groups",
            joined_namespace,
        )
        .lacks(
            "crun 1.8",
            "cgroups that a machine has of both versions",
            "drop all controllers",
        ),
    ]
}

/// fsopen(2): the context is read for what fsconfig(2) can't say by a number.
fn filesystem_option(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.set("/mounts/-", mount("/t", "tmpfs", &["banana"]));
    ctx.try_create(&bundle)?
        .refuses(&["(tmpfs: Unknown parameter 'banana')"])
}

/// A program of these bytes.
fn program(bundle: &mut Bundle, bytes: &[u8]) -> Outcome {
    let path = bundle.inside("program");
    fs::write(&path, bytes)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    bundle.args(&["/program"]);
    Ok(())
}

fn missing_interpreter(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    program(&mut bundle, b"#!/nowhere/sh -e\n")?;
    let want = "no such file or directory (its interpreter /nowhere/sh does not exist";
    ctx.run(&bundle)?.refuses(&[want])?;
    // After `create` has returned, init says it.
    let created = ctx.create(&bundle)?;
    let _ = ctx.verb(&["start"])?;
    ctx.wait_stopped()?;
    let said = fs::read_to_string(created.errors())?;
    check!(said.contains("/nowhere/sh"), "start: {said}");
    Ok(())
}

fn another_architecture(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let mut bytes = fs::read(bundle.inside("probe"))?;
    bytes.truncate(4096);
    // e_machine, elf(5): EM_AARCH64 and EM_S390; one of them is another machine's.
    let (other, name) = if cfg!(target_arch = "aarch64") {
        (22, "s390x")
    } else {
        (183, "aarch64")
    };
    bytes[18] = other;
    program(&mut bundle, &bytes)?;
    let want = format!("exec format error (it is for {name}, ");
    ctx.run(&bundle)?.refuses(&[&want])
}

fn root_is_a_file(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.set("/root/path", json!("config.json"));
    ctx.try_create(&bundle)?
        .refuses(&["not a directory", "not an absolute path"])?;
    ctx.expect_nothing_left()
}

fn many_groups(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let groups: Vec<u32> = (0..65_537).collect();
    bundle
        .set("/process/user/additionalGids", json!(groups))
        .probe(&["exit", "0"]);
    let tried = ctx.try_create(&bundle)?;
    let said = tried.stderr.clone();
    tried.refuses(&["process.user"])?;
    check!(said.len() < 1000, "{} bytes", said.len());
    Ok(())
}

fn mistyped_options(ctx: &mut Ctx) -> Outcome {
    ctx.oci(&["create", "--bundel", "x", "y"])
        .run()?
        .refuses(&["unknown option --bundel: did you mean --bundle?"])?;
    ctx.oci_with(&["--rot", "/x"], &["list"])
        .run()?
        .refuses(&["unknown option --rot: did you mean --root?"])
}

/// A place that the config asks for is not exchanged for the caller's own.
fn explicit_cgroup(ctx: &mut Ctx) -> Outcome {
    let mut home = Home::new(ctx)?;
    home.bundle
        .set("/linux/cgroupsPath", json!("/not-this-users/own"))
        .probe(&["exit", "0"]);
    home.run(ctx)?
        .refuses(&["cgroupsPath", "permission denied"])?;
    ctx.expect_nothing_left()
}

fn runtime_directory(ctx: &mut Ctx) -> Outcome {
    let mut home = Home::new(ctx)?;
    home.bundle.probe(&["exit", "0"]).save()?;
    let runtime = ctx.dir.join("runtime");
    let bundle = text(&home.bundle.dir)?;
    let run = [text(&runtime)?, "run", "--bundle", bundle, &ctx.id];
    let id = USER.to_string();
    let user = ["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"];
    let run = ctx.command(&run).wrapped(&user).env("XDG_RUNTIME_DIR", "");
    let advice = "set XDG_RUNTIME_DIR to a directory that is yours";
    run.run()?.refuses(&[advice])?;
    for (verb, code) in [(&["check", "--bundle", bundle][..], 1), (&["doctor"], 0)] {
        let words = [&[text(&runtime)?], verb].concat();
        let looked = ctx
            .command(&words)
            .wrapped(&user)
            .env("XDG_RUNTIME_DIR", "");
        let said = looked.run()?.exits(code)?.stdout;
        check!(said.contains(advice), "{verb:?}: {said}");
    }
    Ok(())
}

/// user_namespaces(7): where setgroups(2) is denied, no groups need no call. The namespace is that of
/// the user's first container.
fn joined_namespace(ctx: &mut Ctx) -> Outcome {
    let mut home = Home::new(ctx)?;
    home.bundle.probe(&["sleep"]);
    let created = home.making(ctx, &["create"])?.run()?.ok()?;
    home.oci(ctx, &["start", &ctx.id])?.run()?.ok()?;
    created.wait_for("ready")?;
    let state = home.oci(ctx, &["state", &ctx.id])?.run()?.ok()?.stdout;
    let state: Value = serde_json::from_str(&state)?;
    let path = format!("/proc/{}/ns/user", state["pid"]);
    let namespaces = home.bundle.config["linux"]["namespaces"].as_array_mut();
    for entry in namespaces.into_iter().flatten() {
        if entry["type"] == "user" {
            entry["path"] = json!(path);
        }
    }
    home.bundle.probe(&["exit", "7"]).save()?;
    let second = format!("{}-second", ctx.id);
    let bundle = text(&home.bundle.dir)?;
    let run = home.oci(ctx, &["run", "--bundle", bundle, &second])?;
    let ran = run.run()?;
    home.oci(ctx, &["delete", "--force", &second])?.run()?;
    home.delete(ctx)?;
    ran.exits(7).map(drop)
}
