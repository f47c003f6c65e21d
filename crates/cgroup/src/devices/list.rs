//! v1: the default and the exceptions from it that the devices controller is to have
//! (cgroup-v1/devices.rst, and security/device_cgroup.c for what that does not say).
//!
//! Where the default is to deny, the kernel looks for one exception that holds all accesses that
//! are asked for; where it is to allow, any exception that holds one of them denies.

use std::fmt;

use kan_op::host::{DeviceKind, DeviceRule};

use super::DevicesError;
use super::rules::{EVERY_ACCESS, Pattern, READ, WRITE, access, left};

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
    let mut visible = Vec::with_capacity(all.len());
    for (index, original) in all.iter().enumerate() {
        let later = &all[index + 1..];
        for kind in kinds(original.kind) {
            let pattern = Pattern {
                kind: *kind,
                ..Pattern::of(original)
            };
            let opposite = later.iter().filter(|rule| rule.allow != original.allow);
            let bits = left(&pattern, access(original), opposite);
            if left(&pattern, bits, later) != 0 {
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
    let mut exceptions: Vec<Exception> = Vec::with_capacity(rules.len());
    for (index, rule) in rules.iter().enumerate() {
        if rule.allow == allows {
            check_holes(&rules[..index], rule, &rules[index + 1..])?;
        } else {
            add(&mut exceptions, Pattern::of(rule), access(rule));
        }
    }
    if !allows {
        join_read_and_write(&mut exceptions);
    }
    Ok(List { allows, exceptions })
}

/// A rule that gives back the default must not do so for a part of an earlier exception: such an
/// exception can be removed as a whole only, which later rules have done already.
fn check_holes(
    earlier: &[DeviceRule],
    rule: &DeviceRule,
    later: &[DeviceRule],
) -> Result<(), DevicesError> {
    for wildcard in earlier.iter().filter(|other| other.allow != rule.allow) {
        let both = access(wildcard) & access(rule);
        let hole = intersection(&Pattern::of(wildcard), &Pattern::of(rule));
        if hole.is_some_and(|hole| left(&hole, both, later) != 0) {
            return Err(DevicesError::Inexpressible {
                rule: *rule,
                wildcard: *wildcard,
            });
        }
    }
    Ok(())
}

/// The devices that are of both patterns, neither being for all kinds.
fn intersection(a: &Pattern, b: &Pattern) -> Option<Pattern> {
    Some(Pattern {
        kind: (a.kind == b.kind).then_some(a.kind)?,
        major: number(a.major, b.major)?,
        minor: number(a.minor, b.minor)?,
    })
}

/// The number that is both; the outer `None` if there is none.
fn number(a: Option<u32>, b: Option<u32>) -> Option<Option<u32>> {
    match (a, b) {
        (Some(a), Some(b)) if a != b => None,
        _ => Some(a.or(b)),
    }
}

fn add(exceptions: &mut Vec<Exception>, pattern: Pattern, access: u8) {
    match exceptions.iter_mut().find(|e| e.pattern == pattern) {
        Some(exception) => exception.access |= access,
        None => exceptions.push(Exception { pattern, access }),
    }
}

/// Opening for both asks for both at once, so where one exception allows reading and another
/// writing, the devices of both need one with both. Nothing asks for mknod and more.
fn join_read_and_write(exceptions: &mut Vec<Exception>) {
    const BOTH: u8 = READ | WRITE;
    let single = |access| move |e: &&Exception| e.access & BOTH == access;
    let before = exceptions.clone();
    for reading in before.iter().filter(single(READ)) {
        for writing in before.iter().filter(single(WRITE)) {
            if let Some(pattern) = intersection(&reading.pattern, &writing.pattern) {
                add(exceptions, pattern, BOTH);
            }
        }
    }
}

#[cfg(test)]
mod tests;
