//! `doctor`: what this host can do for containers, what it can't, and how to mend that.

mod cgroups;
mod look;
mod security;
mod users;

use crate::diagnose::finding::Finding;
use crate::kernel;
use kan_sys::namespace as raw;
use look::{fails, in_path, limited, read, works};
use std::path::Path;

/// Every kind of namespace: its flag, its file in /proc/PID/ns.
pub(crate) const NAMESPACES: [(u32, &str); 8] = [
    (raw::CLONE_NEWPID, "pid"),
    (raw::CLONE_NEWNET, "net"),
    (raw::CLONE_NEWNS, "mnt"),
    (raw::CLONE_NEWIPC, "ipc"),
    (raw::CLONE_NEWUTS, "uts"),
    (raw::CLONE_NEWCGROUP, "cgroup"),
    (raw::CLONE_NEWUSER, "user"),
    (raw::CLONE_NEWTIME, "time"),
];

/// Looks at everything, and changes nothing.
#[must_use]
pub fn examine() -> Vec<Finding> {
    let mut all = vec![kernel(), system_calls(), namespaces()];
    all.extend(cgroups::examine());
    all.extend(users::examine());
    all.extend(security::examine());
    all.extend([file_systems(), devices(), terminal(), criu()]);
    all
}

fn kernel() -> Finding {
    judge_kernel(&kernel::release())
}

/// What the kernel got after 5.14 and containers may want: docs/kernel.md.
const LATER: [((u32, u32), &str); 5] = [
    ((5, 15), "MPOL_PREFERRED_MANY"),
    ((5, 19), "seccomp's WAIT_KILLABLE_RECV"),
    ((5, 19), "overlay on mapped ids"),
    ((6, 3), "mapped ids on tmpfs"),
    ((6, 9), "MPOL_WEIGHTED_INTERLEAVE"),
];

fn judge_kernel(release: &str) -> Finding {
    let Some(version) = kernel::version(release) else {
        return limited(
            "kernel",
            format!("{release:?} is no version kan understands"),
        );
    };
    if version < kernel::OLDEST {
        let lacks = kernel::in_words(kernel::missing(version));
        let found = match &*lacks {
            "" => format!("Linux {release}"),
            lacks => format!("Linux {release}, without {lacks}"),
        };
        return fails("kernel", found).advise(kernel::advice());
    }
    let missing: Vec<_> = LATER.iter().filter(|(since, _)| version < *since).collect();
    if missing.is_empty() {
        return works("kernel", format!("Linux {release}"));
    }
    let missing: Vec<_> = missing.iter().map(|(_, what)| *what).collect();
    limited(
        "kernel",
        format!("Linux {release}, without {}", missing.join(", ")),
    )
    .advise("a newer kernel has them; most containers need none of it")
}

/// Whether the calls that kan is made of are there: the kernel may be too old for them, and a container
/// around kan may forbid them.
fn system_calls() -> Finding {
    let unknown = kernel::NEEDED
        .into_iter()
        .filter(|(call, _)| !kan_sys::is_known(*call));
    let unknown = kernel::in_words(unknown);
    if !unknown.is_empty() {
        let release = kernel::release();
        let is_old = kernel::version(&release).is_some_and(|version| version < kernel::OLDEST);
        let advice = if is_old {
            kernel::advice()
        } else {
            "the seccomp profile of a container around kan does not know them: \
             give that container one that does, or none"
                .into()
        };
        return fails("system calls", format!("missing: {unknown}")).advise(advice);
    }
    match kan_sys::mount::fsopen(c"tmpfs") {
        Err(error) if kan_sys::credentials::effective_uid() == 0 => {
            fails("system calls", error.to_string())
                .advise("kan needs CAP_SYS_ADMIN, and a seccomp profile that lets it mount")
        }
        Err(_) => works("system calls", "all; mounts in a user namespace only"),
        Ok(_) => works("system calls", "all that kan needs"),
    }
}

