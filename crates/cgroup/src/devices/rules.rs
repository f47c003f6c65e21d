//! What a rule matches, and what is left of it after the rules that come later.

use kan_op::host::{DeviceKind, DeviceRule};

/// Accesses as the kernel numbers them: DEVCG_ACC_* of v1, BPF_DEVCG_ACC_* of v2.
pub(super) const MKNOD: u8 = 1;
pub(super) const READ: u8 = 2;
pub(super) const WRITE: u8 = 4;
pub(super) const EVERY_ACCESS: u8 = MKNOD | READ | WRITE;

/// The devices that a rule speaks of; `None` is a wildcard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    /// Whether every device of the other is one of this.
    pub fn covers(&self, other: &Self) -> bool {
        (self.kind == DeviceKind::All || self.kind == other.kind)
            && (self.major.is_none() || self.major == other.major)
            && (self.minor.is_none() || self.minor == other.minor)
    }
}

/// The accesses that a rule speaks of.
pub(super) fn access(rule: &DeviceRule) -> u8 {
    let bit = |has: bool, bit: u8| if has { bit } else { 0 };
    bit(rule.mknod, MKNOD) | bit(rule.read, READ) | bit(rule.write, WRITE)
}

/// What is left of these accesses to the pattern's devices after the later rules. Exact for one
/// later rule at a time, which is all there is: no finite number of numbers makes a wildcard.
pub(super) fn left<'r>(
    pattern: &Pattern,
    access_of_it: u8,
    later: impl IntoIterator<Item = &'r DeviceRule>,
) -> u8 {
    later
        .into_iter()
        .filter(|rule| Pattern::of(rule).covers(pattern))
        .fold(access_of_it, |left, rule| left & !access(rule))
}
