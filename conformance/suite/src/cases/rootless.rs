//! The runtime run by a user who is not root, in a user namespace: with and without cgroups that are
//! his. Not in the specification, which leaves it to runtimes; the rules are runc's.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use super::seccomp::{Agent, asking};
use crate::harness::bundle::read;
use crate::harness::command::{Cmd, Done, until};
use crate::harness::config::mount;
use crate::harness::container::text;
use crate::harness::prelude::*;
use crate::harness::report::Report;

/// The user and his group: `rootless` of the test machine; elsewhere nobody needs to know him.
pub(super) const USER: u32 = 1000;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("rootless::one_id", one_id),
        Case::new("rootless::own_spec", own_spec),
        Case::new("rootless::life", life),
        Case::new("rootless::exec_before_start", exec_before_start)
            .lacks(
                "crun 1.8",
                "cgroups that a machine has of both versions",
                "drop all controllers",
            )
            .lacks(
                "crun 1.8",
                "an init whose user namespace can be joined before start",
                "CLONE_NEWUSER): Operation not permitted",
            )
            .lacks(
                "crun 1.21",
                "an init whose namespaces can be joined before start",
                "/ns/mnt`: Permission denied",
            ),
        Case::new("rootless::oom_score_of_exec", oom_score_of_exec)
            .lacks(
                "crun 1.8",
                "cgroups that a machine has of both versions",
                "drop all controllers",
            )
            .lacks("crun 1", "an OOM score for exec", "score: got"),
        Case::new("rootless::subordinate_ids", subordinate_ids),
        Case::new("rootless::root_of_a_user_namespace", inner_root),
        Case::new("rootless::needs_a_user_namespace", needs_a_user_namespace)
            .only("kan", "crun makes one by itself, runc 1.1 has other words"),
        Case::new("rootless::mapped_ids_are_refused", mapped_ids_are_refused)
            .only("kan", "runc 1.1 passes over them, crun fails later"),
        Case::new("rootless::groups_are_refused", groups_are_refused)
            .only("kan", "the others pass over them or fail later"),
        Case::new("rootless::seccomp_agent", seccomp_agent)
            .lacks(
                "crun 1.8",
                "a message to the agent in one piece",
                "drop all controllers",
            )
            .lacks(
                "crun",
                "a message to the agent in one piece",
                "EOF while parsing",
            ),
    ]
}

/// A place that the user can reach and write to, with the runtime in it.
pub(super) struct Home {
    runtime: PathBuf,
    state: PathBuf,
    pub(super) bundle: Bundle,
}

impl Home {
    pub(super) fn new(ctx: &Ctx) -> Result<Self, Fault> {
        for dir in [ctx.world.dir.path(), &ctx.dir] {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o711))?;
        }
        let runtime = ctx.dir.join("runtime");
        fs::copy(&ctx.runtime().path, &runtime)?;
        let state = ctx.state_dir();
        fs::create_dir(&state)?;
        chown(&state, Some(USER), Some(USER))?;
        let mut bundle = ctx.bundle()?;
        chown_all(&bundle.dir)?;
        let mapping = json!([{"containerID": 0, "hostID": USER, "size": 1}]);
        bundle
            .without_namespace("network")
            .set("/linux/namespaces/-", json!({"type": "user"}))
            .set("/linux/uidMappings", mapping.clone())
            .set("/linux/gidMappings", mapping)
            .set("/process/rlimits", json!([]));
        let mounts = bundle.config["mounts"].as_array_mut();
        for mount in mounts.into_iter().flatten() {
            unprivileged(mount);
        }
        Ok(Self {
            runtime,
            state,
            bundle,
        })
    }

    /// The runtime, as the user.
    pub(super) fn oci(&self, ctx: &Ctx, args: &[&str]) -> Result<Cmd, Fault> {
        let (runtime, state) = (text(&self.runtime)?, text(&self.state)?);
        let all = [&[runtime, "--root", state], args].concat();
        Ok(as_user(ctx.command(&all)))
    }

    pub(super) fn making(&self, ctx: &Ctx, verb: &[&str]) -> Result<Cmd, Fault> {
        self.bundle.save()?;
        let bundle = ["--bundle", text(&self.bundle.dir)?, &ctx.id];
        self.oci(ctx, &[verb, &bundle].concat())
    }

    pub(super) fn run(&self, ctx: &Ctx) -> Result<Done, Fault> {
        self.making(ctx, &["run"])?.run()
    }

    /// Deletes the container; whatever else root finds afterwards is left behind.
    pub(super) fn delete(&self, ctx: &Ctx) -> Outcome {
        self.oci(ctx, &["delete", "--force", &ctx.id])?
            .run()?
            .ok()
            .map(drop)
    }
}

