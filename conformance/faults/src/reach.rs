//! What can be seen of kan in the pid namespace of a container. Each process that appears there is
//! looked at before its first instruction and at each of its calls, and has to be what the program
//! is that it becomes: ARCHITECTURE.md, the rules of the house.

use std::fs;

use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::helpers;
use crate::moment::Moment;
use crate::outcome::{Fault, Outcome, Verdict, check, fail};
use crate::reach_scene::{Command, Scene, canary, name};
use crate::reach_seen::{Look, Seen};
use crate::stage::{Config, Stage};

/// CAP_SYS_ADMIN, capabilities(7).
const SYS_ADMIN: u64 = 1 << 21;

/// `exec` in a container of this config.
fn exec_in(stage: &Stage, which: Config, options: &[&str]) -> Verdict {
    let mut scene = Scene::small(stage, which)?;
    scene.launch()?;
    scene.perform(Command::Exec(options))
}

pub fn exec(stage: &Stage) -> Verdict {
    exec_in(stage, Config::Small, &[])
}

pub fn exec_user(stage: &Stage) -> Verdict {
    exec_in(stage, Config::Small, &["--user", "1000:1000"])
}

/// fs.suid_dumpable, proc_sys_fs(5): whether a process whose credentials change may be traced by its
/// new user. As it was when this is dropped.
struct Dumpable(String);

const SUID_DUMPABLE: &str = "/proc/sys/fs/suid_dumpable";

impl Dumpable {
    fn set() -> Outcome<Self> {
        let before = fs::read_to_string(SUID_DUMPABLE)?;
        fs::write(SUID_DUMPABLE, "1")?;
        Ok(Self(before))
    }
}

impl Drop for Dumpable {
    fn drop(&mut self) {
        let _ = fs::write(SUID_DUMPABLE, &self.0);
    }
}

pub fn exec_user_may_not_trace(stage: &Stage) -> Verdict {
    let _dumpable = Dumpable::set()?;
    exec_in(stage, Config::Small, &["--user", "1000:1000"])
}

pub fn exec_capability(stage: &Stage) -> Verdict {
    exec_in(stage, Config::Small, &["--cap", "CAP_NET_RAW"])
}

pub fn exec_in_users(stage: &Stage) -> Verdict {
    exec_in(stage, Config::Users, &[])
}

pub fn exec_terminal(stage: &Stage) -> Verdict {
    let mut scene = Scene::small(stage, Config::Terminal)?;
    scene.launch()?;
    let Some(console) = stage.companions().console() else {
        fail!("no console socket");
    };
    let console = console.display().to_string();
    scene.perform(Command::Exec(&[
        "--detach",
        "--tty",
        "--console-socket",
        &console,
    ]))
}

/// A filter that answers clone(2) so, beside others that it allows.
fn filter(stage: &Stage, action: &str) -> Outcome<Value> {
    let mut config = json!({});
    let mut filter = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["clone"], "action": action}],
    });
    if action == "SCMP_ACT_NOTIFY" {
        helpers::add(stage, Config::Agent, &mut config)?;
        filter["listenerPath"] = config["linux"]["seccomp"]["listenerPath"].clone();
    }
    if action == "SCMP_ACT_ALLOW" {
        filter["syscalls"][0] = json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"});
    }
    Ok(filter)
}

/// `exec` and `run` in a joined pid namespace under a filter, with and without no_new_privs.
fn filtered(stage: &Stage, action: &str) -> Verdict {
    let mut told = Vec::new();
    for no_new_privileges in [true, false] {
        for is_exec in [true, false] {
            let mut scene = if is_exec {
                Scene::small(stage, Config::Small)?
            } else {
                Scene::joined(stage, &[Config::Joined])?
            };
            scene.config["process"]["noNewPrivileges"] = json!(no_new_privileges);
            scene.config["linux"]["seccomp"] = filter(stage, action)?;
            // SECURITY.md: where the filter is in the way of what comes before the program.
            if !no_new_privileges && action != "SCMP_ACT_ALLOW" {
                scene.kept = SYS_ADMIN;
            }
            let verdict = if is_exec {
                scene
                    .launch()
                    .and_then(|()| scene.perform(Command::Exec(&[])))
            } else {
                scene.perform(Command::Run)
            };
            let which = format!("exec {is_exec}, no_new_privs {no_new_privileges}: ");
            told.push(verdict.map_err(|Fault(why)| Fault(which + &why))?);
        }
    }
    Ok(told.join("; "))
}

pub fn filter_that_allows(stage: &Stage) -> Verdict {
    filtered(stage, "SCMP_ACT_ALLOW")
}

pub fn filter_that_denies_clone(stage: &Stage) -> Verdict {
    filtered(stage, "SCMP_ACT_ERRNO")
}

pub fn filter_that_notifies_on_clone(stage: &Stage) -> Verdict {
    filtered(stage, "SCMP_ACT_NOTIFY")
}

