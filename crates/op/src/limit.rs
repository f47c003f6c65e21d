//! Limits of a container's cgroup: which value goes into which file. The planner has resolved
//! them for this host's version of cgroups.

use crate::cgroup::CgroupDirectory;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// The limits of one controller, all in one directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The controller, such as `memory`; for the keys of `unified` it is what is in front of
    /// the dot.
    pub controller: Cow<'static, str>,
    /// The container's cgroup in the hierarchy that has the controller.
    pub directory: CgroupDirectory,
    /// Whether that hierarchy is of cgroup v2.
    pub is_v2: bool,
    /// What is written, in this order unless the kernel wants another.
    pub settings: Vec<Setting>,
}

/// One value in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The field that asked for it, such as `linux.resources.memory.limit`.
    pub field: Cow<'static, str>,
    /// The file's name.
    pub file: Cow<'static, str>,
    /// The text that is written.
    pub value: String,
    /// What to do where the cgroup has no such file.
    pub if_missing: IfMissing,
    /// Refuse the value if present use is not below it: `memory.checkBeforeUpdate`.
    pub above: Option<Usage>,
}

/// What to do where a cgroup lacks a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfMissing {
    /// It is an error.
    Fail,
    /// The value says no more than that there is no limit, so nothing is to do.
    Skip,
    /// Another file says the same on such a host.
    Instead {
        /// Its name.
        file: &'static str,
        /// What is written there.
        value: String,
    },
}

/// What a limit has to leave room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The limit in words, for the error: `memory limit`.
    pub name: &'static str,
    /// The limit in bytes.
    pub limit: u64,
    /// The file that says how many bytes are in use.
    pub file: &'static str,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.file, self.value)?;
        match &self.if_missing {
            IfMissing::Fail => {}
            IfMissing::Skip => f.write_str(" (if there)")?,
            IfMissing::Instead { file, value } => write!(f, " (or {file}={value})")?,
        }
        if let Some(above) = &self.above {
            write!(f, " (if {} is below {})", above.file, above.limit)?;
        }
        Ok(())
    }
}
