//! What a user who is not root has of cgroups: none, those that were handed to him, or a scope of his
//! own manager.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use super::cgroup::{has_controller, places};
use super::rootless::{Home, USER, as_user};
use super::systemd::need_systemd;
use crate::harness::bundle::read;
use crate::harness::command::{Cmd, Done};
use crate::harness::container::text;
use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("rootless::limit_without_a_cgroup", limit_without_a_cgroup)
            .only("kan", "the words are kan's"),
        Case::new("rootless::foreign_cgroup_is_read_only", foreign_cgroup),
        Case::new("rootless::delegated_cgroup", delegated_cgroup),
        Case::new("rootless::scope_of_the_user", scope_of_the_user).deviates(
            "crun",
            "runc's rule: exec works from wherever the user is",
            "cgroup.procs`: Permission denied",
        ),
        Case::new("rootless::disabled_cgroups", disabled_cgroups).only(
            "kan",
            "runc has no such manager, crun 1.8 wants no mount of cgroups",
        ),
    ]
}

/// A limit that can't be set is an error, with its field and what stands in the way.
fn limit_without_a_cgroup(ctx: &mut Ctx) -> Outcome {
    let mut home = Home::new(ctx)?;
    home.bundle
        .probe(&["exit", "0"])
        .set("/linux/resources/pids/limit", json!(10));
    home.run(ctx)?
        .refuses(&["linux.resources.pids.limit", "is not writable"])?;
    ctx.expect_nothing_left()
}

/// A cgroup of v2 with one below it, `from`, out of which the runtime is run.
struct Delegated {
    top: PathBuf,
    from: PathBuf,
}

impl Delegated {
    /// `gives` names what becomes the user's.
    fn new(ctx: &Ctx, gives: fn(&Self) -> Vec<&PathBuf>) -> Result<Self, Fault> {
        // Where v1 has the controller, v2 has not.
        let _ = fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+pids");
        let top = PathBuf::from("/sys/fs/cgroup").join(format!("{}-delegated", ctx.id));
        let from = top.join("from");
        fs::create_dir(&top)?;
        fs::create_dir(&from)?;
        let made = Self { top, from };
        for dir in gives(&made) {
            for file in [
                "",
                "cgroup.procs",
                "cgroup.subtree_control",
                "cgroup.threads",
            ] {
                chown(dir.join(file), Some(USER), Some(USER))?;
            }
        }
        Ok(made)
    }

    /// Runs a command in `from`.
    fn enter(&self, cmd: Cmd) -> Result<Done, Fault> {
        let procs = self.from.join("cgroup.procs");
        let script = format!("echo $$ >{}; exec \"$0\" \"$@\"", text(&procs)?);
        cmd.wrapped(&["sh", "-c", &script]).run()
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.from);
        let _ = fs::remove_dir(&self.top);
    }
}

/// CVE-2023-25809: without a cgroup namespace /sys/fs/cgroup shows what is the user's own outside.
fn foreign_cgroup(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let shows_host = ["runc 1.1", "crun"];
    if ctx.world.unified && shows_host.iter().any(|name| ctx.runtime().matches(name)) {
        skip!("it shows the host's hierarchy there, in which the user may write to his own");
    }
    let mut home = Home::new(ctx)?;
    home.bundle
        .set(
            "/mounts/-",
            json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                   "options": ["nosuid", "noexec", "nodev", "relatime"]}),
        )
        .shell(
            "for dir in /sys/fs/cgroup /sys/fs/cgroup/* /sys/fs/cgroup/*/*; do \
                 [ -e $dir/cgroup.procs ] || continue; \
                 mkdir $dir/escaped && rmdir $dir/escaped && echo made in $dir; \
             done 2>/dev/null; echo looked",
        );
    let run = home.making(ctx, &["run"])?;
    let done = if ctx.world.unified {
        Delegated::new(ctx, |made| vec![&made.from])?.enter(run)?
    } else {
        run.run()?
    };
    check!(!done.stdout.contains("made in"), "{}", done.stdout);
    home.delete(ctx)
}

