//! What can go wrong, said with the operation, the path and the errno.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::Pid;

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a cgroup operation failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A system call failed.
    #[error("{operation} {}: {}", path.display(), reason(*errno))]
    Call {
        /// What was being done.
        operation: Operation,
        /// The file or directory it was done to.
        path: PathBuf,
        /// The kernel's answer.
        errno: Errno,
    },
    /// `linux.cgroupsPath` cannot name a cgroup of the container's own.
    #[error("cgroupsPath {path:?}: {why}")]
    Path {
        /// The path as configured.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// `exec --cgroup` says what can't be.
    #[error("{text}")]
    Below {
        /// What is wrong.
        text: String,
    },
    /// A relative path needs the caller's own cgroup, which is not known.
    #[error("/proc/self/cgroup: names no cgroup in the hierarchy at {}", mount.display())]
    OwnUnknown {
        /// The hierarchy.
        mount: PathBuf,
    },
    /// A new container's cgroup holds processes already.
    #[error(
        "container's cgroup is not empty: {count} process(es) found in {}",
        path.display()
    )]
    NotEmpty {
        /// The cgroup.
        path: PathBuf,
        /// How many processes it and its sub-cgroups hold.
        count: usize,
    },
    /// A new container's cgroup exists and is frozen: init would hang in it.
    #[error("container's cgroup unexpectedly frozen: {}", path.display())]
    Frozen {
        /// The cgroup.
        path: PathBuf,
    },
    /// The host has no way to freeze this container.
    #[error("the container has no cgroup that can be frozen (no freezer hierarchy)")]
    NoFreezer,
    /// Freezing took too long and was undone.
    #[error("freezing {}: not frozen after {waited:?}", path.display())]
    NotFreezing {
        /// The cgroup.
        path: PathBuf,
        /// The time waited.
        waited: Duration,
    },
    /// Somebody thawed what was to be frozen: it was killed meanwhile, perhaps.
    #[error("freezing {}: thawed meanwhile", path.display())]
    Thawed {
        /// The cgroup.
        path: PathBuf,
    },
    /// Processes stayed in a cgroup that should have become empty.
    #[error("{}: still in use after {waited:?}{}", path.display(), List(pids))]
    Busy {
        /// The cgroup.
        path: PathBuf,
        /// The time waited.
        waited: Duration,
        /// The processes left. Empty if the kernel named none.
        pids: Vec<Pid>,
    },
    /// The caller itself lives in the cgroup that it is to kill or remove.
    #[error("{}: holds the calling process itself", path.display())]
    Own {
        /// The cgroup.
        path: PathBuf,
    },
    /// The directory to be removed is not in a cgroup filesystem.
    #[error("{}: not a cgroup", path.display())]
    NotCgroup {
        /// The directory.
        path: PathBuf,
    },
}

/// What was being done when a system call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Looking at what a path is.
    Examine,
    /// Making a cgroup.
    Create,
    /// Opening a directory.
    Open,
    /// Listing a directory.
    List,
    /// Reading a file.
    Read,
    /// Writing this value to a file.
    Write(String),
    /// Moving a process into a cgroup.
    Join(Pid),
    /// Killing a process of a cgroup.
    Kill(Pid),
    /// Waiting for processes or events.
    Wait,
    /// Removing a cgroup.
    Remove,
    /// Making a user its owner.
    GiveTo(u32),
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Examine => f.write_str("examining"),
            Self::Create => f.write_str("creating cgroup"),
            Self::Open => f.write_str("opening cgroup"),
            Self::List => f.write_str("listing"),
            Self::Read => f.write_str("reading"),
            Self::Write(value) => write!(f, "writing {value:?} to"),
            Self::Join(pid) => write!(f, "adding process {pid} to"),
            Self::Kill(pid) => write!(f, "killing process {pid} of"),
            Self::Wait => f.write_str("waiting for"),
            Self::Remove => f.write_str("removing cgroup"),
            Self::GiveTo(uid) => write!(f, "giving user {uid}"),
        }
    }
}

impl Error {
    /// The error of a failed call on `path`.
    pub(crate) fn call(operation: Operation, path: &Path, errno: Errno) -> Self {
        Self::Call {
            operation,
            path: path.to_path_buf(),
            errno,
        }
    }

