//! The table of system calls, against the crate `syscalls` and against the kernel's own headers.

#![allow(missing_docs, clippy::unwrap_used)]

use kan_seccomp::{Syscall, name, number};
use kan_spec::config::{ClosedSet, SeccompArch};

/// Compares a table of the other crate: its names with their numbers, the names that it lacks, and
/// those that it alone has.
macro_rules! compare {
    ($arch:ident, $module:ident, ours: $ours:expr, theirs: $theirs:expr) => {{
        let theirs: Vec<(&str, u32)> = syscalls::$module::Sysno::iter()
            .filter(|call| !is_gap(call.name()))
            .map(|call| (plain(call.name()), u32::try_from(call.id()).unwrap()))
            .collect();
        let number = |name: &str| number(SeccompArch::$arch, name);
        for (name, id) in &theirs {
            let same = number(name) == Some(*id) || $theirs.contains(name);
            assert!(
                same,
                "{}: {name} is {id}, not {:?}",
                stringify!($arch),
                number(name)
            );
        }
        let lacks = Syscall::all().map(Syscall::name).filter(|name| {
            number(name).is_some() && !theirs.iter().any(|(theirs, _)| theirs == name)
        });
        let lacks: Vec<_> = lacks.collect();
        let mut expected: Vec<&str> = $ours.to_vec();
        // Two are newer, and its iterator stops before the last.
        expected.extend(["listns", "rseq_slice_yield", "file_setattr"]);
        expected.sort_unstable();
        assert_eq!(lacks, expected, "{}", stringify!($arch));
    }};
}

/// A name that Rust keeps for itself comes with its escape.
fn plain(name: &str) -> &str {
    name.strip_prefix("r#").unwrap_or(name)
}

/// The kernel's tables name some of their gaps.
fn is_gap(name: &str) -> bool {
    name.starts_with("unused") || name.starts_with("reserved")
}

/// It has the names of asm-generic/unistd.h for 32-bit architectures on 64-bit ones.
const TIME32: [&str; 21] = [
    "clock_gettime64",
    "clock_settime64",
    "clock_adjtime64",
    "clock_getres_time64",
    "clock_nanosleep_time64",
    "timer_gettime64",
    "timer_settime64",
    "timerfd_gettime64",
    "timerfd_settime64",
    "utimensat_time64",
    "pselect6_time64",
    "ppoll_time64",
    "io_pgetevents_time64",
    "recvmmsg_time64",
    "mq_timedsend_time64",
    "mq_timedreceive_time64",
    "semtimedop_time64",
    "rt_sigtimedwait_time64",
    "futex_time64",
    "sched_rr_get_interval_time64",
    "fstatat",
];

#[test]
fn numbers_are_those_of_the_crate_syscalls() {
    const NONE: [&str; 0] = [];
    compare!(X86, x86, ours: NONE, theirs: NONE);
    compare!(X86_64, x86_64, ours: NONE, theirs: NONE);
    let private = [
        "breakpoint",
        "cacheflush",
        "usr26",
        "usr32",
        "set_tls",
        "get_tls",
    ];
    compare!(Arm, arm, ours: private, theirs: NONE);
    compare!(Aarch64, aarch64, ours: ["newfstatat"], theirs: TIME32);
    compare!(Mips, mips, ours: NONE, theirs: NONE);
    compare!(Mips64, mips64, ours: ["set_mempolicy_home_node"], theirs: NONE);
    compare!(Ppc, powerpc, ours: NONE, theirs: NONE);
    compare!(Ppc64le, powerpc64, ours: NONE, theirs: NONE);
    compare!(S390x, s390x, ours: NONE, theirs: NONE);
    compare!(Riscv64, riscv64, ours: NONE, theirs: NONE);
    // loongarch64 came without these.
    let old = ["renameat", "getrlimit", "setrlimit", "memfd_secret"];
    let theirs: Vec<_> = TIME32.into_iter().chain(old).collect();
    compare!(Loongarch64, loongarch64, ours: ["newfstatat"], theirs: theirs);
}

#[test]
fn every_architecture_has_its_table() {
    for &(_, arch) in SeccompArch::VALUES {
        let base = match arch {
            SeccompArch::Mips | SeccompArch::Mipsel => 4000,
            SeccompArch::Mips64 | SeccompArch::Mipsel64 => 5000,
            SeccompArch::Mips64n32 | SeccompArch::Mipsel64n32 => 6000,
            SeccompArch::X32 => 0x4000_0000,
            _ => 0,
        };
        // Since Linux 5.1 all architectures give a new call one number.
        assert_eq!(
            number(arch, "pidfd_send_signal"),
            Some(base + 424),
            "{arch}"
        );
        assert_eq!(number(arch, "file_setattr"), Some(base + 469), "{arch}");
        assert_eq!(number(arch, "no_such_call"), None, "{arch}");
        let calls = Syscall::all()
            .filter(|call| number(arch, call.name()).is_some())
            .count();
        assert!((300..500).contains(&calls), "{arch}: {calls}");
    }
}

#[test]
fn numbers_have_one_name() {
    for &(_, arch) in SeccompArch::VALUES {
        for call in Syscall::all() {
            if let Some(number) = number(arch, call.name()) {
                assert_eq!(name(arch, number), Some(call.name()), "{arch} {number}");
            }
        }
    }
}

#[test]
fn arms_private_calls_are_out_of_the_common_range() {
    assert_eq!(number(SeccompArch::Arm, "set_tls"), Some(0x000f_0005));
    assert_eq!(number(SeccompArch::Aarch64, "set_tls"), None);
}

#[test]
fn x32_has_its_bit_and_its_own_numbers() {
    assert_eq!(number(SeccompArch::X32, "read"), Some(0x4000_0000));
    assert_eq!(number(SeccompArch::X32, "execve"), Some(0x4000_0208));
    assert_eq!(name(SeccompArch::X32, 0), None);
}
