//! A container, and the processes that a command makes appear in its pid namespace.

use std::fs;
use std::path::PathBuf;

use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::helpers;
use crate::leftovers;
use crate::moment::Moment;
use crate::outcome::{Outcome, Verdict, check, fail};
use crate::reach_seen::{Allowed, Look, Seen};
use crate::registers;
use crate::stage::{Config, Stage};
use crate::tracer::{self, Ended};

/// What is done to a container.
#[derive(Clone, Copy)]
pub enum Command<'a> {
    /// `exec` with options.
    Exec(&'a [&'a str]),
    /// `run --detach`
    Run,
    /// `create`, and `start` untraced.
    Create,
    /// `mounts add` and `mounts remove` of these.
    Mounts(&'a Value),
}

/// One scenario.
pub struct Scene<'a> {
    /// Where it is.
    pub stage: &'a Stage,
    /// Its config.
    pub config: Value,
    /// The pid namespace that others see, as /proc names it.
    pids: String,
    /// What must be found nowhere.
    pub canaries: Vec<String>,
    /// Capabilities that are kept for the filter until the last capset(2).
    pub kept: u64,
    /// Whether hooks run in it.
    pub has_hooks: bool,
}

/// A directory whose name must not be known.
fn canary_dir(stage: &Stage, name: &str) -> PathBuf {
    stage.place.dir.join(canary(name))
}

/// A word that nothing else contains.
pub fn canary(name: &str) -> String {
    format!("canary-of-{name}-{}", std::process::id())
}

impl<'a> Scene<'a> {
    /// The config with canaries in what the program does not get: an annotation, the source of a
    /// mount, the environment of a hook.
    pub fn new(stage: &'a Stage, mut config: Value) -> Outcome<Self> {
        for name in ["mount", "argv"] {
            fs::create_dir_all(canary_dir(stage, name))?;
        }
        config["annotations"] = json!({"org.example": canary("annotation")});
        let own = std::env::current_exe()?;
        config["hooks"]["poststop"] = json!([{
            "path": own, "args": ["hook", "exit", "0"], "env": [format!("X={}", canary("hook"))],
        }]);
        let mount = json!({
            "destination": "/tmp", "type": "bind", "source": canary_dir(stage, "mount"),
            "options": ["rbind"],
        });
        if let Some(mounts) = config["mounts"].as_array_mut() {
            mounts.push(mount);
        }
        let names = ["environment", "argv", "annotation", "mount", "hook"];
        let mut canaries: Vec<_> = names.map(canary).into();
        canaries.push(stage.state_dir().to_string_lossy().into_owned());
        Ok(Self {
            stage,
            config,
            pids: String::new(),
            canaries,
            kept: 0,
            has_hooks: false,
        })
    }

    /// One of the small configs.
    pub fn small(stage: &'a Stage, which: Config) -> Outcome<Self> {
        Self::new(stage, stage.config(which, &["wait"])?)
    }

    /// The same in the pid namespace of another process.
    pub fn joined(stage: &'a Stage, with: &[Config]) -> Outcome<Self> {
        let mut config = stage.config(with[0], &["wait"])?;
        for more in &with[1..] {
            helpers::add(stage, *more, &mut config)?;
        }
        let mut scene = Self::new(stage, config)?;
        let all = scene.config["linux"]["namespaces"].as_array();
        let pid = all.and_then(|all| all.iter().find(|one| one["type"] == "pid"));
        let Some(path) = pid.and_then(|one| one["path"].as_str()) else {
            fail!("no pid namespace is joined");
        };
        scene.pids = fs::read_link(path)?.display().to_string();
        Ok(scene)
    }

    /// A container that runs.
    pub fn launch(&mut self) -> Outcome {
        let stage = self.stage;
        stage.make_bundle(&stage.bundle(), &self.config)?;
        let create = stage.making(&["create"], &stage.bundle(), &stage.id);
        stage.execute(&create)?.quiet()?;
        stage.kan(&["start"])?.quiet()?;
        let pid = stage.pid(&stage.id)?;
        stage.await_program(pid)?;
        self.pids = namespace(Pid::from_raw(pid))?;
        Ok(())
    }

