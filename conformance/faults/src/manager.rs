//! A process that answers for systemd's manager: as much of org.freedesktop.systemd1(5) as a scope
//! takes, over its private socket. It makes and removes the scope's cgroups, and knows nothing else
//! of units; one that is empty stays until it is stopped, so that what nobody stops is found.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::leftovers::await_exit;

/// The argument of the process that is the manager.
pub const MANAGE: &str = "--manage";

/// Where kan looks for it, and for whether systemd runs: sd_booted(3).
pub const SOCKET: &str = "/run/systemd/private";
pub const BOOTED: &str = "/run/systemd/system";

/// Hierarchies that systemd has a cgroup in, as far as they are there.
const HIERARCHIES: [&str; 3] = [
    "/sys/fs/cgroup/systemd",
    "/sys/fs/cgroup/unified",
    "/sys/fs/cgroup",
];

const JOB: &str = "/org/freedesktop/systemd1/job/1";

/// Serves one connection after another.
pub fn manage() -> ExitCode {
    let Ok(listener) = UnixListener::bind(SOCKET) else {
        return ExitCode::FAILURE;
    };
    let mut units = Vec::new();
    for connection in listener.incoming().flatten() {
        // The other end may be killed at any moment.
        let _ = serve(connection, &mut units);
    }
    ExitCode::SUCCESS
}

/// A scope, and its cgroups below the hierarchies.
struct Unit {
    name: String,
    directory: PathBuf,
}

fn serve(mut connection: UnixStream, units: &mut Vec<Unit>) -> std::io::Result<()> {
    let mut asked = Vec::new();
    while !asked.ends_with(b"BEGIN\r\n") {
        let mut byte = [0];
        connection.read_exact(&mut byte)?;
        asked.extend(byte);
    }
    connection.write_all(b"DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n")?;
    loop {
        let call = Call::read(&mut connection)?;
        let answer = call.perform(units);
        connection.write_all(&answer)?;
    }
}

/// A method call, little-endian.
struct Call {
    serial: u32,
    /// Header fields, from which the member is known.
    fields: Vec<u8>,
    body: Vec<u8>,
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..at + 4).unwrap_or(&[0; 4]);
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn length(bytes: &[u8], at: usize) -> usize {
    usize::try_from(word(bytes, at)).unwrap_or(0)
}

fn string(bytes: &[u8], at: usize) -> String {
    let text = bytes.get(at + 4..at + 4 + length(bytes, at));
    String::from_utf8_lossy(text.unwrap_or_default()).into_owned()
}

/// Where a text ends that is there once.
fn end_of(text: &[u8], bytes: &[u8]) -> Option<usize> {
    let at = bytes.windows(text.len()).position(|part| part == text);
    at.map(|at| at + text.len())
}

impl Call {
    fn read(connection: &mut UnixStream) -> std::io::Result<Self> {
        let mut fixed = [0; 16];
        connection.read_exact(&mut fixed)?;
        let mut fields = vec![0; length(&fixed, 12).next_multiple_of(8)];
        connection.read_exact(&mut fields)?;
        let mut body = vec![0; length(&fixed, 4)];
        connection.read_exact(&mut body)?;
        Ok(Self {
            serial: word(&fixed, 8),
            fields,
            body,
        })
    }

    /// Where the value of a property begins.
    fn property(&self, name: &str, kind: &str) -> Option<usize> {
        let size = u8::try_from(kind.len()).unwrap_or(0);
        let head = [name.as_bytes(), &[0, size], kind.as_bytes(), &[0]].concat();
        end_of(&head, &self.body).map(|at| at.next_multiple_of(4))
    }

    fn perform(&self, units: &mut Vec<Unit>) -> Vec<u8> {
        let is = |member: &str| end_of(member.as_bytes(), &self.fields).is_some();
        let name = string(&self.body, 0);
        let known = units.iter().position(|unit| unit.name == name);
        if is("StartTransientUnit") {
            if known.is_some() {
                return self.error("UnitExists");
            }
            let slice = self.property("Slice", "s").map(|at| string(&self.body, at));
            // An array of one: its length comes first.
            let pid = self
                .property("PIDs", "au")
                .map(|at| word(&self.body, at + 4));
            let directory = PathBuf::from(slice.unwrap_or_default()).join(&name);
            let unit = Unit { name, directory };
            let is_made = pid.is_some_and(|pid| unit.make(pid).is_ok());
            let result = if is_made { "done" } else { "failed" };
            let answer = self.job(&unit.name, result);
            units.push(unit);
            answer
        } else if is("StopUnit") {
            let Some(known) = known else {
                return self.error("NoSuchUnit");
            };
            units.remove(known).remove();
            self.job(&name, "done")
        } else {
            self.reply("", &[])
        }
    }

