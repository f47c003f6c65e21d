//! Random profiles and calls, the same in each run.

use crate::model::multiplexer;
use kan_seccomp::Syscall;
use kan_spec::config::{
    SeccompAction, SeccompArch, SeccompArg, SeccompOperator, SeccompProfile, SyscallRule,
};

/// Marsaglia's xorshift64*: enough to choose test cases.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// 64 random bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// 0 to `limit` - 1.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        usize::try_from((self.bits() >> 16) % limit).unwrap_or(0)
    }

    /// One of these.
    ///
    /// # Panics
    /// If there are none.
    pub fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// How rules for one call are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflicts {
    /// All rules for a call have one action: their order does not matter.
    Never,
    /// Rules for one call may have different actions.
    Often,
}

/// Which rules one call may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Any.
    Any,
    /// Several rules only if each has one condition, and that of equality. On more, libseccomp 2.5.4
    /// loses rules or corrupts its own lists and never ends: with `a <= 0x100000000` and
    /// `a < 0x80000000` for one call it does not find that 0x90000000 is covered.
    WithinLibseccomp,
}

const OPERATORS: [SeccompOperator; 7] = [
    SeccompOperator::Ne,
    SeccompOperator::Lt,
    SeccompOperator::Le,
    SeccompOperator::Eq,
    SeccompOperator::Ge,
    SeccompOperator::Gt,
    SeccompOperator::MaskedEq,
];

const ACTIONS: [SeccompAction; 9] = [
    SeccompAction::Kill,
    SeccompAction::KillProcess,
    SeccompAction::KillThread,
    SeccompAction::Trap,
    SeccompAction::Errno,
    SeccompAction::Trace,
    SeccompAction::Allow,
    SeccompAction::Log,
    SeccompAction::Notify,
];

/// Calls that can go through a multiplexer, the multiplexers, and the first and a late one.
const SPECIAL: [&str; 14] = [
    "socket",
    "bind",
    "accept4",
    "recvmmsg",
    "send",
    "semop",
    "semtimedop",
    "msgget",
    "shmctl",
    "socketcall",
    "ipc",
    "read",
    "restart_syscall",
    "openat2",
];

/// Values of which some share a half and some a neighbour.
const VALUES: [u64; 16] = [
    0,
    1,
    2,
    9,
    10,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0001,
    0x1_0000_000a,
    0x2_0000_0009,
    0x7e02_0000,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_0000_0000,
    u64::MAX,
];

/// A profile for these architectures, with rules for calls that `usable` accepts.
pub fn profile(
    random: &mut Random,
    architectures: &[SeccompArch],
    conflicts: Conflicts,
    shape: Shape,
    usable: &dyn Fn(&str) -> bool,
) -> SeccompProfile {
    let size = *random.one_of(&[0, 1, 5, 30, 120, 300]);
    // Few names, or else nearly no call has two rules.
    let names: Vec<_> = (0..=size).filter_map(|_| name(random, usable)).collect();
    let seed = random.bits();
    let default_action = *random.one_of(&ACTIONS[..8]);
    let rules = (0..size).filter_map(|_| {
        let first = names.get(random.below(names.len().max(1)))?.clone();
        let (action, errno_ret) = match conflicts {
            Conflicts::Never => action(&mut Random::new(seed ^ hash(multiplexer(&first)))),
            Conflicts::Often => action(random),
        };
        let args = args(random);
        Some(SyscallRule {
            names: vec![first],
            action,
            errno_ret,
            args,
        })
    });
    SeccompProfile {
        default_action,
        default_errno_ret: errno(default_action, 7),
        architectures: architectures.to_vec(),
        flags: None,
        listener_path: Some("/run/agent".into()),
        listener_metadata: None,
        syscalls: match shape {
            Shape::Any => rules.collect(),
            Shape::WithinLibseccomp => within_libseccomp(rules),
        },
    }
}

/// Those of the rules, of one name each, that libseccomp 2.5 decides as the specification says.
pub fn within_libseccomp(rules: impl Iterator<Item = SyscallRule>) -> Vec<SyscallRule> {
    let mut kept: Vec<SyscallRule> = Vec::new();
    let simple = |rule: &SyscallRule| {
        use SeccompOperator as O;
        let equality = |arg: &SeccompArg| matches!(arg.op, O::Eq | O::Ne | O::MaskedEq);
        rule.args.len() <= 1 && rule.args.iter().all(equality)
    };
    let twice = |rule: &SyscallRule| {
        let count = |index| rule.args.iter().filter(|arg| arg.index == index).count();
        rule.args.iter().any(|arg| count(arg.index) > 1)
    };
    for rule in rules {
        let call = multiplexer(&rule.names[0]);
        let mut others = kept
            .iter()
            .filter(|other| multiplexer(&other.names[0]) == call);
        let alone = others.clone().next().is_none();
        if (alone && !twice(&rule)) || (simple(&rule) && others.all(simple)) {
            kept.push(rule);
        }
    }
    kept
}

fn name(random: &mut Random, usable: &dyn Fn(&str) -> bool) -> Option<String> {
    let all: Vec<_> = if random.below(4) == 0 {
        SPECIAL.to_vec()
    } else {
        vec![
            Syscall::all()
                .nth(random.below(Syscall::all().count()))?
                .name(),
        ]
    };
    let name = *random.one_of(&all);
    usable(name).then(|| name.to_owned())
}

fn action(random: &mut Random) -> (SeccompAction, Option<u32>) {
    let action = *random.one_of(&ACTIONS);
    (
        action,
        errno(action, u32::try_from(random.below(3)).unwrap_or(0) + 13),
    )
}

fn errno(action: SeccompAction, errno: u32) -> Option<u32> {
    matches!(action, SeccompAction::Errno | SeccompAction::Trace).then_some(errno)
}

fn args(random: &mut Random) -> Vec<SeccompArg> {
    let count = *random.one_of(&[0, 1, 1, 1, 2, 2, 3]);
    let arg = |random: &mut Random| SeccompArg {
        index: u32::try_from(*random.one_of(&[0, 0, 1, 2, 5])).unwrap_or(0),
        value: value(random),
        value_two: value(random),
        op: *random.one_of(&OPERATORS),
    };
    (0..count).map(|_| arg(random)).collect()
}

fn value(random: &mut Random) -> u64 {
    if random.below(8) == 0 {
        random.bits()
    } else {
        *random.one_of(&VALUES)
    }
}

fn hash(name: &str) -> u64 {
    name.bytes().fold(7, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// Arguments at and around the values that these rules compare with.
pub fn arguments(random: &mut Random, rules: &[&SyscallRule]) -> [u64; 6] {
    let mut args = [0; 6];
    for arg in &mut args {
        *arg = near(value(random), random);
    }
    if !rules.is_empty() {
        for arg in &random.one_of(rules).args {
            let index = usize::try_from(arg.index).unwrap_or(0).min(5);
            let value = match arg.op {
                SeccompOperator::MaskedEq => arg.value_two & arg.value | random.bits() & !arg.value,
                _ => arg.value,
            };
            args[index] = near(value, random);
        }
    }
    // The number of a multiplexed call.
    if random.below(4) == 0 {
        args[0] = u64::try_from(random.below(26)).unwrap_or(0);
    }
    args
}

fn near(value: u64, random: &mut Random) -> u64 {
    match random.below(8) {
        0 => value.wrapping_add(1),
        1 => value.wrapping_sub(1),
        2 => value ^ 1 << (random.below(64)),
        3 => value & 0xffff_ffff,
        _ => value,
    }
}
