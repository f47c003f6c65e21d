//! Filters against the plain model, for random profiles on every architecture.

#![expect(clippy::unwrap_used, reason = "a test")]

use kan_conformance_seccomp::calls::ask;
use kan_conformance_seccomp::model::{Call, about, verdict};
use kan_conformance_seccomp::profiles::{DOCKER, KERNELS, PODMAN, parse};
use kan_conformance_seccomp::random::{Conflicts, Random, Shape, profile};
use kan_seccomp::{Actions, Scope, SeccompData, Target, compile, flags, run};
use kan_spec::config::{SeccompArch, SeccompProfile};

fn target(native: SeccompArch) -> Target {
    Target {
        native,
        scope: Scope::Native,
        flags: flags::ALL,
        actions: Actions::ALL,
        stub: false,
    }
}

/// Asks the filter and the model the same; returns how often.
fn compare(random: &mut Random, profile: &SeccompProfile, asked: &[SeccompArch]) -> usize {
    let native = profile.architectures[0];
    let filter = compile(profile, &target(native)).unwrap();
    let mut evaluations = 0;
    ask(random, profile, asked, |arch, nr, args| {
        let run = run(&filter.program, &SeccompData::new(arch, nr, args)).unwrap();
        let call = Call {
            arch,
            number: nr,
            args,
        };
        let verdict = verdict(&about(profile, arch, nr), &call);
        let agree = verdict.answers.contains(&run.answer);
        assert!(
            agree,
            "{arch} {nr} {args:x?}: {run:x?}, not {verdict:x?}, {profile:#?}"
        );
        evaluations += 1;
    });
    evaluations
}

#[test]
fn random_profiles_mean_what_they_say() {
    let mut random = Random::new(1);
    let mut evaluations = 0;
    for round in 0..4 {
        for kernel in KERNELS {
            let conflicts = if round % 2 == 0 {
                Conflicts::Never
            } else {
                Conflicts::Often
            };
            let profile = profile(&mut random, kernel, conflicts, Shape::Any, &|_| true);
            // Contradicting rules are refused, as libseccomp refuses them.
            if conflicts == Conflicts::Never || compile(&profile, &target(kernel[0])).is_ok() {
                evaluations += compare(&mut random, &profile, kernel);
            }
        }
    }
    println!("{evaluations} evaluations");
    assert!(evaluations > 50_000, "{evaluations}");
}

#[test]
fn calls_of_other_architectures_are_killed() {
    let mut random = Random::new(2);
    let everyone: Vec<_> = KERNELS
        .iter()
        .flat_map(|kernel| kernel.iter().copied())
        .collect();
    for kernel in KERNELS {
        let profile = profile(&mut random, kernel, Conflicts::Never, Shape::Any, &|_| true);
        let one_each = everyone.iter().filter(|_| random.below(3) == 0).copied();
        let one_each: Vec<_> = one_each.collect();
        let filter = compile(&profile, &target(kernel[0])).unwrap();
        for arch in one_each {
            let data = SeccompData::new(arch, 5, [0; 6]);
            let call = Call {
                arch,
                number: 5,
                args: [0; 6],
            };
            let answer = run(&filter.program, &data).unwrap().answer;
            assert!(
                verdict(&profile, &call).answers.contains(&answer),
                "{arch} on {kernel:?}"
            );
        }
    }
}

#[test]
fn default_profiles_mean_what_they_say() {
    let mut random = Random::new(3);
    for (name, text) in [("podman", PODMAN), ("docker", DOCKER)] {
        let profile = parse(text);
        let evaluations = compare(&mut random, &profile, KERNELS[0]);
        println!("{name}: {evaluations} evaluations");
    }
}

/// Linux keeps a bitmap of the calls that a filter always allows, and finds them by following the
/// filter up to the first look at an argument.
#[test]
fn calls_without_conditions_never_look_at_arguments() {
    let profile = parse(PODMAN);
    let filter = compile(&profile, &target(SeccompArch::X86_64)).unwrap();
    let conditional = ["personality", "socket"];
    let mut random = Random::new(4);
    ask(
        &mut random,
        &profile,
        &[SeccompArch::X86_64, SeccompArch::X32],
        |arch, nr, args| {
            let run = run(&filter.program, &SeccompData::new(arch, nr, args)).unwrap();
            let looks = kan_seccomp::name(arch, nr).is_some_and(|name| conditional.contains(&name));
            assert_eq!(run.looked_at_arguments, looks, "{nr}");
        },
    );
}
