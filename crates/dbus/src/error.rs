//! What can go wrong on the way to systemd.

use std::path::PathBuf;

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why systemd could not be asked, or what it answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no systemd that could be asked.
    #[error("cannot find systemd's D-Bus socket{}", tried(.0))]
    NoSocket(Vec<PathBuf>),
    /// The connection could not be made, or broke.
    #[error("D-Bus: {what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system answered.
        source: std::io::Error,
    },
    /// The other end does not speak the protocol as this crate knows it.
    #[error("D-Bus: not understood: {0}")]
    Protocol(&'static str),
    /// An error reply.
    #[error("systemd: {text} ({name})")]
    Reply {
        /// Its name, such as `org.freedesktop.systemd1.NoSuchUnit`.
        name: String,
        /// What it says.
        text: String,
    },
    /// A job ended otherwise than it should.
    #[error("systemd: {verb} {unit}: the job ended as {result:?}")]
    Job {
        /// `start` or `stop`.
        verb: &'static str,
        /// The unit.
        unit: String,
        /// The job's result, such as `failed`.
        result: String,
    },
}

impl Error {
    /// Whether systemd answered with this error of its own.
    pub(crate) fn is(&self, wanted: &str) -> bool {
        let name = match self {
            Self::Reply { name, .. } => name,
            _ => return false,
        };
        name.strip_prefix("org.freedesktop.systemd1.") == Some(wanted)
    }
}

pub(crate) fn during(what: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Io { what, source }
}

fn tried(paths: &[PathBuf]) -> String {
    let all: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    if all.is_empty() {
        String::new()
    } else {
        format!(" (tried {})", all.join(", "))
    }
}
