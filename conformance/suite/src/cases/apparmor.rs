//! config.md, Linux process, `apparmorProfile`, on machines that have AppArmor.

use std::fs;
use std::path::PathBuf;

use crate::harness::container::text;
use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("apparmor::profile_is_applied", is_applied),
        Case::new("apparmor::exec_has_the_profile", exec_has_it),
        Case::new("apparmor::missing_profile_is_an_error", missing),
        Case::new("apparmor::hooks_are_confined", hooks_are_confined)
            .only("kan", "others let hooks of startContainer run unconfined"),
        Case::new("apparmor::is_stacked_on_the_callers", is_stacked).lacks(
            "runc",
            "stacked profiles",
            "want exit code 0",
        ),
    ]
}

/// A profile that is loaded as long as this lives.
struct Profile {
    name: String,
    file: PathBuf,
}

impl Profile {
    /// Loads a profile with these rules.
    fn load(ctx: &Ctx, suffix: &str, rules: &str) -> Result<Self, Fault> {
        let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled");
        if !enabled.is_ok_and(|enabled| enabled.starts_with('Y')) {
            skip!("a kernel without AppArmor");
        }
        let name = format!("{}-{suffix}", ctx.id);
        let file = ctx.dir.join(format!("{suffix}.profile"));
        let flags = "flags=(attach_disconnected)";
        fs::write(&file, format!("profile {name} {flags} {{\n{rules}\n}}\n"))?;
        let loaded = ctx
            .command(&["apparmor_parser", "-r", "-K", text(&file)?])
            .run();
        match loaded {
            Ok(done) => drop(done.ok()?),
            Err(_) => skip!("no apparmor_parser"),
        }
        Ok(Self { name, file })
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        let mut parser = std::process::Command::new("apparmor_parser");
        let _ = parser.arg("-R").arg(&self.file).status();
    }
}

/// What a container's program may do, but for one file.
const INSIDE: &str =
    "file, capability, mount, umount, signal, ptrace, network, unix,\ndeny /secret rw,";

/// The label of the process that reads it, as the kernel writes it.
const LABEL: &str = "/proc/self/attr/current";

fn confined(ctx: &Ctx, profile: &Profile) -> Result<Bundle, Fault> {
    let mut bundle = ctx.bundle()?;
    fs::write(bundle.inside("secret"), "secret")?;
    bundle.set("/process/apparmorProfile", json!(profile.name));
    Ok(bundle)
}

fn is_applied(ctx: &mut Ctx) -> Outcome {
    let profile = Profile::load(ctx, "inside", INSIDE)?;
    let mut bundle = confined(ctx, &profile)?;
    for no_new_privileges in [false, true] {
        bundle
            .set("/process/noNewPrivileges", json!(no_new_privileges))
            .probe(&["cat", LABEL]);
        let done = ctx.run(&bundle)?.ok()?;
        equal(
            "label",
            done.stdout.trim_end(),
            format!("{} (enforce)", profile.name),
        )?;
        bundle.probe(&["cat", "/secret"]);
        let done = ctx.run(&bundle)?;
        check!(
            done.stderr.contains("Permission denied"),
            "read: {}{}",
            done.stdout,
            done.stderr
        );
    }
    Ok(())
}

/// The container's, where `exec` names no other.
fn exec_has_it(ctx: &mut Ctx) -> Outcome {
    let profile = Profile::load(ctx, "inside", INSIDE)?;
    let mut bundle = confined(ctx, &profile)?;
    bundle.probe(&["sleep"]);
    ctx.launch(&bundle)?.wait_for("ready")?;
    let own = format!("{} (enforce)", profile.name);
    for (options, want) in [
        (&[][..], own.as_str()),
        (&["--apparmor", "unconfined"], "unconfined"),
    ] {
        let done = ctx.exec(options, &["/probe", "cat", LABEL]).run()?.ok()?;
        equal("label of exec", done.stdout.trim_end(), want)?;
    }
    ctx.verb(&["delete", "--force"])?.ok().map(drop)
}

fn missing(ctx: &mut Ctx) -> Outcome {
    let profile = Profile::load(ctx, "inside", INSIDE)?;
    let mut bundle = confined(ctx, &profile)?;
    bundle.set(
        "/process/apparmorProfile",
        json!("suite-has-no-such-profile"),
    );
    bundle.probe(&["sleep"]);
    ctx.try_create(&bundle)?.refuses(&["apparmor"])?;
    ctx.expect_nothing_left()
}

/// They lie in the container, and so may be anybody's.
fn hooks_are_confined(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let profile = Profile::load(ctx, "inside", INSIDE)?;
    let mut bundle = confined(ctx, &profile)?;
    let script = format!("cat {LABEL} >/seen");
    super::hooks::add(&mut bundle, "startContainer", super::hooks::hook(&script));
    bundle.probe(&["exit", "0"]);
    ctx.run(&bundle)?.ok()?;
    equal(
        "label of the hook",
        bundle.read("seen")?.trim_end(),
        format!("{} (enforce)", profile.name),
    )
}

/// Under no_new_privs a confined process can only add to its confinement.
fn is_stacked(ctx: &mut Ctx) -> Outcome {
    const OUTSIDE: &str = "file, capability, mount, umount, pivot_root, signal, ptrace, network, unix, change_profile,\nuserns, dbus, mqueue,";
    let inside = Profile::load(ctx, "inside", INSIDE)?;
    let outside = Profile::load(ctx, "outside", OUTSIDE)?;
    let mut bundle = confined(ctx, &inside)?;
    bundle
        .set("/process/noNewPrivileges", json!(true))
        .probe(&["cat", LABEL]);
    let cmd = ctx.with_bundle("run", &[], &bundle)?;
    let done = cmd
        .wrapped(&["aa-exec", "-p", &outside.name, "--"])
        .run()?
        .ok()?;
    let label = done.stdout.trim_end();
    let names = label.trim_end_matches(" (enforce)").split("//&");
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    equal("label", names, [inside.name.as_str(), &outside.name])
}
