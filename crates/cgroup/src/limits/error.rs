//! Why a limit could not be set.

use std::fmt;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::error::{Error, Operation};

/// Why a limit could not be set, with the field that asked for it. Texts that are runc's are those
/// that engines show or match.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// A system call failed.
    #[error("{field}: {error}{}", Hint(hint(error)))]
    Call {
        /// The field.
        field: String,
        /// The call.
        error: Error,
    },
    /// The cgroup has no such file.
    #[error("{field}: {} has no {file}: {}", path.display(), lacking(controller, available.as_deref()))]
    Missing {
        /// The field.
        field: String,
        /// The controller that would have it.
        controller: String,
        /// The file.
        file: String,
        /// The cgroup.
        path: PathBuf,
        /// The controllers that a v2 cgroup has.
        available: Option<String>,
    },
    /// cgroup v1 cannot reclaim as much memory as the limit asks for.
    #[error(
        "{field}: unable to set memory limit to {limit} (current usage: {current}, peak usage: {peak})"
    )]
    InUse {
        /// The field.
        field: String,
        /// The limit in bytes.
        limit: String,
        /// Present use in bytes.
        current: u64,
        /// The most that was in use, in bytes.
        peak: u64,
    },
    /// `memory.checkBeforeUpdate`.
    #[error("{field}: rejecting {name} {limit} <= usage {usage}")]
    BelowUsage {
        /// The field.
        field: String,
        /// The limit in words.
        name: &'static str,
        /// The limit in bytes.
        limit: u64,
        /// Present use in bytes.
        usage: u64,
    },
}

impl LimitError {
    pub(super) fn call(field: &str, error: Error) -> Self {
        let field = field.to_owned();
        Self::Call { field, error }
    }

    /// Whether another value may have been in the way.
    pub(super) fn is_invalid(&self) -> bool {
        matches!(self, Self::Call { error, .. } if error.errno() == Some(Errno::INVAL))
    }

    /// Whether the caller lacks the right to do it.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        matches!(self, Self::Call { error, .. } if error.is_permission())
    }
}

/// A v2 cgroup lists its controllers; where the one in question is among them, or the host has v1,
/// it is the kernel that lacks the file.
fn lacking(controller: &str, available: Option<&str>) -> String {
    match available {
        Some(list) if !list.split(' ').any(|name| name == controller) && controller != "cgroup" => {
            let list = if list.is_empty() { "none" } else { list };
            format!("the {controller} controller is not available here (available: {list})")
        }
        _ => format!("the {controller} controller of this kernel cannot do this"),
    }
}

/// What usually causes an error, by file.
fn hint(error: &Error) -> Option<&'static str> {
    let Error::Call {
        operation: Operation::Write(_),
        path,
        errno,
    } = error
    else {
        return None;
    };
    let file = path.file_name()?.to_str()?;
    match (file, *errno) {
        ("cpu.rt_runtime_us", Errno::INVAL) => {
            Some("each parent must have as much realtime runtime, sched-rt-group.rst")
        }
        ("cpu.weight" | "cpu.shares", Errno::INVAL) => {
            Some("an idle cgroup takes no weight, see cpu.idle")
        }
        ("cpu.max.burst" | "cpu.cfs_burst_us", Errno::INVAL) => {
            Some("burst must not be more than the quota")
        }
        ("cpu.max" | "cpu.cfs_quota_us" | "cpu.cfs_period_us", Errno::INVAL) => {
            Some("quota is at least 1 ms, period 1 ms to 1 s, and a parent may not allow as much")
        }
        (
            "cpuset.cpus" | "cpuset.mems",
            Errno::INVAL | Errno::RANGE | Errno::ACCESS | Errno::NODEV,
        ) => Some("not a list, or not among those that are online and that the parent has"),
        ("memory.memsw.limit_in_bytes" | "memory.limit_in_bytes", Errno::INVAL) => {
            Some("memory with swap cannot have a lower limit than memory")
        }
        (_, Errno::NODEV | Errno::NXIO)
            if file.starts_with("io.") || file.starts_with("blkio.") =>
        {
            Some("no such block device")
        }
        _ => None,
    }
}

struct Hint(Option<&'static str>);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}
