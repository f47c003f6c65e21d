//! What a rule matches, and what is left of it after the rules that come later.

use kan_op::host::{DeviceKind, DeviceRule};
use std::collections::HashMap;

/// Accesses as the kernel numbers them: DEVCG_ACC_* of v1, BPF_DEVCG_ACC_* of v2.
pub(super) const MKNOD: u8 = 1;
pub(super) const READ: u8 = 2;
pub(super) const WRITE: u8 = 4;
pub(super) const EVERY_ACCESS: u8 = MKNOD | READ | WRITE;
pub(super) const ACCESSES: [u8; 3] = [MKNOD, READ, WRITE];

/// The devices that a rule speaks of; `None` is a wildcard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pattern {
    pub kind: DeviceKind,
    pub major: Option<u32>,
    pub minor: Option<u32>,
}

impl Pattern {
    pub fn of(rule: &DeviceRule) -> Self {
        Self {
            kind: rule.kind,
            major: rule.major,
            minor: rule.minor,
        }
    }

    /// Every pattern whose devices include all of this one's, itself among them; some more than once.
    fn wider(self) -> impl Iterator<Item = Self> {
        (0..8).map(move |wild: u8| Self {
            kind: if wild & 1 == 0 {
                self.kind
            } else {
                DeviceKind::All
            },
            major: self.major.filter(|_| wild & 2 == 0),
            minor: self.minor.filter(|_| wild & 4 == 0),
        })
    }

    /// The devices that are of both patterns, neither being for all kinds.
    pub fn intersection(self, other: Self) -> Option<Self> {
        Some(Self {
            kind: (self.kind == other.kind).then_some(self.kind)?,
            major: number(self.major, other.major)?,
            minor: number(self.minor, other.minor)?,
        })
    }
}

/// The number that is both; the outer `None` if there is none.
fn number(a: Option<u32>, b: Option<u32>) -> Option<Option<u32>> {
    match (a, b) {
        (Some(a), Some(b)) if a != b => None,
        _ => Some(a.or(b)),
    }
}

/// Patterns, none of them for all kinds, to find those that share devices with another.
#[derive(Default)]
pub(super) struct Crossings(HashMap<(DeviceKind, Part, Part), Vec<Pattern>>);

/// One of a pattern's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    /// This, or the wildcard.
    Is(Option<u32>),
    /// Whatever it is.
    Any,
}

impl Part {
    /// What a number must be that is to share something with this one.
    fn meeting(number: Option<u32>) -> impl Iterator<Item = Self> + Clone {
        let (first, second) = match number {
            Some(_) => (Self::Is(number), Some(Self::Is(None))),
            None => (Self::Any, None),
        };
        std::iter::once(first).chain(second)
    }
}

impl Crossings {
    pub fn add(&mut self, pattern: Pattern) {
        let exactly = |number| [Part::Is(number), Part::Any];
        let whole = (
            pattern.kind,
            Part::Is(pattern.major),
            Part::Is(pattern.minor),
        );
        if self.0.contains_key(&whole) {
            return;
        }
        for major in exactly(pattern.major) {
            for minor in exactly(pattern.minor) {
                let alike = self.0.entry((pattern.kind, major, minor));
                alike.or_default().push(pattern);
            }
        }
    }

    /// What each of them that has any shares with this one.
    pub fn shared(&self, pattern: Pattern) -> impl Iterator<Item = Pattern> {
        let minors = Part::meeting(pattern.minor);
        let parts = Part::meeting(pattern.major)
            .flat_map(move |major| minors.clone().map(move |minor| (major, minor)));
        let alike =
            parts.filter_map(move |(major, minor)| self.0.get(&(pattern.kind, major, minor)));
        alike
            .flatten()
            .filter_map(move |other| other.intersection(pattern))
    }
}

/// The accesses that a rule speaks of.
pub(super) fn access(rule: &DeviceRule) -> u8 {
    let bit = |has: bool, bit: u8| if has { bit } else { 0 };
    bit(rule.mknod, MKNOD) | bit(rule.read, READ) | bit(rule.write, WRITE)
}

/// Where in a list each pattern is spoken of last, so that a list is gone through once, however long.
#[derive(Default)]
pub(super) struct Last(HashMap<Pattern, [usize; ACCESSES.len()]>);

impl Last {
    /// `rules` with their places, in ascending order.
    pub fn of<'r>(rules: impl IntoIterator<Item = (usize, &'r DeviceRule)>) -> Self {
        let mut all = Self::default();
        for (place, rule) in rules {
            let last = all.0.entry(Pattern::of(rule)).or_default();
            for (last, bit) in last.iter_mut().zip(ACCESSES) {
                if access(rule) & bit != 0 {
                    *last = place;
                }
            }
        }
        all
    }

    /// What is left of these accesses to the pattern's devices after the rules behind a place. Exact
    /// for one later rule at a time, which is all there is: no finite number of numbers makes a
    /// wildcard.
    pub fn left(&self, pattern: &Pattern, access: u8, place: usize) -> u8 {
        let mut left = access;
        for wider in pattern.wider() {
            if let Some(last) = self.0.get(&wider) {
                let later = last.iter().zip(ACCESSES).filter(|(last, _)| **last > place);
                left = later.fold(left, |left, (_, bit)| left & !bit);
            }
        }
        left
    }
}
