//! The log of `--log`, `--log-format` and `--log-level`: what engines read when kan fails.

use crate::output;
use kan_spec::{clipped, printable_lines};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// How a record is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// `time="…" level=error msg="…"`
    #[default]
    Text,
    /// `{"level":"error","msg":"…","time":"…"}`
    Json,
}

impl Format {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("invalid log-format: {other}")),
        }
    }
}

/// How grave a record is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Error,
    #[default]
    Warning,
    Info,
    Debug,
}

impl Level {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "error" => Ok(Self::Error),
            "warning" | "warn" => Ok(Self::Warning),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            other => Err(format!("invalid log-level: {other}")),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }

    /// The severity of syslog(3), which journald has too.
    const fn priority(self) -> u8 {
        match self {
            Self::Error => 3,
            Self::Warning => 4,
            Self::Info => 6,
            Self::Debug => 7,
        }
    }
}

/// Where records go: crun's forms of `--log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A path, or `file:` and one.
    File(PathBuf),
    /// `journald:` and the identifier of the records.
    Journald(String),
    /// `syslog:` likewise.
    Syslog(String),
}

/// systemd-journald's socket for its native protocol.
const JOURNALD: &str = "/run/systemd/journal/socket";

/// The socket of syslog(3).
const SYSLOG: &str = "/dev/log";

impl Destination {
    pub(crate) fn parse(text: &str) -> Result<Self, std::convert::Infallible> {
        let name = |name: &str| (if name.is_empty() { "kan" } else { name }).to_owned();
        Ok(match text.split_once(':') {
            Some(("file", path)) => Self::File(path.into()),
            Some(("journald", identifier)) => Self::Journald(name(identifier)),
            Some(("syslog", identifier)) => Self::Syslog(name(identifier)),
            _ => Self::File(text.into()),
        })
    }

    /// Adds a record; `line` is its form in a file.
    fn add(&self, level: Level, message: &str, line: &str) -> std::io::Result<()> {
        match self {
            Self::File(path) => {
                let mut options = OpenOptions::new();
                options.create(true).append(true);
                let mut file = kan_sys::start::with_callers_umask(|| options.open(path))?;
                file.write_all(line.as_bytes())
            }
            Self::Journald(identifier) => {
                send(JOURNALD, &journal_entry(level, identifier, message))
            }
            Self::Syslog(identifier) => {
                // Facility 3: system daemons, RFC 3164.
                let priority = 3 * 8 + level.priority();
                let pid = std::process::id();
                let entry = format!("<{priority}>{identifier}[{pid}]: {message}");
                send(SYSLOG, entry.as_bytes())
            }
        }
    }

    /// Whether it takes records.
    fn check(&self) -> std::io::Result<()> {
        match self {
            Self::File(path) => {
                let mut options = OpenOptions::new();
                options.create(true).append(true).open(path).map(drop)
            }
            // A service may be back when there is something to say.
            Self::Journald(_) | Self::Syslog(_) => Ok(()),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Journald(_) => JOURNALD.into(),
            Self::Syslog(_) => SYSLOG.into(),
        }
    }
}

/// What a service that reads no more may hold a command up, for its queue is full, unix(7).
const PATIENCE: Duration = Duration::from_secs(1);

fn send(socket: &str, entry: &[u8]) -> std::io::Result<()> {
    let from = UnixDatagram::unbound()?;
    from.set_write_timeout(Some(PATIENCE))?;
    from.send_to(entry, socket).map(drop)
}

/// systemd's Native Journal Protocol: a value that may hold line breaks has its length before it.
fn journal_entry(level: Level, identifier: &str, message: &str) -> Vec<u8> {
    let priority = level.priority();
    let mut entry = format!("PRIORITY={priority}\nSYSLOG_IDENTIFIER={identifier}\nMESSAGE\n");
    entry.retain(|letter| letter != '\0');
    let mut entry = entry.into_bytes();
    let length = u64::try_from(message.len()).unwrap_or(0);
    entry.extend(length.to_le_bytes());
    entry.extend(message.as_bytes());
    entry.push(b'\n');
    entry
}

/// The log.
#[derive(Debug)]
pub(crate) struct Log {
    destination: Option<Destination>,
    format: Format,
    level: Level,
}

impl Log {
    pub(crate) const fn new(
        destination: Option<Destination>,
        format: Format,
        level: Level,
    ) -> Self {
        Self {
            destination,
            format,
            level,
        }
    }

    pub(crate) fn wants_debug(&self) -> bool {
        self.level >= Level::Debug
    }

    /// A failure: a line for people on stderr and exactly one record in the log, which containerd
    /// shows to its users and podman parses as a whole.
    pub(crate) fn failure(&self, message: &str) {
        let message = shortened(message);
        self.write(Level::Error, &message);
        output::complain(&message);
    }

