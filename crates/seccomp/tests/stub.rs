//! The stub that answers ENOSYS to calls newer than the profile, by runc's rule
//! (libcontainer/seccomp/patchbpf).

#![allow(missing_docs, clippy::unwrap_used)]

mod profile;

use kan_seccomp::{Filter, Target, compile, number};
use kan_spec::config::{SeccompArch, SeccompProfile};
use profile::{ALLOW, EPERM, KILL_THREAD, answer, denying, parse, target};

const ENOSYS: u32 = 0x0005_0026;

fn filter(profile: &SeccompProfile, native: SeccompArch) -> Filter {
    compile(
        profile,
        &Target {
            stub: true,
            ..target(native)
        },
    )
    .unwrap()
}

fn on(filter: &Filter, arch: SeccompArch, number: u32) -> u32 {
    answer(filter, arch, number, [0; 6])
}

const ALLOWED: &str = r#"{"names": ["read", "openat2", "fchmodat"], "action": "SCMP_ACT_ALLOW"}"#;

#[test]
fn calls_after_the_newest_are_not_implemented() {
    let filter = filter(&denying(ALLOWED), SeccompArch::X86_64);
    let x86_64 = |number| on(&filter, SeccompArch::X86_64, number);
    assert_eq!(x86_64(0), ALLOW);
    assert_eq!(x86_64(1), EPERM);
    assert_eq!(x86_64(436), EPERM);
    assert_eq!(x86_64(437), ALLOW);
    assert_eq!(x86_64(438), ENOSYS);
    assert_eq!(x86_64(0x3fff_ffff), ENOSYS);
}

#[test]
fn without_stub_they_get_the_default() {
    let filter = compile(&denying(ALLOWED), &target(SeccompArch::X86_64)).unwrap();
    assert_eq!(on(&filter, SeccompArch::X86_64, 438), EPERM);
}

#[test]
fn each_architecture_has_its_own_newest_call() {
    let mut profile = denying(
        r#"{"names": ["openat2", "socketcall"], "action": "SCMP_ACT_ALLOW"},
           {"names": ["mmap2"], "action": "SCMP_ACT_ERRNO"},
           {"names": ["arm_fadvise64_64"], "action": "SCMP_ACT_ALLOW"}"#,
    );
    profile.architectures = vec![SeccompArch::Aarch64, SeccompArch::Arm];
    profile.syscalls[0].names.remove(0);
    let filter = filter(&profile, SeccompArch::Aarch64);
    // Nothing of the profile is on aarch64: no stub there.
    assert_eq!(on(&filter, SeccompArch::Aarch64, 5000), EPERM);
    let newest = number(SeccompArch::Arm, "arm_fadvise64_64").unwrap();
    assert_eq!(on(&filter, SeccompArch::Arm, newest), ALLOW);
    assert_eq!(on(&filter, SeccompArch::Arm, newest + 1), ENOSYS);
}

/// The rule itself is dropped, yet the profile knows the call.
#[test]
fn rules_with_the_default_action_count() {
    let filter = filter(
        &denying(
            r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW"},
               {"names": ["openat2"], "action": "SCMP_ACT_ERRNO"}"#,
        ),
        SeccompArch::X86_64,
    );
    assert_eq!(on(&filter, SeccompArch::X86_64, 437), EPERM);
    assert_eq!(on(&filter, SeccompArch::X86_64, 438), ENOSYS);
}

/// runc counts from 1: on x86_64 read(2) is 0.
#[test]
fn call_zero_alone_brings_no_stub() {
    let read = denying(r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW"}"#);
    let filter = filter(&read, SeccompArch::X86_64);
    assert_eq!(on(&filter, SeccompArch::X86_64, 9999), EPERM);
    let write = denying(r#"{"names": ["write"], "action": "SCMP_ACT_ALLOW"}"#);
    let filter = self::filter(&write, SeccompArch::X86_64);
    assert_eq!(on(&filter, SeccompArch::X86_64, 2), ENOSYS);
}

#[test]
fn actions_that_let_through_need_no_stub() {
    for action in ["ALLOW", "LOG", "TRACE"] {
        let profile = parse(&format!(
            r#"{{"defaultAction": "SCMP_ACT_{action}", "syscalls": [
                {{"names": ["openat2"], "action": "SCMP_ACT_KILL"}}]}}"#
        ));
        let filter = filter(&profile, SeccompArch::X86_64);
        assert_ne!(on(&filter, SeccompArch::X86_64, 438), ENOSYS, "{action}");
    }
    for action in ["KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO"] {
        let profile = parse(&format!(
            r#"{{"defaultAction": "SCMP_ACT_{action}", "syscalls": [
                {{"names": ["openat2"], "action": "SCMP_ACT_ALLOW"}}]}}"#
        ));
        let filter = filter(&profile, SeccompArch::X86_64);
        assert_eq!(on(&filter, SeccompArch::X86_64, 438), ENOSYS, "{action}");
    }
}

