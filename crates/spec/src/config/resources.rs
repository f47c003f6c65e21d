//! `linux.resources`: config-linux.md, Control groups. `update --resources` reads one alone.

use super::closed_set;

/// Limits of the container's cgroup (config-linux.md, Control groups). `None` leaves the value in
/// the kernel as it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resources {
    /// `devices`: allow and deny rules, applied in this order (config-linux.md, Allowed Device
    /// list).
    pub devices: Vec<DeviceRule>,
    /// `memory`
    pub memory: Option<Memory>,
    /// `cpu`
    pub cpu: Option<Cpu>,
    /// `pids`
    pub pids: Option<Pids>,
    /// `blockIO`
    pub block_io: Option<BlockIo>,
    /// `hugepageLimits`
    pub hugepage_limits: Vec<HugepageLimit>,
    /// `network`: cgroup v1 only.
    pub network: Option<Network>,
    /// `rdma`: limits by device name.
    pub rdma: Vec<(String, Rdma)>,
    /// `unified`: cgroup v2 files by name, with what to write.
    pub unified: Vec<(String, String)>,
}

/// One entry of `linux.resources.devices`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceRule {
    /// `allow`: allow or deny.
    pub allow: bool,
    /// `type`: absent is the same as `a`.
    pub r#type: DeviceRuleType,
    /// `major`: `None` (or -1, as runc takes it) is any.
    pub major: Option<i64>,
    /// `minor`: `None` (or -1) is any.
    pub minor: Option<i64>,
    /// `access`: letters out of `rwm`; absent is empty.
    pub access: String,
}

closed_set! {
    /// `linux.resources.devices[].type`.
    #[derive(Default)]
    DeviceRuleType("device rule type") {
        /// Every device.
        #[default]
        All = "a",
        /// Character devices.
        Char = "c",
        /// Block devices.
        Block = "b",
    }
}

/// `linux.resources.memory`: bytes, -1 for no limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    /// `limit`
    pub limit: Option<i64>,
    /// `reservation`: soft limit.
    pub reservation: Option<i64>,
    /// `swap`: memory and swap together.
    pub swap: Option<i64>,
    /// `kernel`: deprecated, gone from Linux 5.4 on.
    pub kernel: Option<i64>,
    /// `kernelTCP`: cgroup v1 only.
    pub kernel_tcp: Option<i64>,
    /// `swappiness`: 0 to 100; cgroup v1 only.
    pub swappiness: Option<u64>,
    /// `disableOOMKiller`: cgroup v1 only.
    pub disable_oom_killer: Option<bool>,
    /// `useHierarchy`: cgroup v1 only.
    pub use_hierarchy: Option<bool>,
    /// `checkBeforeUpdate`: refuse a limit below present usage.
    pub check_before_update: Option<bool>,
}

/// `linux.resources.cpu`: the cpu and cpuset controllers. Times are in microseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cpu {
    /// `shares`: relative weight, in units of cgroup v1.
    pub shares: Option<u64>,
    /// `quota`: time in one period; -1 for no limit.
    pub quota: Option<i64>,
    /// `burst`: unused time that may be saved up.
    pub burst: Option<u64>,
    /// `period`
    pub period: Option<u64>,
    /// `realtimeRuntime`: cgroup v1 only.
    pub realtime_runtime: Option<i64>,
    /// `realtimePeriod`: cgroup v1 only.
    pub realtime_period: Option<u64>,
    /// `cpus`: a list such as `0-3,7`.
    pub cpus: Option<String>,
    /// `mems`: a list of memory nodes.
    pub mems: Option<String>,
    /// `idle`: 0, or 1 for SCHED_IDLE.
    pub idle: Option<i64>,
}

/// `linux.resources.pids`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pids {
    /// `limit`: how many tasks; -1 for no limit. Optional since 1.3, and 0 is a limit of its own.
    pub limit: Option<i64>,
}

/// `linux.resources.blockIO`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BlockIo {
    /// `weight`: 10 to 1000.
    pub weight: Option<u16>,
    /// `leafWeight`: cgroup v1 only.
    pub leaf_weight: Option<u16>,
    /// `weightDevice`
    pub weight_device: Vec<WeightDevice>,
    /// `throttleReadBpsDevice`: bytes a second.
    pub throttle_read_bps_device: Vec<ThrottleDevice>,
    /// `throttleWriteBpsDevice`: bytes a second.
    pub throttle_write_bps_device: Vec<ThrottleDevice>,
    /// `throttleReadIOPSDevice`: operations a second.
    pub throttle_read_iops_device: Vec<ThrottleDevice>,
    /// `throttleWriteIOPSDevice`: operations a second.
    pub throttle_write_iops_device: Vec<ThrottleDevice>,
}

/// One entry of `weightDevice`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WeightDevice {
    /// `major`
    pub major: i64,
    /// `minor`
    pub minor: i64,
    /// `weight`
    pub weight: Option<u16>,
    /// `leafWeight`: cgroup v1 only.
    pub leaf_weight: Option<u16>,
}

/// One entry of a `throttle…Device` list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ThrottleDevice {
    /// `major`
    pub major: i64,
    /// `minor`
    pub minor: i64,
    /// `rate`: bytes or operations a second.
    pub rate: u64,
}

/// One entry of `linux.resources.hugepageLimits`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HugepageLimit {
    /// `pageSize`: such as `2MB`.
    pub page_size: String,
    /// `limit`: bytes.
    pub limit: u64,
}

/// `linux.resources.network`: net_cls and net_prio of cgroup v1.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Network {
    /// `classID`
    pub class_id: Option<u32>,
    /// `priorities`
    pub priorities: Vec<InterfacePriority>,
}

/// One entry of `linux.resources.network.priorities`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InterfacePriority {
    /// `name`: the interface, as the runtime sees it.
    pub name: String,
    /// `priority`
    pub priority: u32,
}

/// A value of `linux.resources.rdma`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rdma {
    /// `hcaHandles`
    pub hca_handles: Option<u32>,
    /// `hcaObjects`
    pub hca_objects: Option<u32>,
}
