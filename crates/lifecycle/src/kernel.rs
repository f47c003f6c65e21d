//! The system calls that kan can't do without, and the kernel that has them: docs/kernel.md.

use kan_sys::{Errno, Sysno};

/// A version of Linux: its first two numbers.
pub(crate) type Version = (u32, u32);

/// The oldest kernel that kan works on.
pub(crate) const OLDEST: Version = (5, 14);

/// What every container takes, and what older kernels lack, with the version that brought it.
pub(crate) const NEEDED: [(Sysno, Version); 13] = [
    (Sysno::pidfd_send_signal, (5, 1)),
    (Sysno::fsopen, (5, 2)),
    (Sysno::fsconfig, (5, 2)),
    (Sysno::fsmount, (5, 2)),
    (Sysno::fspick, (5, 2)),
    (Sysno::move_mount, (5, 2)),
    (Sysno::open_tree, (5, 2)),
    (Sysno::clone3, (5, 3)),
    (Sysno::pidfd_open, (5, 3)),
    (Sysno::openat2, (5, 6)),
    (Sysno::pidfd_getfd, (5, 6)),
    (Sysno::close_range, (5, 9)),
    (Sysno::mount_setattr, (5, 12)),
];

/// The version of the kernel that runs, if its name says one.
pub(crate) fn version(release: &str) -> Option<Version> {
    let mut numbers = release.split(['.', '-', '+']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

pub(crate) fn release() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.trim_end().to_owned()
}

/// Those of the calls that a kernel of this version does not have.
pub(crate) fn missing(version: Version) -> impl Iterator<Item = (Sysno, Version)> {
    NEEDED
        .into_iter()
        .filter(move |(_, since)| version < *since)
}

/// The calls with their versions, in words.
pub(crate) fn in_words(calls: impl Iterator<Item = (Sysno, Version)>) -> String {
    let words = calls.map(|(call, (major, minor))| format!("{} ({major}.{minor})", call.name()));
    words.collect::<Vec<_>>().join(", ")
}

/// What to write behind the error of a call that failed because the kernel is too old for it.
pub(crate) fn hint(release: &str, call: Sysno, errno: Errno) -> Option<String> {
    let (_, since) = NEEDED.iter().find(|(needed, _)| *needed == call)?;
    if errno != Errno::ENOSYS || version(release)? >= *since {
        return None;
    }
    let (major, minor) = since;
    let call = call.name();
    Some(format!(
        "{call} is new in Linux {major}.{minor}, and this is Linux {release}: {}",
        advice()
    ))
}

/// What to do about a kernel that is too old.
pub(crate) fn advice() -> String {
    let (major, minor) = OLDEST;
    format!("kan needs Linux {major}.{minor} or newer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_kernel_lacks_what_came_later() {
        let lacks = |version| in_words(missing(version));
        assert_eq!(lacks((5, 10)), "mount_setattr (5.12)");
        assert_eq!(lacks((5, 8)), "close_range (5.9), mount_setattr (5.12)");
        assert_eq!(lacks(OLDEST), "");
        assert_eq!(missing((4, 18)).count(), NEEDED.len());
    }

    #[test]
    fn the_hint_names_the_call_and_both_versions() {
        let of = |release, errno| hint(release, Sysno::mount_setattr, errno);
        assert_eq!(
            of("5.10.0-30-amd64", Errno::ENOSYS).unwrap(),
            "mount_setattr is new in Linux 5.12, and this is Linux 5.10.0-30-amd64: \
             kan needs Linux 5.14 or newer"
        );
        assert_eq!(of("5.10.0-30-amd64", Errno::EINVAL), None);
        assert_eq!(of("5.12.1", Errno::ENOSYS), None);
        assert_eq!(of("next", Errno::ENOSYS), None);
        assert_eq!(hint("2.6.32", Sysno::mount, Errno::ENOSYS), None);
    }

    #[test]
    fn this_kernel_knows_all_of_them() {
        let unknown = NEEDED.iter().filter(|(call, _)| !kan_sys::is_known(*call));
        assert_eq!(in_words(unknown.copied()), "");
    }
}
