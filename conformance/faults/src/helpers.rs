//! Configs for which kan needs helpers of its own or of others, and those others: processes that lend
//! namespaces, and one that takes what arrives at a socket.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::manager;
use crate::outcome::{Outcome, check};
use crate::stage::{Config, Stage};

/// The argument of the process that listens.
pub const LISTEN: &str = "--listen";

/// Accepts connections without end, and closes each when its other end is closed.
pub fn listen(path: &str) -> ExitCode {
    let Ok(listener) = UnixListener::bind(path) else {
        return ExitCode::FAILURE;
    };
    let mut kept = std::collections::VecDeque::new();
    for connection in listener.incoming().flatten() {
        // What comes with the message is closed unread; the agent of a container that is gone is
        // not needed any more.
        kept.push_back(connection);
        if kept.len() > 2 {
            kept.pop_front();
        }
    }
    ExitCode::SUCCESS
}

/// What the config adds to the small one.
///
/// # Errors
/// A companion can't be started.
pub fn add(stage: &Stage, which: Config, config: &mut Value) -> Outcome {
    match which {
        Config::MappedIds => {
            let range = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
            push(
                config,
                "/mounts",
                json!({
                    "destination": "/tmp", "type": "bind", "source": stage.bundle(),
                    "options": ["rbind"], "uidMappings": range, "gidMappings": range,
                }),
            );
        }
        Config::Time => {
            config["linux"]["timeOffsets"] = json!({"monotonic": {"secs": 7}});
            push(config, "/linux/namespaces", json!({"type": "time"}));
        }
        Config::Joined => join(
            stage,
            config,
            &["--pid", "--net", "--ipc"],
            &["pid", "net", "ipc"],
        )?,
        Config::JoinedUsers => {
            let flags = ["--user", "--net", "--ipc"];
            join(stage, config, &flags, &["user", "net", "ipc"])?;
        }
        Config::JoinedUsersAndPids => {
            let flags = ["--user", "--pid", "--net", "--ipc"];
            join(stage, config, &flags, &["user", "pid", "net", "ipc"])?;
        }
        Config::Agent => {
            let path = listener(stage, "agent")?;
            config["linux"]["seccomp"] = json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "listenerPath": path,
                "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
            });
        }
        Config::Hooks => add_hooks(stage, config)?,
        Config::Terminal => {
            let path = listener(stage, "console")?;
            *stage.companions().console.borrow_mut() = Some(path);
            config["process"]["terminal"] = json!(true);
            push(
                config,
                "/mounts",
                json!({
                    "destination": "/dev/pts", "type": "devpts", "source": "devpts",
                    "options": ["newinstance", "ptmxmode=0666", "mode=0620"],
                }),
            );
        }
        Config::Network => push(config, "/linux/namespaces", json!({"type": "network"})),
        Config::NetDevices => {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?;
            push(config, "/linux/namespaces", json!({"type": "network"}));
            config["linux"]["netDevices"] = json!({DEVICE: {"name": "inner"}});
        }
        Config::Systemd => {
            start_manager(stage)?;
            config["linux"]["cgroupsPath"] = json!(format!("{}:kan:{}", stage.parent, stage.id));
        }
        Config::Resctrl => {
            std::fs::create_dir_all(resctrl(stage).join("info/L3"))?;
            config["linux"]["intelRdt"] = json!({"l3CacheSchema": "L3:0=f"});
        }
        _ => {}
    }
    Ok(())
}

/// The device that becomes the container's, and its other end.
const DEVICE: &str = "kan-left";
const PEER: &str = "kan-right";

