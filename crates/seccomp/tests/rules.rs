//! Which rule decides, and what is refused or worth a warning.

#![allow(missing_docs, clippy::unwrap_used)]

mod profile;

use kan_seccomp::{Actions, Filter, LONGEST, Scope, Target, compile, flags, native, number};
use kan_spec::config::{SeccompArch, SeccompFlag, SeccompProfile};
use profile::{ALLOW, EPERM, KILL_THREAD, answer, denying, parse, target};

const X86_64: SeccompArch = SeccompArch::X86_64;

fn filter(profile: &SeccompProfile) -> Filter {
    compile(profile, &target(X86_64)).unwrap()
}

/// The answer to `name` on x86_64.
fn decide(profile: &SeccompProfile, name: &str, args: [u64; 6]) -> u32 {
    answer(
        &filter(profile),
        X86_64,
        number(X86_64, name).unwrap(),
        args,
    )
}

fn problems(profile: &SeccompProfile, target: &Target) -> Vec<String> {
    let problems = compile(profile, target).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn every_action_has_its_answer() {
    for (action, errno, expected) in [
        ("KILL", "", KILL_THREAD),
        ("KILL_THREAD", "", KILL_THREAD),
        ("KILL_PROCESS", "", 0x8000_0000),
        ("TRAP", "", 0x0003_0000),
        ("ERRNO", r#", "errnoRet": 22"#, 0x0005_0016),
        ("ERRNO", r#", "errnoRet": 0"#, 0x0005_0000),
        ("TRACE", "", 0x7ff0_0001),
        ("TRACE", r#", "errnoRet": 7"#, 0x7ff0_0007),
        ("ALLOW", "", ALLOW),
        ("LOG", "", 0x7ffc_0000),
        ("NOTIFY", "", 0x7fc0_0000),
    ] {
        let rule = format!(r#"{{"names": ["read"], "action": "SCMP_ACT_{action}"{errno}}}"#);
        assert_eq!(decide(&denying(&rule), "read", [0; 6]), expected, "{rule}");
    }
}

#[test]
fn errno_is_eperm_unless_said_otherwise() {
    assert_eq!(decide(&denying(""), "read", [0; 6]), EPERM);
    let enosys = parse(r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38}"#);
    assert_eq!(decide(&enosys, "read", [0; 6]), 0x0005_0026);
}

#[test]
fn one_rule_needs_all_its_conditions_and_one_of_several_rules_is_enough() {
    let profile = denying(
        r#"{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [
               {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
               {"index": 2, "value": 9, "op": "SCMP_CMP_NE"}]},
           {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [
               {"index": 1, "value": 7, "op": "SCMP_CMP_GE"}]}"#,
    );
    assert_eq!(decide(&profile, "socket", [1, 0, 8, 0, 0, 0]), ALLOW);
    assert_eq!(decide(&profile, "socket", [1, 0, 9, 0, 0, 0]), EPERM);
    assert_eq!(decide(&profile, "socket", [2, 0, 8, 0, 0, 0]), EPERM);
    assert_eq!(decide(&profile, "socket", [2, 7, 9, 0, 0, 0]), ALLOW);
}

/// As in runc: two conditions on one argument are two rules.
#[test]
fn two_conditions_on_one_argument_are_alternatives() {
    let profile = denying(
        r#"{"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [
               {"index": 0, "value": 0, "op": "SCMP_CMP_EQ"},
               {"index": 0, "value": 8, "op": "SCMP_CMP_EQ"},
               {"index": 1, "value": 3, "op": "SCMP_CMP_EQ"}]}"#,
    );
    assert_eq!(decide(&profile, "personality", [0; 6]), ALLOW);
    assert_eq!(decide(&profile, "personality", [8, 0, 0, 0, 0, 0]), ALLOW);
    assert_eq!(decide(&profile, "personality", [1, 3, 0, 0, 0, 0]), ALLOW);
    assert_eq!(decide(&profile, "personality", [1, 0, 0, 0, 0, 0]), EPERM);
}

#[test]
fn the_first_rule_without_conditions_is_strongest() {
    let conditional = r#"{"names": ["clone"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5, "args": [
        {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}"#;
    let allow = r#"{"names": ["clone"], "action": "SCMP_ACT_ALLOW"}"#;
    let kill = r#"{"names": ["clone"], "action": "SCMP_ACT_KILL"}"#;
    for (rules, expected) in [
        ([conditional, allow, kill], ALLOW),
        ([kill, allow, conditional], KILL_THREAD),
    ] {
        let profile = denying(&rules.join(","));
        assert_eq!(decide(&profile, "clone", [1, 0, 0, 0, 0, 0]), expected);
        assert_eq!(
            filter(&profile).warnings.len(),
            2,
            "{:?}",
            filter(&profile).warnings
        );
    }
}

/// A condition that no bit can fail is none.
#[test]
fn a_mask_of_no_bits_is_no_condition() {
    let profile = denying(
        r#"{"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [
            {"index": 0, "value": 0, "valueTwo": 5, "op": "SCMP_CMP_MASKED_EQ"}]}"#,
    );
    assert_eq!(decide(&profile, "clone", [77, 0, 0, 0, 0, 0]), ALLOW);
}