/// As `spec --rootless` has it: sysfs is its network namespace's owner's, and group 5 is not mapped.
fn unprivileged(mount: &mut Value) {
    if mount["destination"] == "/sys" {
        let options = json!(["rbind", "nosuid", "noexec", "nodev", "ro"]);
        *mount =
            json!({"destination": "/sys", "type": "none", "source": "/sys", "options": options});
    }
    if let Some(options) = mount["options"].as_array_mut() {
        options.retain(|option| option != "gid=5");
    }
}

fn chown_all(dir: &Path) -> Outcome {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            chown_all(&entry.path())?;
        }
    }
    Ok(chown(dir, Some(USER), Some(USER))?)
}

pub(super) fn as_user(cmd: Cmd) -> Cmd {
    let id = USER.to_string();
    cmd.wrapped(&["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"])
}

fn one_id(ctx: &mut Ctx) -> Outcome {
    let mut home = Home::new(ctx)?;
    home.bundle.probe(&["report"]);
    let report = Report::parse(&home.run(ctx)?.ok()?.stdout)?;
    report.expect("/uid/effective", &json!(0))?;
    home.delete(ctx)
}

/// What a runtime writes for such a user it must run.
fn own_spec(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let mut home = Home::new(ctx)?;
    let file = home.bundle.dir.join("config.json");
    home.oci(ctx, &["spec", "--rootless"])?
        .cwd(&home.bundle.dir)
        .run()?
        .ok()?;
    home.bundle.config = serde_json::from_str(&read(&file)?)?;
    home.bundle
        .set("/process/terminal", json!(false))
        .shell("cat /proc/self/uid_map; touch /dev/shm/x && echo made");
    let said = home.run(ctx)?.ok()?.stdout;
    let map: Vec<&str> = said
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    equal("uid_map", map, vec!["0", "1000", "1"])?;
    check!(said.contains("made"), "{said}");
    home.delete(ctx)
}

fn life(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let mut home = Home::new(ctx)?;
    home.bundle.probe(&["sleep"]);
    let created = home.making(ctx, &["create"])?.run()?.ok()?;
    home.oci(ctx, &["start", &ctx.id])?.run()?.ok()?;
    created.wait_for("ready")?;
    let said = home
        .oci(ctx, &["exec", &ctx.id, "/bin/sh", "-c", "id -u"])?
        .run()?
        .ok()?;
    equal("exec: id -u", said.stdout.trim(), "0")?;
    let state = home.oci(ctx, &["state", &ctx.id])?.run()?.ok()?.stdout;
    check!(state.contains("\"running\""), "{state}");
    home.oci(ctx, &["kill", &ctx.id, "KILL"])?.run()?.ok()?;
    let status = |want: &str| {
        let state = home.oci(ctx, &["state", &ctx.id])?.run()?.ok()?.stdout;
        Ok(state.contains(want))
    };
    until("stopped", || status("\"stopped\""))?;
    home.oci(ctx, &["delete", &ctx.id])?.run()?.ok()?;
    ctx.expect_nothing_left()
}

/// In a container that is created and not started, and whose first process is the runtime still:
/// with what the runtime was told, and nobody else is to know.
fn exec_before_start(ctx: &mut Ctx) -> Outcome {
    let mut home = Home::new(ctx)?;
    home.bundle.probe(&["sleep"]);
    let create = home.making(ctx, &["create"])?;
    create.env("OF_THE_CALLER", "psst").run()?.ok()?;
    let exec = ["exec", &ctx.id, "/probe", "cat", "/proc/1/environ"];
    let said = home.oci(ctx, &exec)?.run()?.ok()?;
    check!(
        !said.stdout.contains("psst"),
        "the caller's: {:?}",
        said.stdout
    );
    home.delete(ctx)
}

/// The process that enters can't write its own score once its memory is hidden.
fn oom_score_of_exec(ctx: &mut Ctx) -> Outcome {
    let mut home = Home::new(ctx)?;
    home.bundle
        .probe(&["sleep"])
        .set("/process/oomScoreAdj", json!(500));
    let created = home.making(ctx, &["create"])?.run()?.ok()?;
    home.oci(ctx, &["start", &ctx.id])?.run()?.ok()?;
    created.wait_for("ready")?;
    let cat = ["exec", &ctx.id, "/probe", "cat", "/proc/self/oom_score_adj"];
    let said = home.oci(ctx, &cat)?.run()?.ok()?;
    equal("score", said.stdout.trim(), "500")?;
    home.delete(ctx)
}

