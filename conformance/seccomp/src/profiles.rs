//! The default profiles of engines, and how a test reads a profile.

use kan_spec::config::{SeccompArch, SeccompProfile};

/// containers/common 0.50 (Podman), see profiles/README.md.
pub const PODMAN: &str = include_str!("../profiles/podman.json");
/// Moby 20.10 (Docker), see profiles/README.md.
pub const DOCKER: &str = include_str!("../profiles/docker.json");

/// Reads the value of `linux.seccomp`.
///
/// # Panics
/// If it is not valid.
#[must_use]
pub fn parse(seccomp: &str) -> SeccompProfile {
    let config = format!(
        r#"{{"ociVersion": "1.2.0", "root": {{"path": "rootfs"}},
            "linux": {{"seccomp": {seccomp}}}}}"#
    );
    let parsed = kan_spec::parse_config(config.as_bytes()).map(|document| document.value);
    let profile = parsed
        .ok()
        .and_then(|config| config.linux)
        .and_then(|linux| linux.seccomp);
    profile.expect("the profile is valid")
}

/// Architectures that one kernel can run, the native one first.
pub const KERNELS: &[&[SeccompArch]] = &[
    &[SeccompArch::X86_64, SeccompArch::X86, SeccompArch::X32],
    &[SeccompArch::X86_64, SeccompArch::X32],
    &[SeccompArch::X86_64, SeccompArch::X86],
    &[SeccompArch::X86_64],
    &[SeccompArch::X86],
    &[SeccompArch::X32],
    &[SeccompArch::Aarch64, SeccompArch::Arm],
    &[SeccompArch::Arm],
    &[
        SeccompArch::Mips64,
        SeccompArch::Mips,
        SeccompArch::Mips64n32,
    ],
    &[
        SeccompArch::Mipsel64,
        SeccompArch::Mipsel,
        SeccompArch::Mipsel64n32,
    ],
    &[SeccompArch::Ppc64, SeccompArch::Ppc],
    &[SeccompArch::Ppc64le],
    &[SeccompArch::S390x, SeccompArch::S390],
    &[SeccompArch::Parisc64, SeccompArch::Parisc],
    &[SeccompArch::Riscv64],
    &[SeccompArch::Loongarch64],
    &[SeccompArch::M68k],
    &[SeccompArch::Sh],
    &[SeccompArch::Sheb],
];
