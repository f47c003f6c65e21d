//! CVE-2019-5736 and its kin: no container can write to the binary that made it.
//!
//! Always on a private copy of kan: as long as anybody executes a file, the kernel refuses to open
//! it for writing, so an attack on the kan that others use would fail for the wrong reason.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::Mode;
use serde_json::{Value, json};

use crate::outcome::{Outcome, Verdict, check, fail};
use crate::payload::WRITTEN;
use crate::stage::{Config, Stage};
use crate::subject;

/// How the attacker comes to share a pid namespace with a process that executes kan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    /// The victim joins the attacker's pid namespace; its init waits for `start`.
    InitInFlight,
    /// The attacker is in the host's pid namespace.
    HostPids,
    /// The victim's program is `/proc/self/exe`: kan, executed inside.
    SelfAsProgram,
    /// The victim's program is a script, and `/proc/self/exe` its interpreter.
    SelfAsInterpreter,
}

/// What came of it.
struct Siege {
    /// What the attacker got hold of.
    caught: String,
    /// Its attempts, while kan was executed and afterwards.
    attempts: String,
    /// Whether the binary has changed.
    changed: bool,
}

/// Attacks on the real kan, with all capabilities.
pub fn init_in_flight(stage: &Stage) -> Verdict {
    withstand(stage, Scene::InitInFlight)
}

/// As [`init_in_flight`].
pub fn host_pids(stage: &Stage) -> Verdict {
    withstand(stage, Scene::HostPids)
}

/// As [`init_in_flight`].
pub fn self_as_program(stage: &Stage) -> Verdict {
    withstand(stage, Scene::SelfAsProgram)
}

/// As [`init_in_flight`].
pub fn self_as_interpreter(stage: &Stage) -> Verdict {
    withstand(stage, Scene::SelfAsInterpreter)
}

/// Positive control: what the attacks do to a kan without the seal.
pub fn attacks_work_without_seal(stage: &Stage) -> Verdict {
    let unsealed = subject::unsealed()?;
    let mut summary = Vec::new();
    for scene in [
        Scene::InitInFlight,
        Scene::HostPids,
        Scene::SelfAsProgram,
        Scene::SelfAsInterpreter,
    ] {
        let siege = besiege(stage, &unsealed, scene, Capabilities::All)?;
        check!(
            siege.changed && siege.attempts.contains(WRITTEN),
            "{scene:?}: the attack fails without the seal as well: {}\n{}",
            siege.caught,
            siege.attempts
        );
        let written = siege.attempts.matches(WRITTEN).count();
        summary.push(format!("{scene:?} {written}"));
    }
    Ok(format!("attempts that wrote: {}", summary.join(", ")))
}

/// With the default capabilities the file of an init in flight can't even be opened: it is not
/// dumpable, and the attacker has no CAP_SYS_PTRACE.
pub fn init_is_closed_to_default_capabilities(stage: &Stage) -> Verdict {
    let siege = besiege(
        stage,
        &stage.kan,
        Scene::InitInFlight,
        Capabilities::Default,
    )?;
    check!(
        siege.caught.starts_with("refused: "),
        "the attacker is {}",
        siege.caught
    );
    Ok(siege.caught)
}

