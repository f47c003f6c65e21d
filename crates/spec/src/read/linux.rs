//! config-linux.md, without control groups and seccomp.

use super::rules::{absolute, class_of_service, cpu_list, device_name};
use super::{Cursor, Object, Read};
use crate::config::{
    Device, DeviceType, IdMapping, IntelRdt, Linux, MemoryPolicy, NO_ID, Namespace, NamespaceType,
    NetDevice, Personality, TimeOffset,
};

/// The kernel's MINORBITS is 20, linux/kdev_t.h: mknod(2) drops the bits of larger numbers, and
/// makes another device.
const MAX_MAJOR: i128 = 0xfff;
const MAX_MINOR: i128 = 0xf_ffff;

impl Object for Linux {
    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "namespaces" => at.fill(&mut self.namespaces),
            "uidMappings" => at.fill(&mut self.uid_mappings),
            "gidMappings" => at.fill(&mut self.gid_mappings),
            "timeOffsets" => at.fill(&mut self.time_offsets),
            "devices" => at.fill(&mut self.devices),
            "netDevices" => at.fill(&mut self.net_devices),
            "cgroupsPath" => at.fill(&mut self.cgroups_path),
            "resources" => at.fill(&mut self.resources),
            "rootfsPropagation" => at.fill(&mut self.rootfs_propagation),
            "seccomp" => at.fill(&mut self.seccomp),
            "sysctl" => at.fill(&mut self.sysctl),
            "maskedPaths" => at.fill(&mut self.masked_paths).each(absolute),
            "readonlyPaths" => at.fill(&mut self.readonly_paths).each(absolute),
            "mountLabel" => at.fill(&mut self.mount_label),
            "intelRdt" => at.fill(&mut self.intel_rdt),
            "personality" => at.fill(&mut self.personality),
            "memoryPolicy" => at.fill(&mut self.memory_policy),
            _ => return false,
        };
        true
    }

    fn check(&self, at: &Cursor<'_>) {
        check_mappings(&self.uid_mappings, &at.key("uidMappings"));
        check_mappings(&self.gid_mappings, &at.key("gidMappings"));
        check_namespaces(&self.namespaces, &at.key("namespaces"));
        let names = self.net_devices.iter().map(|(name, _)| name.as_str());
        at.key("netDevices").each_key(names, device_name);
    }
}

fn check_namespaces(namespaces: &[Namespace], at: &Cursor<'_>) {
    if !at.sound() {
        return;
    }
    for (number, namespace) in namespaces.iter().enumerate() {
        let earlier = &namespaces[..number];
        if earlier.iter().any(|other| other.r#type == namespace.r#type) {
            at.item(number)
                .problem(format!("duplicated namespace {}", namespace.r#type));
        }
    }
}

/// The keys of `linux` that need a namespace of the container's own: whether each is given, and
/// which namespace.
pub fn in_namespace(linux: &Linux) -> [(&'static str, bool, NamespaceType); 6] {
    [
        (
            "uidMappings",
            !linux.uid_mappings.is_empty(),
            NamespaceType::User,
        ),
        (
            "gidMappings",
            !linux.gid_mappings.is_empty(),
            NamespaceType::User,
        ),
        (
            "timeOffsets",
            !linux.time_offsets.is_empty(),
            NamespaceType::Time,
        ),
        (
            "netDevices",
            !linux.net_devices.is_empty(),
            NamespaceType::Network,
        ),
        (
            "maskedPaths",
            !linux.masked_paths.is_empty(),
            NamespaceType::Mount,
        ),
        (
            "readonlyPaths",
            !linux.readonly_paths.is_empty(),
            NamespaceType::Mount,
        ),
    ]
}

/// What the kernel refuses in uid_map and gid_map with a bare EINVAL (user_namespaces(7)).
pub fn check_mappings(mappings: &[IdMapping], at: &Cursor<'_>) {
    /// UID_GID_MAP_MAX_EXTENTS, since Linux 4.15.
    const MOST: usize = 340;
    if !at.sound() {
        return;
    }
    if mappings.len() > MOST {
        at.problem(format!(
            "has {} entries, the kernel takes {MOST}",
            mappings.len()
        ));
        return;
    }
    for (number, mapping) in mappings.iter().enumerate() {
        let earlier = mappings[..number]
            .iter()
            .position(|other| overlap(other, mapping));
        if let Some(earlier) = earlier {
            at.item(number)
                .problem(format!("overlaps with entry {earlier}"));
        }
    }
}

fn overlap(a: &IdMapping, b: &IdMapping) -> bool {
    let meet = |a_first: u32, b_first: u32| {
        let (a_first, b_first) = (u64::from(a_first), u64::from(b_first));
        a_first < b_first + u64::from(b.size) && b_first < a_first + u64::from(a.size)
    };
    meet(a.container_id, b.container_id) || meet(a.host_id, b.host_id)
}

impl Object for Namespace {
    const REQUIRED: &'static [&'static str] = &["type"];

    fn blank() -> Self {
        Self {
            r#type: Read::blank(),
            path: None,
        }
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "type" => at.fill(&mut self.r#type),
            "path" => at.fill(&mut self.path).rule_if_any(absolute),
            _ => return false,
        };
        true
    }
}

impl Object for IdMapping {
    const REQUIRED: &'static [&'static str] = &["containerID", "hostID", "size"];

    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "containerID" => at.fill(&mut self.container_id).id(),
            "hostID" => at.fill(&mut self.host_id).id(),
            "size" => at.fill(&mut self.size).range(1, u32::MAX.into()),
            _ => return false,
        };
        true
    }

    fn check(&self, at: &Cursor<'_>) {
        // A range may stop just before NO_ID.
        let fits = |first: u32| u64::from(first) + u64::from(self.size) <= NO_ID.into();
        if at.sound() && !(fits(self.container_id) && fits(self.host_id)) {
            at.key("size")
                .problem(format!("{} leads beyond the last id", self.size));
        }
    }
}

