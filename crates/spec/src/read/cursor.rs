//! A value of the document together with the way that leads to it.

use std::cell::RefCell;

use super::Read;
use crate::config;
use crate::json::{Json, Number};
use crate::problem::{MOST_PROBLEMS, Problem};

/// What reading a document found, beside the values.
#[derive(Debug, Default)]
pub struct Report {
    problems: RefCell<Vec<Placed>>,
    ignored: RefCell<Vec<String>>,
    /// What unknown keys were probably meant to be, if somebody wants to know.
    suggestions: Option<RefCell<Vec<(String, String)>>>,
}

/// A problem with its place in the document, to sort by.
#[derive(Debug)]
struct Placed {
    /// The number of each entry on the way from the document.
    place: Vec<usize>,
    problem: Problem,
}

impl Report {
    /// The value if nothing was wrong, with the unknown keys that were passed over.
    pub fn finish<T>(self, value: T) -> Result<(T, Vec<String>), Vec<Problem>> {
        match self.all() {
            (ignored, problems) if problems.is_empty() => Ok((value, ignored)),
            (_, problems) => Err(problems),
        }
    }

    /// A report that looks for what unknown keys were meant to be.
    pub fn with_suggestions() -> Self {
        Self {
            suggestions: Some(RefCell::default()),
            ..Self::default()
        }
    }

    /// The paths of unknown keys, and the known key that each was probably meant to be.
    pub fn suggestions(self) -> Vec<(String, String)> {
        self.suggestions.unwrap_or_default().into_inner()
    }

    /// The unknown keys, and what is wrong, in document order.
    pub fn all(self) -> (Vec<String>, Vec<Problem>) {
        let mut placed = self.problems.into_inner();
        placed.sort_by(|a, b| a.place.cmp(&b.place));
        let problems = placed.into_iter().map(|placed| placed.problem);
        (self.ignored.into_inner(), problems.collect())
    }
}

/// One step of the way to a value.
#[derive(Debug, Clone, Copy)]
enum Step<'c> {
    Document,
    Key(&'c str),
    Index,
}

/// A value, where it is, and where to report what is wrong with it. The way is a list through the
/// stack: nothing is built until a problem needs it.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'c> {
    json: &'c Json<'c>,
    parent: Option<&'c Cursor<'c>>,
    step: Step<'c>,
    /// The number of this entry in its parent; `usize::MAX` for an absent key.
    number: usize,
    report: &'c Report,
}

impl<'c> Cursor<'c> {
    /// The whole document.
    pub const fn document(json: &'c Json<'c>, report: &'c Report) -> Self {
        Self {
            json,
            parent: None,
            step: Step::Document,
            number: 0,
            report,
        }
    }

    /// The value of a key, the last one that counts; `null` if there is none.
    pub fn key(&'c self, key: &'c str) -> Self {
        let entries = match self.json {
            Json::Object(entries) => entries.as_slice(),
            _ => &[],
        };
        let counts = |(name, value): &(_, Json<'_>)| name == key && *value != Json::Null;
        let found = entries.iter().rposition(counts);
        let (number, json) = found.map_or((usize::MAX, &Json::Null), |n| (n, &entries[n].1));
        Self {
            json,
            parent: Some(self),
            step: Step::Key(key),
            number,
            report: self.report,
        }
    }

    /// One entry of an object, which may occur more than once.
    const fn entry(&'c self, number: usize, key: &'c str, json: &'c Json<'c>) -> Self {
        Self {
            json,
            parent: Some(self),
            step: Step::Key(key),
            number,
            report: self.report,
        }
    }

    /// One item of an array that was read; `null` if there is none.
    pub fn item(&'c self, number: usize) -> Self {
        let json = match self.json {
            Json::List(items) => items.get(number).unwrap_or(&Json::Null),
            _ => &Json::Null,
        };
        Self {
            json,
            parent: Some(self),
            step: Step::Index,
            number,
            report: self.report,
        }
    }

    /// The field that this is, as problems name it.
    fn path(&self) -> String {
        let mut path = self.parent.map_or_else(String::new, Cursor::path);
        match self.step {
            Step::Document => {}
            Step::Index => path.push_str(&format!("[{}]", self.number)),
            Step::Key(key) => path = member(&path, key),
        }
        path
    }

    fn place(&self) -> Vec<usize> {
        let mut place = self.parent.map_or_else(Vec::new, Cursor::place);
        if self.parent.is_some() {
            place.push(self.number);
        }
        place
    }

    /// Notes what is wrong with this value.
    #[cold]
    pub fn problem(&self, why: impl Into<String>) {
        let mut problems = self.report.problems.borrow_mut();
        if problems.len() < MOST_PROBLEMS {
            let problem = Problem::new(self.path(), why);
            problems.push(Placed {
                place: self.place(),
                problem,
            });
        }
    }

    /// Checks the key of each entry of an object, as long as anybody would read of another
    /// problem: to find the place of each takes a look at all.
    pub fn each_key<'k>(
        &self,
        keys: impl Iterator<Item = &'k str>,
        rule: impl Fn(&str) -> Result<(), String>,
    ) {
        for key in keys {
            if let Err(why) = rule(key) {
                if self.report.problems.borrow().len() >= MOST_PROBLEMS {
                    return;
                }
                self.key(key).problem(why);
            }
        }
    }

