//! One case's surroundings, and the runtime's verbs as methods.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::bundle::Bundle;
use super::command::{Cmd, Done, TIMEOUT, wait_for_exit};
use super::foresight;
use super::outcome::{Fault, Outcome, check, equal, fail, skip};
use super::report::Report;
use super::runtime::Runtime;
use super::world::World;
use super::{config, leftovers, reaper};

/// Runs a script with the rest of a command line as its words, from `$0` on, in a mount namespace that
/// tells nobody of its mounts.
pub const fn in_own_mounts(script: &str) -> [&str; 7] {
    [
        "unshare",
        "-m",
        "--propagation",
        "private",
        "sh",
        "-c",
        script,
    ]
}

/// Runs the rest of a command line where /sys/fs/cgroup is the cgroup v2 hierarchy alone.
const UNIFIED_VIEW: [&str; 7] =
    in_own_mounts("mount --bind /sys/fs/cgroup/unified /sys/fs/cgroup && exec \"$0\" \"$@\"");

/// Where a case does its work: a directory, a state directory, ids.
pub struct Ctx {
    /// What all cases share.
    pub world: Arc<World>,
    /// The container's id.
    pub id: String,
    /// Everything that the case makes is below this directory.
    pub dir: PathBuf,
    /// Whether runtimes are shown a machine with cgroup v2 only.
    pub unified: bool,
    /// Further ids, to be deleted at the end.
    others: Vec<String>,
    /// Zombies that the case keeps.
    held: Vec<i32>,
    /// Counts commands, for the names of their output files.
    commands: std::cell::Cell<u32>,
    /// Whether `check` is asked of each bundle.
    is_checked: bool,
}

impl Ctx {
    /// Surroundings for one case.
    ///
    /// # Errors
    /// If the directory cannot be made.
    pub fn new(world: Arc<World>, case: &str) -> Result<Self, Fault> {
        let id = world.new_id();
        let dir = world.dir.path().join(&id);
        fs::create_dir(&dir)?;
        let commands = std::cell::Cell::new(0);
        // crun 1.8 refuses a machine with v1 controllers beside v2.
        let unified = world.unified || world.runtime.matches("crun 1.8");
        let is_checked = foresight::is_wanted(&world.runtime, case);
        Ok(Self {
            world,
            id,
            dir,
            unified,
            others: vec![],
            held: vec![],
            commands,
            is_checked,
        })
    }

    /// The runtime under test.
    pub fn runtime(&self) -> &Runtime {
        &self.world.runtime
    }

    /// Skips the case where there is no static busybox for the rootfs.
    ///
    /// # Errors
    /// The skip.
    pub fn need_busybox(&self) -> Outcome {
        if self.world.busybox.is_none() {
            skip!("no static busybox in PATH");
        }
        Ok(())
    }

    /// The state directory given as `--root`.
    pub fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// A second id of this case.
    pub fn another_id(&mut self) -> String {
        let id = format!("{}-{}", self.id, self.others.len());
        self.others.push(id.clone());
        id
    }

