//! Filters against libseccomp's, for the default profiles and for random ones.

#![cfg(feature = "libseccomp")]
#![expect(clippy::unwrap_used, reason = "a test")]

use kan_conformance_seccomp::calls::ask;
use kan_conformance_seccomp::libseccomp::{self, Layout, known_alike, token};
use kan_conformance_seccomp::model::{Call, verdict};
use kan_conformance_seccomp::profiles::{DOCKER, KERNELS, PODMAN, parse};
use kan_conformance_seccomp::random::{Conflicts, Random, Shape, profile};
use kan_seccomp::{
    Actions, Filter, Instruction, Scope, SeccompData, Syscall, Target, compile, flags, number, run,
};
use kan_spec::Problem;
use kan_spec::config::{ClosedSet, SeccompArch, SeccompProfile};

/// Kernels whose architectures libseccomp 2.5 knows.
fn kernels() -> Vec<&'static [SeccompArch]> {
    let known = |kernel: &&[SeccompArch]| kernel.iter().all(|&arch| token(arch).is_some());
    KERNELS.iter().copied().filter(known).collect()
}

fn ours(profile: &SeccompProfile) -> Result<Filter, Vec<Problem>> {
    let target = Target {
        native: profile.architectures[0],
        scope: Scope::Native,
        flags: flags::ALL,
        actions: Actions::ALL,
        stub: false,
    };
    compile(profile, &target)
}

/// A random profile and what libseccomp makes of it.
fn chosen(
    random: &mut Random,
    kernel: &[SeccompArch],
    conflicts: Conflicts,
) -> (SeccompProfile, Result<Vec<Instruction>, i32>) {
    let layout = *random.one_of(&[Layout::Linear, Layout::Tree]);
    let usable = |name: &str| known_alike(kernel, layout, name);
    let profile = profile(random, kernel, conflicts, Shape::WithinLibseccomp, &usable);
    // An empty tree is none (runc avoids it, too).
    let layout = if profile.syscalls.is_empty() {
        Layout::Linear
    } else {
        layout
    };
    let theirs = libseccomp::compile(&profile, kernel, layout);
    (profile, theirs)
}

#[derive(Default)]
struct Comparison {
    evaluations: usize,
    /// Rules with different actions held at once.
    ambiguous: usize,
    /// Of the ambiguous: libseccomp chose another rule.
    other_choice: usize,
}

impl Comparison {
    fn compare(
        &mut self,
        random: &mut Random,
        profile: &SeccompProfile,
        ours: &[Instruction],
        theirs: &[Instruction],
        conflicts: Conflicts,
    ) {
        ask(random, profile, &profile.architectures, |arch, nr, args| {
            self.evaluations += 1;
            let data = SeccompData::new(arch, nr, args);
            let ours = run(ours, &data).unwrap().answer;
            let theirs = run(theirs, &data).unwrap().answer;
            if ours == theirs && conflicts == Conflicts::Never {
                return;
            }
            let meant = verdict(
                profile,
                &Call {
                    arch,
                    number: nr,
                    args,
                },
            )
            .answers;
            self.ambiguous += usize::from(meant.len() > 1);
            if ours == theirs {
                return;
            }
            let what = || {
                format!("{arch} {nr} {args:x?}: {ours:#x}, libseccomp {theirs:#x}, {profile:#?}")
            };
            assert!(meant.contains(&ours), "{}", what());
            assert!(meant.contains(&theirs), "{}", what());
            self.other_choice += 1;
        });
    }
}

#[test]
fn default_profiles_decide_alike() {
    let mut comparison = Comparison::default();
    let mut random = Random::new(10);
    for text in [PODMAN, DOCKER] {
        let profile = parse(text);
        let ours = ours(&profile).unwrap().program;
        for layout in [Layout::Linear, Layout::Tree] {
            let theirs = libseccomp::compile(&profile, &profile.architectures, layout).unwrap();
            for _ in 0..20 {
                comparison.compare(&mut random, &profile, &ours, &theirs, Conflicts::Never);
            }
        }
    }
    println!("{} evaluations", comparison.evaluations);
}