/// A cgroup that root has handed over, with kan's user in it: cgroups(7), Delegation.
fn delegated_cgroup(ctx: &mut Ctx) -> Outcome {
    if !ctx.world.unified {
        skip!("only cgroup v2 is delegated");
    }
    let mut home = Home::new(ctx)?;
    let made = Delegated::new(ctx, |made| vec![&made.top, &made.from])?;
    let inner = made.top.join("inner");
    home.bundle.probe(&["sleep"]).set(
        "/linux/cgroupsPath",
        json!(format!("/{}-delegated/inner", ctx.id)),
    );
    let has_pids = has_controller(Path::new("/sys/fs/cgroup"), "pids");
    if has_pids {
        home.bundle.set("/linux/resources/pids/limit", json!(33));
    }
    let outcome = (|| {
        made.enter(home.making(ctx, &["create"])?)?.ok()?;
        check!(inner.is_dir(), "no {}", inner.display());
        if has_pids {
            equal("pids.max", read(&inner.join("pids.max"))?.trim(), "33")?;
        }
        made.enter(home.oci(ctx, &["start", &ctx.id])?)?.ok()?;
        let exec = ["exec", &ctx.id, "/probe", "exit", "0"];
        made.enter(home.oci(ctx, &exec)?)?.ok()?;
        made.enter(home.oci(ctx, &["delete", "--force", &ctx.id])?)?
            .ok()?;
        check!(!inner.exists(), "the cgroup is left");
        Ok(())
    })();
    let _ = made.enter(home.oci(ctx, &["delete", "--force", &ctx.id])?);
    outcome
}

/// A scope of the user's own manager, though the runtime comes from elsewhere.
fn scope_of_the_user(ctx: &mut Ctx) -> Outcome {
    need_systemd()?;
    let runtime_dir = format!("/run/user/{USER}");
    if !Path::new(&runtime_dir).join("systemd/private").exists() {
        skip!("user {USER} has no systemd of his own");
    }
    let mut home = Home::new(ctx)?;
    home.bundle
        .probe(&["sleep"])
        .set(
            "/linux/resources",
            json!({"pids": {"limit": 33}, "memory": {"limit": 67_108_864}}),
        )
        .set(
            "/linux/cgroupsPath",
            json!(format!("user.slice:suite:{}", ctx.id)),
        );
    let bus = format!("unix:path={runtime_dir}/bus");
    let in_session = |cmd: Cmd| {
        cmd.env("XDG_RUNTIME_DIR", &runtime_dir)
            .env("DBUS_SESSION_BUS_ADDRESS", &bus)
    };
    let oci = |args: &[&str]| -> Result<Done, Fault> {
        let args = [&["--systemd-cgroup"], args].concat();
        in_session(home.oci(ctx, &args)?).run()
    };
    home.bundle.save()?;
    oci(&["create", "--bundle", text(&home.bundle.dir)?, &ctx.id])?.ok()?;
    let state: Value = serde_json::from_str(&oci(&["state", &ctx.id])?.ok()?.stdout)?;
    let pid = state["pid"]
        .as_i64()
        .and_then(|pid| i32::try_from(pid).ok());
    let Some(place) = places(pid.unwrap_or(0))?
        .into_iter()
        .find(|p| p.controllers.is_empty())
    else {
        fail!("not in a cgroup of v2");
    };
    let unit = format!("suite-{}.scope", ctx.id);
    check!(
        place.path.contains(&format!("user@{USER}.service/")) && place.path.contains(&unit),
        "in {}",
        place.path
    );
    let dir = PathBuf::from("/sys/fs/cgroup").join(place.path.trim_start_matches('/'));
    let limits = || {
        equal("pids.max", read(&dir.join("pids.max"))?.trim(), "33")?;
        equal(
            "memory.max",
            read(&dir.join("memory.max"))?.trim(),
            "67108864",
        )
    };
    limits()?;
    let systemctl = |args: &[&str]| {
        let args = [&["systemctl", "--user"], args].concat();
        in_session(as_user(ctx.command(&args))).run()?.ok()
    };
    systemctl(&["daemon-reload"])?;
    limits()?;
    oci(&["start", &ctx.id])?.ok()?;
    oci(&["exec", &ctx.id, "/probe", "exit", "0"])?.ok()?;
    oci(&["delete", "--force", &ctx.id])?.ok()?;
    let known = systemctl(&["list-units", "--all", "--no-legend", "--plain"])?.stdout;
    check!(!known.contains(&unit), "left in systemd's list: {known}");
    ctx.expect_nothing_left()
}

fn disabled_cgroups(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["sleep"]).save()?;
    let create = |bundle: &Bundle| {
        let args = ["create", "--bundle", text(&bundle.dir)?, &ctx.id];
        ctx.oci_with(&["--cgroup-manager", "disabled"], &args).run()
    };
    create(&bundle)?.ok()?;
    let all = |pid| -> Result<Vec<String>, Fault> {
        Ok(places(pid)?.into_iter().map(|place| place.path).collect())
    };
    let own = i32::try_from(std::process::id())?;
    equal("cgroups", all(ctx.pid()?)?, all(own)?)?;
    ctx.verb(&["delete", "--force"])?.ok()?;
    bundle.set("/linux/resources/pids/limit", json!(5)).save()?;
    create(&bundle)?.refuses(&["linux.resources.pids.limit"])
}
