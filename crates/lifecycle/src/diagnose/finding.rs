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
    /// Whether it holds although a dry run of `check` works, since that leaves out what it is about.
    pub is_certain: bool,
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
            is_certain: false,
        }
    }

    /// See [`Self::is_certain`].
    pub(crate) fn certain(self) -> Self {
        Self {
            is_certain: true,
            ..self
        }
    }

    pub(crate) fn advise(self, advice: impl Into<String>) -> Self {
        let advice = advice.into();
        Self { advice, ..self }
    }
}
