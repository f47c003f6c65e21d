//! System call numbers by name, from `tables/syscalls.tsv`.
//!
//! The names are one string in alphabetical order and the numbers rows of 16 bits: 25 kilobytes in
//! all for 18 tables, where a table of strings for each would take ten times as much.

use crate::column::Column;

include!(concat!(env!("OUT_DIR"), "/syscalls.rs"));

/// In a row: the architecture has no such call.
const ABSENT: u16 = u16::MAX;
/// Arm's private calls (`__ARM_NR_BASE`), which do not fit 16 bits, are stored from here on.
const ARM_PRIVATE: (u16, u32) = (0xf000, 0x000f_0000);

/// A system call that some architecture has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Syscall(usize);

impl Syscall {
    /// The call with this name, as the kernel's tables spell it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (mut low, mut high) = (0, NUMBERS.len());
        while low < high {
            let middle = low.midpoint(high);
            match Self(middle).name().cmp(name) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(Self(middle)),
            }
        }
        None
    }

    /// Every call of the table, by name.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..NUMBERS.len()).map(Self)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        &NAMES[usize::from(STARTS[self.0])..usize::from(STARTS[self.0 + 1])]
    }

    /// Its number in this column, without the bit that marks x32.
    pub(crate) fn number(self, column: Column) -> Option<u32> {
        match NUMBERS[self.0][column as usize] {
            ABSENT => None,
            private if private >= ARM_PRIVATE.0 => {
                Some(u32::from(private - ARM_PRIVATE.0) + ARM_PRIVATE.1)
            }
            number => Some(u32::from(number)),
        }
    }
}
