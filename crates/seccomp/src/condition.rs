//! Conditions on arguments, and which of two rules for one call comes first.

use std::cmp::Ordering;

use kan_spec::config::{SeccompArg, SeccompOperator};

const LOW: u64 = 0xffff_ffff;

/// How an argument is compared. `MaskedEq` with a mask of ones is `Eq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Test {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    MaskedEq,
}

/// One condition in the width of the architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Condition {
    /// 0 to 5.
    pub arg: u8,
    pub test: Test,
    /// For `MaskedEq`; else all ones.
    pub mask: u64,
    /// Within the mask.
    pub value: u64,
}

impl Condition {
    /// The condition of a profile, or `None` if it always holds. Where arguments have 32 bits, the
    /// upper half of the profile's values does not count, nor do bits of `valueTwo` outside the mask:
    /// both as in libseccomp.
    pub fn new(arg: u8, source: &SeccompArg, wide: bool) -> Option<Self> {
        let ones = if wide { u64::MAX } else { LOW };
        let (test, mask, value) = match source.op {
            SeccompOperator::Eq => (Test::Eq, ones, source.value),
            SeccompOperator::Ne => (Test::Ne, ones, source.value),
            SeccompOperator::Lt => (Test::Lt, ones, source.value),
            SeccompOperator::Le => (Test::Le, ones, source.value),
            SeccompOperator::Gt => (Test::Gt, ones, source.value),
            SeccompOperator::Ge => (Test::Ge, ones, source.value),
            SeccompOperator::MaskedEq => match source.value & ones {
                0 => return None,
                mask if mask == ones => (Test::Eq, ones, source.value_two),
                mask => (Test::MaskedEq, mask, source.value_two),
            },
        };
        Some(Self {
            arg,
            test,
            mask,
            value: value & mask,
        })
    }

    /// `argument 0 == call`, for socketcall(2) and ipc(2).
    pub const fn first_is(call: u64, wide: bool) -> Self {
        let mask = if wide { u64::MAX } else { LOW };
        Self {
            arg: 0,
            test: Test::Eq,
            mask,
            value: call,
        }
    }

    /// Where two rules for a call hold at once, this decides which comes first, as libseccomp sorts
    /// them (`_db_chain_lt` in its db.c): the later argument, equality before order, the lower limit
    /// of two upper ones, else the larger value.
    fn precedence(&self, other: &Self) -> Ordering {
        let by_value = other.value.cmp(&self.value);
        other
            .arg
            .cmp(&self.arg)
            .then(self.class().cmp(&other.class()))
            .then(if self.class() == Class::Below {
                by_value.reverse()
            } else {
                by_value
            })
    }

    const fn class(&self) -> Class {
        match self.test {
            Test::Eq | Test::Ne | Test::MaskedEq => Class::Equality,
            Test::Lt | Test::Le => Class::Below,
            Test::Gt | Test::Ge => Class::Above,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Equality,
    Below,
    Above,
}

/// Which of two lists of conditions on one call is tried first; the shorter one if it begins the
/// longer.
pub(crate) fn precedence(one: &[Condition], other: &[Condition]) -> Ordering {
    let pairs = one.iter().zip(other);
    let first_difference = pairs
        .map(|(a, b)| a.precedence(b))
        .find(|order| order.is_ne());
    first_difference.unwrap_or_else(|| one.len().cmp(&other.len()))
}
