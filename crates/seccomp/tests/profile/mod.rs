//! Profiles from JSON, and what their filters answer.

use kan_seccomp::{Actions, Filter, Scope, SeccompData, Target, flags, run};
use kan_spec::config::{SeccompArch, SeccompProfile};

pub const ALLOW: u32 = 0x7fff_0000;
pub const KILL_THREAD: u32 = 0;
pub const EPERM: u32 = 0x0005_0001;

/// The value of `linux.seccomp`.
pub fn parse(seccomp: &str) -> SeccompProfile {
    let config = format!(
        r#"{{"ociVersion": "1.2.0", "root": {{"path": "rootfs"}},
            "linux": {{"seccomp": {seccomp}}}}}"#
    );
    let config = kan_spec::parse_config(config.as_bytes()).unwrap().value;
    config.linux.unwrap().seccomp.unwrap()
}

/// A profile for x86_64 alone that denies everything but what these rules say.
pub fn denying(rules: &str) -> SeccompProfile {
    let profile = r#""defaultAction": "SCMP_ACT_ERRNO", "listenerPath": "/agent""#;
    parse(&format!(r#"{{{profile}, "syscalls": [{rules}]}}"#))
}

/// A kernel that knows everything.
pub fn target(native: SeccompArch) -> Target {
    Target {
        native,
        scope: Scope::Native,
        flags: flags::ALL,
        actions: Actions::ALL,
        stub: false,
    }
}

/// What the filter answers to a call.
pub fn answer(filter: &Filter, arch: SeccompArch, number: u32, args: [u64; 6]) -> u32 {
    run(&filter.program, &SeccompData::new(arch, number, args))
        .unwrap()
        .answer
}
