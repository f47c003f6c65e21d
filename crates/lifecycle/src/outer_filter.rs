//! What to do where a seccomp filter that kan itself runs under, an outer container's as a rule,
//! denies it a system call. Nothing here is read before a call has failed.

use crate::kernel;
use kan_op::{Failure, Flaw};
use kan_sys::{Errno, Sysno};

/// What kan can't do without and profiles of engines deny: to all, as older ones do that have never
/// heard of a call, or to whoever lacks `CAP_SYS_ADMIN`, even in a user namespace of his own.
const DENIED_BY_PROFILES: [Sysno; 16] = [
    Sysno::clone3,
    Sysno::fsconfig,
    Sysno::fsmount,
    Sysno::fsopen,
    Sysno::fspick,
    Sysno::mount,
    Sysno::mount_setattr,
    Sysno::move_mount,
    Sysno::open_tree,
    Sysno::openat2,
    Sysno::pivot_root,
    Sysno::setdomainname,
    Sysno::sethostname,
    Sysno::setns,
    Sysno::umount2,
    Sysno::unshare,
];

/// The bit of `CAP_SYS_ADMIN`, capabilities(7).
const SYS_ADMIN: u64 = 1 << 21;

/// What to write behind the error of a call that failed: nothing, where that is neither a filter's
/// answer nor an old kernel's.
pub(crate) fn hint(call: Sysno, errno: Errno) -> String {
    if errno == Errno::ENOSYS
        && let Some(hint) = kernel::hint(&kernel::release(), call, errno)
    {
        return format!(" ({hint})");
    }
    if !matches!(errno, Errno::ENOSYS | Errno::EPERM) || !DENIED_BY_PROFILES.contains(&call) {
        return String::new();
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    advice(&status, call, errno)
        .map(|advice| format!(" ({advice})"))
        .unwrap_or_default()
}

/// The same for a call of init's.
pub(crate) fn of_init(failure: Failure) -> String {
    match (failure.flaw, Sysno::new(failure.call.into())) {
        (Flaw::Call, Some(call)) => hint(call, Errno::new(failure.errno.into())),
        _ => String::new(),
    }
}

/// By `/proc/self/status`, proc_pid_status(5): under no filter the kernel's own answer stands.
fn advice(status: &str, call: Sysno, errno: Errno) -> Option<String> {
    let value = |name| {
        let mut lines = status.lines();
        lines.find_map(|line| Some(line.strip_prefix(name)?.trim()))
    };
    if value("Seccomp:")? != "2" {
        return None;
    }
    let capable = u64::from_str_radix(value("CapEff:")?, 16).ok()? & SYS_ADMIN != 0;
    // Only a filter pretends that a call of this kernel's does not exist.
    let is_sure = errno == Errno::ENOSYS;
    let causes = [
        (!is_sure && !capable).then_some("lacks CAP_SYS_ADMIN"),
        // In a user namespace a new one must not show more than the old: mount_namespaces(7).
        (!is_sure && call == Sysno::fsmount).then_some("masks paths of /proc or /sys"),
    ];
    let mut causes: Vec<_> = causes.into_iter().flatten().collect();
    let call = call.name();
    Some(if causes.is_empty() {
        format!(
            "the seccomp profile of the outer container denies {call}: allow it there, or make that container privileged"
        )
    } else {
        causes.push("has a seccomp profile that denies it");
        let causes = causes.join(" or ");
        format!("the outer container {causes}: change that, or make that container privileged")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of kan as root under a filter.
    const FILTERED: &str =
        "Name:\tkan\nCapEff:\t000001ffffffffff\nSeccomp:\t2\nSeccomp_filters:\t1\n";

    #[test]
    fn a_filter_is_blamed_for_what_only_a_filter_answers() {
        let advice = advice(FILTERED, Sysno::fsopen, Errno::EPERM).unwrap();
        assert!(advice.starts_with("the seccomp profile of the outer container denies fsopen"));
    }

    #[test]
    fn where_there_are_other_causes_they_are_told() {
        let status = FILTERED.replace("000001ffffffffff", "00000000a80425fb");
        let doubt = advice(&status, Sysno::fsopen, Errno::EPERM).unwrap();
        assert!(doubt.contains("lacks CAP_SYS_ADMIN or has a seccomp profile"));
        let masked = advice(FILTERED, Sysno::fsmount, Errno::EPERM).unwrap();
        assert!(masked.contains("masks paths of /proc or /sys or has a seccomp profile"));
        let sure = advice(&status, Sysno::clone3, Errno::ENOSYS).unwrap();
        assert!(!sure.contains("CAP_SYS_ADMIN"));
    }

    #[test]
    fn without_a_filter_the_kernel_meant_it() {
        let status = FILTERED.replace("Seccomp:\t2", "Seccomp:\t0");
        assert_eq!(advice(&status, Sysno::clone3, Errno::EPERM), None);
        assert_eq!(advice("", Sysno::clone3, Errno::EPERM), None);
    }

    #[test]
    fn other_calls_and_other_answers_get_no_hint() {
        assert_eq!(hint(Sysno::openat2, Errno::ENOENT), "");
        assert_eq!(hint(Sysno::prlimit64, Errno::EPERM), "");
    }
}
