//! Every command, for [`crate::blocking`].

use crate::blocking::Judge;
use crate::helpers;
use crate::leftovers;
use crate::outcome::{Outcome, Verdict, check};
use crate::stage::Body;
use crate::stage::{Config, Stage};
use crate::sweep::await_status;
use crate::tracer::{self, Ended};

/// The cases: one for the commands, and one for each config with which `create` waits for others.
pub fn cases() -> Vec<(&'static str, Body)> {
    vec![
        ("blocking::commands", commands),
        ("blocking::default", |stage| life(stage, Config::Default)),
        ("blocking::limited", |stage| life(stage, Config::Limited)),
        ("blocking::bare", |stage| life(stage, Config::Bare)),
        ("blocking::users", |stage| life(stage, Config::Users)),
        ("blocking::mapped_ids", |stage| {
            life(stage, Config::MappedIds)
        }),
        ("blocking::time", |stage| life(stage, Config::Time)),
        ("blocking::joined", |stage| life(stage, Config::Joined)),
        ("blocking::joined_users", |stage| {
            life(stage, Config::JoinedUsers)
        }),
        ("blocking::joined_users_and_pids", |stage| {
            life(stage, Config::JoinedUsersAndPids)
        }),
        ("blocking::agent", |stage| life(stage, Config::Agent)),
        ("blocking::hooks", |stage| life(stage, Config::Hooks)),
        ("blocking::terminal", |stage| life(stage, Config::Terminal)),
        ("blocking::network", |stage| life(stage, Config::Network)),
        ("blocking::net_devices", |stage| {
            life(stage, Config::NetDevices)
        }),
        ("blocking::systemd", |stage| life(stage, Config::Systemd)),
        ("blocking::resctrl", |stage| life(stage, Config::Resctrl)),
    ]
}

/// Commands under the eyes of a judge.
struct Trial<'s> {
    stage: &'s Stage,
    config: Config,
    judge: Judge,
}

impl<'s> Trial<'s> {
    fn new(stage: &'s Stage, config: Config) -> Outcome<Self> {
        stage.make_bundle(&stage.bundle(), &stage.config(config, &["wait"])?)?;
        Ok(Self {
            stage,
            config,
            judge: Judge::default(),
        })
    }

    /// A command with the id at its end.
    fn kan(&mut self, verb: &[&str]) -> Outcome {
        self.perform(&self.stage.words(verb, Some(&self.stage.id)))
    }

    /// `create` or `run`.
    fn make(&mut self, verb: &[&str]) -> Outcome {
        helpers::refresh(self.config)?;
        let stage = self.stage;
        self.perform(&stage.making(verb, &stage.bundle(), &stage.id))
    }

    fn perform(&mut self, words: &[String]) -> Outcome {
        let stage = self.stage;
        nix::unistd::alarm::set(60);
        self.judge.command = words[3..].join(" ");
        eprintln!("{}", self.judge.command);
        let (out, err) = stage.outputs()?;
        let judge = &mut self.judge;
        let trace = tracer::audit(
            words,
            &[("PATH", "/usr/bin:/bin")],
            [&out, &err],
            &mut |pid, number, is_entry| judge.look(pid, number, is_entry),
            &|pid| helpers::disguise(stage, self.config, pid),
        )?;
        leftovers::reap();
        check!(
            trace.ended == Ended::Exited(0),
            "{}: {:?}: {}",
            words.join(" "),
            trace.ended,
            stage.heard()?.1
        );
        Ok(())
    }

    fn verdict(self) -> Verdict {
        nix::unistd::alarm::cancel();
        let Judge {
            faults, allowed, ..
        } = self.judge;
        check!(faults.is_empty(), "{}", faults.join("\n"));
        // Without any the judge is blind.
        check!(allowed.contains_key("ppoll"), "kan has not waited once");
        check!(allowed.contains_key("flock"), "kan has locked nothing");
        let counts = allowed
            .iter()
            .map(|(name, count)| format!("{name} {count}"));
        Ok(counts.collect::<Vec<_>>().join(", "))
    }
}

/// What a container of this config goes through.
fn life(stage: &Stage, config: Config) -> Verdict {
    let mut trial = Trial::new(stage, config)?;
    trial.make(&["create"])?;
    trial.kan(&["start"])?;
    await_status(stage, "running")?;
    let mut exec = stage.words(&["exec", "--detach"], Some(&stage.id));
    exec.extend(["/program", "wait"].map(str::to_owned));
    trial.perform(&exec)?;
    trial.kan(&["delete", "--force"])?;
    trial.make(&["run", "--detach"])?;
    trial.kan(&["delete", "--force"])?;
    trial.verdict()
}

/// Each command, on a small container.
fn commands(stage: &Stage) -> Verdict {
    let mut trial = Trial::new(stage, Config::Small)?;
    let bundle = stage.bundle().display().to_string();
    for verb in [
        &["check", "--bundle", &bundle][..],
        &["plan", "--bundle", &bundle],
        &["doctor"],
        &["features"],
        &["list"],
    ] {
        trial.perform(&stage.words(verb, None))?;
    }
    trial.make(&["create"])?;
    trial.kan(&["start"])?;
    await_status(stage, "running")?;
    let mut exec = stage.words(&["exec"], Some(&stage.id));
    exec.extend(["/program", "exit"].map(str::to_owned));
    trial.perform(&exec)?;
    let mounts = stage.outputs_dir().join("mounts.json");
    let tmpfs = r#"[{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}]"#;
    std::fs::write(&mounts, tmpfs)?;
    let mounts = mounts.display().to_string();
    for verb in ["add", "remove"] {
        let mut words = stage.words(&["mounts", verb], Some(&stage.id));
        words.push(mounts.clone());
        trial.perform(&words)?;
    }
    trial.perform(&crate::update::words(stage)?)?;
    for verb in [
        &["pause"][..],
        &["resume"],
        &["state"],
        &["ps"],
        &["events", "--stats"],
        &["delete", "--force"],
    ] {
        trial.kan(verb)?;
    }
    trial.make(&["create"])?;
    trial.perform(&stage.words(&["kill", &stage.id, "KILL"], None))?;
    await_status(stage, "stopped")?;
    trial.kan(&["delete"])?;
    stage.make_bundle(&stage.bundle(), &stage.config(Config::Small, &["exit"])?)?;
    trial.make(&["run"])?;
    trial.verdict()
}
