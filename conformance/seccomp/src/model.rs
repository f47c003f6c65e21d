//! What a profile means for one call, written down as plainly as possible: no program, no ranges.

use kan_seccomp::number;
use kan_spec::config::{
    SeccompAction, SeccompArch, SeccompArg, SeccompOperator, SeccompProfile, SyscallRule,
};

/// What the profile says about a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// `SECCOMP_RET_*` of every rule that decides: several if rules with different actions hold at
    /// once.
    pub answers: Vec<u32>,
}

/// A call as a filter sees it.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// Only its `AUDIT_ARCH_*` counts: x86_64 and x32 differ in the number.
    pub arch: SeccompArch,
    /// Number.
    pub number: u32,
    /// Arguments.
    pub args: [u64; 6],
}

const X32_BIT: u32 = 0x4000_0000;

/// The verdict without the ENOSYS stub; the architectures are those of the profile.
#[must_use]
pub fn verdict(profile: &SeccompProfile, call: &Call) -> Verdict {
    let listed = |arch| profile.architectures.contains(&arch);
    let arch = match call.arch {
        SeccompArch::X86_64 | SeccompArch::X32 => {
            let x32 = call.number >= X32_BIT;
            match (listed(SeccompArch::X86_64), listed(SeccompArch::X32)) {
                // A tracer skips a call with -1.
                (true, false) if x32 && call.number != u32::MAX => return one(0),
                (false, true) if !x32 => return one(0),
                (false, false) => return one(0),
                (_, true) if x32 => SeccompArch::X32,
                _ => SeccompArch::X86_64,
            }
        }
        arch if listed(arch) => arch,
        _ => return one(0),
    };
    by_rules(profile, arch, call)
}

/// The part of the profile that concerns a number: the model is slow on long profiles.
#[must_use]
pub fn about(profile: &SeccompProfile, arch: SeccompArch, nr: u32) -> SeccompProfile {
    let multiplexer = ["socketcall", "ipc"]
        .iter()
        .any(|name| number(arch, name) == Some(nr));
    let arch = match (arch, nr) {
        (SeccompArch::X86_64, 0x4000_0000..) => SeccompArch::X32,
        (SeccompArch::X32, ..0x4000_0000) => SeccompArch::X86_64,
        _ => arch,
    };
    let mut part = SeccompProfile {
        syscalls: Vec::new(),
        ..profile.clone()
    };
    for rule in &profile.syscalls {
        if multiplexer || rule.names.iter().any(|name| number(arch, name) == Some(nr)) {
            part.syscalls.push(rule.clone());
        }
    }
    part
}

fn one(answer: u32) -> Verdict {
    Verdict {
        answers: vec![answer],
    }
}

fn by_rules(profile: &SeccompProfile, arch: SeccompArch, call: &Call) -> Verdict {
    let default = answer(profile.default_action, profile.default_errno_ret);
    let mut answers = Vec::new();
    for rule in &profile.syscalls {
        let answer = answer(rule.action, rule.errno_ret);
        if answer == default {
            continue;
        }
        for args in alternatives(rule) {
            for name in &rule.names {
                match matches(name, &args, arch, call) {
                    Match::Always => {
                        // The first of these is stronger than anything with conditions.
                        return one(first_unconditional(profile, default, arch, call));
                    }
                    Match::Yes if !answers.contains(&answer) => answers.push(answer),
                    _ => {}
                }
            }
        }
    }
    if answers.is_empty() {
        one(default)
    } else {
        Verdict { answers }
    }
}

fn first_unconditional(
    profile: &SeccompProfile,
    default: u32,
    arch: SeccompArch,
    call: &Call,
) -> u32 {
    for rule in &profile.syscalls {
        let answer = answer(rule.action, rule.errno_ret);
        let always = |args: &Vec<SeccompArg>| {
            rule.names
                .iter()
                .any(|name| matches(name, args, arch, call) == Match::Always)
        };
        if answer != default && alternatives(rule).iter().any(always) {
            return answer;
        }
    }
    default
}

#[derive(PartialEq, Eq)]
enum Match {
    Always,
    Yes,
    No,
}

/// Whether `name` under `args` is this call.
fn matches(name: &str, args: &[SeccompArg], arch: SeccompArch, call: &Call) -> Match {
    if number(arch, name) == Some(call.number) {
        let args: Vec<_> = args.iter().filter(|arg| !no_op(arg, arch)).collect();
        return match args.is_empty() {
            true => Match::Always,
            false if args.iter().all(|arg| holds(arg, arch, call)) => Match::Yes,
            false => Match::No,
        };
    }
    let through = MULTIPLEXED.iter().find(|one| one.0 == name);
    if let Some(&(_, multiplexer, first)) = through
        && multiplexes(arch)
        && number(arch, multiplexer) == Some(call.number)
    {
        let first_arg = if wide(arch) {
            call.args[0]
        } else {
            call.args[0] & 0xffff_ffff
        };
        let mut rest = args.iter().filter(|arg| arg.index != 0);
        if first_arg == first && rest.all(|arg| no_op(arg, arch) || holds(arg, arch, call)) {
            return Match::Yes;
        }
    }
    Match::No
}

