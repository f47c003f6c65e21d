//! The log of `--log` and `--log-format`: what engines read when kan fails.

use crate::output;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;

/// How a record is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// `time="…" level=error msg="…"`
    #[default]
    Text,
    /// `{"level":"error","msg":"…","time":"…"}`
    Json,
}

/// Where records go.
#[derive(Debug)]
pub(crate) struct Log {
    file: Option<PathBuf>,
    format: Format,
    debug: bool,
}

impl Log {
    pub(crate) const fn new(file: Option<PathBuf>, format: Format, debug: bool) -> Self {
        Self {
            file,
            format,
            debug,
        }
    }

    pub(crate) const fn wants_debug(&self) -> bool {
        self.debug
    }

    /// A failure: a line for people on stderr and exactly one record in the log, which containerd
    /// shows to its users and podman parses as a whole.
    pub(crate) fn failure(&self, message: &str) {
        self.write("error", message);
        output::complain(message);
    }

    /// A warning goes to the log alone: stderr belongs to the container.
    pub(crate) fn warning(&self, message: &str) {
        self.write("warning", message);
    }

    /// With `--debug` only: to the log, or to stderr if there is none.
    pub(crate) fn debug(&self, message: &str) {
        if !self.debug {
            return;
        }
        match self.file {
            Some(_) => self.write("debug", message),
            None => output::complain(message),
        }
    }

    fn write(&self, level: &str, message: &str) {
        let Some(path) = &self.file else { return };
        let record = self.record(level, message);
        let opened = OpenOptions::new().create(true).append(true).open(path);
        if opened
            .and_then(|mut file| file.write_all(record.as_bytes()))
            .is_err()
        {
            output::complain(&format!("--log: cannot write to {}", path.display()));
        }
    }

    fn record(&self, level: &str, message: &str) -> String {
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
        let log = Log::new(None, Format::Json, false);
        let record = log.record("error", "a \"b\"\nc");
        assert!(
            record.starts_with(r#"{"level":"error","msg":"a \"b\"\nc","time":""#),
            "{record}"
        );
        assert_eq!(record.lines().count(), 1);
    }
}
