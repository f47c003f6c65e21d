//! `linux`: config-linux.md, without control groups and seccomp.

use super::{Resources, SeccompProfile, closed_set};

/// What only Linux has (config-linux.md).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Linux {
    /// `namespaces`: at most one of each type (config-linux.md, Namespaces).
    pub namespaces: Vec<Namespace>,
    /// `uidMappings`: of the user namespace (config-linux.md, User namespace mappings).
    pub uid_mappings: Vec<IdMapping>,
    /// `gidMappings`: of the user namespace.
    pub gid_mappings: Vec<IdMapping>,
    /// `timeOffsets`: of the time namespace (config-linux.md, Offset for Time Namespace).
    pub time_offsets: Vec<(Clock, TimeOffset)>,
    /// `devices`: nodes made in the container beside the default ones (config-linux.md, Devices).
    pub devices: Vec<Device>,
    /// `netDevices`: host network devices by name, moved into the container's network namespace
    /// (config-linux.md, Network Devices).
    pub net_devices: Vec<(String, NetDevice)>,
    /// `cgroupsPath`: absolute means below the cgroup mount; the systemd driver takes
    /// `slice:prefix:name` (config-linux.md, Cgroups Path).
    pub cgroups_path: Option<String>,
    /// `resources`: limits, see config-linux.md, Control groups.
    pub resources: Option<Resources>,
    /// `rootfsPropagation`: propagation of the root mount (config-linux.md, Rootfs Mount
    /// Propagation).
    pub rootfs_propagation: Option<RootfsPropagation>,
    /// `seccomp`: the system call filter (config-linux.md, Seccomp).
    pub seccomp: Option<SeccompProfile>,
    /// `sysctl`: kernel parameters set inside the container (config-linux.md, Sysctl).
    pub sysctl: Vec<(String, String)>,
    /// `maskedPaths`: paths inside the container that become unreadable (config-linux.md).
    pub masked_paths: Vec<String>,
    /// `readonlyPaths`: paths inside the container that become read-only (config-linux.md).
    pub readonly_paths: Vec<String>,
    /// `mountLabel`: the SELinux context of the container's mounts (config-linux.md, Mount Label).
    pub mount_label: Option<String>,
    /// `intelRdt`: cache and memory bandwidth through resctrl (config-linux.md, IntelRdt).
    pub intel_rdt: Option<IntelRdt>,
    /// `personality`: personality(2) (config-linux.md, Personality).
    pub personality: Option<Personality>,
    /// `memoryPolicy`: set_mempolicy(2) (config-linux.md, Memory policy).
    pub memory_policy: Option<MemoryPolicy>,
}

impl Linux {
    /// The entry for one kind of namespace; `None` means that the container shares the runtime's.
    #[must_use]
    pub fn namespace(&self, kind: NamespaceType) -> Option<&Namespace> {
        self.namespaces.iter().find(|ns| ns.r#type == kind)
    }
}

/// One entry of `linux.namespaces`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// `type`
    pub r#type: NamespaceType,
    /// `path`: absolute path of a namespace to join; `None` makes a new one.
    pub path: Option<String>,
}

closed_set! {
    /// `linux.namespaces[].type`, see namespaces(7).
    NamespaceType("namespace type") {
        /// Process ids.
        Pid = "pid",
        /// Network stack.
        Network = "network",
        /// Mount table.
        Mount = "mount",
        /// System V IPC and POSIX message queues.
        Ipc = "ipc",
        /// Host and domain name.
        Uts = "uts",
        /// User and group ids, capabilities.
        User = "user",
        /// View of the cgroup hierarchy.
        Cgroup = "cgroup",
        /// Offsets of the monotonic and boot-time clocks.
        Time = "time",
    }
}

/// A range of ids (config-linux.md, User namespace mappings; config.md, mounts).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IdMapping {
    /// `containerID`: first id inside.
    pub container_id: u32,
    /// `hostID`: first id outside, as the runtime sees it.
    pub host_id: u32,
    /// `size`: how many.
    pub size: u32,
}

closed_set! {
    /// A key of `linux.timeOffsets`, see time_namespaces(7).
    Clock("clock") {
        /// CLOCK_BOOTTIME
        Boottime = "boottime",
        /// CLOCK_MONOTONIC
        Monotonic = "monotonic",
    }
}

/// A value of `linux.timeOffsets`: the sum of both fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeOffset {
    /// `secs`: seconds, may be negative.
    pub secs: i64,
    /// `nanosecs`: 0 to 999999999.
    pub nanosecs: u32,
}

