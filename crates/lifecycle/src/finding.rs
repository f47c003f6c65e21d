//! What `check` and `doctor` find.

/// Whether something is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It works.
    Works,
    /// Something that not everybody needs does not.
    Limited,
    /// It does not.
    Fails,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The field, or the part of the host.
    pub about: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it; empty where nothing is to be done or nothing is known.
    pub advice: String,
}

impl Finding {
    pub(crate) fn new(
        about: impl Into<String>,
        verdict: Verdict,
        found: impl Into<String>,
    ) -> Self {
        Self {
            about: about.into(),
            verdict,
            found: found.into(),
            advice: String::new(),
        }
    }

    pub(crate) fn advise(self, advice: impl Into<String>) -> Self {
        let advice = advice.into();
        Self { advice, ..self }
    }
}