    /// A new bundle with the suite's default config, in `bundle` below the case's directory.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn bundle(&self) -> Result<Bundle, Fault> {
        self.bundle_named("bundle")
    }

    /// The same under another name.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn bundle_named(&self, name: &str) -> Result<Bundle, Fault> {
        let dir = self.dir.join(name);
        self.world.copy_rootfs(&dir.join("rootfs"))?;
        Ok(Bundle {
            dir,
            config: config::default(&self.id),
        })
    }

    /// Any program, with a timeout and collected output.
    pub fn command(&self, argv: &[&str]) -> Cmd {
        let argv = argv.iter().map(OsString::from).collect();
        self.cmd(argv)
    }

    fn cmd(&self, argv: Vec<OsString>) -> Cmd {
        let count = self.commands.replace(self.commands.get() + 1);
        Cmd::new(
            argv,
            &self.dir,
            self.dir.join(format!("command-{count}")),
            self.runtime(),
        )
        .checked(self.is_checked)
    }

    /// The runtime with `--root` and arguments.
    pub fn oci(&self, args: &[&str]) -> Cmd {
        self.oci_with(&[], args)
    }

    /// The runtime with further global options before the arguments.
    pub fn oci_with(&self, global: &[&str], args: &[&str]) -> Cmd {
        let mut argv: Vec<OsString> = vec![self.runtime().path.clone().into()];
        argv.extend(["--root".into(), self.state_dir().into()]);
        if self.world.by_systemd {
            argv.push("--systemd-cgroup".into());
        }
        argv.extend(global.iter().chain(args).map(OsString::from));
        self.in_view(self.cmd(argv))
    }

    /// Gives a command the view of the cgroup hierarchies that the case has chosen.
    pub fn in_view(&self, cmd: Cmd) -> Cmd {
        if self.unified && !self.world.unified {
            cmd.wrapped(&UNIFIED_VIEW)
        } else {
            cmd
        }
    }

    /// `VERB OPTIONS --bundle DIR ID` for a saved bundle: create or run.
    ///
    /// # Errors
    /// If the config cannot be written.
    pub fn with_bundle(&self, verb: &str, options: &[&str], b: &Bundle) -> Result<Cmd, Fault> {
        b.save()?;
        Ok(self
            .oci(&[verb])
            .args(options)
            .arg("--bundle")
            .arg(&b.dir)
            .arg(&self.id))
    }

    /// `create`, which must succeed.
    ///
    /// # Errors
    /// If it does not.
    pub fn create(&self, bundle: &Bundle) -> Result<Done, Fault> {
        self.with_bundle("create", &[], bundle)?.run()?.ok()
    }

    /// `create` without judging its result.
    ///
    /// # Errors
    /// If it does not end.
    pub fn try_create(&self, bundle: &Bundle) -> Result<Done, Fault> {
        self.with_bundle("create", &[], bundle)?.run()
    }

    /// `run` in the foreground, without judging its result.
    ///
    /// # Errors
    /// If it does not end.
    pub fn run(&self, bundle: &Bundle) -> Result<Done, Fault> {
        self.with_bundle("run", &[], bundle)?.run()
    }

    /// A verb with the id as its last argument, without judging its result.
    ///
    /// # Errors
    /// If it does not end.
    pub fn verb(&self, verb: &[&str]) -> Result<Done, Fault> {
        self.oci(verb).arg(&self.id).run()
    }

    /// `exec OPTIONS ID ARGS`.
    pub fn exec(&self, options: &[&str], args: &[&str]) -> Cmd {
        let cmd = self.oci(&["exec"]).args(options).arg(&self.id);
        cmd.args(args)
    }

    /// The report of a probe that `exec` runs, which must succeed.
    ///
    /// # Errors
    /// If it fails or prints no JSON.
    pub fn exec_report(&self, options: &[&str]) -> Result<Report, Fault> {
        let done = self.exec(options, &["/probe", "report"]).run()?.ok()?;
        Report::parse(&done.stdout)
    }

    /// `start`, which must succeed.
    ///
    /// # Errors
    /// If it does not.
    pub fn start(&self) -> Outcome {
        self.verb(&["start"])?.ok().map(drop)
    }

    /// `create` and `start`; the answer is that of `create`, whose output the container's is.
    ///
    /// # Errors
    /// If one of them fails.
    pub fn launch(&self, bundle: &Bundle) -> Result<Done, Fault> {
        let created = self.create(bundle)?;
        self.start()?;
        Ok(created)
    }

    /// Starts a container that waits for TERM, and waits until it is ready for it.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn launch_sleeper(&self) -> Result<Bundle, Fault> {
        let mut bundle = self.bundle()?;
        bundle.probe(&["sleep"]);
        self.launch(&bundle)?.wait_for("ready")?;
        Ok(bundle)
    }

    /// Fails if anything of the container is left, without cleaning up first.
    ///
    /// # Errors
    /// With every leftover.
    pub fn expect_nothing_left(&self) -> Outcome {
        let left = leftovers::find(&self.id, &self.dir, &self.state_dir());
        check!(left.is_empty(), "left behind:\n  {}", left.join("\n  "));
        Ok(())
    }

    /// `delete`, which must succeed.
    ///
    /// # Errors
    /// If it does not.
    pub fn delete(&self) -> Outcome {
        self.verb(&["delete"])?.ok().map(drop)
    }

    /// `kill ID SIGNAL`, without judging its result.
    ///
    /// # Errors
    /// If it does not end.
    pub fn kill(&self, signal: &str) -> Result<Done, Fault> {
        self.oci(&["kill", &self.id, signal]).run()
    }

    /// `state`, parsed.
    ///
    /// # Errors
    /// If it fails or is no JSON.
    pub fn state(&self) -> Result<Value, Fault> {
        let done = self.verb(&["state"])?.ok()?;
        match serde_json::from_str(&done.stdout) {
            Ok(state) => Ok(state),
            Err(error) => fail!("state is no JSON: {error}: {}", done.stdout),
        }
    }

    /// Fails unless the status is this one.
    ///
    /// # Errors
    /// If it is another.
    pub fn expect_status(&self, want: &str) -> Outcome {
        equal(
            "status",
            self.state()?["status"].as_str().unwrap_or_default(),
            want,
        )
    }

    /// The init's pid on the host.
    ///
    /// # Errors
    /// If state has none.
    pub fn pid(&self) -> Result<i32, Fault> {
        let state = self.state()?;
        match state["pid"]
            .as_i64()
            .and_then(|pid| i32::try_from(pid).ok())
        {
            Some(pid) if pid > 0 => Ok(pid),
            _ => fail!("state has no pid: {state}"),
        }
    }

    /// Waits until the init has ended and state says so.
    ///
    /// # Errors
    /// If it does not end.
    pub fn wait_stopped(&self) -> Outcome {
        let state = self.state()?;
        if let Some(pid) = state["pid"]
            .as_i64()
            .and_then(|pid| i32::try_from(pid).ok())
        {
            check!(wait_for_exit(pid, TIMEOUT)?, "init {pid} still runs");
            reaper::collect();
        }
        self.expect_status("stopped")
    }

    /// Keeps a dead init from being collected until the case ends.
    pub fn hold_zombie(&mut self, pid: i32) {
        reaper::register().own(pid);
        self.held.push(pid);
    }

    /// Makes the config of `RUNTIME spec` the bundle's, as the cases of the default config want
    /// it.
    ///
    /// # Errors
    /// If the runtime writes none.
    pub fn default_config(&self, bundle: &mut Bundle) -> Outcome {
        self.oci(&["spec"]).cwd(&bundle.dir).run()?.ok()?;
        let written = super::bundle::read(&bundle.dir.join("config.json"))?;
        bundle.config = serde_json::from_str(&written)?;
        if self.unified && self.runtime().matches("crun 1.8") {
            // Its device filter raises RLIMIT_MEMLOCK, for which this machine may lack
            // CAP_SYS_RESOURCE.
            bundle.remove("/linux/resources").save()?;
        }
        Ok(())
    }

    /// Runs the probe's report in the container that the bundle describes.
    ///
    /// # Errors
    /// If the container fails or its report is no JSON.
    pub fn report(&self, bundle: &mut Bundle) -> Result<Report, Fault> {
        bundle.probe(&["report"]);
        let done = self.run(bundle)?.ok()?;
        Report::parse(&done.stdout)
    }

    /// Removes all containers of the case and looks for what is left of them.
    ///
    /// # Errors
    /// With every leftover.
    pub fn finish(&mut self) -> Outcome {
        let mut register = reaper::register();
        self.held.drain(..).for_each(|pid| register.disown(pid));
        drop(register);
        let ids = std::iter::once(self.id.clone()).chain(self.others.clone());
        // Root need not trust what another user has left.
        take_over(&self.state_dir());
        let mut left: Vec<String> = Vec::new();
        for id in ids {
            if let Err(why) = self
                .oci(&["delete", "--force", &id])
                .run()
                .and_then(Done::ok)
            {
                left.push(format!("delete --force: {why}"));
            }
        }
        left.extend(leftovers::find(&self.id, &self.dir, &self.state_dir()));
        leftovers::clear(&self.id, &self.dir);
        check!(left.is_empty(), "left behind:\n  {}", left.join("\n  "));
        Ok(())
    }
}

/// Gives a directory, and all in it, to root; as far as it is there.
fn take_over(dir: &Path) {
    let _ = std::os::unix::fs::lchown(dir, Some(0), Some(0));
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            take_over(&entry.path());
        } else {
            let _ = std::os::unix::fs::lchown(entry.path(), Some(0), Some(0));
        }
    }
}

impl Cmd {
    /// Adds several arguments.
    #[must_use]
    pub fn args(self, args: &[&str]) -> Self {
        args.iter().fold(self, |cmd, arg| cmd.arg(arg))
    }
}

/// A path as text.
///
/// # Errors
/// If it is not UTF-8.
pub fn text(path: &Path) -> Result<&str, Fault> {
    match path.to_str() {
        Some(text) => Ok(text),
        None => fail!("not UTF-8: {}", path.display()),
    }
}