#[test]
fn rules_with_the_default_action_are_dropped() {
    let profile = denying(
        r#"{"names": ["clone"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
           {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [
               {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}"#,
    );
    assert_eq!(decide(&profile, "clone", [1, 0, 0, 0, 0, 0]), ALLOW);
    assert_eq!(decide(&profile, "clone", [2, 0, 0, 0, 0, 0]), EPERM);
}

/// libseccomp's order where rules with different actions hold at once.
#[test]
fn the_later_argument_decides_then_equality_then_the_narrower_limit() {
    let rule = |errno: u32, index: u32, value: u64, op: &str| {
        format!(
            r#"{{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": {errno}, "args": [
                {{"index": {index}, "value": {value}, "op": "SCMP_CMP_{op}"}}]}}"#
        )
    };
    for (winner, loser) in [
        (rule(2, 1, 5, "EQ"), rule(3, 0, 5, "EQ")),
        (rule(2, 0, 5, "EQ"), rule(3, 0, 6, "LT")),
        (rule(2, 0, 9, "LT"), rule(3, 0, 2, "GT")),
        (rule(2, 0, 4, "GT"), rule(3, 0, 3, "GT")),
        (rule(2, 0, 6, "LT"), rule(3, 0, 7, "LE")),
    ] {
        for rules in [[&winner, &loser], [&loser, &winner]] {
            let profile = denying(&format!("{},{}", rules[0], rules[1]));
            assert_eq!(decide(&profile, "read", [5; 6]), 0x0005_0002, "{rules:?}");
        }
    }
}

#[test]
fn contradicting_rules_are_refused() {
    let args = r#""args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]"#;
    let profile = denying(&format!(
        r#"{{"names": ["read"], "action": "SCMP_ACT_ALLOW", {args}}},
           {{"names": ["write"], "action": "SCMP_ACT_ALLOW", {args}}},
           {{"names": ["read"], "action": "SCMP_ACT_KILL", {args}}}"#
    ));
    assert_eq!(
        problems(&profile, &target(X86_64)),
        [
            "linux.seccomp.syscalls[2]: contradicts syscalls[0]: another action for the same arguments"
        ]
    );
}

/// libseccomp takes a longer rule after a shorter one, without effect, and refuses the other order.
#[test]
fn a_rule_hidden_by_a_shorter_one_is_refused_or_told() {
    let long = r#"{"names": ["read"], "action": "SCMP_ACT_KILL", "args": [
        {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 2, "op": "SCMP_CMP_EQ"}]}"#;
    let short = r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [
        {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}"#;
    let told = denying(&format!("{short},{long}"));
    assert_eq!(
        filter(&told).warnings,
        ["linux.seccomp.syscalls[1]: has no effect on some calls, which syscalls[0] decides"]
    );
    assert_eq!(decide(&told, "read", [1, 2, 0, 0, 0, 0]), ALLOW);
    let refused = denying(&format!("{long},{short}"));
    assert_eq!(problems(&refused, &target(X86_64)).len(), 1);
}

