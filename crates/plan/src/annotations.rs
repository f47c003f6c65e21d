//! `annotations` that change what kan does: crun's, which engines set. config.md, Annotations.

use kan_spec::config::Config;

/// Set to anything: a seccomp rule for a system call that does not exist is an error.
pub(crate) const FAIL_UNKNOWN_SYSCALL: &str = "run.oci.seccomp_fail_unknown_syscall";

/// Set to anything: the caller's supplementary groups stay, those of the config do not come.
pub(crate) const KEEP_ORIGINAL_GROUPS: &str = "run.oci.keep_original_groups";

/// A file that the stdout of hooks is added to.
pub(crate) const HOOKS_STDOUT: &str = "run.oci.hooks.stdout";

/// A file that the stderr of hooks is added to.
pub(crate) const HOOKS_STDERR: &str = "run.oci.hooks.stderr";

/// A socket that the pidfd of the container's process is sent to, as with `--pidfd-socket`.
pub(crate) const PIDFD_RECEIVER: &str = "run.oci.pidfd_receiver";

/// A cgroup below that of the systemd unit, for the container's processes.
pub(crate) const SYSTEMD_SUBGROUP: &str = "run.oci.systemd.subgroup";

/// The option by which mounts get `linux.mountLabel`: `context`, where it is not given.
pub(crate) const MOUNT_CONTEXT_TYPE: &str = "run.oci.mount_context_type";

/// A cgroup of v2 below the container's, which it may do with as it likes.
pub(crate) const DELEGATE_CGROUP: &str = "run.oci.delegate-cgroup";

/// All of them, for `kan features`: whoever lets others write a config.json should know.
pub(crate) const ALL: [&str; 8] = [
    DELEGATE_CGROUP,
    FAIL_UNKNOWN_SYSCALL,
    HOOKS_STDERR,
    HOOKS_STDOUT,
    KEEP_ORIGINAL_GROUPS,
    MOUNT_CONTEXT_TYPE,
    PIDFD_RECEIVER,
    SYSTEMD_SUBGROUP,
];

/// An annotation as a field.
pub(crate) fn field(key: &str) -> String {
    format!("annotations[{key:?}]")
}

/// The value of an annotation.
pub(crate) fn value<'a>(config: &'a Config, key: &str) -> Option<&'a str> {
    let found = config.annotations.iter().find(|(name, _)| name == key);
    found.map(|(_, value)| value.as_str())
}