    fn reply(&self, signature: &str, body: &[u8]) -> Vec<u8> {
        let fields = [(5, "u", self.serial.to_le_bytes().to_vec())];
        message(2, &fields, signature, body)
    }

    fn error(&self, name: &str) -> Vec<u8> {
        let name = format!("org.freedesktop.systemd1.{name}");
        let fields = [
            (4, "s", text(&name)),
            (5, "u", self.serial.to_le_bytes().to_vec()),
        ];
        message(3, &fields, "s", &text(&name))
    }

    /// The reply that names the job, and the signal of its end.
    fn job(&self, unit: &str, result: &str) -> Vec<u8> {
        let mut body = 1u32.to_le_bytes().to_vec();
        for part in [JOB, unit, result] {
            body.resize(body.len().next_multiple_of(4), 0);
            body.extend(text(part));
        }
        let fields = [
            (1, "o", text("/org/freedesktop/systemd1")),
            (2, "s", text("org.freedesktop.systemd1.Manager")),
            (3, "s", text("JobRemoved")),
        ];
        let signal = message(4, &fields, "uoss", &body);
        [self.reply("o", &text(JOB)), signal].concat()
    }
}

fn text(text: &str) -> Vec<u8> {
    let size = u32::try_from(text.len()).unwrap_or(0);
    [&size.to_le_bytes(), text.as_bytes(), &[0]].concat()
}

/// D-Bus Specification, Message Format.
fn message(kind: u8, fields: &[(u8, &str, Vec<u8>)], signature: &str, body: &[u8]) -> Vec<u8> {
    let size = u8::try_from(signature.len()).unwrap_or(0);
    let signature = [&[size], signature.as_bytes(), &[0]].concat();
    let mut all = Vec::new();
    for (code, kind, value) in fields.iter().chain(&[(8, "g", signature)]) {
        all.resize(all.len().next_multiple_of(8), 0);
        all.extend([*code, 1, kind.as_bytes()[0], 0]);
        all.extend(value);
    }
    let word = |size: usize| u32::try_from(size).unwrap_or(0).to_le_bytes();
    let mut bytes = vec![b'l', kind, 0, 1];
    bytes.extend(word(body.len()));
    bytes.extend(1u32.to_le_bytes());
    bytes.extend(word(all.len()));
    bytes.extend(all);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes.extend(body);
    bytes
}

impl Unit {
    /// Its cgroup in each hierarchy; in the one of version 2 alone there is no other.
    fn cgroups(&self) -> Vec<PathBuf> {
        let is_there = |root: &&&str| Path::new(root).join("cgroup.procs").exists();
        let roots: Vec<_> = HIERARCHIES.iter().filter(is_there).collect();
        roots
            .iter()
            .map(|root| Path::new(root).join(&self.directory))
            .collect()
    }

    fn make(&self, pid: u32) -> std::io::Result<()> {
        for cgroup in self.cgroups() {
            fs::create_dir_all(&cgroup)?;
            fs::write(cgroup.join("cgroup.procs"), pid.to_string())?;
        }
        Ok(())
    }

    fn remove(&self) {
        for cgroup in self.cgroups() {
            let all = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
            let pids = all
                .lines()
                .filter_map(|pid| Pid::from_raw(pid.parse().ok()?));
            for pid in pids {
                let _ = kill_process(pid, Signal::KILL);
                await_exit(pid, Duration::from_secs(2));
            }
            // Emptied a moment after the last process is dead.
            for _ in 0..100 {
                match fs::remove_dir(&cgroup) {
                    Err(error) if error.raw_os_error() == Some(nix::libc::EBUSY) => {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    _ => break,
                }
            }
        }
    }
}