#[test]
fn names_that_no_architecture_has_are_told_and_others_are_not() {
    let profile =
        denying(r#"{"names": ["read", "mmap2", "no_such_call"], "action": "SCMP_ACT_ALLOW"}"#);
    assert_eq!(
        filter(&profile).warnings,
        ["linux.seccomp.syscalls[0].names[2]: no system call is called no_such_call"]
    );
    assert_eq!(decide(&profile, "read", [0; 6]), ALLOW);
}

#[test]
fn every_problem_has_its_field() {
    let mut profile = denying(
        r#"{"names": [""], "action": "SCMP_ACT_ALLOW"},
           {"names": ["read"], "action": "SCMP_ACT_LOG"},
           {"names": ["getpid"], "action": "SCMP_ACT_ALLOW", "args": [
               {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}"#,
    );
    profile.syscalls[2].args[0].index = 6;
    profile.flags = Some(vec![SeccompFlag::Log, SeccompFlag::SpecAllow]);
    let old = Target {
        flags: flags::LOG,
        actions: Actions::from_actions_avail("kill_process kill_thread trap trace allow\n"),
        ..target(X86_64)
    };
    assert_eq!(
        problems(&profile, &old),
        [
            "linux.seccomp.defaultAction: the kernel does not have SCMP_ACT_ERRNO",
            "linux.seccomp.syscalls[0].names[0]: must not be empty",
            "linux.seccomp.syscalls[1].action: the kernel does not have SCMP_ACT_LOG",
            "linux.seccomp.syscalls[2].args[0].index: 6 is not within 0 to 5",
            "linux.seccomp.flags[1]: the kernel does not know SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        ]
    );
}

#[test]
fn notify_as_default_is_refused() {
    let mut profile = denying("");
    profile.default_action = kan_spec::config::SeccompAction::Notify;
    assert_eq!(
        problems(&profile, &target(X86_64)),
        ["linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be used as default action"]
    );
}

#[test]
fn actions_avail_is_read_as_the_kernel_writes_it() {
    use kan_spec::config::{ClosedSet, SeccompAction};
    let text = "kill_process kill_thread trap errno user_notif trace log allow\n";
    let all = Actions::from_actions_avail(text);
    for &(_, action) in SeccompAction::VALUES {
        assert!(all.contains(action), "{action}");
        let without: Vec<_> = text
            .split_whitespace()
            .filter(|name| *name != "errno")
            .collect();
        let without = Actions::from_actions_avail(&without.join(" "));
        assert_eq!(
            without.contains(action),
            action != SeccompAction::Errno,
            "{action}"
        );
    }
}

#[test]
fn flags_are_those_of_the_profile() {
    use SeccompFlag as F;
    let notify = r#"{"names": ["read"], "action": "SCMP_ACT_NOTIFY"}"#;
    for (rules, asked, known, expected) in [
        ("", None, flags::ALL, flags::SPEC_ALLOW),
        ("", None, 0, 0),
        ("", Some(vec![]), flags::ALL, 0),
        ("", Some(vec![F::Tsync]), 0, 0),
        (
            "",
            Some(vec![F::Log, F::SpecAllow]),
            flags::ALL,
            flags::LOG | flags::SPEC_ALLOW,
        ),
        ("", Some(vec![F::WaitKillableRecv]), flags::ALL, 0),
        (notify, Some(vec![]), flags::ALL, flags::NEW_LISTENER),
        (
            notify,
            Some(vec![F::WaitKillableRecv]),
            flags::ALL,
            flags::NEW_LISTENER | flags::WAIT_KILLABLE_RECV,
        ),
    ] {
        let mut profile = denying(rules);
        profile.flags = asked.clone();
        let filter = compile(
            &profile,
            &Target {
                flags: known,
                ..target(X86_64)
            },
        )
        .unwrap();
        assert_eq!(filter.flags, expected, "{rules} {asked:?}");
        assert_eq!(filter.needs_listener, !rules.is_empty());
        let useless = rules.is_empty() && asked == Some(vec![F::WaitKillableRecv]);
        assert_eq!(
            filter.warnings.len(),
            usize::from(useless),
            "{:?}",
            filter.warnings
        );
    }
}

#[test]
fn architectures_of_other_kernels_are_left_out() {
    let mut profile = denying(r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW"}"#);
    profile.architectures = vec![SeccompArch::Aarch64, SeccompArch::X86, SeccompArch::S390x];
    let native = filter(&profile);
    assert_eq!(
        native.warnings,
        [
            "linux.seccomp.architectures[0]: SCMP_ARCH_AARCH64 does not run beside SCMP_ARCH_X86_64",
            "linux.seccomp.architectures[2]: SCMP_ARCH_S390X does not run beside SCMP_ARCH_X86_64",
        ]
    );
    let everything = Target {
        scope: Scope::Everything,
        ..target(X86_64)
    };
    let everything = compile(&profile, &everything).unwrap();
    for (arch, native_answer) in [
        (X86_64, ALLOW),
        (SeccompArch::X86, ALLOW),
        (SeccompArch::Aarch64, KILL_THREAD),
        (SeccompArch::S390x, KILL_THREAD),
    ] {
        let read = number(arch, "read").unwrap();
        assert_eq!(answer(&native, arch, read, [0; 6]), native_answer, "{arch}");
        assert_eq!(answer(&everything, arch, read, [0; 6]), ALLOW, "{arch}");
        assert_eq!(answer(&everything, arch, read + 1, [0; 6]), EPERM, "{arch}");
    }
    assert_eq!(
        answer(&everything, SeccompArch::Riscv64, 63, [0; 6]),
        KILL_THREAD
    );
}

#[test]
fn both_byte_orders_of_a_mips_do_not_run_beside_each_other() {
    let mut profile = denying("");
    profile.architectures = vec![SeccompArch::Mips, SeccompArch::Mipsel64n32];
    let filter = compile(&profile, &target(SeccompArch::Mipsel64)).unwrap();
    assert_eq!(filter.warnings.len(), 1, "{:?}", filter.warnings);
}

#[test]
fn a_program_that_is_too_long_is_refused() {
    let args = |value: u64| {
        format!(
            r#"{{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [
                {{"index": 0, "value": {value}, "op": "SCMP_CMP_EQ"}}]}}"#
        )
    };
    let rules: Vec<_> = (0..2000).map(args).collect();
    let profile = denying(&rules.join(","));
    let problems = problems(&profile, &target(X86_64));
    assert_eq!(problems.len(), 1);
    let (start, end) = problems[0].split_once(" takes ").unwrap();
    assert_eq!(start, "linux.seccomp:");
    assert!(end.ends_with(&format!(
        "instructions, and the kernel takes {LONGEST} at most"
    )));
}

/// More jumps than reach: every case must still lead where it should.
#[test]
fn long_programs_decide_like_short_ones() {
    let rule = |value: u64| {
        let errno = 2 + value % 90;
        format!(
            r#"{{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": {errno}, "args": [
                {{"index": 0, "value": {value}, "op": "SCMP_CMP_EQ"}},
                {{"index": 3, "value": 1, "op": "SCMP_CMP_GE"}}]}}"#
        )
    };
    let rules: Vec<_> = (0..400).map(rule).collect();
    let profile = denying(&rules.join(","));
    let filter = filter(&profile);
    assert!(filter.program.len() > 2000, "{}", filter.program.len());
    for value in 0..400 {
        let args = |third| [value, 0, 0, third, 0, 0];
        let expected = 0x0005_0002 + u32::try_from(value % 90).unwrap();
        assert_eq!(
            answer(&filter, X86_64, 0, args(1 << 40)),
            expected,
            "{value}"
        );
        assert_eq!(answer(&filter, X86_64, 0, args(0)), EPERM, "{value}");
    }
    assert_eq!(answer(&filter, X86_64, 0, [400, 0, 0, 1, 0, 0]), EPERM);
}

#[test]
fn the_native_architecture_is_known() {
    if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
        assert_eq!(native(), Some(X86_64));
    }
}