    /// Whether records can be added. A file is created.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Some(destination) = &self.destination else {
            return Ok(());
        };
        let checked = destination.check();
        checked.map_err(|error| {
            let (place, why) = (destination.text(), kan_lifecycle::io_error_text(&error));
            format!("--log: open {place}: {why}")
        })
    }

    /// A warning goes to the log, or to stderr if there is none, as with runc.
    pub(crate) fn warning(&self, message: &str) {
        match self.destination {
            Some(_) => self.write(Level::Warning, message),
            None if self.level >= Level::Warning => {
                output::complain(&format!("warning: {message}"));
            }
            None => {}
        }
    }

    /// With `--debug` only: to the log, or to stderr if there is none.
    pub(crate) fn debug(&self, message: &str) {
        if !self.wants_debug() {
            return;
        }
        match self.destination {
            Some(_) => self.write(Level::Debug, message),
            None => output::complain(message),
        }
    }

    fn write(&self, level: Level, message: &str) {
        let Some(destination) = &self.destination else {
            return;
        };
        if level > self.level {
            return;
        }
        let lines: Vec<_> = message.lines().map(clipped).collect();
        let message = &*printable_lines(&lines.join("\n")).into_owned();
        let line = self.record(level, message);
        if destination.add(level, message, &line).is_err() {
            let place = destination.text();
            output::complain(&format!("--log: cannot write to {place}"));
        }
    }

    fn record(&self, level: Level, message: &str) -> String {
        let level = level.name();
        let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        match self.format {
            Format::Text => format!("time={time:?} level={level} msg={message:?}\n"),
            Format::Json => {
                let record = Record {
                    level,
                    msg: message,
                    time,
                };
                serde_json::to_string(&record).unwrap_or_default() + "\n"
            }
        }
    }
}

/// A message that people can read where they see it: no line of kilobytes, which a list of groups or
/// options may take, nor hundreds of lines.
fn shortened(message: &str) -> String {
    /// Lines, and of a line the bytes of its beginning and its end.
    const MOST: (usize, usize, usize) = (20, 600, 200);
    let (lines, head, tail) = MOST;
    let mut short: Vec<_> = message
        .lines()
        .take(lines)
        .map(|line| {
            if line.len() <= head + tail {
                return line.to_owned();
            }
            let (end, begin) = (
                line.floor_char_boundary(head),
                line.ceil_char_boundary(line.len() - tail),
            );
            let (first, last) = (line.get(..end), line.get(begin..));
            format!(
                "{} […] {}",
                first.unwrap_or_default(),
                last.unwrap_or_default()
            )
        })
        .collect();
    let more = message.lines().count().saturating_sub(lines);
    if more > 0 {
        short.push(format!("and {more} more"));
    }
    short.join("\n")
}

#[derive(serde::Serialize)]
struct Record<'a> {
    level: &'a str,
    msg: &'a str,
    time: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_record_has_the_keys_that_containerd_reads() {
        let log = Log::new(None, Format::Json, Level::Error);
        let record = log.record(Level::Error, "a \"b\"\nc");
        assert!(
            record.starts_with(r#"{"level":"error","msg":"a \"b\"\nc","time":""#),
            "{record}"
        );
        assert_eq!(record.lines().count(), 1);
    }

    #[test]
    fn a_message_is_never_longer_than_people_read() {
        assert_eq!(shortened("a\nb"), "a\nb");
        let long = shortened(&format!("begin {} end", "é".repeat(40_000)));
        assert!(long.len() < 820 && long.starts_with("begin ") && long.ends_with(" end"));
        let many = shortened(&"problem\n".repeat(500));
        assert_eq!(many.lines().count(), 21);
        assert!(many.ends_with("and 480 more"));
    }

    #[test]
    fn a_log_is_a_file_a_journal_or_syslog() {
        let parse = |text| Destination::parse(text).unwrap();
        assert_eq!(parse("/a:b"), Destination::File("/a:b".into()));
        assert_eq!(parse("file:/a"), Destination::File("/a".into()));
        assert_eq!(parse("journald:x"), Destination::Journald("x".into()));
        assert_eq!(parse("syslog:"), Destination::Syslog("kan".into()));
    }

    #[test]
    fn a_journal_entry_may_have_lines() {
        assert_eq!(
            journal_entry(Level::Error, "x", "a\nb"),
            b"PRIORITY=3\nSYSLOG_IDENTIFIER=x\nMESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n"
        );
    }

    #[test]
    fn one_who_does_not_listen_is_not_waited_for() {
        let path = std::env::temp_dir().join(format!("kan-log-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listens = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        let socket = path.to_str().unwrap();
        let began = std::time::Instant::now();
        // Its queue is full at some time, unix(7): net.unix.max_dgram_qlen.
        let given_up = (0..100_000).any(|_| send(socket, b"entry").is_err());
        assert!(given_up && began.elapsed() < Duration::from_secs(10));
        let mut heard = [0; 16];
        assert_eq!(listens.recv(&mut heard).unwrap(), 5);
        std::fs::remove_file(&path).unwrap();
    }
}
