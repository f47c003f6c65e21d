//! What a process has and shows at one moment, looked at from outside.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

use crate::moment::Moment;
use crate::outcome::Outcome;
use crate::secrecy;

/// Lines of /proc/PID/status that say what a process may do.
const CREDENTIALS: [&str; 9] = [
    "Uid",
    "Gid",
    "Groups",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
];

/// Names that /proc/PID/maps has for memory of the kernel's, and for the page with the thread's data
/// of the C library.
const NO_FILES: [&str; 6] = [
    "",
    "[heap]",
    "[vdso]",
    "[vvar]",
    "[vvar_vclock]",
    "[vsyscall]",
];

/// The board, which kan and its child share.
const SHARED: &str = "/dev/zero (deleted)";

/// What a process is.
#[derive(Clone, Debug)]
pub struct Seen {
    root: (u64, u64),
    cwd: (u64, u64),
    /// What its standard streams are.
    streams: Vec<(i32, String)>,
    /// Namespaces, credentials, limits and cgroup, by name.
    words: BTreeMap<String, String>,
}

impl Seen {
    /// Looks at a process.
    ///
    /// # Errors
    /// If it is gone.
    pub fn of(pid: Pid) -> Outcome<Self> {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let mut words = BTreeMap::new();
        for entry in fs::read_dir(proc.join("ns"))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let link = fs::read_link(&path)?.display().to_string();
            words.insert(format!("ns/{name}"), link);
        }
        let status = fs::read_to_string(proc.join("status"))?;
        for line in status.lines() {
            let (name, value) = line.split_once(':').unwrap_or_default();
            if CREDENTIALS.contains(&name) {
                words.insert(name.into(), value.trim().into());
            }
        }
        for name in ["limits", "cgroup", "oom_score_adj"] {
            words.insert(name.into(), fs::read_to_string(proc.join(name))?);
        }
        Ok(Self {
            root: identity(&proc.join("root"))?,
            cwd: identity(&proc.join("cwd"))?,
            streams: streams(pid)?,
            words,
        })
    }

    fn capabilities(&self, name: &str) -> u64 {
        let text = self.words.get(name).map_or("", String::as_str);
        u64::from_str_radix(text, 16).unwrap_or(u64::MAX)
    }
}

/// Files that have been removed since are the same.
fn streams(pid: Pid) -> Outcome<Vec<(i32, String)>> {
    let mut all = secrecy::descriptors(pid.as_raw())?;
    all.retain(|(number, _)| *number <= 2);
    for (_, target) in &mut all {
        *target = target.trim_end_matches(" (deleted)").into();
    }
    Ok(all)
}

/// What may differ from the program.
pub struct Allowed<'a> {
    /// Capabilities, beside those of the bounding set.
    pub capabilities: u64,
    /// Whether it forks hooks.
    pub has_hooks: bool,
    /// Whether it is such a fork.
    pub is_hook: bool,
    /// What it executes.
    pub kan: &'a Path,
}

/// A process at one moment.
#[derive(Debug)]
pub struct Look {
    /// Which process.
    pub pid: Pid,
    /// Where it stands.
    pub moment: Moment,
    /// What it is.
    pub seen: Seen,
    /// Numbers, and what links of procfs say of them.
    descriptors: Vec<(i32, String)>,
    /// The names in /proc/PID/maps, with inodes.
    mapped: Vec<(String, u64)>,
    /// What of the canaries was found, and where.
    found: Vec<String>,
    /// The file that is executed.
    exe: (u64, u64),
    /// Why that file is none that nobody can write to.
    unsealed: Option<String>,
    /// The owner of its files in procfs: root's if it is not dumpable, proc(5).
    owner: u32,
}

impl Look {
    /// Looks at a process.
    ///
    /// # Errors
    /// If it is gone.
    pub fn at(pid: Pid, moment: Moment, canaries: &[String]) -> Outcome<Self> {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let memory = Memory::of(&proc)?;
        let exe = proc.join("exe");
        Ok(Self {
            pid,
            moment,
            seen: Seen::of(pid)?,
            descriptors: secrecy::descriptors(pid.as_raw())?,
            found: [
                memory.search(canaries)?,
                search("environ", &fs::read(proc.join("environ"))?, canaries),
                search("cmdline", &fs::read(proc.join("cmdline"))?, canaries),
            ]
            .concat(),
            mapped: memory.names(),
            exe: identity(&exe)?,
            unsealed: secrecy::check_sealed(&exe).err().map(|fault| fault.0),
            owner: fs::metadata(proc.join("mem"))?.uid(),
        })
    }

    /// What of the canaries was found, and where.
    pub fn found(&self) -> &[String] {
        &self.found
    }

    /// What the process has, or shows, beyond the program.
    pub fn differences(&self, program: &Seen, more: &Allowed<'_>) -> Vec<String> {
        let mut faults = self.found.clone();
        let seen = &self.seen;
        if seen.root != program.root {
            faults.push(format!("root is {:?}, not {:?}", seen.root, program.root));
        }
        if seen.cwd != program.cwd {
            faults.push(format!("cwd is {:?}, not {:?}", seen.cwd, program.cwd));
        }
        for (key, value, wanted) in unequal(&seen.words, &program.words) {
            if !matches!(key, "CapPrm" | "CapEff") {
                faults.push(format!("{key} is {value:?}, not {wanted:?}"));
            }
        }
        // execve(2) takes what process.capabilities says away from all but root.
        let most = program.capabilities("CapBnd") | more.capabilities;
        for set in ["CapPrm", "CapEff"] {
            let beyond = seen.capabilities(set) & !most;
            if beyond != 0 {
                faults.push(format!("{set} has {beyond:x} beyond the bounding set"));
            }
        }
        if self.moment != Moment::Executed {
            faults.extend(self.is_not_kan(more.kan));
        }
        if !more.is_hook && seen.streams != program.streams {
            faults.push(format!("the streams are {:?}", seen.streams));
        }
        faults.extend(self.wrong_descriptors(more.has_hooks));
        faults
    }

