//! What becomes of a step.

use kan_op::{Failure, Flaw};
use kan_sys::Error;

/// What ends a step early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    pub(crate) flaw: Flaw,
    pub(crate) part: u16,
    pub(crate) error: Option<Error>,
}

impl Stop {
    pub(crate) fn failure(self) -> Failure {
        let (call, errno) = match self.error {
            Some(error) => (error.call as i32, error.errno.into_raw()),
            None => (0, 0),
        };
        Failure {
            flaw: self.flaw,
            part: self.part,
            call: u16::try_from(call).unwrap_or(0),
            errno: u16::try_from(errno).unwrap_or(0),
        }
    }

    /// The same stop, in this part of the step.
    pub(crate) fn in_part(self, part: usize) -> Self {
        let part = u16::try_from(part).unwrap_or(u16::MAX);
        Self { part, ..self }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self {
            flaw: Flaw::Call,
            part: 0,
            error: Some(error),
        }
    }
}

impl From<Flaw> for Stop {
    fn from(flaw: Flaw) -> Self {
        Self {
            flaw,
            part: 0,
            error: None,
        }
    }
}

/// The result of a step.
pub(crate) type Step = Result<(), Stop>;
