//! The calls that a filter is asked about.

use std::collections::HashMap;

use kan_seccomp::number;
use kan_spec::config::{SeccompArch, SeccompProfile, SyscallRule};

use crate::random::{Random, arguments};

/// Call numbers worth asking about on an architecture: all that any table has and some beyond, and
/// the edges of the ranges that mean something to somebody.
#[must_use]
pub fn numbers(arch: SeccompArch) -> Vec<u32> {
    use SeccompArch as A;
    let base = match arch {
        A::Mips | A::Mipsel => 4000,
        A::Mips64 | A::Mipsel64 => 5000,
        A::Mips64n32 | A::Mipsel64n32 => 6000,
        A::X32 => 0x4000_0000,
        _ => 0,
    };
    let mut numbers: Vec<u32> = (base..base + 560).collect();
    if arch == A::Arm {
        numbers.extend(0x000f_0000..0x000f_0008);
    }
    let edges = [
        0,
        0x3fff_ffff,
        0x4000_0000,
        0x4000_0001,
        0x7fff_ffff,
        0x8000_0000,
        0xc000_0000,
    ];
    numbers.extend(edges);
    numbers.extend([base.wrapping_sub(1), 0xffff_fffe, u32::MAX]);
    numbers
}

/// Calls `each` for every number of these architectures, several times with other arguments where
/// the profile looks at arguments.
pub fn ask(
    random: &mut Random,
    profile: &SeccompProfile,
    architectures: &[SeccompArch],
    mut each: impl FnMut(SeccompArch, u32, [u64; 6]),
) {
    for &arch in architectures {
        let about = rules(profile, arch);
        let multiplexers = ["socketcall", "ipc"].map(|name| number(arch, name));
        for number in numbers(arch) {
            let rules = about.get(&number).map_or(&[][..], Vec::as_slice);
            if multiplexers.contains(&Some(number)) {
                let all: Vec<_> = profile.syscalls.iter().collect();
                for _ in 0..40 {
                    each(arch, number, arguments(random, &all));
                }
                continue;
            }
            let looks = rules.iter().any(|rule| !rule.args.is_empty());
            for _ in 0..if looks { 30 } else { 1 } {
                each(arch, number, arguments(random, rules));
            }
        }
    }
}

/// The rules for each number.
fn rules(profile: &SeccompProfile, arch: SeccompArch) -> HashMap<u32, Vec<&SyscallRule>> {
    let mut rules: HashMap<_, Vec<_>> = HashMap::new();
    for rule in &profile.syscalls {
        for number in rule.names.iter().filter_map(|name| number(arch, name)) {
            rules.entry(number).or_default().push(rule);
        }
    }
    rules
}