fn alternatives(rule: &SyscallRule) -> Vec<Vec<SeccompArg>> {
    let twice = |arg: &SeccompArg| {
        rule.args
            .iter()
            .filter(|one| one.index == arg.index)
            .count()
            > 1
    };
    if rule.args.iter().any(twice) {
        rule.args.iter().map(|&arg| vec![arg]).collect()
    } else {
        vec![rule.args.clone()]
    }
}

/// Comparing no bit at all is no condition.
fn no_op(arg: &SeccompArg, arch: SeccompArch) -> bool {
    let mask = if wide(arch) { u64::MAX } else { 0xffff_ffff };
    arg.op == SeccompOperator::MaskedEq && arg.value & mask == 0
}

fn holds(arg: &SeccompArg, arch: SeccompArch, call: &Call) -> bool {
    let mask = if wide(arch) { u64::MAX } else { 0xffff_ffff };
    let actual = call.args[usize::try_from(arg.index).unwrap_or(0)] & mask;
    let value = arg.value & mask;
    match arg.op {
        SeccompOperator::Ne => actual != value,
        SeccompOperator::Lt => actual < value,
        SeccompOperator::Le => actual <= value,
        SeccompOperator::Eq => actual == value,
        SeccompOperator::Ge => actual >= value,
        SeccompOperator::Gt => actual > value,
        SeccompOperator::MaskedEq => actual & value == arg.value_two & value,
    }
}

/// Whether arguments have 64 bits. x32 and n32 are taken for 32-bit, as in libseccomp.
fn wide(arch: SeccompArch) -> bool {
    use SeccompArch as A;
    matches!(
        arch,
        A::X86_64
            | A::Aarch64
            | A::Mips64
            | A::Mipsel64
            | A::Ppc64
            | A::Ppc64le
            | A::S390x
            | A::Parisc64
            | A::Riscv64
            | A::Loongarch64
    )
}

fn multiplexes(arch: SeccompArch) -> bool {
    use SeccompArch as A;
    matches!(
        arch,
        A::X86
            | A::Mips
            | A::Mipsel
            | A::Ppc
            | A::Ppc64
            | A::Ppc64le
            | A::S390
            | A::S390x
            | A::M68k
            | A::Sh
            | A::Sheb
    )
}

/// The call by way of which `name` can also be made, else `name`.
#[must_use]
pub fn multiplexer(name: &str) -> &str {
    let through = MULTIPLEXED.iter().find(|one| one.0 == name);
    through.map_or(name, |one| one.1)
}

/// linux/net.h and linux/ipc.h.
const MULTIPLEXED: &[(&str, &str, u64)] = &[
    ("socket", "socketcall", 1),
    ("bind", "socketcall", 2),
    ("connect", "socketcall", 3),
    ("listen", "socketcall", 4),
    ("accept", "socketcall", 5),
    ("getsockname", "socketcall", 6),
    ("getpeername", "socketcall", 7),
    ("socketpair", "socketcall", 8),
    ("send", "socketcall", 9),
    ("recv", "socketcall", 10),
    ("sendto", "socketcall", 11),
    ("recvfrom", "socketcall", 12),
    ("shutdown", "socketcall", 13),
    ("setsockopt", "socketcall", 14),
    ("getsockopt", "socketcall", 15),
    ("sendmsg", "socketcall", 16),
    ("recvmsg", "socketcall", 17),
    ("accept4", "socketcall", 18),
    ("recvmmsg", "socketcall", 19),
    ("sendmmsg", "socketcall", 20),
    ("semop", "ipc", 1),
    ("semget", "ipc", 2),
    ("semctl", "ipc", 3),
    ("semtimedop", "ipc", 4),
    ("msgsnd", "ipc", 11),
    ("msgrcv", "ipc", 12),
    ("msgget", "ipc", 13),
    ("msgctl", "ipc", 14),
    ("shmat", "ipc", 21),
    ("shmdt", "ipc", 22),
    ("shmget", "ipc", 23),
    ("shmctl", "ipc", 24),
];

/// `SECCOMP_RET_*` for an action, EPERM by default.
#[must_use]
pub fn answer(action: SeccompAction, errno: Option<u32>) -> u32 {
    let data = errno.unwrap_or(1);
    match action {
        SeccompAction::Kill | SeccompAction::KillThread => 0,
        SeccompAction::KillProcess => 0x8000_0000,
        SeccompAction::Trap => 0x0003_0000,
        SeccompAction::Errno => 0x0005_0000 | data,
        SeccompAction::Trace => 0x7ff0_0000 | data,
        SeccompAction::Log => 0x7ffc_0000,
        SeccompAction::Allow => 0x7fff_0000,
        SeccompAction::Notify => 0x7fc0_0000,
    }
}
