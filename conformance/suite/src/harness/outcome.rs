//! How a case ends.

use std::fmt;

/// Why a case did not pass.
#[derive(Debug)]
pub enum Fault {
    /// The runtime behaved otherwise than the case asks.
    Failed(String),
    /// The machine cannot show it; the reason is printed.
    Skipped(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why) | Self::Skipped(why) => f.write_str(why),
        }
    }
}

// `Fault` itself is no `Error`, or this would collide with the reflexive `From`.
impl<E: std::error::Error> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What a case's body answers.
pub type Outcome = Result<(), Fault>;

/// Ends a case as failed, with a formatted reason.
macro_rules! fail {
    ($($text:tt)*) => { return Err($crate::harness::outcome::Fault::Failed(format!($($text)*))) };
}

/// Ends a case as skipped, with a formatted reason.
macro_rules! skip {
    ($($text:tt)*) => { return Err($crate::harness::outcome::Fault::Skipped(format!($($text)*))) };
}

/// Ends a case as failed unless the condition holds.
macro_rules! check {
    ($condition:expr, $($text:tt)*) => {
        if !$condition {
            $crate::harness::outcome::fail!($($text)*);
        }
    };
}

pub(crate) use {check, fail, skip};

/// Fails unless both are the same.
pub fn equal<T: PartialEq<U> + fmt::Debug, U: fmt::Debug>(what: &str, got: T, want: U) -> Outcome {
    check!(got == want, "{what}: got {got:?}, want {want:?}");
    Ok(())
}