/// Brings back what a container takes away with it.
///
/// # Errors
/// ip(8) is missing, or fails.
pub fn refresh(which: Config) -> Outcome {
    if which != Config::NetDevices {
        return Ok(());
    }
    let ip = |words: &[&str]| {
        let mut command = Command::new("ip");
        command.args(words).stderr(Stdio::null()).status()
    };
    let _ = ip(&["link", "delete", PEER])?;
    for words in [
        &["link", "add", DEVICE, "type", "veth", "peer", "name", PEER][..],
        &["address", "add", "10.7.0.2/24", "dev", DEVICE],
    ] {
        check!(ip(words)?.success(), "ip {} failed", words.join(" "));
    }
    Ok(())
}

/// A directory that stands in for the mount point of resctrl, which needs a processor with it.
fn resctrl(stage: &Stage) -> PathBuf {
    stage.place.dir.join("resctrl")
}

/// Changes what a command that is about to be traced will see: of resctrl it looks for the mount.
///
/// # Errors
/// The kernel's.
pub fn disguise(stage: &Stage, which: Config, command: Pid) -> Outcome {
    if which != Config::Resctrl {
        return Ok(());
    }
    let mut mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let root = resctrl(stage);
    let root = root.display();
    mounts += &format!("9999 1 0:99 / {root} rw,relatime - resctrl resctrl rw\n");
    let fake = stage.outputs_dir().join("mountinfo");
    std::fs::write(&fake, mounts)?;
    // It goes with the process.
    rustix::mount::mount_bind(&fake, format!("/proc/{command}/mountinfo"))?;
    Ok(())
}

fn push(config: &mut Value, pointer: &str, entry: Value) {
    if let Some(list) = config.pointer_mut(pointer).and_then(Value::as_array_mut) {
        list.push(entry);
    }
}

/// A socket on which somebody listens.
fn listener(stage: &Stage, name: &str) -> Outcome<PathBuf> {
    let path = stage.outputs_dir().join(name);
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(LISTEN).arg(&path);
    stage.companions().add(command)?;
    await_path(&path)?;
    Ok(path)
}

