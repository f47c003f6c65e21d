//! The yardstick must neither drift nor cheat: its system calls are a fixed list, and what it makes
//! is the container that it claims to make.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A rootfs and a cgroup name of this test's own.
struct Bundle {
    directory: PathBuf,
    cgroup: PathBuf,
    program: PathBuf,
}

impl Bundle {
    /// A rootfs that holds the mount points and a copy of `program`.
    fn new(name: &str, program: &Path) -> Self {
        let name = format!("kan-floor-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(&name);
        for mount_point in ["proc", "dev", "sys"] {
            std::fs::create_dir_all(directory.join("rootfs").join(mount_point)).unwrap();
        }
        std::fs::copy(
            program,
            directory.join("rootfs").join(program.file_name().unwrap()),
        )
        .unwrap();
        Self {
            directory,
            cgroup: cgroup2().join(name),
            program: Path::new("/").join(program.file_name().unwrap()),
        }
    }

    /// `floor`, to be completed with the container's arguments, behind `wrapper`.
    fn floor(&self, wrapper: &[&OsStr]) -> Command {
        let floor = [OsStr::new(env!("CARGO_BIN_EXE_floor"))];
        let rootfs = self.directory.join("rootfs");
        let words: Vec<&OsStr> = wrapper.iter().chain(&floor).copied().collect();
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .arg(rootfs)
            .arg(&self.cgroup)
            .arg(&self.program);
        command
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        // The cgroup is gone already where the floor succeeded.
        let _ = std::fs::remove_dir(&self.cgroup);
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Where cgroup2 is mounted: the whole of /sys/fs/cgroup, or `unified` in it on a hybrid host.
fn cgroup2() -> PathBuf {
    let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(PathBuf::from);
    let found = roots
        .into_iter()
        .find(|root| root.join("cgroup.controllers").exists());
    found.expect("cgroup2 is mounted at /sys/fs/cgroup or /sys/fs/cgroup/unified")
}

/// The lines `name count` of floor.syscalls.
fn listed() -> BTreeMap<String, usize> {
    let lines = include_str!("../floor.syscalls").lines();
    let words = lines.map(|line| {
        line.split('#')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect::<Vec<_>>()
    });
    words
        .filter(|words| !words.is_empty())
        .map(|words| (words[0].to_owned(), words[1].parse().unwrap()))
        .collect()
}

/// Counts the calls of an `strace -f` log from the first mkdirat on, without what a process does
/// after its own execve.
fn traced(log: &str) -> BTreeMap<String, usize> {
    let calls = log.lines().filter_map(|line| {
        let (pid, call) = line.split_once(' ')?;
        Some((pid, call.trim_start().split_once('(')?.0))
    });
    let mut replaced = Vec::new();
    let mut counts = BTreeMap::new();
    for (pid, name) in calls.skip_while(|(_, name)| *name != "mkdirat") {
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name || replaced.contains(&pid) {
            continue;
        }
        *counts.entry(name.to_owned()).or_default() += 1;
        if name == "execve" {
            replaced.push(pid);
        }
    }
    counts
}

#[test]
#[ignore = "needs root and strace"]
fn the_floor_makes_exactly_the_listed_calls() {
    let bundle = Bundle::new("calls", Path::new(env!("CARGO_BIN_EXE_payload")));
    let log = bundle.directory.join("strace");
    let wrapper = ["strace", "-f", "-o"].map(OsStr::new);
    let wrapper: Vec<&OsStr> = wrapper.into_iter().chain([log.as_os_str()]).collect();
    let status = bundle.floor(&wrapper).status().unwrap();
    assert_eq!(
        status.code(),
        Some(42),
        "the payload's own status: {status}"
    );
    assert_eq!(traced(&std::fs::read_to_string(&log).unwrap()), listed());
    assert!(!bundle.cgroup.exists(), "the cgroup is removed");
}

/// What the container sees, one `name=value` a line.
const LOOK: &str = r#"
busybox() { /busybox "$@"; }
echo "hostname=$(busybox hostname)"
echo "pid=$$"
echo "nofile=$(ulimit -n)"
echo "umask=$(umask)"
echo "interfaces=$(busybox ls /sys/class/net | busybox tr '\n' ' ')"
echo "mounts=$(busybox cut -d' ' -f2 /proc/self/mounts | busybox head -n 8 | busybox tr '\n' ' ')"
echo "cgroup=$(busybox sed -n s/^0:://p /proc/self/cgroup)"
echo "keys=$(busybox wc -c < /proc/keys)"
echo "writable=$( (echo y > /proc/sys/kernel/hostname) 2>/dev/null && echo sys; busybox touch /x 2>/dev/null && echo root)"
echo "devices=$(busybox stat -c '%n %a %t:%T' /dev/null /dev/tty | busybox tr '\n' ' ')"
echo "links=$(busybox readlink /dev/fd) $(busybox readlink /dev/ptmx)"
busybox sed -n 's/^\(CapBnd\|CapPrm\|CapInh\|NoNewPrivs\):[[:space:]]*/\1=/p' /proc/self/status
"#;

const SEEN: &str = "hostname=floor
pid=1
nofile=1024
umask=0022
interfaces=lo 
mounts=/ /proc /dev /dev/pts /dev/shm /dev/mqueue /sys /sys/fs/cgroup 
cgroup=/
keys=0
writable=
devices=/dev/null 666 1:3 /dev/tty 666 5:0 
links=/proc/self/fd pts/ptmx
CapInh=0000000000000000
CapPrm=0000000020000420
CapBnd=0000000020000420
NoNewPrivs=1
";

#[test]
#[ignore = "needs root and busybox-static"]
fn the_floor_makes_a_real_container() {
    let bundle = Bundle::new("look", Path::new("/bin/busybox"));
    let output = bundle.floor(&[]).args(["sh", "-c", LOOK]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), SEEN);
    assert!(output.status.success());
}

#[test]
#[ignore = "needs root"]
fn the_program_status_is_the_floors_status() {
    let bundle = Bundle::new("status", Path::new("/bin/busybox"));
    assert_eq!(
        bundle
            .floor(&[])
            .args(["sh", "-c", "exit 7"])
            .status()
            .unwrap()
            .code(),
        Some(7)
    );
    let output = bundle.floor(&[]).env_clear().output().unwrap();
    assert!(!bundle.cgroup.exists(), "{output:?}");
}

#[test]
#[ignore = "needs root"]
fn a_missing_rootfs_fails_and_says_so() {
    let bundle = Bundle::new("missing", Path::new(env!("CARGO_BIN_EXE_payload")));
    std::fs::remove_dir(bundle.directory.join("rootfs/sys")).unwrap();
    let output = bundle.floor(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(255));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("No such file"),
        "{output:?}"
    );
}