    /// Whether nothing was wrong so far with this value and what it contains.
    pub fn sound(&self) -> bool {
        let problems = self.report.problems.borrow();
        if problems.is_empty() {
            return true;
        }
        let place = self.place();
        !problems
            .iter()
            .any(|placed| placed.place.starts_with(&place))
    }

    fn wrong_kind(&self, expected: &str) {
        self.problem(format!("expected {expected}, found {}", self.json.kind()));
    }

    /// Whether this is an object or absent, so that asking for its keys means something.
    pub const fn may_have_keys(&self) -> bool {
        matches!(self.json, Json::Object(_) | Json::Null)
    }

    /// Whether the key is missing or `null`.
    pub fn is_absent(&self) -> bool {
        *self.json == Json::Null
    }

    /// Whether this is the string `""`.
    pub fn is_empty_text(&self) -> bool {
        matches!(self.json, Json::Text(text) if text.is_empty())
    }

    /// A string; anything else is a problem.
    pub fn text(&self) -> Option<&'c str> {
        let Json::Text(text) = self.json else {
            self.wrong_kind("a string");
            return None;
        };
        if text.contains('\0') {
            self.problem("contains a NUL byte");
            return None;
        }
        Some(text)
    }

    /// A boolean; anything else is a problem.
    pub fn boolean(&self) -> Option<bool> {
        if let Json::Bool(value) = self.json {
            return Some(*value);
        }
        self.wrong_kind("a boolean");
        None
    }

    /// A whole number in a range, limits included; anything else is a problem.
    pub fn whole(&self, min: i128, max: i128) -> Option<i128> {
        let Json::Number(number) = self.json else {
            self.wrong_kind("a whole number");
            return None;
        };
        match number {
            Number::Whole(n) if (min..=max).contains(n) => return Some(*n),
            Number::Float(f) if f.fract() != 0.0 || f.abs() < 1e18 => {
                self.problem(format!("expected a whole number, found {f:?}"));
            }
            _ => self.problem(format!("{number} is out of range ({min} to {max})")),
        }
        None
    }

    /// The items of an array; anything else is a problem.
    pub fn list(&'c self, each: &mut dyn FnMut(&Cursor<'_>)) {
        let Json::List(items) = self.json else {
            return self.wrong_kind("an array");
        };
        for number in 0..items.len() {
            each(&self.item(number));
        }
    }

    /// Walks an object in document order. `field` says whether it knows the key; a key whose value
    /// is `null` counts as absent, as in Go's `encoding/json`. A key that occurs twice is read
    /// twice, so the last one wins.
    pub fn object(&'c self, required: &[&str], field: &mut dyn FnMut(&str, &Cursor<'_>) -> bool) {
        let Json::Object(entries) = self.json else {
            return self.wrong_kind("an object");
        };
        for (number, (key, value)) in entries.iter().enumerate() {
            let at = self.entry(number, key, value);
            if *value != Json::Null && !field(key, &at) {
                self.report.ignored.borrow_mut().push(at.path());
                if let Some(suggestions) = &self.report.suggestions
                    && let Some(meant) = probably_meant(key, field)
                {
                    suggestions.borrow_mut().push((at.path(), meant));
                }
            }
        }
        for key in required {
            let at = self.key(key);
            if at.is_absent() {
                at.problem("is required, but missing");
            }
        }
    }

    /// Reads this value into a field, whose rules may follow: `at.fill(&mut cwd).rule(absolute)`.
    #[inline(never)]
    pub fn fill<T: Read>(&'c self, slot: &mut T) -> &'c Self {
        *slot = T::blank();
        slot.read(self);
        self
    }

    /// A rule for a string, unless something is wrong with it already.
    pub fn rule(&self, rule: Rule) -> &Self {
        if let Json::Text(text) = self.json
            && self.sound()
            && let Err(why) = rule(text)
        {
            self.problem(why);
        }
        self
    }

    /// A rule for a string in an optional field, where an empty one counts as absent.
    pub fn rule_if_any(&self, rule: Rule) -> &Self {
        if self.is_empty_text() {
            self
        } else {
            self.rule(rule)
        }
    }

    /// A rule for each string of an array.
    pub fn each(&self, rule: Rule) -> &Self {
        if let Json::List(items) = self.json {
            (0..items.len()).for_each(|number| {
                self.item(number).rule(rule);
            });
        }
        self
    }

    /// A rule for a number, or for each of an array, that is a user or a group.
    pub fn id(&self) -> &Self {
        match self.json {
            Json::List(items) => (0..items.len()).for_each(|number| {
                self.item(number).id();
            }),
            Json::Number(Number::Whole(number)) if *number == i128::from(config::NO_ID) => {
                self.problem(format!("{number}{}", config::NO_ID_WHY));
            }
            _ => {}
        }
        self
    }

    /// Limits for a number beyond those of its type, unless it is wrong already.
    pub fn range(&self, min: i128, max: i128) -> &Self {
        if self.sound() {
            self.whole(min, max);
        }
        self
    }
}

