//! v1: the default and the exceptions from it that the devices controller is to have
//! (cgroup-v1/devices.rst, and security/device_cgroup.c for what that does not say).
//!
//! Where the default is to deny, the kernel looks for one exception that holds all accesses that
//! are asked for; where it is to allow, any exception that holds one of them denies.

use std::collections::HashMap;
use std::fmt;

use kan_op::host::{DeviceKind, DeviceRule};

use super::error::DevicesError;
use super::rules::{ACCESSES, Crossings, EVERY_ACCESS, Last, Pattern, READ, WRITE, access};

/// An exception, written as the kernel reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exception {
    pub pattern: Pattern,
    pub access: u8,
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = rule(true, self.pattern, self.access).to_string();
        f.write_str(rule.trim_start_matches("allow "))
    }
}

/// The controller's state.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct List {
    /// The default.
    pub allows: bool,
    pub exceptions: Vec<Exception>,
}

/// The state that applies the rules. Pure. Of the two defaults the one that the rules leave to
/// most devices is tried first.
///
/// # Errors
/// [`DevicesError::Inexpressible`] if neither default will do.
pub(super) fn list(rules: &[DeviceRule]) -> Result<List, DevicesError> {
    let rules = visible(rules);
    let natural = rules
        .first()
        .is_some_and(|first| *first == everything(first.kind));
    with_default(natural, &rules).or_else(|error| with_default(!natural, &rules).map_err(|_| error))
}

/// What holds without rules.
fn everything(kind: DeviceKind) -> DeviceRule {
    let pattern = Pattern {
        kind,
        major: None,
        minor: None,
    };
    rule(true, pattern, EVERY_ACCESS)
}

fn rule(allow: bool, pattern: Pattern, access: u8) -> DeviceRule {
    DeviceRule {
        allow,
        kind: pattern.kind,
        major: pattern.major,
        minor: pattern.minor,
        read: access & READ != 0,
        write: access & WRITE != 0,
        mknod: access & super::rules::MKNOD != 0,
    }
}

/// The rules from the state without rules on, one for each kind, without what later ones override.
/// A later rule that says the same as an earlier one takes nothing from it: a device's exception
/// stays whole, as runc writes it.
fn visible(rules: &[DeviceRule]) -> Vec<DeviceRule> {
    let mut all = vec![everything(DeviceKind::All)];
    all.extend(rules.iter().filter(|rule| can_match(rule)));
    let placed = || all.iter().enumerate();
    let last = Last::of(placed());
    let [allowing, denying] =
        [true, false].map(|allow| Last::of(placed().filter(|(_, rule)| rule.allow == allow)));
    let mut visible = Vec::with_capacity(all.len());
    for (place, original) in placed() {
        let opposite = if original.allow { &denying } else { &allowing };
        for kind in kinds(original.kind) {
            let pattern = Pattern {
                kind: *kind,
                ..Pattern::of(original)
            };
            let bits = opposite.left(&pattern, access(original), place);
            if last.left(&pattern, bits, place) != 0 {
                visible.push(rule(original.allow, pattern, bits));
            }
        }
    }
    visible
}

fn kinds(kind: DeviceKind) -> &'static [DeviceKind] {
    match kind {
        DeviceKind::All => &[DeviceKind::Character, DeviceKind::Block],
        DeviceKind::Character => &[DeviceKind::Character],
        DeviceKind::Block => &[DeviceKind::Block],
    }
}

/// Whether there can be such a device. The kernel keeps its wildcard as the highest number.
fn can_match(rule: &DeviceRule) -> bool {
    rule.major != Some(u32::MAX) && rule.minor != Some(u32::MAX)
}

fn with_default(allows: bool, rules: &[DeviceRule]) -> Result<List, DevicesError> {
    let last = Last::of(rules.iter().enumerate());
    let mut exceptions = Exceptions::default();
    // The earlier exceptions, for each access.
    let mut earlier: [Crossings; ACCESSES.len()] = Default::default();
    for (place, rule) in rules.iter().enumerate() {
        let (pattern, access) = (Pattern::of(rule), access(rule));
        let of_it = ACCESSES.iter().zip(&mut earlier);
        let mut of_it = of_it.filter(|(bit, _)| access & **bit != 0);
        if rule.allow != allows {
            of_it.for_each(|(_, patterns)| patterns.add(pattern));
            exceptions.add(pattern, access);
        } else if of_it.any(|(bit, patterns)| {
            let mut shared = patterns.shared(pattern);
            shared.any(|hole| last.left(&hole, *bit, place) != 0)
        }) {
            return Err(hole(rules, place, &last));
        }
    }
    if !allows {
        exceptions.join_read_and_write();
    }
    Ok(List {
        allows,
        exceptions: exceptions.all,
    })
}

/// A rule that gives back the default must not do so for a part of an earlier exception: such an
/// exception can be removed as a whole only, which later rules have done already. The error for the
/// first one of which this rule does so.
fn hole(rules: &[DeviceRule], place: usize, last: &Last) -> DevicesError {
    let rule = rules[place];
    let is_cut = |wildcard: &&DeviceRule| {
        let both = access(wildcard) & access(&rule);
        let hole = Pattern::of(wildcard).intersection(Pattern::of(&rule));
        wildcard.allow != rule.allow && hole.is_some_and(|hole| last.left(&hole, both, place) != 0)
    };
    let wildcard = rules[..place].iter().find(is_cut);
    DevicesError::Inexpressible {
        rule,
        wildcard: *wildcard.unwrap_or(&rule),
    }
}

/// Exceptions, one for each pattern.
#[derive(Default)]
struct Exceptions {
    all: Vec<Exception>,
    places: HashMap<Pattern, usize>,
}

impl Exceptions {
    fn add(&mut self, pattern: Pattern, access: u8) {
        let next = self.all.len();
        let place = *self.places.entry(pattern).or_insert(next);
        match self.all.get_mut(place) {
            Some(exception) => exception.access |= access,
            None => self.all.push(Exception { pattern, access }),
        }
    }

    /// Opening for both asks for both at once, so where one exception allows reading and another
    /// writing, the devices of both need one with both. Nothing asks for mknod and more.
    fn join_read_and_write(&mut self) {
        const BOTH: u8 = READ | WRITE;
        let of = |wanted| {
            let fitting = self.all.iter().filter(move |e| e.access & BOTH == wanted);
            fitting.map(|e| e.pattern)
        };
        let mut writing = Crossings::default();
        of(WRITE).for_each(|pattern| writing.add(pattern));
        let reading: Vec<_> = of(READ).collect();
        for pattern in reading {
            for shared in writing.shared(pattern) {
                self.add(shared, BOTH);
            }
        }
    }
}

#[cfg(test)]
mod tests;