pub fn run_joined(stage: &Stage) -> Verdict {
    Scene::joined(stage, &[Config::Joined])?.perform(Command::Run)
}

pub fn create_joined(stage: &Stage) -> Verdict {
    Scene::joined(stage, &[Config::Joined])?.perform(Command::Create)
}

pub fn run_joined_users(stage: &Stage) -> Verdict {
    Scene::joined(stage, &[Config::JoinedUsersAndPids])?.perform(Command::Run)
}

pub fn run_joined_in_new_users(stage: &Stage) -> Verdict {
    let mut scene = Scene::joined(stage, &[Config::Users, Config::Joined])?;
    // It has no privileges over the pid namespace.
    for pointer in ["/mounts", "/linux/maskedPaths", "/linux/readonlyPaths"] {
        let list = scene
            .config
            .pointer_mut(pointer)
            .and_then(Value::as_array_mut);
        if let Some(list) = list {
            list.retain(|one| one["type"] != "proc" && !one.is_string());
        }
    }
    scene.perform(Command::Run)
}

pub fn run_joined_terminal(stage: &Stage) -> Verdict {
    Scene::joined(stage, &[Config::Joined, Config::Terminal])?.perform(Command::Run)
}

/// Hooks of startContainer are given the annotations, so that these are no secret.
pub fn run_joined_hooks(stage: &Stage) -> Verdict {
    let mut scene = Scene::joined(stage, &[Config::Joined, Config::Hooks])?;
    for kind in ["createRuntime", "createContainer", "poststart"] {
        scene.config["hooks"][kind][0]["env"] = json!([format!("X={}", canary("hook"))]);
    }
    let annotation = canary("annotation");
    scene.canaries.retain(|canary| *canary != annotation);
    scene.has_hooks = true;
    scene.perform(Command::Run)
}

/// An init that waits for `start` in a pid namespace of its own is alone there, but for whoever enters
/// it: by then it has left its memory.
pub fn created_has_left_its_memory(stage: &Stage) -> Verdict {
    let scene = Scene::small(stage, Config::Small)?;
    stage.make_bundle(&stage.bundle(), &scene.config)?;
    scene.watch(&scene.words(Command::Create)?, true)?;
    let pid = Pid::from_raw(stage.pid(&stage.id)?);
    let look = Look::at(pid, Moment::Begin, &scene.canaries)?;
    stage.kan(&["delete", "--force"])?.quiet()?;
    check!(look.found().is_empty(), "{}", look.found().join("\n"));
    Ok("nothing found".into())
}

/// No process of kan's is ever in the container's pid namespace.
pub fn mounts(stage: &Stage) -> Verdict {
    let mut scene = Scene::small(stage, Config::Small)?;
    scene.launch()?;
    let mut list = json!([
        {"destination": "/etc", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/sys", "source": "/usr", "options": ["rbind", "ro"]},
    ]);
    // Before that fsopen(2) has to be called in there.
    if has_pidns_option() {
        let proc = json!({"destination": "/tmp", "type": "proc", "source": "proc"});
        if let Some(list) = list.as_array_mut() {
            list.push(proc);
        }
    }
    let mut words = scene.words(Command::Mounts(&list))?;
    for verb in ["add", "remove"] {
        for word in &mut words {
            if word == "add" {
                verb.clone_into(word);
            }
        }
        let looks = scene.watch(&words, true)?;
        let all: Vec<_> = looks.iter().map(|look| name(look.moment)).collect();
        check!(all.is_empty(), "mounts {verb}: a process was seen: {all:?}");
    }
    stage.kan(&["delete", "--force"])?.quiet()?;
    Ok(format!("none for {list}"))
}

/// procfs has it since Linux 6.17.
fn has_pidns_option() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release
        .split(['.', '-'])
        .map(|part| part.parse().unwrap_or(0));
    let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= (6, 17)
}

/// The control: nsenter(1) has the host's root, all capabilities, and its caller's environment where
/// the container sees it.
pub fn an_intruder_is_seen(stage: &Stage) -> Verdict {
    let mut scene = Scene::small(stage, Config::Small)?;
    scene.launch()?;
    let pid = stage.pid(&stage.id)?;
    let program = Seen::of(Pid::from_raw(pid))?;
    let (pid, argument) = (pid.to_string(), canary("argv"));
    let words = ["nsenter", "-p", "-t", &pid, "/bin/true", &argument];
    let looks = scene.watch(&words.map(str::to_owned), false)?;
    let Some(first) = looks.first() else {
        fail!("no process was seen");
    };
    let faults = scene.faults(&looks, first.pid, &program).join("\n");
    for wanted in [
        "root", "ns/mnt", "CapPrm", "environ", "memory", "argv", "exe",
    ] {
        check!(faults.contains(wanted), "{wanted} was not seen:\n{faults}");
    }
    stage.kan(&["delete", "--force"])?.quiet()?;
    Ok(format!("{} faults seen", faults.lines().count()))
}