    /// The kernel's answer, if this is a failed call.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Call { errno, .. } => Some(*errno),
            _ => None,
        }
    }

    /// Whether the caller lacks the right to do it, in the loose sense that includes a read-only
    /// mount. A rootless container without `linux.cgroupsPath` and without limits does without a
    /// cgroup then, as with runc.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        matches!(
            self.errno(),
            Some(Errno::ACCESS | Errno::PERM | Errno::ROFS)
        )
    }

    /// What usually causes this error, where that is known (cgroups(7), the kernel's
    /// `cgroup-v2.rst` and `cgroup-v1/cpusets.rst`).
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        let Self::Call {
            operation, errno, ..
        } = self
        else {
            return None;
        };
        match (operation, *errno) {
            (Operation::Join(_), Errno::NOSPC) => {
                Some("cpuset.cpus or cpuset.mems of this cgroup is empty")
            }
            (Operation::Join(_), Errno::BUSY) => Some(
                "controllers are enabled for its sub-cgroups; cgroup v2 allows processes only in leaves then",
            ),
            (Operation::Join(_), Errno::OPNOTSUPP) => {
                Some("the cgroup is threaded or an invalid domain, see its cgroup.type")
            }
            (Operation::Create, Errno::AGAIN) => {
                Some("cgroup.max.depth or cgroup.max.descendants of a parent is reached")
            }
            (Operation::Create, Errno::ROFS) => Some("the cgroup filesystem is mounted read-only"),
            _ => None,
        }
    }
}

/// strerror(3) without the number that [`std::io::Error`] adds.
fn reason(errno: Errno) -> String {
    let mut text = std::io::Error::from(errno).to_string();
    if let Some(at) = text.find(" (os error") {
        text.truncate(at);
    }
    // As engines match it: `no such file or directory`.
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    text
}

/// Process ids for people: at most ten, then how many more.
struct List<'a>(&'a [Pid]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        for (i, pid) in self.0.iter().take(SHOWN).enumerate() {
            f.write_str(if i == 0 { " by process " } else { ", " })?;
            write!(f, "{pid}")?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pids(count: i32) -> Vec<Pid> {
        (1..=count).map(|n| Pid::from_raw(n).unwrap()).collect()
    }

    #[test]
    fn a_failed_call_names_operation_path_and_reason() {
        let error = Error::call(
            Operation::Create,
            Path::new("/sys/fs/cgroup/x"),
            Errno::ACCESS,
        );
        assert_eq!(
            error.to_string(),
            "creating cgroup /sys/fs/cgroup/x: permission denied"
        );
    }

    #[test]
    fn a_failed_join_names_process_and_file_and_hints() {
        let path = Path::new("/sys/fs/cgroup/cpuset/x/cgroup.procs");
        let error = Error::call(Operation::Join(pids(7)[6]), path, Errno::NOSPC);
        assert_eq!(
            error.to_string(),
            "adding process 7 to /sys/fs/cgroup/cpuset/x/cgroup.procs: no space left on device"
        );
        assert!(error.hint().unwrap().contains("cpuset.cpus"));
    }

    #[test]
    fn permission_is_meant_loosely() {
        let failed = |errno| Error::call(Operation::Create, Path::new("/c"), errno);
        for errno in [Errno::ACCESS, Errno::PERM, Errno::ROFS] {
            assert!(failed(errno).is_permission());
        }
        assert!(!failed(Errno::NOENT).is_permission());
        assert!(!Error::NoFreezer.is_permission());
    }

    #[test]
    fn a_busy_cgroup_lists_few_processes_and_counts_the_rest() {
        let busy = |count| Error::Busy {
            path: "/c".into(),
            waited: Duration::from_secs(10),
            pids: pids(count),
        };
        assert_eq!(busy(0).to_string(), "/c: still in use after 10s");
        assert_eq!(
            busy(2).to_string(),
            "/c: still in use after 10s by process 1, 2"
        );
        assert!(
            busy(12)
                .to_string()
                .ends_with("1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more")
        );
    }
}
