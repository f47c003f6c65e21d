//! What a list of rules means, in plain Rust, and random lists to try it on.

use kan_op::host::{DeviceKind, DeviceRule};

/// An access that the kernel asks about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub block: bool,
    pub major: u32,
    pub minor: u32,
    /// 1 mknod, 2 read, 4 write.
    pub access: u8,
}

/// Each access that is asked for is decided by the last rule that speaks of it.
pub(super) fn allowed(rules: &[DeviceRule], asked: &Asked) -> bool {
    [1, 2, 4]
        .into_iter()
        .filter(|bit| asked.access & bit != 0)
        .all(|bit| {
            let speaks = |rule: &&DeviceRule| speaks_of(rule, asked, bit);
            rules
                .iter()
                .rev()
                .find(speaks)
                .is_none_or(|rule| rule.allow)
        })
}

fn speaks_of(rule: &DeviceRule, asked: &Asked, bit: u8) -> bool {
    let kind = match rule.kind {
        DeviceKind::All => true,
        DeviceKind::Character => !asked.block,
        DeviceKind::Block => asked.block,
    };
    let access = match bit {
        1 => rule.mknod,
        2 => rule.read,
        _ => rule.write,
    };
    kind && access
        && rule.major.is_none_or(|major| major == asked.major)
        && rule.minor.is_none_or(|minor| minor == asked.minor)
}

/// Few enough that rules meet, with those that a signed comparison would get wrong.
pub(super) const NUMBERS: [u32; 4] = [0, 1, 0x8000_0001, u32::MAX];

/// Every access that rules with these numbers can tell from another.
pub(super) fn every_access() -> impl Iterator<Item = Asked> {
    (0..2 * 5 * 5 * 8).map(|n: usize| {
        let number = |n: usize| NUMBERS.get(n % 5).copied().unwrap_or(77);
        Asked {
            block: n % 2 == 1,
            major: number(n / 2),
            minor: number(n / 10),
            access: u8::try_from(n / 50).unwrap(),
        }
    })
}

/// SplitMix64: the same lists in every run, with these device numbers and wildcards.
pub(super) struct Random(pub u64, pub &'static [u32]);

impl Random {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) >> 8).unwrap() % limit
    }

    fn number(&mut self) -> Option<u32> {
        self.1.get(self.below(self.1.len() + 3)).copied()
    }

    pub fn rule(&mut self) -> DeviceRule {
        let access = match self.below(2) {
            0 => 7,
            _ => self.below(8),
        };
        DeviceRule {
            allow: self.below(2) == 0,
            kind: [DeviceKind::All, DeviceKind::Character, DeviceKind::Block][self.below(3)],
            major: self.number(),
            minor: self.number(),
            read: access & 2 != 0,
            write: access & 4 != 0,
            mknod: access & 1 != 0,
        }
    }

    pub fn rules(&mut self) -> Vec<DeviceRule> {
        (0..self.below(9)).map(|_| self.rule()).collect()
    }
}

/// A rule as `DeviceRule` prints it: `deny a *:* rwm`.
pub(super) fn rule(text: &str) -> DeviceRule {
    let words: Vec<_> = text.split(' ').collect();
    let (major, minor) = words[2].split_once(':').unwrap();
    DeviceRule {
        allow: words[0] == "allow",
        kind: match words[1] {
            "a" => DeviceKind::All,
            "c" => DeviceKind::Character,
            _ => DeviceKind::Block,
        },
        major: major.parse().ok(),
        minor: minor.parse().ok(),
        read: words[3].contains('r'),
        write: words[3].contains('w'),
        mknod: words[3].contains('m'),
    }
}

pub(super) fn rules(texts: &[&str]) -> Vec<DeviceRule> {
    texts.iter().map(|text| rule(text)).collect()
}
