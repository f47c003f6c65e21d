//! The document config.json as types: what runtime-spec 1.3 defines for Linux.
//!
//! Field names are those of the specification in snake case. An object key keeps its place: maps
//! are lists of pairs in document order, in which a key occurs once (the last one wins, as in Go's
//! `encoding/json`, through which every engine writes this file). An optional string that is empty
//! counts as absent, because Go leaves empty strings out when it writes and can't tell the two
//! apart when it reads.

mod closed_set;
mod linux;
mod list;
mod process;
mod resources;
mod seccomp;

pub use closed_set::ClosedSet;
pub(crate) use closed_set::closed_set;
pub use linux::{
    Clock, Device, DeviceType, IdMapping, IntelRdt, Linux, MemoryPolicy, MemoryPolicyFlag,
    MemoryPolicyMode, Namespace, NamespaceType, NetDevice, Personality, PersonalityDomain,
    RootfsPropagation, TimeOffset,
};
pub use list::parse_list;
pub use process::{
    Capabilities, ConsoleSize, CpuAffinity, IoPriority, IoPriorityClass, Process, Rlimit,
    RlimitType, Scheduler, SchedulerFlag, SchedulerPolicy, User,
};
pub use resources::{
    BlockIo, Cpu, DeviceRule, DeviceRuleType, HugepageLimit, InterfacePriority, Memory, Network,
    Pids, Rdma, Resources, ThrottleDevice, WeightDevice,
};
pub use seccomp::{
    SeccompAction, SeccompArch, SeccompArg, SeccompFlag, SeccompOperator, SeccompProfile,
    SyscallRule,
};

/// (uid_t)-1, which names no user and no group: setresuid(2), chown(2) and their kin read it as
/// "leave it unchanged".
pub const NO_ID: u32 = u32::MAX;

/// Why [`NO_ID`] is refused, in words that follow it.
pub const NO_ID_WHY: &str = " is no id (the kernel reads it as \"leave unchanged\")";

/// The whole of config.json (config.md).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// `ociVersion`: the SemVer 2.0.0 version of the specification that the bundle follows
    /// (config.md, Specification version).
    pub oci_version: String,
    /// `root`: the root filesystem. Required on Linux (config.md, Root).
    pub root: Option<Root>,
    /// `mounts`: filesystems mounted over the root, in this order (config.md, Mounts).
    pub mounts: Vec<Mount>,
    /// `process`: what to run. May be absent until `start` is called (config.md, Process).
    pub process: Option<Process>,
    /// `hostname`: needs a UTS namespace (config.md, Hostname).
    pub hostname: Option<String>,
    /// `domainname`: the NIS domain name; needs a UTS namespace (config.md, Domainname).
    pub domainname: Option<String>,
    /// `hooks`: commands run at points of the lifecycle (config.md, POSIX-platform hooks).
    pub hooks: Option<Hooks>,
    /// `annotations`: free metadata; keys are never empty (config.md, Annotations).
    pub annotations: Vec<(String, String)>,
    /// `linux`: everything that only Linux has (config-linux.md).
    pub linux: Option<Linux>,
}

impl Config {
    /// The value of an annotation.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        let (_, value) = self.annotations.iter().find(|(k, _)| k == key)?;
        Some(value)
    }

    /// The entry for one kind of namespace; `None` means that the container shares the runtime's.
    #[must_use]
    pub fn namespace(&self, kind: NamespaceType) -> Option<&Namespace> {
        self.linux.as_ref()?.namespace(kind)
    }
}

/// The container's root filesystem (config.md, Root).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Root {
    /// `path`: absolute, or relative to the bundle; never empty.
    pub path: String,
    /// `readonly`: the root is read-only inside the container.
    pub readonly: bool,
}

/// One mount beyond the root (config.md, Mounts).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mount {
    /// `destination`: the path inside the container. A relative one is deprecated on Linux and
    /// means relative to `/`.
    pub destination: String,
    /// `type`: the filesystem type as in /proc/filesystems. Bind mounts carry any value or none.
    pub r#type: Option<String>,
    /// `source`: a device name, or for bind mounts a path, absolute or relative to the bundle.
    pub source: Option<String>,
    /// `options`: as in fstab(5), plus those of config.md, Linux mount options.
    pub options: Vec<String>,
    /// `uidMappings`: user ids of an idmapped mount (config.md, POSIX-platform mounts).
    pub uid_mappings: Vec<IdMapping>,
    /// `gidMappings`: group ids of an idmapped mount.
    pub gid_mappings: Vec<IdMapping>,
}

/// Commands that run at points of the lifecycle, each list in order (config.md, POSIX-platform
/// hooks).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hooks {
    /// `prestart` (deprecated): runtime namespace, after the namespaces exist, before pivot_root.
    pub prestart: Vec<Hook>,
    /// `createRuntime`: runtime namespace, after the namespaces exist, before pivot_root.
    pub create_runtime: Vec<Hook>,
    /// `createContainer`: container namespace, before pivot_root.
    pub create_container: Vec<Hook>,
    /// `startContainer`: container namespace, within `start`, before the process.
    pub start_container: Vec<Hook>,
    /// `poststart`: runtime namespace, after the process runs.
    pub poststart: Vec<Hook>,
    /// `poststop`: runtime namespace, after the container is deleted.
    pub poststop: Vec<Hook>,
}

/// One hook (config.md, POSIX-platform hooks).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hook {
    /// `path`: absolute path of the executable.
    pub path: String,
    /// `args`: the whole argv with argv\[0\], as in execv(3); empty means `path` alone.
    pub args: Vec<String>,
    /// `env`: the hook's whole environment.
    pub env: Vec<String>,
    /// `timeout`: seconds until the hook is given up, above zero; `None` waits for ever.
    pub timeout: Option<u64>,
}