/// One entry of `linux.devices`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// `path`: absolute path inside the container.
    pub path: String,
    /// `type`
    pub r#type: DeviceType,
    /// `major`: zero for a FIFO.
    pub major: i64,
    /// `minor`: zero for a FIFO.
    pub minor: i64,
    /// `fileMode`: permission bits.
    pub file_mode: Option<u32>,
    /// `uid`: the owner inside the container.
    pub uid: Option<u32>,
    /// `gid`: the group inside the container.
    pub gid: Option<u32>,
}

closed_set! {
    /// `linux.devices[].type`, see mknod(1).
    DeviceType("device type") {
        /// Character device, buffered.
        Char = "c",
        /// Block device.
        Block = "b",
        /// Character device, unbuffered: the same as `c` on Linux.
        Unbuffered = "u",
        /// FIFO.
        Fifo = "p",
    }
}

/// A value of `linux.netDevices`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetDevice {
    /// `name`: the name inside the container; `None` keeps the host's.
    pub name: Option<String>,
}

closed_set! {
    /// `linux.rootfsPropagation`, see mount_namespaces(7). The specification names `shared`,
    /// `slave`, `private` and `unbindable`; runc and crun also take the recursive forms, and
    /// engines send them.
    RootfsPropagation("rootfs propagation") {
        /// Events go neither way.
        Private = "private",
        /// Likewise for the whole tree.
        RecursivePrivate = "rprivate",
        /// Events come in.
        Slave = "slave",
        /// Likewise for the whole tree.
        RecursiveSlave = "rslave",
        /// Events go both ways.
        Shared = "shared",
        /// Likewise for the whole tree.
        RecursiveShared = "rshared",
        /// Private, and cannot be bind mounted.
        Unbindable = "unbindable",
        /// Likewise for the whole tree.
        RecursiveUnbindable = "runbindable",
    }
}

/// `linux.intelRdt` (config-linux.md, IntelRdt).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IntelRdt {
    /// `closID`: the class of service; `None` takes the container id.
    pub clos_id: Option<String>,
    /// `schemata`: lines written to the schemata file as they are, after the two below.
    pub schemata: Vec<String>,
    /// `l3CacheSchema`: `L3:` lines.
    pub l3_cache_schema: Option<String>,
    /// `memBwSchema`: `MB:` lines.
    pub mem_bw_schema: Option<String>,
    /// `enableMonitoring`: make a monitoring group of its own.
    pub enable_monitoring: bool,
    /// `enableCMT` (deprecated in 1.3)
    pub enable_cmt: bool,
    /// `enableMBM` (deprecated in 1.3)
    pub enable_mbm: bool,
}

/// `linux.personality`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Personality {
    /// `domain`
    pub domain: PersonalityDomain,
    /// `flags`: the specification defines none yet.
    pub flags: Vec<String>,
}

closed_set! {
    /// `linux.personality.domain`, see personality(2).
    PersonalityDomain("personality domain") {
        /// PER_LINUX
        Linux = "LINUX",
        /// PER_LINUX32
        Linux32 = "LINUX32",
    }
}

/// `linux.memoryPolicy`: arguments of set_mempolicy(2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryPolicy {
    /// `mode`
    pub mode: MemoryPolicyMode,
    /// `nodes`: a list such as `0-1,3`; `None` where the mode needs none.
    pub nodes: Option<String>,
    /// `flags`
    pub flags: Vec<MemoryPolicyFlag>,
}

closed_set! {
    /// `linux.memoryPolicy.mode`, see set_mempolicy(2).
    MemoryPolicyMode("memory policy mode") {
        /// The system's default.
        Default = "MPOL_DEFAULT",
        /// Only these nodes.
        Bind = "MPOL_BIND",
        /// Page by page over these nodes.
        Interleave = "MPOL_INTERLEAVE",
        /// Likewise, by the weights in sysfs (Linux 6.9).
        WeightedInterleave = "MPOL_WEIGHTED_INTERLEAVE",
        /// This node first.
        Preferred = "MPOL_PREFERRED",
        /// These nodes first (Linux 5.15).
        PreferredMany = "MPOL_PREFERRED_MANY",
        /// The node of the CPU that allocates.
        Local = "MPOL_LOCAL",
    }
}

closed_set! {
    /// `linux.memoryPolicy.flags[]`, see set_mempolicy(2).
    MemoryPolicyFlag("memory policy flag") {
        /// Balance between the bound nodes (Linux 5.12).
        NumaBalancing = "MPOL_F_NUMA_BALANCING",
        /// Node numbers count within the allowed set.
        RelativeNodes = "MPOL_F_RELATIVE_NODES",
        /// Node numbers stay as they are when the allowed set changes.
        StaticNodes = "MPOL_F_STATIC_NODES",
    }
}
