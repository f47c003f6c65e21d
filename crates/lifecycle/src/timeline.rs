//! When each step of a command began and ended, for `--trace` and `--debug`.

use kan_op::{Board, Side};
use kan_sys::memory::monotonic_ns;

/// One step or phase, nanoseconds of CLOCK_MONOTONIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The half it ran in.
    pub side: Side,
    /// What was done.
    pub text: String,
    /// The field that asked for it; may be empty.
    pub field: String,
    /// When it began.
    pub start: u64,
    /// When it ended.
    pub end: u64,
}

/// What a command has to say beside its result: warnings, and its spans if anybody wants them.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    wanted: bool,
    spans: Vec<Span>,
    /// What a user should know but what stopped nothing.
    pub warnings: Vec<String>,
    /// The same, of what happened after the container had ended.
    pub late_warnings: Vec<String>,
    /// Keys of config.json that kan does not know, which it ignores (config.md, Extensibility).
    pub ignored: Vec<String>,
    /// What only `--debug` says.
    pub notes: Vec<String>,
}

impl Timeline {
    /// A timeline that records if `wanted`.
    #[must_use]
    pub const fn new(wanted: bool) -> Self {
        Self {
            wanted,
            spans: Vec::new(),
            warnings: Vec::new(),
            late_warnings: Vec::new(),
            ignored: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Whether spans are kept.
    #[must_use]
    pub const fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// What was recorded.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Runs a phase of the host half.
    pub(crate) fn phase<T>(&mut self, text: &str, work: impl FnOnce() -> T) -> T {
        self.step(|| (text.to_owned(), String::new()), work)
    }

    /// Runs a step of the host half; `words` gives its text and field if they are wanted.
    pub(crate) fn step<T>(
        &mut self,
        words: impl FnOnce() -> (String, String),
        work: impl FnOnce() -> T,
    ) -> T {
        if !self.wanted {
            return work();
        }
        let start = monotonic_ns();
        let result = work();
        let (text, field) = words();
        let end = monotonic_ns();
        self.spans.push(Span {
            side: Side::Host,
            text,
            field,
            start,
            end,
        });
        result
    }

    /// Adds what init stamped on its board. Init began with the clone.
    pub(crate) fn add_init(&mut self, lines: Vec<(String, String)>, board: Board<'_>, cloned: u64) {
        let mut start = cloned;
        for (index, (text, field)) in lines.into_iter().enumerate() {
            let Some(end) = board.stamped(index) else {
                return;
            };
            self.spans.push(Span {
                side: Side::Init,
                text,
                field,
                start,
                end,
            });
            start = end;
        }
    }
}