/// newuidmap(1) and newgidmap(1) map what /etc/subuid grants.
fn subordinate_ids(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let granted = fs::read_to_string("/etc/subuid").unwrap_or_default();
    let start = granted
        .lines()
        .find_map(|line| line.strip_prefix("rootless:")?.split(':').next());
    let Some(start) = start.and_then(|start| start.parse::<u32>().ok()) else {
        skip!("no user `rootless` with ids in /etc/subuid");
    };
    let mut home = Home::new(ctx)?;
    let mappings = json!([{"containerID": 0, "hostID": USER, "size": 1},
                          {"containerID": 1, "hostID": start, "size": 1000}]);
    home.bundle
        .shell("id; cat /proc/self/setgroups")
        .set(
            "/process/user",
            json!({"uid": 7, "gid": 8, "additionalGids": [9]}),
        )
        .set("/linux/uidMappings", mappings.clone())
        .set("/linux/gidMappings", mappings);
    if ctx.runtime().matches("runc") {
        // "cannot set any additional groups in a rootless container"
        home.bundle.remove("/process/user/additionalGids");
    }
    let said = home.run(ctx)?.ok()?.stdout;
    check!(said.starts_with("uid=7 gid=8"), "{said}");
    check!(said.contains("allow"), "{said}");
    home.delete(ctx)
}

/// As podman has it for ordinary users: one user namespace, in which engine and runtime are root,
/// and containers have none of their own.
fn inner_root(ctx: &mut Ctx) -> Outcome {
    let mut home = Home::new(ctx)?;
    home.bundle
        .probe(&["sleep"])
        .without_namespace("user")
        .remove("/linux/uidMappings")
        .remove("/linux/gidMappings")
        .save()?;
    let oci = format!("{} --root {}", text(&home.runtime)?, text(&home.state)?);
    let (bundle, id) = (text(&home.bundle.dir)?, &ctx.id);
    let script = format!(
        "{oci} create --bundle {bundle} {id} >/dev/null </dev/null
         {oci} start {id}
         {oci} exec {id} /probe exit 3 || echo exec ended with $?
         {oci} delete --force {id}"
    );
    let unshare = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-ec",
        &script,
    ];
    let done = as_user(ctx.command(&unshare)).run()?.ok()?;
    equal("said", done.stdout.trim(), "exec ended with 3")?;
    ctx.expect_nothing_left()
}

fn needs_a_user_namespace(ctx: &mut Ctx) -> Outcome {
    let mut home = Home::new(ctx)?;
    home.bundle
        .without_namespace("user")
        .remove("/linux/uidMappings")
        .remove("/linux/gidMappings");
    home.run(ctx)?
        .refuses(&["rootless container requires user namespaces"])?;
    ctx.expect_nothing_left()
}

/// mount_setattr(2): MOUNT_ATTR_IDMAP takes CAP_SYS_ADMIN over the filesystem.
fn mapped_ids_are_refused(ctx: &mut Ctx) -> Outcome {
    let mut home = Home::new(ctx)?;
    let mut entry = mount("/volume", "bind", &["bind", "idmap"]);
    entry["source"] = json!(home.bundle.dir);
    home.bundle.set("/mounts/-", entry);
    home.run(ctx)?.refuses(&["can map the ids of a mount"])?;
    ctx.expect_nothing_left()
}

fn groups_are_refused(ctx: &mut Ctx) -> Outcome {
    let mut home = Home::new(ctx)?;
    home.bundle.set("/process/user/additionalGids", json!([0]));
    home.run(ctx)?.refuses(&["process.user.additionalGids"])?;
    ctx.expect_nothing_left()
}

/// A user may not take a descriptor out of a process that hides its memory.
fn seccomp_agent(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let mut home = Home::new(ctx)?;
    let agent = Agent::start(ctx)?;
    fs::set_permissions(&agent.socket, fs::Permissions::from_mode(0o777))?;
    let profile = asking(&agent.socket, &["mkdir", "mkdirat"]);
    for no_new_privileges in [true, false] {
        home.bundle
            .set("/process/noNewPrivileges", json!(no_new_privileges))
            .set("/linux/seccomp", profile.clone())
            .shell("mkdir /tmp/d 2>&1");
        let done = home.run(ctx)?;
        check!(
            done.stdout.contains("No medium found"),
            "{}{}",
            done.stdout,
            done.stderr
        );
    }
    equal("messages", agent.told()?.len(), 2)
}
