//! `probe reach`: a process of the container that goes for every other that appears in its pid
//! namespace, as fast as it can and by all that CAP_SYS_PTRACE permits.
//!
//! What it looks for is given by words `NAME=VALUE`:
//! - `root=DEV:INODE`: a root directory, beside its own, that a process may have;
//! - `secret=PATH`: a file of the host's;
//! - `word=TEXT`: backwards, what must be found in nobody's memory;
//! - `namespace=LINK`: one of the host's, in which nobody may be;
//! - `capabilities=HEX`: all that a process may have;
//! - `hooks=1`: pipes and pidfds are expected;
//! - `stops=1`: every other process is stopped while it is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};

use crate::foreign::{self, Traced};
use crate::kernel;

/// How many pids after the last one are tried without asking /proc for a list.
const AHEAD: i32 = 4;

/// After how many tries the list is read.
const LIST_EVERY: u32 = 64;

/// Different findings of one process.
const MOST: usize = 200;

/// What is done to a process that appears.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// It is looked through.
    Look,
    /// It is killed at once.
    Kill,
    /// It is stopped, and never let go.
    Hold,
    /// What it shares with the runtime is overwritten: memory, and the socket.
    Scribble,
}

struct Attacker {
    manner: Manner,
    own: i32,
    roots: Vec<(u64, u64)>,
    exe: (u64, u64),
    secret: String,
    words: Vec<Vec<u8>>,
    namespaces: Vec<String>,
    capabilities: u64,
    has_hooks: bool,
    stops: bool,
    found: BTreeSet<String>,
    seen: BTreeMap<i32, u64>,
    rounds: u32,
    before: u32,
    stopped: u32,
}

/// Until TERM; prints a line `found …` for all that leads out of the container, and how many
/// processes were caught before they executed their program.
pub fn until_term(manner: &str, words: &[&str]) -> Result<i32, String> {
    let manner = match manner {
        "look" => Manner::Look,
        "kill" => Manner::Kill,
        "hold" => Manner::Hold,
        "scribble" => Manner::Scribble,
        _ => return Err(format!("unknown manner: {manner}")),
    };
    kernel::block_all_signals();
    let mut attacker = Attacker::new(manner, words).map_err(|error| error.to_string())?;
    say("ready");
    attacker.attack();
    for what in &attacker.found {
        say(&format!("found {what}"));
    }
    let Attacker {
        rounds,
        before,
        stopped,
        ..
    } = attacker;
    say(&format!(
        "reached {rounds}, before execve {before}, stopped {stopped}"
    ));
    say("done");
    Ok(0)
}

fn identity(path: &str) -> io::Result<(u64, u64)> {
    let meta = fs::metadata(path)?;
    Ok((meta.dev(), meta.ino()))
}

impl Attacker {
    fn new(manner: Manner, words: &[&str]) -> io::Result<Self> {
        let mut attacker = Self {
            manner,
            own: i32::try_from(std::process::id()).unwrap_or(0),
            roots: vec![identity("/")?],
            exe: identity("/proc/self/exe")?,
            secret: String::new(),
            words: Vec::new(),
            namespaces: Vec::new(),
            capabilities: u64::MAX,
            has_hooks: false,
            stops: false,
            found: BTreeSet::new(),
            seen: BTreeMap::new(),
            rounds: 0,
            before: 0,
            stopped: 0,
        };
        for word in words {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match name {
                "root" => {
                    let (dev, ino) = value.split_once(':').unwrap_or_default();
                    attacker
                        .roots
                        .push((dev.parse().unwrap_or(0), ino.parse().unwrap_or(0)));
                }
                "secret" => value.clone_into(&mut attacker.secret),
                // Backwards, so that it is not found in whoever knows what is looked for.
                "word" => attacker.words.push(value.bytes().rev().collect()),
                "namespace" => attacker.namespaces.push(value.to_owned()),
                "capabilities" => {
                    attacker.capabilities = u64::from_str_radix(value, 16).unwrap_or(0);
                }
                "hooks" => attacker.has_hooks = true,
                "stops" => attacker.stops = true,
                _ => {}
            }
        }
        Ok(attacker)
    }

    fn attack(&mut self) {
        let (mut last, mut tries) = (self.own, 0);
        while !kernel::is_pending(libc::SIGTERM) {
            let guessed = (1..=AHEAD).map(|ahead| last + ahead);
            let guessed = guessed.filter(|pid| foreign::exists(*pid));
            let mut pids: Vec<_> = guessed.collect();
            tries += 1;
            if tries % LIST_EVERY == 0 {
                pids = listed();
                self.seen.retain(|pid, _| pids.contains(pid));
            }
            for pid in pids {
                if pid != self.own && self.is_new(pid) {
                    self.rounds += 1;
                    self.reach(pid);
                    last = pid;
                }
            }
        }
    }

    /// A pid is taken for another process when its directory is another file.
    fn is_new(&mut self, pid: i32) -> bool {
        let Ok(meta) = fs::metadata(format!("/proc/{pid}")) else {
            return false;
        };
        self.seen.insert(pid, meta.ino()) != Some(meta.ino())
    }

