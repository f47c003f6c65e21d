//! Why a document can't be used.

use std::io;
use std::path::{Path, PathBuf};

use crate::json::SyntaxError;
use crate::{Problem, json};

/// Why a bundle or another document can't be used. Its text has one line for each problem.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bundle's directory is missing or out of reach.
    #[error("bundle {}: {why}", path.display())]
    Bundle {
        /// As given.
        path: PathBuf,
        /// The system's reason, such as "no such file or directory".
        why: String,
    },
    /// There is no config.json. Engines and suites look for these words.
    #[error("{} not found", path.display())]
    NotFound {
        /// The file that was looked for.
        path: PathBuf,
    },
    /// The file is there, but can't be read.
    #[error("{}: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why, in the system's words or ours.
        why: String,
    },
    /// The text is not JSON.
    #[error("{document}: line {}, column {}: {}", at.line, at.column, at.why)]
    Syntax {
        /// What was read, such as "config.json".
        document: String,
        /// Where and why.
        at: SyntaxError,
    },
    /// The document is JSON, but not what the specification asks for.
    #[error("{}", lines(document, problems))]
    Invalid {
        /// What was read, such as "config.json".
        document: String,
        /// All problems, in document order, at least one.
        problems: Vec<Problem>,
    },
}

impl Error {
    /// The problems by field; empty where the document could not be read at all.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Invalid { problems, .. } => problems,
            _ => &[],
        }
    }

    pub(crate) fn bundle(path: &Path, error: &io::Error) -> Self {
        Self::Bundle {
            path: path.to_owned(),
            why: reason(error),
        }
    }

    pub(crate) fn file(path: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound {
                path: path.to_owned(),
            },
            _ => Self::unreadable(path, reason(error)),
        }
    }

    pub(crate) fn unreadable(path: &Path, why: impl Into<String>) -> Self {
        Self::Unreadable {
            path: path.to_owned(),
            why: why.into(),
        }
    }

    pub(crate) fn syntax(document: &str, at: json::SyntaxError) -> Self {
        Self::Syntax {
            document: document.to_owned(),
            at,
        }
    }

    pub(crate) fn invalid(document: &str, problems: Vec<Problem>) -> Self {
        Self::Invalid {
            document: document.to_owned(),
            problems,
        }
    }
}

fn lines(document: &str, problems: &[Problem]) -> String {
    let lines: Vec<String> = problems
        .iter()
        .map(|found| format!("{document}: {found}"))
        .collect();
    lines.join("\n")
}

/// The text of an errno as C and Go have it, "no such file or directory": engines match it in lower
/// case and without Rust's "(os error 2)".
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(letters).collect()
    })
}
