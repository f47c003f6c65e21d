//! Limits on devices, against the real kernel: v1's controller and v2's program, each where this
//! machine has it. Needs root; says so and passes otherwise.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the functions here that are no tests are part of them"
)]

#[allow(dead_code, reason = "the unit tests use the rest")]
#[path = "../src/devices/model.rs"]
mod model;

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kan_cgroup::{DevicesError, Pid, Placement, limit_devices, replace_devices};
use kan_op::host::DeviceRule;
use model::{Asked, Random, allowed, rules};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

/// Set in this test program when it runs inside a cgroup: the directory with the device nodes.
const PROBE: &str = "KAN_DEVICES_PROBE";

/// What the probe tries. 120 is a major without a driver (admin-guide/devices.txt).
const DEVICES: [(bool, u32, u32); 6] = [
    (false, 1, 3),
    (false, 1, 5),
    (false, 1, 7),
    (false, 120, 3),
    (true, 120, 3),
    (true, 120, 5),
];

/// mknod, reading, writing, both.
const ACCESSES: [u8; 4] = [1, 2, 4, 6];

fn every_try() -> impl Iterator<Item = Asked> {
    DEVICES.into_iter().flat_map(|(block, major, minor)| {
        ACCESSES.map(|access| Asked {
            block,
            major,
            minor,
            access,
        })
    })
}

fn node(directory: &Path, asked: &Asked) -> PathBuf {
    let Asked {
        block,
        major,
        minor,
        ..
    } = asked;
    directory.join(format!("{block}-{major}-{minor}"))
}

fn make(path: &Path, asked: &Asked) -> rustix::io::Result<()> {
    let kind = match asked.block {
        true => FileType::BlockDevice,
        false => FileType::CharacterDevice,
    };
    let device = makedev(asked.major, asked.minor);
    mknodat(CWD, path, kind, Mode::from_raw_mode(0o600), device)
}

/// Whether the kernel permits it. A device without a driver fails later, with another error.
fn permitted(directory: &Path, asked: &Asked) -> bool {
    if asked.access == 1 {
        let path = directory.join("new");
        let made = make(&path, asked);
        let _ = fs::remove_file(&path);
        return made != Err(rustix::io::Errno::PERM);
    }
    let opened = fs::OpenOptions::new()
        .read(asked.access & 2 != 0)
        .write(asked.access & 4 != 0)
        .open(node(directory, asked));
    !opened.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

/// Not a test by itself: what [`Limited::answers`] runs in the cgroup.
#[test]
fn probe() {
    let Some(directory) = std::env::var_os(PROBE) else {
        return;
    };
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let answers = every_try().map(|asked| permitted(directory.as_ref(), &asked));
    let answers: String = answers.map(|yes| if yes { 'y' } else { 'n' }).collect();
    println!("\nanswers {answers}");
}

/// Where cgroup2 is mounted: alone, or beside v1.
fn v2_mount() -> Option<&'static str> {
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .into_iter()
        .find(|mount| Path::new(mount).join("cgroup.controllers").exists())
}

fn placement(kind: &str, mount: &str, name: &str) -> Placement {
    let controllers = match kind {
        "v1" => r#", "controllers": ["devices"]"#,
        _ => "",
    };
    serde_json::from_str(&format!(
        r#"[{{"mount": "{mount}", "path": "{name}", "kind": "{kind}"{controllers}}}]"#
    ))
    .unwrap()
}

fn v1(name: &str) -> Option<Limited> {
    let mount = "/sys/fs/cgroup/devices";
    let there = Path::new(mount).join("devices.list").exists();
    Limited::new("v1", there.then_some(mount), name)
}

fn v2(name: &str) -> Option<Limited> {
    Limited::new("unified", v2_mount(), name)
}

/// A cgroup that is made anew for every list of rules, and device nodes.
struct Limited {
    placement: Placement,
    nodes: PathBuf,
}