    fn find(&mut self, what: String) {
        if self.found.len() < MOST {
            self.found.insert(what);
        }
    }

    fn reach(&mut self, pid: i32) {
        if self.manner == Manner::Kill {
            foreign::send(pid, libc::SIGKILL);
            return;
        }
        // Every other one runs on meanwhile: it may get further, and is at less leisure.
        let stops = self.stops && self.rounds.is_multiple_of(2);
        let traced = (self.manner != Manner::Look || stops)
            .then(|| Traced::stopped(pid))
            .flatten();
        self.stopped += u32::from(traced.is_some());
        let is_before = self.is_before(pid);
        self.before += u32::from(is_before);
        match self.manner {
            Manner::Look => self.look(pid),
            Manner::Scribble if is_before => scribble(pid),
            Manner::Hold => {
                if let Some(traced) = traced {
                    traced.keep();
                }
            }
            Manner::Scribble | Manner::Kill => {}
        }
    }

    fn look(&mut self, pid: i32) {
        self.look_at_places(pid);
        self.look_at_executable(pid);
        self.look_at_credentials(pid);
        self.look_at_memory(pid);
        self.look_at_descriptors(pid);
        self.take_descriptors(pid);
        self.look_at_mapped_files(pid);
        self.enter_namespaces(pid);
        for what in foreign::shared(pid, 1) {
            if pid != 1 && self.own != 1 {
                self.find(format!("shared {what}"));
            }
        }
        foreign::send(pid, libc::SIGCONT);
    }

    /// Whether a process does not execute the container's program yet.
    fn is_before(&self, pid: i32) -> bool {
        identity(&format!("/proc/{pid}/exe")).is_ok_and(|exe| exe != self.exe)
    }

    /// Root and working directory lead nowhere else, and to no file of the host's.
    fn look_at_places(&mut self, pid: i32) {
        for link in ["root", "cwd"] {
            let path = format!("/proc/{pid}/{link}");
            if identity(&path).is_ok_and(|place| !self.roots.contains(&place)) {
                let name = fs::read_link(&path).unwrap_or_default();
                self.find(format!("{link} is elsewhere: {}", name.display()));
            }
            let above = "/..".repeat(if link == "cwd" { 12 } else { 0 });
            if !self.secret.is_empty() && fs::read(format!("{path}{above}{}", self.secret)).is_ok()
            {
                self.find(format!("secret through {link}"));
            }
        }
    }