/// The bar is a million evaluations in less than a minute.
#[test]
fn random_profiles_decide_alike() {
    let mut comparison = Comparison::default();
    let mut random = Random::new(11);
    let (mut profiles, mut instructions) = (0, (0, 0));
    while comparison.evaluations < 1_100_000 {
        for kernel in kernels() {
            let (profile, theirs) = chosen(&mut random, kernel, Conflicts::Never);
            let theirs = theirs.unwrap();
            let ours = ours(&profile).unwrap().program;
            comparison.compare(&mut random, &profile, &ours, &theirs, Conflicts::Never);
            profiles += 1;
            instructions = (instructions.0 + ours.len(), instructions.1 + theirs.len());
        }
    }
    let Comparison { evaluations, .. } = comparison;
    println!(
        "{evaluations} evaluations of {profiles} profiles, {} instructions, libseccomp {}",
        instructions.0, instructions.1
    );
}

/// Where rules with different actions hold at once, the order is libseccomp's but for what lib.rs
/// says; and what is refused here, libseccomp refuses, too.
#[test]
fn conflicting_rules_decide_alike() {
    let mut comparison = Comparison::default();
    let mut random = Random::new(12);
    let (mut profiles, mut refused, mut refused_by_libseccomp) = (0, 0, 0);
    for _ in 0..12 {
        for kernel in kernels() {
            let (profile, theirs) = chosen(&mut random, kernel, Conflicts::Often);
            profiles += 1;
            match (ours(&profile), theirs) {
                (Ok(ours), Ok(theirs)) => {
                    let ours = &ours.program;
                    comparison.compare(&mut random, &profile, ours, &theirs, Conflicts::Often);
                }
                (Err(_), Err(_)) => refused += 1,
                (Ok(_), Err(_)) => refused_by_libseccomp += 1,
                (Err(problems), Ok(_)) => panic!("libseccomp takes {profile:#?}: {problems:?}"),
            }
        }
    }
    let Comparison {
        evaluations,
        ambiguous,
        other_choice,
    } = comparison;
    println!(
        "{profiles} profiles, {refused} refused, {refused_by_libseccomp} more by libseccomp; \
         {evaluations} evaluations, {ambiguous} ambiguous, {other_choice} decided otherwise"
    );
    assert!(ambiguous > 500, "{ambiguous}");
    assert!(
        other_choice * 5 < ambiguous,
        "{other_choice} of {ambiguous}"
    );
}

/// Both tables come from the kernel's. libseccomp gives x32 a call that is for 64 bits only, and 64-bit
/// parisc one that is for 32.
#[test]
fn numbers_are_alike() {
    let (mut compared, mut different) = (0, Vec::new());
    for (_, arch) in SeccompArch::VALUES
        .iter()
        .filter(|(_, arch)| token(*arch).is_some())
    {
        for syscall in Syscall::all() {
            let Some(theirs) = libseccomp::number(*arch, syscall.name()) else {
                continue;
            };
            if (-300..=-100).contains(&theirs) {
                continue;
            }
            let ours = number(*arch, syscall.name()).map(|number| number.cast_signed());
            compared += 1;
            if ours != (theirs >= 0).then_some(theirs) {
                different.push((*arch, syscall.name()));
            }
        }
        for number in 0..7000 {
            let number = if *arch == SeccompArch::X32 {
                number | 0x4000_0000
            } else {
                number
            };
            if let Some(name) = libseccomp::name(*arch, number) {
                assert!(Syscall::named(&name).is_some(), "{arch} {number}: {name}");
            }
        }
    }
    println!("{compared} numbers");
    assert_eq!(
        different,
        [
            (SeccompArch::X32, "map_shadow_stack"),
            (SeccompArch::Parisc64, "_llseek")
        ]
    );
}
