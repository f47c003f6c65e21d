//! Errors: returned once, printed once, by the command line.

use crate::outer_filter;
use kan_spec::state::Status;
use kan_spec::{Problem, printable};
use std::path::{Path, PathBuf};

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation on a container failed. Engines match some of these texts.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such container.
    #[error("container {0:?}: container does not exist")]
    Unknown(String),
    /// `create` of an id that is taken.
    #[error("container {0:?}: container with given ID already exists")]
    Exists(String),
    /// The empty id.
    #[error("container id cannot be empty")]
    EmptyId,
    /// An id that can't name a directory of its own.
    #[error(
        "container {0:?}: invalid container ID format: use letters, digits and _+-. (at most 255)"
    )]
    BadId(String),
    /// The operation is not for a container in this status.
    #[error("{}", printable(.0))]
    Status(String),
    /// The bundle can't be read.
    #[error(transparent)]
    Spec(#[from] kan_spec::Error),
    /// The config asks for what can't be planned.
    #[error("{}", lines(.0))]
    Plan(Vec<Problem>),
    /// A step failed; the text names its field.
    #[error("{}", printable(.0))]
    Step(String),
    /// Init failed; the text names the field of its own step.
    #[error("{0}")]
    Init(String),
    /// A control group.
    #[error(transparent)]
    Cgroup(#[from] kan_cgroup::Error),
    /// A file of kan's own, or of the user's.
    #[error("{operation} {}: {}", shown(.path), lowercase(.source))]
    File {
        /// What was done, such as `open`.
        operation: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system answered.
        source: std::io::Error,
    },
    /// A system call of kan's own.
    #[error("{what}: {source}{}", outer_filter::hint(source.call, source.errno))]
    Call {
        /// What it was for.
        what: &'static str,
        /// The call.
        source: kan_sys::Error,
    },
    /// A state.json that is broken or of another version.
    #[error("{}: {why}", shown(.path))]
    BadState {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A signal told kan to stop while it waited.
    #[error("stopped by {} while waiting for {what}", signal_name(*.signal))]
    Interrupted {
        /// The signal's number.
        signal: i32,
        /// For what.
        what: String,
    },
    /// Others could have written what is stored there, or could replace it.
    #[error("{} can't be trusted with container state: {why}", shown(.path))]
    Untrusted {
        /// A component of the state root's path, or a container's directory.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// `kill` with a signal that does not exist.
    #[error("unknown signal {0:?}")]
    UnknownSignal(String),
}

impl From<kan_cgroup::LimitError> for Error {
    /// It names its field.
    fn from(error: kan_cgroup::LimitError) -> Self {
        Self::Step(error.to_string())
    }
}

fn signal_name(signal: i32) -> String {
    nix::sys::signal::Signal::try_from(signal)
        .map_or_else(|_| format!("signal {signal}"), |signal| signal.to_string())
}

/// A path in an error, on one line whatever it is.
fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

fn lines(problems: &[Problem]) -> String {
    let all: Vec<_> = problems.iter().map(ToString::to_string).collect();
    all.join("\n")
}

/// An I/O error as engines match it, `no such file or directory`, without Rust's `(os error 2)`.
#[must_use]
pub fn lowercase(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => errno_text(number),
        None => error.to_string(),
    }
}

pub(crate) fn errno_text(number: i32) -> String {
    let text = kan_sys::Errno::new(number)
        .description()
        .unwrap_or("unknown error");
    let mut letters = text.chars();
    letters
        .next()
        .into_iter()
        .flat_map(char::to_lowercase)
        .chain(letters)
        .collect()
}

/// Names the operation and the file of an I/O error.
pub(crate) fn with<'p>(
    operation: &'static str,
    path: &'p Path,
) -> impl FnOnce(std::io::Error) -> Error + use<'p> {
    move |source| Error::File {
        operation,
        path: path.to_owned(),
        source,
    }
}

/// Says what a system call was for.
pub(crate) fn during(what: &'static str) -> impl FnOnce(kan_sys::Error) -> Error {
    move |source| Error::Call { what, source }
}

impl Error {
    /// Device rules failed, with what usually causes that.
    pub(crate) fn devices(field: &str, error: &kan_cgroup::DevicesError) -> Self {
        let hint = error.hint().map(|hint| format!(" ({hint})"));
        Self::Step(format!("{field}{error}{}", hint.unwrap_or_default()))
    }

    pub(crate) fn status(verb: &str, id: &str, status: Status) -> Self {
        Self::Status(match (verb, status) {
            ("start", Status::Running | Status::Paused) => {
                "cannot start an already running container".into()
            }
            ("start", Status::Stopped) => "cannot start a container that has stopped".into(),
            ("kill", _) => "container not running".into(),
            ("delete", status) => {
                let status = status.name();
                format!("cannot delete container {id} that is not stopped: {status}")
            }
            (verb, status) => format!("cannot {verb} a container in the {} state", status.name()),
        })
    }
}

/// Puts the field in front of an error that does not name one yet.
pub(crate) fn in_field(field: &str, error: Error) -> Error {
    match error {
        Error::Step(_) | Error::Exists(_) | Error::BadId(_) | Error::EmptyId
            if field.is_empty() =>
        {
            error
        }
        other if field.is_empty() => other,
        init @ Error::Init(_) => init,
        Error::Step(text) if text.starts_with(field) => Error::Step(text),
        other => Error::Step(format!("{field}: {other}")),
    }
}