    /// The file that it executes can't be written to. The container's own is not the question.
    fn look_at_executable(&mut self, pid: i32) {
        let path = format!("/proc/{pid}/exe");
        let held = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_PATH)
            .open(path);
        let Ok(held) = held else { return };
        let is_own = held
            .metadata()
            .is_ok_and(|meta| (meta.dev(), meta.ino()) == self.exe);
        let again = format!("/proc/self/fd/{}", held.as_raw_fd());
        if !is_own && OpenOptions::new().write(true).open(again).is_ok() {
            self.find("executable opened for writing".into());
        }
    }

    /// No more than what the container has, and nobody's words in what it was started with.
    fn look_at_credentials(&mut self, pid: i32) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        for set in ["CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb"] {
            let value = status.lines().find_map(|line| line.strip_prefix(set));
            let value = value.unwrap_or_default().trim_start_matches(':').trim();
            let value = u64::from_str_radix(value, 16).unwrap_or(0);
            if value & !self.capabilities != 0 {
                self.find(format!("capabilities: {set} {value:x}"));
            }
        }
        for file in ["environ", "cmdline", "auxv", "stack", "syscall", "maps"] {
            let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            self.search(file, &bytes);
        }
    }

    fn search(&mut self, place: &str, bytes: &[u8]) {
        let all = self.words.iter();
        let found: Vec<_> = all
            .filter(|word| foreign::contains(bytes, word))
            .map(|word| format!("{:?} in {place}", String::from_utf8_lossy(word)))
            .collect();
        found.into_iter().for_each(|what| self.find(what));
    }

    /// Through /proc/PID/mem, or the other way.
    fn look_at_memory(&mut self, pid: i32) {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
        let file = File::open(format!("/proc/{pid}/mem"));
        for line in maps.lines() {
            let words: Vec<_> = line.split_ascii_whitespace().collect();
            let [range, flags, _, _, inode, ..] = words[..] else {
                continue;
            };
            // What nobody could write to is what the file has.
            if !flags.starts_with('r') || (inode != "0" && !flags.contains('w')) {
                continue;
            }
            let (start, end) = range.split_once('-').unwrap_or_default();
            let number = |text| u64::from_str_radix(text, 16).unwrap_or(0);
            let (start, end) = (number(start), number(end));
            let mut bytes = vec![0; usize::try_from(end - start).unwrap_or(0).min(16 << 20)];
            if let Ok(file) = &file
                && file.read_exact_at(&mut bytes, start).is_ok()
            {
                self.search("mem", &bytes);
            } else if foreign::read_memory(pid, start, &mut bytes).is_ok() {
                self.search("memory", &bytes);
            }
        }
    }

    /// By the links in /proc, each of which is opened.
    fn look_at_descriptors(&mut self, pid: i32) {
        for dir in ["fd", "fdinfo"] {
            let entries = fs::read_dir(format!("/proc/{pid}/{dir}"));
            for entry in entries.into_iter().flatten().flatten() {
                let number = entry.file_name().to_string_lossy().parse().unwrap_or(0);
                let is_before = self.is_before(pid);
                let Ok(target) = fs::read_link(entry.path()) else {
                    continue;
                };
                let target = target.display().to_string();
                let is_dir = fs::metadata(entry.path()).is_ok_and(|meta| meta.is_dir());
                // It may have become the program meanwhile.
                if number > 2 && (is_dir || is_before && self.is_before(pid)) {
                    self.judge(&target, is_dir);
                }
            }
        }
    }

    /// docs/protocol.md: the channel, the FIFO, and the listener of a filter.
    fn judge(&mut self, target: &str, is_dir: bool) {
        let is_expected = target.starts_with("socket:")
            || target.contains("fifo")
            || target == "anon_inode:seccomp notify"
            || self.has_hooks && (target.starts_with("pipe:") || target == "anon_inode:[pidfd]");
        if is_dir || !is_expected {
            self.find(format!("descriptor {target}"));
        }
    }

    /// By pidfd_getfd(2).
    fn take_descriptors(&mut self, pid: i32) {
        let Ok(pidfd) = foreign::pidfd(pid) else {
            return;
        };
        for number in 3..64 {
            if !self.is_before(pid) {
                return;
            }
            let Ok(taken) = foreign::take_descriptor(&pidfd, number) else {
                continue;
            };
            let name = fs::read_link(format!("/proc/self/fd/{}", taken.as_raw_fd()));
            let name = name.unwrap_or_default().display().to_string();
            let is_dir = taken.metadata().is_ok_and(|meta| meta.is_dir());
            if self.is_before(pid) {
                self.judge(&name, is_dir);
            }
        }
    }

    fn look_at_mapped_files(&mut self, pid: i32) {
        let entries = fs::read_dir(format!("/proc/{pid}/map_files"));
        for entry in entries.into_iter().flatten().flatten() {
            let opened = OpenOptions::new().write(true).open(entry.path());
            let is_zero = fs::read_link(entry.path())
                .is_ok_and(|link| link.to_string_lossy().starts_with("/dev/zero"));
            if opened.is_ok() && !is_zero && self.is_before(pid) {
                self.find("mapped file opened for writing".into());
            }
        }
    }

    fn enter_namespaces(&mut self, pid: i32) {
        let entries = fs::read_dir(format!("/proc/{pid}/ns"));
        for entry in entries.into_iter().flatten().flatten() {
            let link = fs::read_link(entry.path()).unwrap_or_default();
            let link = link.display().to_string();
            if self.namespaces.contains(&link) {
                let enters = File::open(entry.path()).is_ok_and(|file| foreign::enters(&file));
                let can = if enters { ", and can be entered" } else { "" };
                self.find(format!("namespace {link} of the host{can}"));
            }
        }
    }
}

/// What a process shares with the runtime: memory that both write to, and a socket.
fn scribble(pid: i32) {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let memory = OpenOptions::new()
        .write(true)
        .open(format!("/proc/{pid}/mem"));
    let shared = maps.lines().filter(|line| line.contains(" rw-s "));
    for range in shared.filter_map(|line| line.split(' ').next()) {
        let (start, end) = range.split_once('-').unwrap_or_default();
        let number = |text| u64::from_str_radix(text, 16).unwrap_or(0);
        let (start, end) = (number(start), number(end));
        let bytes: Vec<u8> = (start..end).map(|at| noise(at, pid)).collect();
        if let Ok(memory) = &memory {
            let _ = memory.write_all_at(&bytes, start);
        }
    }
    let Ok(pidfd) = foreign::pidfd(pid) else {
        return;
    };
    for number in 3..16 {
        if let Ok(mut taken) = foreign::take_descriptor(&pidfd, number) {
            let many: Vec<u8> = (0..u64::from(pid.unsigned_abs() % 7))
                .map(|at| noise(at, pid))
                .collect();
            let _ = taken.write_all(&many);
        }
    }
}

/// Sometimes all ones, sometimes one number after the other, sometimes anything.
fn noise(at: u64, pid: i32) -> u8 {
    let seed = u64::from(pid.unsigned_abs());
    let mixed = at
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    match seed % 4 {
        0 => 0xff,
        1 => u8::try_from((at + seed / 4) % 256).unwrap_or(0),
        2 => u8::from(at.is_multiple_of(8)),
        _ => u8::try_from(mixed >> 56).unwrap_or(0),
    }
}

/// The processes that /proc shows.
fn listed() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name());
    names
        .filter_map(|name| name.to_str()?.parse().ok())
        .collect()
}

/// One line, written at once.
fn say(line: &str) {
    println!("{line}");
    let _ = io::stdout().flush();
}