impl Limited {
    fn new(kind: &str, mount: Option<&str>, name: &str) -> Option<Self> {
        let name = format!("kan-devices-test-{}-{kind}-{name}", std::process::id());
        let Some(mount) = mount else {
            println!("skipped: no {kind} hierarchy for devices on this host");
            return None;
        };
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root");
            return None;
        }
        let nodes = std::env::temp_dir().join(&name);
        fs::create_dir(&nodes).unwrap();
        for asked in every_try().filter(|asked| asked.access == 1) {
            make(&node(&nodes, &asked), &asked).unwrap();
        }
        let placement = placement(kind, mount, &name);
        Some(Self { placement, nodes })
    }

    /// What a process in the cgroup is permitted, one answer for each of [`every_try`].
    fn answers(&self, rules: &[DeviceRule]) -> Result<Vec<bool>, DevicesError> {
        self.fresh();
        limit_devices(&self.placement, None, rules)?;
        Ok(self.present_answers())
    }

    fn present_answers(&self) -> Vec<bool> {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "probe", "--nocapture"])
            .env(PROBE, &self.nodes)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        kan_cgroup::join(&self.placement, Pid::from_child(&child)).unwrap();
        child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (_, answers) = text.split_once("answers ").unwrap();
        let answers = answers.chars().take_while(char::is_ascii_alphabetic);
        answers.map(|answer| answer == 'y').collect()
    }

    fn fresh(&self) {
        kan_cgroup::remove(&self.placement).unwrap();
        let _ = kan_cgroup::create(&self.placement).unwrap();
    }

    fn check(&self, rules: &[DeviceRule]) -> Result<(), DevicesError> {
        self.compare(rules, self.answers(rules)?);
        Ok(())
    }

    fn compare(&self, rules: &[DeviceRule], answers: Vec<bool>) {
        assert_eq!(answers.len(), every_try().count());
        for (asked, answer) in every_try().zip(answers) {
            assert_eq!(answer, allowed(rules, &asked), "{asked:?} {rules:#?}");
        }
    }

    /// Replaces rules by rules, each list by the next.
    fn check_replaced(&self, lists: &[Vec<DeviceRule>]) {
        self.fresh();
        limit_devices(&self.placement, None, &lists[0]).unwrap();
        for rules in lists.iter().chain(lists.iter().rev()) {
            replace_devices(&self.placement, rules).unwrap();
            self.compare(rules, self.present_answers());
        }
    }

    /// While lists that agree on some devices take turns, a process must never notice at these.
    fn check_moments(&self) {
        let lists = [
            &["deny a *:* rwm", "allow c 1:3 rwm", "allow c 1:5 rw"][..],
            &["deny a *:* rwm", "allow c 1:3 rwm"],
        ];
        let lists = lists.map(rules);
        self.fresh();
        limit_devices(&self.placement, None, &lists[0]).unwrap();
        let script = "read go
            while true </dev/null || echo denied; do
                (true </dev/full) 2>/dev/null && echo opened
                [ ! -e $0/stop ] || exit 0
            done";
        let mut child = Command::new("bash")
            .args(["-c", script])
            .arg(&self.nodes)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        kan_cgroup::join(&self.placement, Pid::from_child(&child)).unwrap();
        child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
        let start = std::time::Instant::now();
        while start.elapsed() < std::time::Duration::from_millis(700) {
            lists
                .iter()
                .for_each(|rules| replace_devices(&self.placement, rules).unwrap());
        }
        fs::write(self.nodes.join("stop"), "").unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.nodes);
        let removed = kan_cgroup::remove(&self.placement);
        if !std::thread::panicking() {
            removed.unwrap();
        }
    }
}

const LISTS: [&[&str]; 6] = [
    &["deny a *:* rwm"],
    &[
        "deny a *:* rwm",
        "allow c *:* m",
        "allow b *:* m",
        "allow c 1:3 rwm",
    ],
    &[
        "deny a *:* rwm",
        "allow c 1:* r",
        "allow c *:3 w",
        "allow c 1:7 rw",
    ],
    &["deny c 1:5 w", "deny b 120:* rm"],
    &["deny a *:* w"],
    &["deny a *:* rwm", "allow a *:* rwm", "deny c 120:3 r"],
];

#[test]
fn v1_does_what_the_rules_say() {
    let Some(limited) = v1("v1") else { return };
    for list in LISTS {
        limited.check(&rules(list)).unwrap();
    }
}

#[test]
fn v2_does_what_the_rules_say() {
    let Some(limited) = v2("v2") else { return };
    for list in LISTS {
        limited.check(&rules(list)).unwrap();
    }
    let hole = ["deny a *:* rwm", "allow c 1:* rwm", "deny c 1:3 w"];
    limited.check(&rules(&hole)).unwrap();
}

const NUMBERS: [u32; 4] = [1, 120, 3, 5];

fn replaced(limited: Option<Limited>) {
    if let Some(limited) = limited {
        limited.check_replaced(&LISTS.map(rules));
        limited.check_moments();
    }
}