fn namespaces() -> Finding {
    let exists = |file: &str| Path::new("/proc/self/ns").join(file).exists();
    let (there, missing): (Vec<_>, Vec<_>) = NAMESPACES
        .iter()
        .map(|(_, file)| *file)
        .partition(|file| exists(file));
    if missing.is_empty() {
        return works("namespaces", there.join(" "));
    }
    limited(
        "namespaces",
        format!("the kernel has no {}", missing.join(", ")),
    )
    .advise("use a kernel that was built with them, or configs that do without")
}

fn file_systems() -> Finding {
    let known = read("/proc/filesystems").unwrap_or_default();
    let has = |name: &str| {
        known
            .lines()
            .any(|line| line.split('\t').nth(1) == Some(name))
    };
    let wanted = ["proc", "sysfs", "tmpfs", "devpts", "mqueue", "overlay"];
    let (there, missing): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|name| has(name));
    if missing.is_empty() {
        return works("file systems", there.join(" "));
    }
    limited(
        "file systems",
        format!("not loaded: {}", missing.join(", ")),
    )
    .advise(format!(
        "modprobe {}, where they are modules",
        missing.join(" ")
    ))
}

fn devices() -> Finding {
    let wanted = ["null", "zero", "full", "random", "urandom", "tty"];
    let missing: Vec<_> = wanted
        .into_iter()
        .filter(|name| !Path::new("/dev").join(name).exists())
        .collect();
    if !missing.is_empty() {
        return fails("devices", format!("/dev lacks {}", missing.join(", ")))
            .advise("containers in user namespaces get the host's: mount devtmpfs on /dev");
    }
    let extra = ["fuse", "net/tun", "kvm"].into_iter();
    let extra: Vec<_> = extra
        .filter(|name| Path::new("/dev").join(name).exists())
        .collect();
    works(
        "devices",
        format!("{} {}", wanted.join(" "), extra.join(" ")).trim(),
    )
}

fn terminal() -> Finding {
    if Path::new("/dev/pts/ptmx").exists() || Path::new("/dev/ptmx").exists() {
        return works("terminals", "devpts");
    }
    limited("terminals", "no /dev/ptmx").advise("mount devpts on /dev/pts")
}

/// Looked for as it will be, in PATH.
fn criu() -> Finding {
    let place = in_path("criu");
    match place {
        Some(path) => limited("criu", format!("{path}: there, and not used yet"))
            .advise("kan cannot checkpoint yet"),
        None => limited("criu", "not installed").advise("kan cannot checkpoint yet"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::finding::Verdict;

    #[test]
    fn a_kernel_is_judged_by_its_first_two_numbers() {
        for (release, verdict) in [
            ("6.18.5", Verdict::Works),
            ("6.1.0-49-amd64", Verdict::Limited),
            ("5.14.0", Verdict::Limited),
            ("5.10.0-30-amd64", Verdict::Fails),
            ("4.19", Verdict::Fails),
            ("x", Verdict::Limited),
        ] {
            assert_eq!(judge_kernel(release).verdict, verdict, "{release}");
        }
    }

    #[test]
    fn an_old_kernel_is_told_what_it_lacks() {
        let old = judge_kernel("5.10.0-30-amd64");
        assert_eq!(
            old.found,
            "Linux 5.10.0-30-amd64, without mount_setattr (5.12)"
        );
        assert_eq!(old.advice, "kan needs Linux 5.14 or newer");
        // Every call is there, and other things are not: docs/kernel.md.
        assert_eq!(judge_kernel("5.13.1").found, "Linux 5.13.1");
        assert_eq!(judge_kernel("5.13.1").verdict, Verdict::Fails);
    }

    #[test]
    fn every_finding_says_something_and_what_fails_has_advice() {
        let all = examine();
        for finding in &all {
            assert!(
                !finding.about.is_empty() && !finding.found.is_empty(),
                "{finding:?}"
            );
            let is_fine = finding.verdict == Verdict::Works;
            assert!(is_fine || !finding.advice.is_empty(), "{finding:?}");
        }
        for about in [
            "kernel",
            "cgroups",
            "user namespaces",
            "subordinate ids",
            "seccomp",
            "criu",
        ] {
            assert!(all.iter().any(|finding| finding.about == about), "{about}");
        }
    }
}
