//! Seccomp profiles: the kernel takes the program, and the program decides as the profile says.

use crate::bpf::verify;
use kan_conformance_seccomp::model::{Call, about, verdict};
use kan_conformance_seccomp::profiles::KERNELS;
use kan_conformance_seccomp::random::{Random, arguments};
use kan_seccomp::{Actions, Instruction, Scope, SeccompData, Target, compile, flags, number, run};
use kan_spec::config::{SeccompArch, SeccompProfile};

/// The first byte chooses the kernel's architectures; `linux.seccomp` follows.
pub fn seccomp(data: &[u8]) {
    let Some((kernel, text)) = data.split_first() else {
        return;
    };
    let Some(profile) = read(text) else { return };
    let kernel = KERNELS[usize::from(*kernel) % KERNELS.len()];
    // As it is, with the stub for newer calls, for this kernel and for all.
    for scope in [Scope::Native, Scope::Everything] {
        if let Ok(filter) = compile(&profile, &target(kernel[0], scope, true)) {
            assert_eq!(verify(&filter.program), Ok(()));
        }
    }
    let profile = SeccompProfile {
        architectures: kernel.to_vec(),
        ..profile
    };
    if let Ok(filter) = compile(&profile, &target(kernel[0], Scope::Native, false)) {
        assert_eq!(verify(&filter.program), Ok(()));
        ask(&profile, &filter.program);
        #[cfg(feature = "libseccomp")]
        libseccomp::compare(&profile, &filter.program);
    }
}

fn read(text: &[u8]) -> Option<SeccompProfile> {
    let (before, after) = (
        br#"{"ociVersion":"1.2.0","root":{"path":"r"},"linux":{"seccomp":"#,
        b"}}",
    );
    let config = [&before[..], text, after].concat();
    kan_spec::parse_config(&config).ok()?.value.linux?.seccomp
}

fn target(native: SeccompArch, scope: Scope, stub: bool) -> Target {
    Target {
        native,
        scope,
        flags: flags::ALL,
        actions: Actions::ALL,
        stub,
    }
}

/// The calls that the profile names, and some at the edges, on each architecture.
fn calls(profile: &SeccompProfile) -> Vec<Call> {
    let mut random = Random::new(1);
    let mut all = Vec::new();
    for &arch in &profile.architectures {
        let edges = [0, 0x4000_0000, u32::MAX];
        let named = profile.syscalls.iter().flat_map(|rule| &rule.names);
        let named = named.filter_map(|name| number(arch, name)).take(64);
        for number in named.chain(edges) {
            let rules: Vec<_> = profile.syscalls.iter().collect();
            all.extend((0..6).map(|_| Call {
                arch,
                number,
                args: arguments(&mut random, &rules),
            }));
        }
    }
    all
}

fn answer(program: &[Instruction], call: &Call) -> u32 {
    let data = SeccompData::new(call.arch, call.number, call.args);
    match run(program, &data) {
        Ok(run) => run.answer,
        Err(invalid) => panic!("{invalid:?}"),
    }
}

/// Against the plain model.
fn ask(profile: &SeccompProfile, program: &[Instruction]) {
    for call in calls(profile) {
        let answer = answer(program, &call);
        let meant = verdict(&about(profile, call.arch, call.number), &call).answers;
        assert!(
            meant.contains(&answer),
            "{call:x?}: {answer:#x}, not {meant:x?}"
        );
    }
}

#[cfg(feature = "libseccomp")]
mod libseccomp {
    use super::{answer, calls};
    use kan_conformance_seccomp::libseccomp::{Layout, compile, known_alike, token};
    use kan_conformance_seccomp::model::{about, verdict};
    use kan_conformance_seccomp::random::within_libseccomp;
    use kan_seccomp::Instruction;
    use kan_spec::config::SeccompProfile;

    /// Against libseccomp, where it can be asked.
    pub fn compare(profile: &SeccompProfile, program: &[Instruction]) {
        let layout = Layout::Linear;
        let rules = profile.syscalls.iter().flat_map(|rule| {
            rule.names.iter().map(|name| kan_spec::config::SyscallRule {
                names: vec![name.clone()],
                ..rule.clone()
            })
        });
        let rules: Vec<_> = rules.collect();
        let alike = |name: &String| known_alike(&profile.architectures, layout, name);
        let known = profile
            .architectures
            .iter()
            .all(|&arch| token(arch).is_some())
            && rules.iter().all(|rule| rule.names.iter().all(alike));
        if !known || within_libseccomp(rules.iter().cloned()).len() != rules.len() {
            return;
        }
        let Ok(theirs) = compile(profile, &profile.architectures, layout) else {
            return;
        };
        for call in calls(profile) {
            let (ours, theirs) = (answer(program, &call), answer(&theirs, &call));
            if ours != theirs {
                // Where rules with different actions hold at once, either may decide.
                let meant = verdict(&about(profile, call.arch, call.number), &call).answers;
                assert!(
                    meant.contains(&ours) && meant.contains(&theirs),
                    "{call:x?}: {ours:#x}, libseccomp {theirs:#x}"
                );
            }
        }
    }
}
