//! What each target does with its input. A target panics where kan is wrong; that an input is refused is
//! never wrong.
//!
//! The programs in `fuzz_targets` hand libFuzzer's inputs on to these; the tests below hand on every file
//! in `seeds` and `regressions`, which needs neither libFuzzer nor its instrumentation.
#![forbid(unsafe_code)]

mod bpf;
mod documents;
mod files;
#[path = "../../../crates/plan/tests/invariants/mod.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "the planner's tests use all of it"
)]
mod invariants;
mod plans;
mod profiles;

pub use documents::{config, process, state};
pub use files::{cgroup_files, mountinfo, passwd};
pub use plans::{mount_options, plan};
pub use profiles::seccomp;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// A target's name and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 12] = [
    ("config", config),
    ("state", state),
    ("process", process),
    ("seccomp", seccomp),
    ("mount_options", mount_options),
    ("mountinfo", mountinfo),
    ("cgroup_files", cgroup_files),
    ("dbus", dbus),
    ("netlink", netlink),
    ("passwd", passwd),
    ("command_line", command_line),
    ("plan", plan),
];

/// A message of the bus.
pub fn dbus(data: &[u8]) {
    kan_dbus::fuzzing::message(data);
}

/// An answer of rtnetlink.
pub fn netlink(data: &[u8]) {
    kan_lifecycle::fuzzing::netlink(data);
}

/// The words of a command line, each ended by a newline; kan's own name comes before them.
pub fn command_line(data: &[u8]) {
    let words = data.split(|byte| *byte == b'\n');
    let words = words.map(|word| OsString::from_vec(word.to_vec()));
    kan::fuzzing::command_line(std::iter::once("kan".into()).chain(words).collect());
}

#[cfg(test)]
mod tests {
    use super::TARGETS;
    use std::path::Path;

    /// Each target has seeds, and none of them, nor anything that once broke it, breaks it now.
    #[test]
    fn seeds_and_regressions() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (name, target) in TARGETS {
            let mut count = 0;
            for directory in ["seeds", "regressions"] {
                let directory = here.join(directory).join(name);
                for entry in std::fs::read_dir(&directory).into_iter().flatten() {
                    let path = entry.unwrap().path();
                    println!("{}", path.display());
                    target(&std::fs::read(&path).unwrap());
                    count += 1;
                }
            }
            assert!(count > 0, "{name} has no seeds");
            assert!(here.join(format!("fuzz_targets/{name}.rs")).exists());
        }
    }
}
