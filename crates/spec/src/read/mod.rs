//! From JSON to [`crate::config`]: every problem at once.
//!
//! Each section of the specification has a file here with one table per object: key → field and
//! its rules. Nothing is derived, so that the code stays small and the messages stay ours.

mod cursor;
mod document;
mod linux;
mod process;
mod resources;
mod rules;
mod seccomp;
mod sysctl;

use std::collections::HashSet;

pub use cursor::{Cursor, Report, member};
pub use rules::environment as check_environment;

use crate::Problem;
use crate::config::{self, ClosedSet};
use crate::json::Json;

/// Reads a whole document: the value, and the paths of the unknown keys that were passed over.
pub fn document<T: Read>(json: &Json<'_>) -> Result<(T, Vec<String>), Vec<Problem>> {
    let report = Report::default();
    let mut value = T::blank();
    value.read(&Cursor::document(json, &report));
    report.finish(value)
}

/// Likewise, with blanks where something is wrong, and what that is.
pub fn as_far_as_possible<T: Read>(json: &Json<'_>) -> (T, Vec<String>, Vec<Problem>) {
    let report = Report::default();
    let mut value = T::blank();
    value.read(&Cursor::document(json, &report));
    let (ignored, problems) = report.all();
    (value, ignored, problems)
}

/// What the unknown keys of a document were probably meant to be: the path of each, and the known key.
pub fn suggestions<T: Read>(json: &Json<'_>) -> Vec<(String, String)> {
    let report = Report::with_suggestions();
    T::blank().read(&Cursor::document(json, &report));
    report.suggestions()
}

/// A value that can be read from JSON.
pub trait Read: Sized {
    /// Whether an empty string in an optional field counts as absent: so in Go, where such fields
    /// are strings with `omitempty`.
    const EMPTY_IS_ABSENT: bool = false;
    /// What stands in the field before it is read, and after a problem. The latter nobody sees,
    /// because a document with problems yields no value.
    fn blank() -> Self;
    /// Reads the value here; what is wrong goes to the cursor.
    fn read(&mut self, at: &Cursor<'_>);
}

/// An object with known keys.
pub trait Object: Sized {
    /// The keys that must not be absent or null.
    const REQUIRED: &'static [&'static str] = &[];
    /// The object before any key is read.
    fn blank() -> Self;
    /// Reads one key; false if it is unknown.
    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool;
    /// Rules that need more than one key. Also called after problems: see [`Cursor::sound`].
    fn check(&self, _at: &Cursor<'_>) {}
}

impl<T: Object> Read for T {
    fn blank() -> Self {
        Object::blank()
    }

    fn read(&mut self, at: &Cursor<'_>) {
        at.object(Self::REQUIRED, &mut |key, at| self.field(key, at));
        self.check(at);
    }
}

impl Read for String {
    const EMPTY_IS_ABSENT: bool = true;

    fn blank() -> Self {
        Self::new()
    }

    fn read(&mut self, at: &Cursor<'_>) {
        *self = at.text().unwrap_or_default().to_owned();
    }
}

impl Read for bool {
    fn blank() -> Self {
        false
    }

    fn read(&mut self, at: &Cursor<'_>) {
        *self = at.boolean().unwrap_or_default();
    }
}

macro_rules! read_whole_numbers {
    ($($number:ty)+) => {$(
        impl Read for $number {
            fn blank() -> Self {
                0
            }

            fn read(&mut self, at: &Cursor<'_>) {
                let value = at.whole(<$number>::MIN.into(), <$number>::MAX.into());
                *self = value.and_then(|n| n.try_into().ok()).unwrap_or_default();
            }
        }
    )+};
}
read_whole_numbers!(u8 u16 u32 u64 i32 i64);

impl<T: Read> Read for Option<T> {
    fn blank() -> Self {
        None
    }

    fn read(&mut self, at: &Cursor<'_>) {
        if T::EMPTY_IS_ABSENT && at.is_empty_text() {
            return;
        }
        let mut value = T::blank();
        value.read(at);
        *self = Some(value);
    }
}

impl<T: Read> Read for Vec<T> {
    fn blank() -> Self {
        Self::new()
    }

    fn read(&mut self, at: &Cursor<'_>) {
        at.list(&mut |item| {
            let mut value = T::blank();
            value.read(item);
            self.push(value);
        });
    }
}

/// The key of a map.
pub trait Key: Sized {
    /// Reads the key of an entry.
    fn from_key(key: &str, at: &Cursor<'_>) -> Option<Self>;
}

impl Key for String {
    fn from_key(key: &str, at: &Cursor<'_>) -> Option<Self> {
        if key.contains('\0') {
            at.problem("the key contains a NUL byte");
            return None;
        }
        Some(key.to_owned())
    }
}

impl<K: Key, V: Read> Read for Vec<(K, V)> {
    fn blank() -> Self {
        Self::new()
    }

    fn read(&mut self, at: &Cursor<'_>) {
        let mut pairs = Vec::new();
        at.object(&[], &mut |key, at| {
            if let Some(known) = K::from_key(key, at) {
                let mut value = V::blank();
                value.read(at);
                pairs.push((key.to_owned(), known, value));
            }
            true
        });
        *self = last_of_each(pairs);
    }
}

/// Drops all but the last pair of each key; what stays keeps its order.
fn last_of_each<K, V>(pairs: Vec<(String, K, V)>) -> Vec<(K, V)> {
    let mut seen = HashSet::new();
    let mut kept = Vec::with_capacity(pairs.len());
    for (name, key, value) in pairs.into_iter().rev() {
        if seen.insert(name) {
            kept.push((key, value));
        }
    }
    kept.reverse();
    kept
}

/// A name out of a closed set; the problem lists the allowed ones.
fn one_of<S: ClosedSet>(name: &str, at: &Cursor<'_>) -> Option<S> {
    let found = S::from_name(name);
    if found.is_none() {
        let allowed: Vec<&str> = S::VALUES.iter().map(|(name, _)| *name).collect();
        at.problem(format!(
            "invalid {} {name:?} (allowed: {})",
            S::NOUN,
            allowed.join(", ")
        ));
    }
    found
}

impl Key for config::Clock {
    fn from_key(key: &str, at: &Cursor<'_>) -> Option<Self> {
        one_of(key, at)
    }
}

macro_rules! read_closed_sets {
    ($($set:ident)+) => {$(
        impl Read for config::$set {
            const EMPTY_IS_ABSENT: bool = true;

            fn blank() -> Self {
                Self::VALUES[0].1
            }

            fn read(&mut self, at: &Cursor<'_>) {
                *self = at.text().and_then(|name| one_of(name, at)).unwrap_or_else(Self::blank);
            }
        }
    )+};
}
read_closed_sets!(DeviceRuleType DeviceType IoPriorityClass MemoryPolicyFlag MemoryPolicyMode
    NamespaceType PersonalityDomain RlimitType RootfsPropagation SchedulerFlag SchedulerPolicy
    SeccompAction SeccompArch SeccompFlag SeccompOperator);