fn await_path(path: &Path) -> Outcome {
    for _ in 0..500 {
        if path.exists() {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    crate::outcome::fail!("nobody listens at {}", path.display())
}

/// A manager of this case alone, on a file system that only it sees.
fn start_manager(stage: &Stage) -> Outcome {
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("tmpfs", "/run", "tmpfs", flags, None)?;
    std::fs::create_dir_all(manager::BOOTED)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(manager::MANAGE);
    stage.companions().add(command)?;
    stage.companions().has_systemd.set(true);
    await_path(manager::SOCKET.as_ref())
}

/// The namespaces of a process that unshare(1) makes.
fn join(stage: &Stage, config: &mut Value, flags: &[&str], kinds: &[&str]) -> Outcome {
    let mut command = Command::new("unshare");
    command
        .args(flags)
        .args(["--fork", "--kill-child", "sleep", "1000"]);
    let parent = stage.companions().add(command)?;
    let children = format!("/proc/{parent}/task/{parent}/children");
    let mut pid = String::new();
    for _ in 0..500 {
        pid = std::fs::read_to_string(&children)?.trim().to_owned();
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if name.trim() == "sleep" {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    check!(!pid.is_empty(), "unshare made no process");
    if kinds.contains(&"user") {
        for map in ["uid_map", "gid_map"] {
            std::fs::write(format!("/proc/{pid}/{map}"), "0 0 65536")?;
        }
    }
    if let Some(list) = config["linux"]["namespaces"].as_array_mut() {
        for kind in kinds {
            let name = if *kind == "net" { "network" } else { kind };
            list.retain(|one| one["type"] != name);
            list.push(json!({"type": name, "path": format!("/proc/{pid}/ns/{kind}")}));
        }
    }
    Ok(())
}

/// Hooks whose command line says whose they are, so that one that is left is found.
fn add_hooks(stage: &Stage, config: &mut Value) -> Outcome {
    let own = std::env::current_exe()?;
    for (kind, path) in [
        ("prestart", own.as_path()),
        ("createRuntime", &own),
        ("createContainer", &own),
        ("startContainer", "/program".as_ref()),
        ("poststart", &own),
        ("poststop", &own),
    ] {
        config["hooks"][kind] = json!([{
            "path": path,
            "args": ["hook", "exit", "0", stage.id],
            "timeout": 20,
        }]);
    }
    Ok(())
}

impl Stage {
    /// A config with this program and these arguments.
    ///
    /// # Errors
    /// If `kan spec` fails.
    pub fn config(&self, which: Config, args: &[&str]) -> Outcome<Value> {
        let at = TempDir::with_prefix("kan-faults-spec-")?;
        let spec = [self.kan.as_os_str(), "spec".as_ref(), "--bundle".as_ref()];
        let mut command = Command::new(spec[0]);
        command.args(&spec[1..]).arg(at.path());
        check!(command.status()?.success(), "kan spec failed");
        let text = fs::read(at.path().join("config.json"))?;
        let mut config: Value = serde_json::from_slice(&text)?;
        let all: Vec<_> = ["/program"].iter().chain(args).collect();
        config["process"]["args"] = json!(all);
        config["process"]["terminal"] = json!(false);
        config["process"]["env"] = json!([format!("KAN_FAULTS={}", self.id)]);
        config["linux"]["cgroupsPath"] = json!(format!("/{}/{}", self.parent, self.id));
        if which == Config::Limited {
            config["linux"]["resources"]["unified"] = json!({"cgroup.max.depth": "9"});
            if Path::new("/sys/fs/cgroup/pids/cgroup.procs").exists() {
                config["linux"]["resources"] = json!({
                    "devices": [{"allow": false}],
                    "pids": {"limit": 50},
                    "memory": {"limit": 67_108_864, "swap": 67_108_864},
                    "cpu": {"quota": 90000, "period": 100_000, "cpus": "0"},
                });
            }
        }
        if which != Config::Default {
            config["mounts"] = json!([{"destination": "/proc", "type": "proc", "source": "proc"}]);
            config["linux"]["namespaces"] =
                json!([{"type": "pid"}, {"type": "mount"}, {"type": "uts"}]);
            config["linux"]["maskedPaths"] = json!(["/proc/kcore"]);
            config["linux"]["readonlyPaths"] = json!(["/proc/sys"]);
            // On a tmpfs, because devices and their links would otherwise stay in the rootfs.
            let dev = json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs"});
            if let Some(mounts) = config["mounts"].as_array_mut() {
                mounts.push(dev);
            }
        }
        match which {
            Config::Bare => {
                config["linux"]["namespaces"] = json!([{"type": "pid"}, {"type": "uts"}]);
                config["linux"]["maskedPaths"] = json!([]);
                config["linux"]["readonlyPaths"] = json!([]);
            }
            Config::Users => self.add_users(&mut config)?,
            Config::Small | Config::Default | Config::Limited => {}
            _ => add(self, which, &mut config)?,
        }
        Ok(config)
    }

    /// The container's root is another user, who has to reach the rootfs.
    fn add_users(&self, config: &mut Value) -> Outcome {
        use std::os::unix::fs::PermissionsExt as _;
        for dir in self.place.dir.ancestors() {
            let mode = fs::metadata(dir)?.permissions().mode();
            if mode & 0o001 == 0 {
                fs::set_permissions(dir, fs::Permissions::from_mode(mode | 0o011))?;
            }
        }
        let range = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
        config["linux"]["uidMappings"] = range.clone();
        config["linux"]["gidMappings"] = range;
        let bind = json!({
            "destination": "/tmp", "type": "bind", "source": "/usr", "options": ["rbind", "ro"],
        });
        let user = json!({"type": "user"});
        for (pointer, entry) in [("/linux/namespaces", user), ("/mounts", bind)] {
            if let Some(list) = config.pointer_mut(pointer).and_then(Value::as_array_mut) {
                list.push(entry);
            }
        }
        Ok(())
    }
}