impl Object for TimeOffset {
    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "secs" => at.fill(&mut self.secs),
            "nanosecs" => at.fill(&mut self.nanosecs).range(0, 999_999_999),
            _ => return false,
        };
        true
    }
}

impl Object for Device {
    const REQUIRED: &'static [&'static str] = &["type", "path"];

    fn blank() -> Self {
        Self {
            path: String::new(),
            r#type: Read::blank(),
            major: 0,
            minor: 0,
            file_mode: None,
            uid: None,
            gid: None,
        }
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "type" => at.fill(&mut self.r#type),
            "path" => at.fill(&mut self.path).rule(absolute),
            "major" => at.fill(&mut self.major).range(0, MAX_MAJOR),
            "minor" => at.fill(&mut self.minor).range(0, MAX_MINOR),
            "fileMode" => at.fill(&mut self.file_mode),
            "uid" => at.fill(&mut self.uid).id(),
            "gid" => at.fill(&mut self.gid).id(),
            _ => return false,
        };
        true
    }

    fn check(&self, at: &Cursor<'_>) {
        if self.r#type == DeviceType::Fifo || !at.key("type").sound() {
            return;
        }
        for number in ["major", "minor"].map(|key| at.key(key)) {
            if number.is_absent() {
                number.problem("is required, but missing");
            }
        }
    }
}

impl Object for NetDevice {
    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "name" => at.fill(&mut self.name).rule_if_any(device_name),
            _ => return false,
        };
        true
    }
}

impl Object for IntelRdt {
    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "closID" => at.fill(&mut self.clos_id).rule(class_of_service),
            "schemata" => at.fill(&mut self.schemata),
            "l3CacheSchema" => at.fill(&mut self.l3_cache_schema),
            "memBwSchema" => at.fill(&mut self.mem_bw_schema),
            "enableMonitoring" => at.fill(&mut self.enable_monitoring),
            "enableCMT" => at.fill(&mut self.enable_cmt),
            "enableMBM" => at.fill(&mut self.enable_mbm),
            _ => return false,
        };
        true
    }
}

impl Object for Personality {
    const REQUIRED: &'static [&'static str] = &["domain"];

    fn blank() -> Self {
        Self {
            domain: Read::blank(),
            flags: Vec::new(),
        }
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "domain" => at.fill(&mut self.domain),
            "flags" => at.fill(&mut self.flags).each(no_such_flag),
            _ => return false,
        };
        true
    }
}

/// The specification leaves room for flags of personality(2) and defines none.
fn no_such_flag(flag: &str) -> Result<(), String> {
    Err(format!(
        "invalid personality flag {flag:?} (none are defined)"
    ))
}

impl Object for MemoryPolicy {
    const REQUIRED: &'static [&'static str] = &["mode"];

    fn blank() -> Self {
        Self {
            mode: Read::blank(),
            nodes: None,
            flags: Vec::new(),
        }
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "mode" => at.fill(&mut self.mode),
            "nodes" => at.fill(&mut self.nodes).rule_if_any(memory_nodes),
            "flags" => at.fill(&mut self.flags),
            _ => return false,
        };
        true
    }
}

/// runc's suite looks for "invalid memory policy" in front.
fn memory_nodes(list: &str) -> Result<(), String> {
    cpu_list(list).map_err(|why| format!("invalid memory policy node list: {why}"))
}
