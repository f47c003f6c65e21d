//! podman's default profile compiled, as crun takes it: what a warm cache of compiled profiles would
//! give to a crun that can't have one. Debian's crun 1.8.1 can't: its cache is keyed by a sum that
//! libgcrypt makes, which it is built without.

use kan_seccomp::{Actions, Instruction, Scope, Target, compile, flags};
use kan_spec::config::SeccompArch;
use serde_json::{Value, json};

use crate::config::podman_profile;

/// The name of the crun that is given its filter.
pub const GIVEN: &str = "crun+bpf";

/// Gives the config a filter beside its profile: crun(1), `run.oci.seccomp_bpf_data`.
pub fn give(config: &mut Value) -> Result<(), String> {
    let document = json!({ "ociVersion": "1.0.2", "root": { "path": "rootfs" },
        "linux": { "seccomp": podman_profile() } });
    let parsed = kan_spec::parse_config(document.to_string().as_bytes());
    let parsed = parsed.map_err(|problems| format!("podman's profile: {problems:?}"))?;
    let seccomp = parsed.value.linux.and_then(|linux| linux.seccomp);
    let profile = seccomp.ok_or("podman's profile: absent")?;
    let target = Target {
        native: SeccompArch::X86_64,
        scope: Scope::Native,
        flags: flags::ALL,
        actions: Actions::ALL,
        stub: true,
    };
    let filter = compile(&profile, &target).map_err(|problems| format!("{problems:?}"))?;
    config["annotations"]["run.oci.seccomp_bpf_data"] = json!(base64(&bytes(&filter.program)));
    Ok(())
}

/// As struct sock_filter lies in memory on x86_64 (linux/filter.h).
fn bytes(program: &[Instruction]) -> Vec<u8> {
    let instructions = program.iter().flat_map(|instruction| {
        let [low, high] = instruction.code.to_le_bytes();
        let operand = instruction.k.to_le_bytes();
        [low, high, instruction.jt, instruction.jf]
            .into_iter()
            .chain(operand)
    });
    instructions.collect()
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number = (0..3).fold(0, |sum, index| {
            sum << 8 | usize::from(chunk.get(index).copied().unwrap_or_default())
        });
        for digit in 0..4 {
            text.push(match digit <= chunk.len() {
                true => char::from(ALPHABET[number >> (18 - 6 * digit) & 63]),
                false => '=',
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let pairs = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v")];
        for (plain, coded) in pairs {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        assert_eq!(base64("foobar".as_bytes()), "Zm9vYmFy");
        assert_eq!(base64(&[255, 239, 190]), "/+++");
    }

    #[test]
    fn a_filter_of_whole_instructions_is_given() {
        let mut config = json!({});
        give(&mut config).unwrap();
        let data = &config["annotations"]["run.oci.seccomp_bpf_data"];
        // The first instruction loads the architecture, at offset 4 of struct seccomp_data.
        assert!(data.as_str().unwrap().starts_with("IAAAAAQAAAA"), "{data}");
    }
}
