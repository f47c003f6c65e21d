//! What one case works with: kan, a bundle, a state directory, and a mount namespace of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
use rustix::process::{Pid, getpid, set_child_subreaper};
use serde_json::Value;
use tempfile::TempDir;

use crate::companions::Companions;
use crate::leftovers::{self, Place};
use crate::outcome::{Outcome, Verdict, check, fail};

/// Which cgroup hierarchies the case sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The host's.
    Host,
    /// Version 2 alone.
    V2,
}

/// Which of the configs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Config {
    /// Two namespaces, one mount.
    Small,
    /// That of `kan spec`.
    Default,
    /// The small one with limits, as far as the view has controllers for them.
    Limited,
    /// The small one without a mount namespace, whose mounts lie on the host's.
    Bare,
    /// The small one with a user namespace, and a mount that the host prepares.
    Users,
    /// The small one with a bind mount whose ids are mapped.
    MappedIds,
    /// The small one with a time namespace.
    Time,
    /// The small one in the pid, network and IPC namespaces of another process.
    Joined,
    /// The same in its user namespace as well.
    JoinedUsers,
    /// The same in its pid namespace, too.
    JoinedUsersAndPids,
    /// The small one with a filter that notifies an agent.
    Agent,
    /// The small one with a hook of each kind.
    Hooks,
    /// The small one with a terminal.
    Terminal,
    /// The small one in a new network namespace, which the host makes.
    Network,
    /// The same with a device of the host's.
    NetDevices,
    /// The small one with a class of service of resctrl.
    Resctrl,
    /// The small one in a scope of systemd.
    Systemd,
}

/// A case's surroundings.
#[derive(Debug)]
pub struct Stage {
    /// The kan under test.
    pub kan: PathBuf,
    /// The id of the container.
    pub id: String,
    /// Where its traces would be.
    pub place: Place,
    /// The parent of the containers' cgroups, below every hierarchy.
    pub parent: String,
    /// Who listens, or lends a namespace.
    companions: Companions,
    outputs: TempDir,
    _dir: TempDir,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Done {
    /// The command line.
    pub what: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Done {
    /// Fails unless it succeeded without a word on standard error.
    ///
    /// # Errors
    /// With its output.
    pub fn quiet(self) -> Outcome<Self> {
        check!(
            self.status.success() && self.stderr.is_empty(),
            "{}: {}: {}",
            self.what,
            self.status,
            self.stderr.trim_end()
        );
        Ok(self)
    }
}

impl Stage {
    /// Makes the surroundings of a case, for good: this process is only for one.
    ///
    /// # Errors
    /// What is missing.
    pub fn new(name: &str, kan: &Path, view: View) -> Outcome<Self> {
        set_child_subreaper(Some(getpid()))?;
        separate_mounts(view)?;
        let dir = TempDir::with_prefix("kan-faults-")?;
        let (id, parent, place) = surroundings(name, std::process::id(), dir.path());
        let stage = Self {
            kan: kan.into(),
            id,
            place,
            parent,
            companions: Companions::default(),
            outputs: TempDir::with_prefix("kan-faults-out-")?,
            _dir: dir,
        };
        fs::create_dir(stage.state_dir())?;
        Ok(stage)
    }

    /// Processes that the config needs.
    pub fn companions(&self) -> &Companions {
        &self.companions
    }

    /// A directory that nothing of the container's is in.
    pub fn outputs_dir(&self) -> &Path {
        self.outputs.path()
    }

    /// `--root`
    pub fn state_dir(&self) -> PathBuf {
        self.place.dir.join("state")
    }

    /// A bundle's directory.
    pub fn bundle(&self) -> PathBuf {
        self.place.dir.join("bundle")
    }

    /// Makes a bundle whose program is this one, told what to do by its arguments.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn make_bundle(&self, dir: &Path, config: &Value) -> Outcome {
        let rootfs = dir.join("rootfs");
        for name in ["proc", "dev", "sys", "etc", "tmp"] {
            fs::create_dir_all(rootfs.join(name))?;
        }
        let own = std::env::current_exe()?;
        let program = rootfs.join("program");
        // A hard link spares a copy where it can be made.
        if !program.exists() && fs::hard_link(&own, &program).is_err() {
            fs::copy(&own, &program)?;
        }
        fs::write(dir.join("config.json"), serde_json::to_vec_pretty(config)?)?;
        Ok(())
    }

    /// kan's command line with `--root`; the id goes last where there is one.
    pub fn words(&self, verb: &[&str], id: Option<&str>) -> Vec<String> {
        let kan = self.kan.to_string_lossy().into_owned();
        let root = self.state_dir().to_string_lossy().into_owned();
        let mut words = vec![kan, "--root".into(), root];
        if self.companions.has_systemd() {
            words.push("--systemd-cgroup".into());
        }
        words.extend(verb.iter().map(|word| (*word).to_owned()));
        words.extend(id.map(str::to_owned));
        words
    }

    /// `create` or `run` of a bundle.
    pub fn making(&self, verb: &[&str], bundle: &Path, id: &str) -> Vec<String> {
        let bundle = bundle.to_string_lossy();
        let mut verb: Vec<&str> = verb.iter().copied().chain(["--bundle", &bundle]).collect();
        let console = self.companions.console();
        let console = console.as_ref().map(|path| path.to_string_lossy());
        if let Some(console) = &console {
            verb.extend(["--console-socket", console]);
        }
        self.words(&verb, Some(id))
    }

    /// Runs a command of kan for the case's own container.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub fn kan(&self, verb: &[&str]) -> Outcome<Done> {
        self.execute(&self.words(verb, Some(&self.id)))
    }