    /// Until execve(2) it executes kan's file, which nobody can write to, and has mapped nothing else.
    fn is_not_kan(&self, kan: &Path) -> Vec<String> {
        let mut faults: Vec<_> = self.unsealed.iter().cloned().collect();
        if identity(kan).ok() != Some(self.exe) {
            faults.push(format!("exe is {:?}", self.exe));
        }
        if self.owner != 0 {
            faults.push(format!("mem belongs to {}: it is dumpable", self.owner));
        }
        let boards = self.mapped.iter().filter(|(name, _)| name == SHARED);
        if boards.count() > 1 {
            faults.push("more than the board is shared".into());
        }
        for (name, inode) in &self.mapped {
            let is_memory = *inode == 0 && NO_FILES.contains(&name.as_str());
            if !is_memory && name != SHARED && *inode != self.exe.1 {
                faults.push(format!("{name} is mapped"));
            }
        }
        faults
    }

    /// docs/protocol.md: beside the standard streams at most one of each of these, which execve(2)
    /// closes. A hook is given its state by a pipe.
    fn wrong_descriptors(&self, has_hooks: bool) -> Vec<String> {
        let mut faults = Vec::new();
        let kind = |target: &str| match target {
            socket if socket.starts_with("socket:") => "channel",
            fifo if fifo.contains("fifo") => "FIFO",
            "anon_inode:seccomp notify" => "listener",
            pipe if pipe.starts_with("pipe:") => "pipe",
            "anon_inode:[pidfd]" => "pidfd",
            _ => "",
        };
        let mut kinds = Vec::new();
        for (number, target) in self.descriptors.iter().filter(|(number, _)| *number > 2) {
            let kind = kind(target);
            let is_allowed = match kind {
                "" => false,
                "pipe" | "pidfd" => has_hooks,
                _ => !kinds.contains(&kind),
            };
            if !is_allowed || self.moment == Moment::Executed {
                faults.push(format!("descriptor {number} is {target}"));
            }
            kinds.push(kind);
        }
        faults
    }
}

/// The memory of a process.
struct Memory {
    file: File,
    mappings: Vec<Mapping>,
}

struct Mapping {
    start: u64,
    end: u64,
    is_readable: bool,
    name: String,
    inode: u64,
    /// Whether there are pages that are not the file's.
    is_own: bool,
}

impl Memory {
    fn of(proc: &Path) -> Outcome<Self> {
        let mut mappings: Vec<Mapping> = Vec::new();
        for line in fs::read_to_string(proc.join("smaps"))?.lines() {
            let words: Vec<_> = line.split_ascii_whitespace().collect();
            let range = words.first().and_then(|range| range.split_once('-'));
            let number = |text| u64::from_str_radix(text, 16).ok();
            let range = range.and_then(|(start, end)| Some((number(start)?, number(end)?)));
            if let (Some((start, end)), Some(last)) = (range, words.get(1)) {
                mappings.push(Mapping {
                    start,
                    end,
                    is_readable: last.starts_with('r'),
                    name: words.get(5..).unwrap_or_default().join(" "),
                    inode: words.get(4).unwrap_or(&"").parse()?,
                    // The second is that of shared memory.
                    is_own: words.get(4) == Some(&"0") || words.get(3) == Some(&"00:01"),
                });
            } else if let (["Anonymous:" | "Swap:", size, _], Some(last)) =
                (&words[..], mappings.last_mut())
            {
                last.is_own |= *size != "0";
            }
        }
        let file = File::open(proc.join("mem"))?;
        Ok(Self { file, mappings })
    }

    fn names(&self) -> Vec<(String, u64)> {
        let names = self.mappings.iter();
        names.map(|one| (one.name.clone(), one.inode)).collect()
    }

    fn search(&self, canaries: &[String]) -> Outcome<Vec<String>> {
        let mut found = Vec::new();
        for mapping in self
            .mappings
            .iter()
            .filter(|one| one.is_readable && one.is_own)
        {
            let size = usize::try_from(mapping.end - mapping.start)?;
            let mut bytes = vec![0; size];
            // The kernel's own pages can't be read this way.
            if self.file.read_exact_at(&mut bytes, mapping.start).is_ok() {
                let place = format!("memory {:x} {}", mapping.start, mapping.name);
                found.extend(search(&place, &bytes, canaries));
            }
        }
        Ok(found)
    }
}

fn search(place: &str, bytes: &[u8], canaries: &[String]) -> Vec<String> {
    let holds = |canary: &&String| {
        let first = canary.as_bytes().first();
        bytes
            .windows(canary.len())
            .any(|part| part.first() == first && part == canary.as_bytes())
    };
    let found = canaries.iter().filter(holds);
    found
        .map(|canary| format!("{place} has {canary:?}"))
        .collect()
}

/// What is unequal in two maps, with its name.
fn unequal<'a>(
    one: &'a BTreeMap<String, String>,
    other: &'a BTreeMap<String, String>,
) -> Vec<(&'a str, &'a str, &'a str)> {
    let none = "";
    one.iter()
        .map(|(key, value)| {
            let other = other.get(key).map_or(none, String::as_str);
            (key.as_str(), value.as_str(), other)
        })
        .filter(|(_, value, other)| value != other)
        .collect()
}

/// The device and inode of what a link of procfs leads to.
fn identity(path: &Path) -> Outcome<(u64, u64)> {
    let found = fs::metadata(path)?;
    Ok((found.dev(), found.ino()))
}
