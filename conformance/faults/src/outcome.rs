//! Why a case failed.

/// A sentence for people.
#[derive(Debug)]
pub struct Fault(pub String);

// `Fault` itself is no `Error`, or this would collide with the reflexive `From`.
impl<E: std::error::Error> From<E> for Fault {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// What a case answers: a summary in one line, or its fault.
pub type Verdict = Result<String, Fault>;

/// What everything else answers.
pub type Outcome<T = ()> = Result<T, Fault>;

/// Ends a case as failed, with a formatted reason.
macro_rules! fail {
    ($($text:tt)*) => { return Err($crate::outcome::Fault(format!($($text)*))) };
}

/// Ends a case as failed unless the condition holds.
macro_rules! check {
    ($condition:expr, $($text:tt)*) => {
        if !$condition {
            $crate::outcome::fail!($($text)*);
        }
    };
}

pub(crate) use {check, fail};
