//! `annotations` that change what kan does: crun's, which engines set. config.md, Annotations.

use kan_spec::config::Config;

/// Set to anything: a seccomp rule for a system call that does not exist is an error.
pub(crate) const FAIL_UNKNOWN_SYSCALL: &str = "run.oci.seccomp_fail_unknown_syscall";

/// All of them, for `kan features`: whoever lets others write a config.json should know.
pub(crate) const ALL: [&str; 1] = [FAIL_UNKNOWN_SYSCALL];

/// The value of an annotation.
pub(crate) fn value<'a>(config: &'a Config, key: &str) -> Option<&'a str> {
    let found = config.annotations.iter().find(|(name, _)| name == key);
    found.map(|(_, value)| value.as_str())
}