    /// Runs any command line to its end, which must come within 20 seconds.
    ///
    /// # Errors
    /// If it can't be started or does not end.
    pub fn execute(&self, words: &[String]) -> Outcome<Done> {
        // A zombie in a pid namespace keeps that namespace's init from ending, pid_namespaces(7),
        // and what `exec --detach` leaves is this process' to collect.
        self.execute_and(words, leftovers::reap_others)
    }

    /// As [`Self::execute`], while another command is being traced: collecting children would
    /// take the tracer's news away.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub fn execute_beside(&self, words: &[String]) -> Outcome<Done> {
        self.execute_and(words, |_| {})
    }

    fn execute_and(&self, words: &[String], meanwhile: fn(Pid)) -> Outcome<Done> {
        let (out, err) = self.outputs()?;
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().stdin(Stdio::null());
        let mut child = command.stdout(out).stderr(err).spawn()?;
        let pid = Pid::from_child(&child);
        let start = Instant::now();
        while !leftovers::await_exit(pid, Duration::from_millis(20)) {
            meanwhile(pid);
            if start.elapsed() > Duration::from_secs(20) {
                child.kill()?;
                child.wait()?;
                fail!("{}: still runs after 20 s", words.join(" "));
            }
        }
        self.done(words, child.wait()?)
    }

    /// Fresh files for a command's output, which a container may hold on to.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn outputs(&self) -> Outcome<(File, File)> {
        let at = |name: &str| {
            let path = self.outputs.path().join(name);
            let _ = fs::remove_file(&path);
            File::create(path)
        };
        Ok((at("out")?, at("err")?))
    }

    /// What the last command wrote.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn heard(&self) -> Outcome<(String, String)> {
        let read = |name: &str| fs::read(self.outputs.path().join(name));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok((text(read("out")?), text(read("err")?)))
    }

    fn done(&self, words: &[String], status: ExitStatus) -> Outcome<Done> {
        let (stdout, stderr) = self.heard()?;
        let what = words[1..].join(" ");
        Ok(Done {
            what,
            status,
            stdout,
            stderr,
        })
    }

    /// `pid` of the state document.
    ///
    /// # Errors
    /// If there is no such container.
    pub fn pid(&self, id: &str) -> Outcome<i32> {
        let done = self.execute(&self.words(&["state"], Some(id)))?.quiet()?;
        let state: Value = serde_json::from_str(&done.stdout)?;
        match state["pid"].as_i64().map(i32::try_from) {
            Some(Ok(pid)) if pid > 0 => Ok(pid),
            _ => fail!("no pid in {state}"),
        }
    }

    /// Waits until init is the container's program: `start` returns when init may go on, not when
    /// it has.
    ///
    /// # Errors
    /// After five seconds, or if it is gone.
    pub fn await_program(&self, pid: i32) -> Outcome {
        let start = Instant::now();
        while !fs::read(format!("/proc/{pid}/cmdline"))?.starts_with(b"/program\0") {
            check!(start.elapsed().as_secs() < 5, "the program never came");
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Cleans up and adds what was left to the verdict.
    ///
    /// # Errors
    /// The case's own, or what was left.
    pub fn finish(self, verdict: Verdict) -> Verdict {
        let left = self.place.settled_processes(Duration::from_secs(2));
        self.place.remove();
        let summary = verdict?;
        check!(left.is_empty(), "left: {}", left.join(", "));
        Ok(summary)
    }
}

/// The id of a case's container, the parent of its cgroups, and where its traces would be.
pub fn surroundings(name: &str, process: u32, dir: &Path) -> (String, String, Place) {
    let id = format!("faults-{process}-{}", name.replace("::", "-"));
    // A dash in the name of a slice would make it one of several levels: systemd.slice(5).
    let parent = match name.contains("systemd") {
        true => format!("kanfaults{process}.slice"),
        false => format!("kan-{id}"),
    };
    let place = Place::new(&id, dir, &parent);
    (id, parent, place)
}

/// A mount namespace that nobody else changes, whose mounts are shared among its copies as they
/// are with systemd: a mount that a container lets out would show here.
fn separate_mounts(view: View) -> Outcome {
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )?;
    if view == View::V2 && !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        mount_bind("/sys/fs/cgroup/unified", "/sys/fs/cgroup")?;
    }
    mount_change(
        "/",
        MountPropagationFlags::SHARED | MountPropagationFlags::REC,
    )?;
    Ok(())
}

/// A case that is no sweep.
pub type Body = fn(&Stage) -> Verdict;