/// What a string must look like, or what is wrong with it.
pub type Rule = fn(&str) -> Result<(), String>;

/// A member of an object as problems name it: `linux.sysctl["net.ipv4.ip_forward"]`, `mounts`.
#[must_use]
pub fn member(object: &str, key: &str) -> String {
    match (object, plain(key)) {
        (_, false) => format!("{object}[{key:?}]"),
        ("", true) => key.to_owned(),
        (_, true) => format!("{object}.{key}"),
    }
}

/// Whether a key can stand in a path without quotes.
fn plain(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The known key that differs from this one in one letter: one too many, one missing, another one, or two
/// exchanged. `field` is asked for each: it takes the values for its own, so that the document is
/// not worth anything afterwards.
#[cold]
fn probably_meant(key: &str, field: &mut dyn FnMut(&str, &Cursor<'_>) -> bool) -> Option<String> {
    const LONGEST: usize = 64;
    let letters: Vec<char> = key.chars().collect();
    if letters.len() > LONGEST {
        return None;
    }
    let scratch = Report::default();
    let nothing = Cursor::document(&Json::Null, &scratch);
    let mut is_known = |letters: Vec<char>| {
        let key: String = letters.into_iter().collect();
        field(&key, &nothing).then_some(key)
    };
    let all = || ('a'..='z').chain('A'..='Z');
    for at in 0..=letters.len() {
        let (before, after) = letters.split_at(at);
        let with = |middle: &[char], after: &[char]| [before, middle, after].concat();
        let found = match after {
            [] => None,
            [_, rest @ ..] => is_known(with(&[], rest)),
        };
        let exchanged = || match after {
            [one, other, rest @ ..] => Some(with(&[*other, *one], rest)),
            _ => None,
        };
        let found = found.or_else(|| exchanged().and_then(&mut is_known));
        let mut others = all().flat_map(|letter| {
            let replaced = after.split_first().map(|(_, rest)| with(&[letter], rest));
            replaced.into_iter().chain([with(&[letter], after)])
        });
        let found = found.or_else(|| others.find_map(&mut is_known));
        if found.is_some() {
            return found;
        }
    }
    None
}