fn withstand(stage: &Stage, scene: Scene) -> Verdict {
    let siege = besiege(stage, &stage.kan, scene, Capabilities::All)?;
    check!(!siege.changed, "kan was changed: {}", siege.attempts);
    check!(
        siege.caught.starts_with("holding "),
        "no attack took place: {}",
        siege.caught
    );
    check!(
        !siege.attempts.contains(WRITTEN),
        "an attempt wrote: {}",
        siege.attempts
    );
    let mut reasons = BTreeMap::new();
    for line in siege.attempts.lines() {
        let reason = line.rsplit(": ").next().unwrap_or_default();
        *reasons.entry(reason).or_insert(0) += 1;
    }
    Ok(format!("{}; attempts refused: {reasons:?}", siege.caught))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Capabilities {
    All,
    Default,
}

/// Two containers by a copy of kan: one that attacks, one whose processes execute the copy.
fn besiege(stage: &Stage, kan: &Path, scene: Scene, capabilities: Capabilities) -> Outcome<Siege> {
    let dir = stage.place.dir.join(format!("{scene:?}"));
    fs::create_dir(&dir)?;
    let copy = dir.join("kan");
    fs::copy(kan, &copy)?;
    let before = fs::read(&copy)?;
    let here = Field {
        stage,
        kan: copy.clone(),
        attacker: format!("{}-attacker", stage.id),
        victim: format!("{}-victim", stage.id),
        tmp: dir.join("attacker/rootfs/tmp"),
    };
    let fought = here.fight(&dir, scene, capabilities);
    for id in [&here.victim, &here.attacker] {
        here.delete(id)?;
    }
    let (caught, attempts) = fought?;
    Ok(Siege {
        caught,
        attempts,
        changed: fs::read(&copy)? != before,
    })
}

struct Field<'s> {
    stage: &'s Stage,
    kan: PathBuf,
    attacker: String,
    victim: String,
    /// The attacker's /tmp.
    tmp: PathBuf,
}

impl Field<'_> {
    fn kan(&self, verb: &[&str], id: &str) -> Outcome {
        let mut words = self.stage.words(verb, Some(id));
        words[0] = self.kan.to_string_lossy().into_owned();
        self.stage.execute(&words)?.quiet().map(drop)
    }

    /// Not by the copy, which may be broken by then.
    fn delete(&self, id: &str) -> Outcome {
        let words = self.stage.words(&["delete", "--force"], Some(id));
        self.stage.execute(&words)?.quiet().map(drop)
    }

    fn create(&self, bundle: &Path, config: &Value, id: &str) -> Outcome<i32> {
        self.stage.make_bundle(bundle, config)?;
        let bundle = bundle.to_string_lossy();
        self.kan(&["create", "--bundle", &bundle], id)?;
        self.stage.pid(id)
    }

    fn fight(
        &self,
        dir: &Path,
        scene: Scene,
        capabilities: Capabilities,
    ) -> Outcome<(String, String)> {
        let mut config = self.stage.config(Config::Small, &["attack"])?;
        arm(&mut config, capabilities);
        name_cgroup(&mut config, &self.attacker);
        if scene == Scene::HostPids {
            config["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": "uts"}]);
        }
        let attacker = self.create(&dir.join("attacker"), &config, &self.attacker)?;
        self.kan(&["start"], &self.attacker)?;
        let (victim, _waiting) = self.make_victim(dir, scene, attacker)?;
        let seen = if scene == Scene::HostPids {
            victim.to_string()
        } else {
            inner_pid(victim)?
        };
        fs::write(self.tmp.join("look.new"), seen)?;
        fs::rename(self.tmp.join("look.new"), self.tmp.join("look"))?;
        let caught = self.hear("caught")?;
        if !caught.starts_with("holding") {
            return Ok((caught, String::new()));
        }
        fs::write(self.tmp.join("go-1"), "")?;
        let during = self.hear("result-1")?;
        self.delete(&self.victim)?;
        fs::write(self.tmp.join("go-2"), "")?;
        let after = self.hear("result-2")?;
        Ok((caught, format!("{during}\n{after}")))
    }

    /// The victim's pid, and the lock for which the kan inside it waits, if it is one.
    fn make_victim(
        &self,
        dir: &Path,
        scene: Scene,
        attacker: i32,
    ) -> Outcome<(i32, Option<fs::File>)> {
        let mut config = self.stage.config(Config::Small, &["wait"])?;
        name_cgroup(&mut config, &self.victim);
        // So that the attacker can make mount points in its mount namespace as well.
        config["root"]["readonly"] = json!(false);
        if scene != Scene::HostPids {
            let path = format!("/proc/{attacker}/ns/pid");
            config["linux"]["namespaces"] =
                json!([{"type": "pid", "path": path}, {"type": "mount"}, {"type": "uts"}]);
        }
        let bundle = dir.join("victim");
        let blocked = ["--root", "/r", "delete", "x"];
        match scene {
            Scene::InitInFlight | Scene::HostPids => {
                return Ok((self.create(&bundle, &config, &self.victim)?, None));
            }
            Scene::SelfAsProgram => set_args(&mut config, "/proc/self/exe", &blocked),
            Scene::SelfAsInterpreter => set_args(&mut config, "/script", &blocked),
        }
        // A container's lock that is never given up keeps the kan inside waiting.
        let rootfs = bundle.join("rootfs");
        fs::create_dir_all(rootfs.join("r/x"))?;
        let lock = fs::File::open(rootfs.join("r/x"))?;
        lock.lock()?;
        // The script's own name becomes the value of --log.
        fs::write(rootfs.join("script"), "#!/proc/self/exe --log\n")?;
        rustix::fs::chmod(rootfs.join("script"), Mode::from_raw_mode(0o755))?;
        let pid = self.create(&bundle, &config, &self.victim)?;
        self.kan(&["start"], &self.victim)?;
        await_that(&format!("kan inside, pid {pid}"), || {
            let words = fs::read(format!("/proc/{pid}/cmdline"))?;
            Ok(words.ends_with(b"/r\0delete\0x\0"))
        })?;
        Ok((pid, Some(lock)))
    }

    fn hear(&self, name: &str) -> Outcome<String> {
        let path = self.tmp.join(name);
        await_that(&format!("the attacker's {name}"), || Ok(path.exists()))?;
        Ok(fs::read_to_string(path)?)
    }
}