#[test]
fn v1_takes_other_rules() {
    replaced(v1("replaced"));
}

#[test]
fn v2_takes_other_rules() {
    replaced(v2("replaced"));
}

#[test]
fn v1_does_what_random_rules_say() {
    let Some(limited) = v1("v1-random") else {
        return;
    };
    let mut random = Random(5, &NUMBERS);
    let mut expressible = 0;
    for _ in 0..100 {
        match limited.check(&random.rules()) {
            Err(DevicesError::Inexpressible { .. }) => {}
            result => {
                result.unwrap();
                expressible += 1;
            }
        }
    }
    assert!(expressible > 30, "{expressible}");
}

#[test]
fn v2_does_what_random_rules_say() {
    let Some(limited) = v2("v2-random") else {
        return;
    };
    let mut random = Random(6, &NUMBERS);
    for _ in 0..100 {
        limited.check(&random.rules()).unwrap();
    }
}

/// The kernel's work on the program must not grow with the square of the rules: beyond a million
/// steps it refuses it.
#[test]
fn v2_takes_thousands_of_devices() {
    let Some(limited) = v2("v2-many") else { return };
    let mut many = rules(&["deny a *:* rwm"]);
    for number in 0..2000 {
        many.extend(rules(&[
            &format!("allow c {}:{number} rw", number % 100 + 200),
            &format!("allow b {number}:{} rwm", number % 7),
        ]));
    }
    many.extend(rules(&["allow c *:* m", "allow b *:* m"]));
    limited.check(&many).unwrap();
}

#[test]
fn what_an_earlier_user_left_in_a_v1_cgroup_does_not_count() {
    let Some(limited) = v1("v1-left") else { return };
    limited.fresh();
    limit_devices(&limited.placement, None, &rules(LISTS[1])).unwrap();
    limit_devices(&limited.placement, None, &rules(&["deny c 1:5 w"])).unwrap();
    limit_devices(&limited.placement, None, &rules(&["deny c 120:3 w"])).unwrap();
    limit_devices(&limited.placement, None, &rules(LISTS[2])).unwrap();
    let list = limited.placement.directories()[0]
        .path()
        .join("devices.list");
    let list = fs::read_to_string(list).unwrap();
    assert_eq!(list, "c 1:* r\nc *:3 w\nc 1:7 rw\nc 1:3 rw\n");
}

#[test]
fn a_v1_host_without_the_controller_is_told() {
    let none = placement("v1", "/sys/fs/cgroup/pids", "kan-devices-none");
    let text = serde_json::to_string(&none)
        .unwrap()
        .replace("devices\"]", "pids\"]");
    let none: Placement = serde_json::from_str(&text).unwrap();
    let error = limit_devices(&none, None, &rules(LISTS[0])).unwrap_err();
    assert!(matches!(error, DevicesError::NoController), "{error}");
    assert!(error.to_string().contains("devices controller"));
}

#[test]
fn a_missing_cgroup_is_named() {
    for (kind, mount) in [
        ("v1", "/sys/fs/cgroup/devices"),
        ("unified", "/sys/fs/cgroup"),
    ] {
        let missing = placement(kind, mount, "kan-devices-test-missing");
        let error = limit_devices(&missing, None, &rules(LISTS[0])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("kan-devices-test-missing"), "{text}");
        assert!(text.contains("no such file"), "{text}");
        assert!(!error.is_permission());
    }
}

#[test]
fn a_host_without_cgroups_limits_nothing() {
    let absent = serde_json::from_str("[]").unwrap();
    limit_devices(&absent, None, &rules(LISTS[0])).unwrap();
}

#[test]
fn a_refused_filter_names_call_cgroup_and_cause() {
    let refused = |errno| DevicesError::Filter {
        operation: "loading",
        path: "/sys/fs/cgroup/web".into(),
        source: kan_sys::Error {
            call: kan_sys::Sysno::bpf,
            errno,
        },
    };
    let error = refused(kan_sys::Errno::EPERM);
    assert_eq!(
        error.to_string(),
        "loading the device filter of /sys/fs/cgroup/web: bpf: operation not permitted"
    );
    assert!(error.is_permission());
    assert!(error.hint().unwrap().contains("CAP_BPF"));
    let unknown = refused(kan_sys::Errno::EINVAL);
    assert!(!unknown.is_permission());
    assert!(unknown.hint().unwrap().contains("CONFIG_CGROUP_BPF"));
}
