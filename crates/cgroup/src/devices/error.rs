//! Why devices could not be limited.

use std::path::PathBuf;

use kan_op::host::DeviceRule;
use kan_sys::Errno;

use crate::error::{Error, Operation};

/// Why a container's devices could not be limited.
#[derive(Debug, thiserror::Error)]
pub enum DevicesError {
    /// A file or directory of the cgroup.
    #[error(transparent)]
    Cgroup(#[from] Error),
    /// A v1 host whose hierarchies lack the controller.
    #[error("no cgroup v1 hierarchy has the devices controller")]
    NoController,
    /// v1 cannot have a hole in a rule with wildcards.
    #[error("cgroup v1 cannot express the rule `{rule}`, which overrides a part of `{wildcard}`")]
    Inexpressible {
        /// The rule.
        rule: DeviceRule,
        /// The earlier one.
        wildcard: DeviceRule,
    },
    /// bpf(2) failed.
    #[error("{operation} the device filter of {}: {source}", path.display())]
    Filter {
        /// What was done with the program.
        operation: &'static str,
        /// The cgroup.
        path: PathBuf,
        /// The kernel's answer.
        source: kan_sys::Error,
    },
}

impl DevicesError {
    /// Whether the caller lacks the right to do it. runc leaves the devices of a rootless container
    /// unlimited then: the host's file permissions protect them.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        match self {
            Self::Cgroup(error) => error.is_permission(),
            Self::Filter { source, .. } => matches!(source.errno, Errno::EPERM | Errno::EACCES),
            Self::NoController | Self::Inexpressible { .. } => false,
        }
    }

    /// What usually causes this error, where that is known (cgroup-v1/devices.rst, bpf(2)).
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Cgroup(Error::Call {
                operation: Operation::Write(_),
                errno,
                ..
            }) => match *errno {
                rustix::io::Errno::PERM => {
                    Some("it takes CAP_SYS_ADMIN, and the parent cgroup must allow the devices")
                }
                rustix::io::Errno::INVAL => Some("the cgroup must not have sub-cgroups"),
                _ => None,
            },
            Self::Filter { source, .. } => match source.errno {
                Errno::EPERM => Some(
                    "it takes CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN; a program that allows no others may be attached already",
                ),
                Errno::EINVAL => Some("the kernel must have CONFIG_CGROUP_BPF"),
                _ => None,
            },
            _ => None,
        }
    }
}