    pub fn words(&self, command: Command<'_>) -> Outcome<Vec<String>> {
        let stage = self.stage;
        let pid_file = canary_dir(stage, "argv").join("pid");
        let pid_file = pid_file.display().to_string();
        let with_file = |verb: &[&str]| -> Vec<String> {
            let verb: Vec<_> = verb
                .iter()
                .chain(&["--pid-file", &pid_file])
                .copied()
                .collect();
            stage.making(&verb, &stage.bundle(), &stage.id)
        };
        Ok(match command {
            Command::Exec(options) => {
                let verb: Vec<_> = ["exec", "--pid-file", &pid_file]
                    .iter()
                    .chain(options)
                    .copied()
                    .collect();
                let mut words = stage.words(&verb, Some(&stage.id));
                words.extend(["/program", "exit"].map(str::to_owned));
                words
            }
            Command::Run => with_file(&["run", "--detach"]),
            Command::Create => with_file(&["create"]),
            Command::Mounts(list) => {
                let file = canary_dir(stage, "argv").join("mounts.json");
                fs::write(&file, list.to_string())?;
                let mut words = stage.words(&["mounts", "add"], Some(&stage.id));
                words.push(file.display().to_string());
                words
            }
        })
    }

    /// Looks at whatever appears in the pid namespace.
    pub fn watch(&self, words: &[String], is_kan: bool) -> Outcome<Vec<Look>> {
        let mut looks: Vec<Outcome<Look>> = Vec::new();
        let (out, err) = self.stage.outputs()?;
        let mut look = |pid: Pid, moment: Moment| {
            let is_inside = namespace(pid).is_ok_and(|pids| pids == self.pids);
            if is_inside {
                looks.push(Look::at(pid, moment, &self.canaries));
            }
        };
        let value = canary("environment");
        let variables = [("KAN_CANARY", value.as_str()), ("PATH", "/usr/bin:/bin")];
        let trace = tracer::watch(words, &variables, &out, &err, &mut look)?;
        check!(
            !is_kan || trace.ended == Ended::Exited(0),
            "{}: {:?}: {}",
            words.join(" "),
            trace.ended,
            self.stage.heard()?.1
        );
        leftovers::reap();
        looks.into_iter().collect()
    }

    /// Everything about one command that makes a process in the pid namespace.
    pub fn perform(&self, command: Command<'_>) -> Verdict {
        let stage = self.stage;
        if !matches!(command, Command::Exec(_)) {
            stage.make_bundle(&stage.bundle(), &self.config)?;
        }
        let looks = self.watch(&self.words(command)?, true)?;
        let Some(first) = looks.first() else {
            fail!("no process was seen in {}", self.pids);
        };
        let program = match command {
            Command::Create => {
                stage.kan(&["start"])?.quiet()?;
                let pid = stage.pid(&stage.id)?;
                stage.await_program(pid)?;
                Seen::of(Pid::from_raw(pid))?
            }
            _ => self.program(&looks, first.pid)?,
        };
        let mut faults = self.faults(&looks, first.pid, &program);
        faults.truncate(20);
        stage.kan(&["delete", "--force"])?.quiet()?;
        leftovers::reap();
        check!(faults.is_empty(), "{}", faults.join("\n"));
        let calls: Vec<_> = looks.iter().map(|look| name(look.moment)).collect();
        check!(
            first.moment == Moment::Begin && calls.len() > 2,
            "only {} looks: {}",
            calls.len(),
            calls.join(" ")
        );
        Ok(calls.join(" "))
    }

    /// What the first process was right after its execve(2).
    fn program(&self, looks: &[Look], pid: Pid) -> Outcome<Seen> {
        let mut all = looks.iter();
        match all.find(|look| look.pid == pid && look.moment == Moment::Executed) {
            Some(look) => Ok(look.seen.clone()),
            None => fail!("the program was not executed"),
        }
    }

    /// Where a process was not what the program is.
    pub fn faults(&self, looks: &[Look], first: Pid, program: &Seen) -> Vec<String> {
        let mut faults = Vec::new();
        for look in looks {
            let is_kept = !is_past_capset(looks, look);
            let allowed = Allowed {
                capabilities: if is_kept { self.kept } else { 0 },
                has_hooks: self.has_hooks,
                is_hook: look.pid != first,
                kan: &self.stage.kan,
            };
            let all = look.differences(program, &allowed);
            let at = |fault| format!("process {} at {}: {fault}", look.pid, name(look.moment));
            faults.extend(all.into_iter().map(at));
        }
        faults
    }
}

/// Whether a look is one after the last capset(2).
fn is_past_capset(looks: &[Look], look: &Look) -> bool {
    let is_capset = |one: &Look| name(one.moment) == "capset";
    let last = looks.iter().rposition(is_capset);
    let here = looks.iter().position(|one| std::ptr::eq(one, look));
    matches!((last, here), (Some(last), Some(here)) if here > last)
}

/// The pid namespace of a process.
fn namespace(pid: Pid) -> Outcome<String> {
    let link = fs::read_link(format!("/proc/{pid}/ns/pid"))?;
    Ok(link.display().to_string())
}

pub fn name(moment: Moment) -> &'static str {
    match moment {
        Moment::Begin => "begin",
        Moment::Call(number) => registers::name(number),
        Moment::Executed => "executed",
    }
}
