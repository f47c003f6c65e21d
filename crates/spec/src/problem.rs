//! What is wrong with a document: each problem with its field, all of them at once.

use crate::printable;
use std::fmt;

/// One thing that is wrong, and the field that says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field, such as `mounts[3].options[1]`; empty for the document as a whole.
    pub at: String,
    /// What is wrong with it, without a full stop.
    pub why: String,
}

impl Problem {
    /// A problem with a field.
    pub fn new(at: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            at: at.into(),
            why: why.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, why) = (printable(&self.at), printable(&self.why));
        if at.is_empty() {
            return f.write_str(&why);
        }
        write!(f, "{at}: {why}")
    }
}

/// As many problems as are kept of one document: nobody reads more.
pub const MOST_PROBLEMS: usize = 500;

/// Collects problems, so that a person sees all of them instead of the first.
#[derive(Debug, Default)]
pub struct Problems {
    found: Vec<Problem>,
}

impl Problems {
    /// Nothing wrong so far.
    #[must_use]
    pub const fn new() -> Self {
        Self { found: Vec::new() }
    }

    /// Adds a problem, unless there are [`MOST_PROBLEMS`] already.
    pub fn push(&mut self, problem: Problem) {
        if self.found.len() < MOST_PROBLEMS {
            self.found.push(problem);
        }
    }

    /// The value, or `None` after its problem is noted.
    pub fn keep<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.push(problem)).ok()
    }

    /// Whether nothing was wrong so far.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The value if nothing was wrong.
    ///
    /// # Errors
    /// Every problem, in the order in which it was found.
    pub fn finish<T>(self, value: T) -> Result<T, Vec<Problem>> {
        if self.found.is_empty() {
            Ok(value)
        } else {
            Err(self.found)
        }
    }
}