/// Waits for what there is no event for.
fn await_that(what: &str, condition: impl Fn() -> Outcome<bool>) -> Outcome {
    let start = Instant::now();
    while !condition()? {
        check!(start.elapsed() < Duration::from_secs(10), "{what}: never");
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// A process' id in its own pid namespace, proc(5).
fn inner_pid(pid: i32) -> Outcome<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("NSpid:"));
    match line.and_then(|line| line.split_whitespace().last()) {
        Some(inner) => Ok(inner.to_owned()),
        None => fail!("no NSpid in {status}"),
    }
}

fn set_args(config: &mut Value, program: &str, args: &[&str]) {
    let all: Vec<_> = [program].iter().chain(args).copied().collect();
    config["process"]["args"] = json!(all);
}

/// Each container has a cgroup of its own beside the case's.
fn name_cgroup(config: &mut Value, id: &str) {
    let path = config["linux"]["cgroupsPath"].as_str().unwrap_or_default();
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    config["linux"]["cgroupsPath"] = json!(format!("{parent}/{id}"));
}

/// Nothing hidden, and with [`Capabilities::All`] the most that a container can have.
fn arm(config: &mut Value, capabilities: Capabilities) {
    config["linux"]["maskedPaths"] = json!([]);
    config["linux"]["readonlyPaths"] = json!([]);
    config["root"]["readonly"] = json!(false);
    if capabilities == Capabilities::Default {
        return;
    }
    config["process"]["noNewPrivileges"] = json!(false);
    // kan warns of those that this process can't give.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    let bounding = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let bounding = bounding.unwrap_or(u64::MAX);
    let all: Vec<_> = CAPABILITIES
        .iter()
        .enumerate()
        .filter(|(number, _)| bounding >> number & 1 != 0)
        .map(|(_, name)| format!("CAP_{name}"))
        .collect();
    for set in ["bounding", "permitted", "effective", "inheritable"] {
        config["process"]["capabilities"][set] = json!(all);
    }
}

/// capabilities(7), by their numbers.
const CAPABILITIES: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];
