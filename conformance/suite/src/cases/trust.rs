//! The state directory: a runtime executes hooks that it reads there, with its own privileges.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::PathBuf;

use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    let own = |case: Case| case.only("kan", "other runtimes trust whatever their root holds");
    vec![
        own(Case::new("trust::root_of_everybody", root_of_everybody)),
        own(Case::new("trust::below_a_sticky_directory", below_sticky)),
        own(Case::new(
            "trust::container_of_another_user",
            of_another_user,
        )),
        own(Case::new("trust::link_to_a_container", link_to_a_container)),
        own(Case::new(
            "trust::runtime_directory_of_another_user",
            runtime_directory,
        )),
        Case::new("trust::empty_files_after_a_power_loss", empty_files).only(
            "kan",
            "runc reports the container as broken, and removes it by force alone",
        ),
        Case::new("trust::emptied_while_it_runs", emptied_while_it_runs)
            .only("kan", "runc leaves the processes behind"),
    ]
}

/// A container with a hook that leaves a mark when it is deleted, and the mark.
fn with_poststop(ctx: &mut Ctx) -> Result<PathBuf, Fault> {
    let mark = ctx.dir.join("mark");
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["sleep"]);
    let script = format!("echo ran > {}", mark.display());
    let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", script]});
    bundle.set("/hooks", json!({"poststop": [hook]}));
    ctx.create(&bundle)?;
    Ok(mark)
}

fn set_mode(path: &PathBuf, mode: u32) -> Outcome {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

/// Every command refuses it, and no hook runs, until it is as it was.
fn root_of_everybody(ctx: &mut Ctx) -> Outcome {
    let mark = with_poststop(ctx)?;
    let root = ctx.state_dir();
    let before = fs::metadata(&root)?.permissions().mode() & 0o7777;
    set_mode(&root, 0o777)?;
    for verb in [
        &["state"][..],
        &["start"],
        &["kill"],
        &["delete", "--force"],
    ] {
        ctx.verb(verb)?.refuses(&["writable by other users"])?;
    }
    ctx.oci(&["list"])
        .run()?
        .refuses(&["writable by other users"])?;
    check!(!mark.exists(), "the hook ran");
    set_mode(&root, before)?;
    ctx.verb(&["delete", "--force"])?.ok()?;
    check!(mark.exists(), "the hook did not run");
    Ok(())
}

/// As /tmp is. What others made below it does not count.
fn below_sticky(ctx: &mut Ctx) -> Outcome {
    let mark = with_poststop(ctx)?;
    let root = ctx.state_dir();
    let before = fs::metadata(&root)?.permissions().mode() & 0o7777;
    set_mode(&root, 0o1777)?;
    ctx.expect_status("created")?;
    ctx.verb(&["delete", "--force"])?.ok()?;
    set_mode(&root, before)?;
    check!(mark.exists(), "the hook did not run");
    Ok(())
}

fn of_another_user(ctx: &mut Ctx) -> Outcome {
    let mark = with_poststop(ctx)?;
    let directory = ctx.state_dir().join(&ctx.id);
    chown(&directory, Some(1000), Some(1000))?;
    for verb in [&["state"][..], &["delete"], &["delete", "--force"]] {
        ctx.verb(verb)?.refuses(&["owned by uid 1000"])?;
    }
    check!(!mark.exists(), "the hook ran");
    chown(&directory, Some(0), Some(0))?;
    ctx.verb(&["delete", "--force"])?.ok()?;
    Ok(())
}

fn link_to_a_container(ctx: &mut Ctx) -> Outcome {
    let mark = with_poststop(ctx)?;
    let (root, link) = (ctx.state_dir(), ctx.another_id());
    symlink(&ctx.id, root.join(&link))?;
    let id = ctx.id.clone();
    for verb in [&["state"][..], &["delete"], &["delete", "--force"]] {
        ctx.oci(&[verb, &[&link]].concat()).run()?.refuses(&[""])?;
    }
    check!(!mark.exists(), "the hook ran");
    let listed = ctx.oci(&["list", "--quiet"]).run()?.ok()?;
    equal("list", listed.stdout.trim_end(), id.as_str())?;
    fs::remove_file(root.join(&link))?;
    ctx.verb(&["delete", "--force"])?.ok()?;
    Ok(())
}

/// Root of a user namespace that was given a user's environment, as by `sudo -E`.
fn runtime_directory(ctx: &mut Ctx) -> Outcome {
    let foreign = ctx.dir.join("foreign");
    fs::create_dir_all(foreign.join("kan/somebody-elses"))?;
    chown(&foreign, Some(1000), Some(1000))?;
    let runtime = ctx.runtime().path.clone();
    let runtime = crate::harness::container::text(&runtime)?.to_owned();
    let variable = format!("XDG_RUNTIME_DIR={}", foreign.display());
    let list = ["env", &variable, &runtime, "list", "--quiet"];
    let listed = ctx.command(&[&["unshare", "--user", "--map-root-user"], &list[..]].concat());
    let listed = listed.run()?.ok()?;
    check!(
        !listed.stdout.contains("somebody-elses"),
        "{:?}",
        listed.stdout
    );
    Ok(())
}

/// The names were written to the disk, the contents were not.
fn empty_files(ctx: &mut Ctx) -> Outcome {
    for verb in [&["delete"][..], &["delete", "--force"]] {
        let mut bundle = ctx.bundle_named(verb.last().unwrap_or(&""))?;
        bundle.probe(&["sleep"]);
        ctx.create(&bundle)?;
        // It did not survive the power loss either.
        ctx.kill("KILL")?.ok()?;
        ctx.wait_stopped()?;
        for entry in fs::read_dir(ctx.state_dir().join(&ctx.id))? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::File::create(entry.path())?;
            }
        }
        ctx.expect_status("stopped")?;
        let listed = ctx.oci(&["list", "--quiet"]).run()?.ok()?;
        equal("list", listed.stdout.trim_end(), ctx.id.as_str())?;
        ctx.verb(verb)?.ok()?;
        check!(!ctx.state_dir().join(&ctx.id).exists(), "it is still there");
    }
    Ok(())
}

/// Then it was no power loss: only force ends what still runs.
fn emptied_while_it_runs(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let pid = ctx.pid()?;
    fs::File::create(ctx.state_dir().join(&ctx.id).join("state.json"))?;
    ctx.verb(&["delete"])?
        .refuses(&["processes of the container live"])?;
    ctx.verb(&["delete", "--force"])?.ok()?;
    let is_gone = !PathBuf::from(format!("/proc/{pid}/root")).exists();
    check!(is_gone, "process {pid} of the container lives");
    ctx.expect_nothing_left()
}