#[test]
fn x32_out_of_the_profile_is_killed_before_the_stub() {
    let filter = filter(&denying(ALLOWED), SeccompArch::X86_64);
    let x86_64 = |number| on(&filter, SeccompArch::X86_64, number);
    assert_eq!(x86_64(0x4000_0000), KILL_THREAD);
    assert_eq!(x86_64(0x7fff_ffff), KILL_THREAD);
    // runc looks at bit 30 alone.
    assert_eq!(x86_64(0x8000_0000), ENOSYS);
    assert_eq!(x86_64(0xc000_0000), KILL_THREAD);
    // A tracer skips a call with -1.
    assert_eq!(x86_64(u32::MAX), EPERM);
}

#[test]
fn x32_in_the_profile_has_its_own_stub() {
    let mut profile = denying(ALLOWED);
    profile.architectures = vec![SeccompArch::X86_64, SeccompArch::X32];
    let filter = filter(&profile, SeccompArch::X86_64);
    let x32 = |number| on(&filter, SeccompArch::X32, number);
    assert_eq!(x32(0x4000_0000), ALLOW);
    assert_eq!(x32(0x4000_0000 + 436), EPERM);
    assert_eq!(x32(0x4000_0000 + 437), ALLOW);
    assert_eq!(x32(0x4000_0000 + 438), ENOSYS);
    assert_eq!(x32(438), ENOSYS);
    assert_eq!(x32(u32::MAX), ENOSYS);
}

/// On s390 a call that the kernel does not know arrives as number 0.
#[test]
fn s390_answers_enosys_to_call_zero() {
    let mut profile = denying(ALLOWED);
    profile.architectures = vec![SeccompArch::S390x, SeccompArch::S390];
    let filter = filter(&profile, SeccompArch::S390x);
    for arch in [SeccompArch::S390x, SeccompArch::S390] {
        assert_eq!(on(&filter, arch, 0), ENOSYS, "{arch}");
        assert_eq!(on(&filter, arch, 1), EPERM, "{arch}");
        assert_eq!(on(&filter, arch, 438), ENOSYS, "{arch}");
    }
    let profile = denying(ALLOWED);
    let without = compile(&profile, &target(SeccompArch::S390x)).unwrap();
    assert_eq!(on(&without, SeccompArch::S390x, 0), EPERM);
}

#[test]
fn enosys_is_the_architectures_own() {
    for (arch, enosys, base) in [
        (SeccompArch::Mipsel64, 89, 5000),
        (SeccompArch::Parisc, 251, 0),
        (SeccompArch::Ppc64le, 38, 0),
    ] {
        let filter = filter(&denying(ALLOWED), arch);
        assert_eq!(
            on(&filter, arch, base + 438),
            0x0005_0000 | enosys,
            "{arch}"
        );
    }
}

/// runc forgets that socket(2) has a number of its own on x86, and answers ENOSYS to what the profile
/// allows.
#[test]
fn socket_calls_count_where_they_are_multiplexed() {
    let profile = denying(r#"{"names": ["read", "socket"], "action": "SCMP_ACT_ALLOW"}"#);
    let filter = filter(&profile, SeccompArch::X86);
    let socket = number(SeccompArch::X86, "socket").unwrap();
    assert_eq!(on(&filter, SeccompArch::X86, socket), ALLOW);
    assert_eq!(on(&filter, SeccompArch::X86, socket + 1), ENOSYS);
}
