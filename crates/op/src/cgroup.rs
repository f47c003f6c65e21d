//! The place of a cgroup.

use alloc::string::String;

/// A cgroup directory, in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupDirectory {
    /// Where the hierarchy is mounted.
    pub mount: String,
    /// The cgroup's path below it, without a leading slash.
    pub path: String,
}
