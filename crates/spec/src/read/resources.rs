//! config-linux.md, Control groups.

use super::rules::{cgroup_file, device_access, not_empty, page_size};
use super::{Cursor, Object};
use crate::config::{
    BlockIo, Cpu, DeviceRule, DeviceRuleType, HugepageLimit, InterfacePriority, Memory, Network,
    Pids, Rdma, Resources, ThrottleDevice, WeightDevice,
};

impl Object for Resources {
    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "devices" => at.fill(&mut self.devices),
            "memory" => at.fill(&mut self.memory),
            "cpu" => at.fill(&mut self.cpu),
            "pids" => at.fill(&mut self.pids),
            "blockIO" => at.fill(&mut self.block_io),
            "hugepageLimits" => at.fill(&mut self.hugepage_limits),
            "network" => at.fill(&mut self.network),
            "rdma" => at.fill(&mut self.rdma),
            "unified" => at.fill(&mut self.unified),
            _ => return false,
        };
        true
    }

    fn check(&self, at: &Cursor<'_>) {
        let files = self.unified.iter().map(|(file, _)| file.as_str());
        at.key("unified").each_key(files, cgroup_file);
    }
}

/// To the device controller of cgroup v1, 4294967295 is every device: `devcgroup_update_access` of
/// Linux's security/device_cgroup.c.
const LAST_NUMBER: i128 = u32::MAX as i128 - 1;

impl Object for DeviceRule {
    const REQUIRED: &'static [&'static str] = &["allow"];

    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        let mut kind: Option<DeviceRuleType> = None;
        match key {
            "allow" => at.fill(&mut self.allow),
            "type" => at.fill(&mut kind),
            "major" => at.fill(&mut self.major).range(-1, LAST_NUMBER),
            "minor" => at.fill(&mut self.minor).range(-1, LAST_NUMBER),
            "access" => at.fill(&mut self.access).rule(device_access),
            _ => return false,
        };
        self.r#type = kind.unwrap_or(self.r#type);
        true
    }
}

impl Object for Memory {
    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        const MOST: i128 = i64::MAX as i128;
        match key {
            "limit" => at.fill(&mut self.limit).range(-1, MOST),
            "reservation" => at.fill(&mut self.reservation).range(-1, MOST),
            "swap" => at.fill(&mut self.swap).range(-1, MOST),
            "kernel" => at.fill(&mut self.kernel).range(-1, MOST),
            "kernelTCP" => at.fill(&mut self.kernel_tcp).range(-1, MOST),
            "swappiness" => {
                at.fill(&mut self.swappiness);
                // Docker sends -1, "leave it", through an unsigned field; runc takes it so.
                self.swappiness = self.swappiness.filter(|value| *value != u64::MAX);
                if self.swappiness.is_some() {
                    at.range(0, 100)
                } else {
                    at
                }
            }
            "disableOOMKiller" => at.fill(&mut self.disable_oom_killer),
            "useHierarchy" => at.fill(&mut self.use_hierarchy),
            "checkBeforeUpdate" => at.fill(&mut self.check_before_update),
            _ => return false,
        };
        true
    }
}

impl Object for Cpu {
    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "shares" => at.fill(&mut self.shares),
            "quota" => at.fill(&mut self.quota),
            "burst" => at.fill(&mut self.burst),
            "period" => at.fill(&mut self.period),
            "realtimeRuntime" => at.fill(&mut self.realtime_runtime),
            "realtimePeriod" => at.fill(&mut self.realtime_period),
            "cpus" => at.fill(&mut self.cpus),
            "mems" => at.fill(&mut self.mems),
            "idle" => at.fill(&mut self.idle).range(0, 1),
            _ => return false,
        };
        true
    }
}

impl Object for Pids {
    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "limit" => at.fill(&mut self.limit),
            _ => return false,
        };
        true
    }
}

impl Object for BlockIo {
    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "weight" => at.fill(&mut self.weight),
            "leafWeight" => at.fill(&mut self.leaf_weight),
            "weightDevice" => at.fill(&mut self.weight_device),
            "throttleReadBpsDevice" => at.fill(&mut self.throttle_read_bps_device),
            "throttleWriteBpsDevice" => at.fill(&mut self.throttle_write_bps_device),
            "throttleReadIOPSDevice" => at.fill(&mut self.throttle_read_iops_device),
            "throttleWriteIOPSDevice" => at.fill(&mut self.throttle_write_iops_device),
            _ => return false,
        };
        true
    }
}

impl Object for WeightDevice {
    const REQUIRED: &'static [&'static str] = &["major", "minor"];

    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "major" => at.fill(&mut self.major),
            "minor" => at.fill(&mut self.minor),
            "weight" => at.fill(&mut self.weight),
            "leafWeight" => at.fill(&mut self.leaf_weight),
            _ => return false,
        };
        true
    }

    fn check(&self, at: &Cursor<'_>) {
        if self.weight.is_none() && self.leaf_weight.is_none() && at.sound() {
            at.problem("needs weight or leafWeight");
        }
    }
}

impl Object for ThrottleDevice {
    const REQUIRED: &'static [&'static str] = &["major", "minor", "rate"];

    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "major" => at.fill(&mut self.major),
            "minor" => at.fill(&mut self.minor),
            "rate" => at.fill(&mut self.rate),
            _ => return false,
        };
        true
    }
}

impl Object for HugepageLimit {
    const REQUIRED: &'static [&'static str] = &["pageSize", "limit"];

    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "pageSize" => at.fill(&mut self.page_size).rule(page_size),
            "limit" => at.fill(&mut self.limit),
            _ => return false,
        };
        true
    }
}

impl Object for Network {
    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "classID" => at.fill(&mut self.class_id),
            "priorities" => at.fill(&mut self.priorities),
            _ => return false,
        };
        true
    }
}

impl Object for InterfacePriority {
    const REQUIRED: &'static [&'static str] = &["name", "priority"];

    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "name" => at.fill(&mut self.name).rule(not_empty),
            "priority" => at.fill(&mut self.priority),
            _ => return false,
        };
        true
    }
}

impl Object for Rdma {
    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "hcaHandles" => at.fill(&mut self.hca_handles),
            "hcaObjects" => at.fill(&mut self.hca_objects),
            _ => return false,
        };
        true
    }

    fn check(&self, at: &Cursor<'_>) {
        if self.hca_handles.is_none() && self.hca_objects.is_none() && at.sound() {
            at.problem("needs hcaHandles or hcaObjects");
        }
    }
}
