//! The runtime run by a user who is not root, in a user namespace: with and without cgroups that are
//! his. Not in the specification, which leaves it to runtimes; the rules are runc's.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use super::cgroup::{has_controller, places};
use super::seccomp::{Agent, asking};
use super::systemd::need_systemd;
use crate::harness::bundle::read;
use crate::harness::command::{Cmd, Done, until};
use crate::harness::container::text;
use crate::harness::prelude::*;
use crate::harness::report::Report;

/// The user and his group: `rootless` of the test machine; elsewhere nobody needs to know him.
const USER: u32 = 1000;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("rootless::one_id", one_id),
        Case::new("rootless::own_spec", own_spec),
        Case::new("rootless::life", life),
        Case::new("rootless::subordinate_ids", subordinate_ids),
        Case::new("rootless::root_of_a_user_namespace", inner_root),
        Case::new("rootless::needs_a_user_namespace", needs_a_user_namespace)
            .only("kan", "crun makes one by itself, runc 1.1 has other words"),
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

/// A place that the user can reach and write to, with the runtime in it.
struct Home {
    runtime: PathBuf,
    state: PathBuf,
    bundle: Bundle,
}

impl Home {
    fn new(ctx: &Ctx) -> Result<Self, Fault> {
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
    fn oci(&self, ctx: &Ctx, args: &[&str]) -> Result<Cmd, Fault> {
        let (runtime, state) = (text(&self.runtime)?, text(&self.state)?);
        let all = [&[runtime, "--root", state], args].concat();
        Ok(as_user(ctx.command(&all)))
    }

    fn making(&self, ctx: &Ctx, verb: &[&str]) -> Result<Cmd, Fault> {
        self.bundle.save()?;
        let bundle = ["--bundle", text(&self.bundle.dir)?, &ctx.id];
        self.oci(ctx, &[verb, &bundle].concat())
    }

    fn run(&self, ctx: &Ctx) -> Result<Done, Fault> {
        self.making(ctx, &["run"])?.run()
    }

    /// Deletes the container; whatever else root finds afterwards is left behind.
    fn delete(&self, ctx: &Ctx) -> Outcome {
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

fn as_user(cmd: Cmd) -> Cmd {
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

fn groups_are_refused(ctx: &mut Ctx) -> Outcome {
    let mut home = Home::new(ctx)?;
    home.bundle.set("/process/user/additionalGids", json!([0]));
    home.run(ctx)?.refuses(&["process.user.additionalGids"])?;
    ctx.expect_nothing_left()
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
