//! `linux.cgroupsPath` and the container's way into its cgroup.

use crate::builder::Builder;
use crate::{CgroupFact, Cgroups};
use kan_op::host::{CgroupDirectory, DeviceKind, DeviceRule};
use kan_op::{HostStep, InitStep, Sync};
use kan_spec::config::{self as spec, Config, NamespaceType};
use linux_raw_sys::general::CLONE_NEWCGROUP;

/// `linux.cgroupsPath`: where the container's cgroup shall lie. What that means on this host
/// comes back as a fact.
#[must_use]
pub fn cgroups_path(config: &Config) -> Option<&str> {
    config.linux.as_ref()?.cgroups_path.as_deref()
}

pub(crate) fn directory(fact: &CgroupFact) -> CgroupDirectory {
    CgroupDirectory {
        mount: fact.mount.clone(),
        path: fact.path.clone(),
    }
}

/// Host: makes the directories.
pub(crate) fn make(b: &mut Builder<'_>) {
    let directories = match &b.facts.cgroups {
        Cgroups::Unified(fact) => vec![directory(fact)],
        Cgroups::Legacy(facts) => facts.iter().map(directory).collect(),
        Cgroups::Absent => return,
    };
    b.host("linux.cgroupsPath", HostStep::MakeCgroup(directories));
}

/// What every container may do with devices, after its own rules: runc's list. Making nodes is
/// harmless, as using them needs a rule of its own.
const ALLOWED_DEVICES: [(DeviceKind, Option<u32>, Option<u32>, bool); 11] = [
    (DeviceKind::Character, None, None, false),
    (DeviceKind::Block, None, None, false),
    (DeviceKind::Character, Some(1), Some(3), true),
    (DeviceKind::Character, Some(1), Some(5), true),
    (DeviceKind::Character, Some(1), Some(7), true),
    (DeviceKind::Character, Some(1), Some(8), true),
    (DeviceKind::Character, Some(1), Some(9), true),
    (DeviceKind::Character, Some(5), Some(0), true),
    (DeviceKind::Character, Some(5), Some(1), true),
    (DeviceKind::Character, Some(5), Some(2), true),
    (DeviceKind::Character, Some(136), None, true),
];

/// Host: `linux.resources.devices`. As with runc everything is denied to begin with and the
/// devices of every container are allowed in the end; a container that may use all devices needs
/// no step.
fn limit_devices(b: &mut Builder<'_>) {
    let listed = b.linux().and_then(|linux| linux.resources.as_ref());
    let listed = listed.map_or(&[][..], |resources| &resources.devices);
    let mut rules = vec![EVERYTHING];
    for (index, rule) in listed.iter().enumerate() {
        rules.extend(device_rule(b, index, rule));
    }
    rules.extend(ALLOWED_DEVICES.map(allowed));
    // What comes before a rule for everything has no effect.
    let last = rules.iter().rposition(|rule| {
        DeviceRule {
            allow: false,
            ..*rule
        } == EVERYTHING
    });
    rules.drain(..last.unwrap_or(0));
    if !rules.iter().all(|rule| rule.allow) {
        b.host("linux.resources.devices", HostStep::LimitDevices(rules));
    }
}

/// Host, cgroup v1: rule by rule, which init must not meet half-way, so before it is there.
pub(crate) fn limit_devices_by_files(b: &mut Builder<'_>) {
    if matches!(b.facts.cgroups, Cgroups::Legacy(_)) {
        limit_devices(b);
    }
}

/// Host, cgroup v2: one program, which the kernel takes its time to check, while init is at work.
pub(crate) fn limit_devices_at_once(b: &mut Builder<'_>) {
    if matches!(b.facts.cgroups, Cgroups::Unified(_)) {
        limit_devices(b);
    }
}

/// No device at all.
const EVERYTHING: DeviceRule = DeviceRule {
    allow: false,
    kind: DeviceKind::All,
    major: None,
    minor: None,
    read: true,
    write: true,
    mknod: true,
};

fn allowed(
    (kind, major, minor, usable): (DeviceKind, Option<u32>, Option<u32>, bool),
) -> DeviceRule {
    DeviceRule {
        allow: true,
        kind,
        major,
        minor,
        read: usable,
        write: usable,
        mknod: true,
    }
}

fn device_rule(b: &mut Builder<'_>, index: usize, rule: &spec::DeviceRule) -> Option<DeviceRule> {
    let at = format!("linux.resources.devices[{index}]");
    let mut number = |name: &str, value: Option<i64>| match value {
        None | Some(-1) => Some(None),
        Some(value) => {
            let value = u32::try_from(value).ok().map(Some);
            if value.is_none() {
                b.problem(
                    format!("{at}.{name}"),
                    "a device number is -1 (any) or not negative",
                );
            }
            value
        }
    };
    let (major, minor) = (number("major", rule.major)?, number("minor", rule.minor)?);
    // A rule for everything needs no access: the kernel's `a` is always rwm.
    let is_all = rule.r#type == spec::DeviceRuleType::All && rule.access.is_empty();
    let access = if is_all { "rwm" } else { &rule.access };
    let kind = match rule.r#type {
        spec::DeviceRuleType::All => DeviceKind::All,
        spec::DeviceRuleType::Char => DeviceKind::Character,
        spec::DeviceRuleType::Block => DeviceKind::Block,
    };
    Some(DeviceRule {
        allow: rule.allow,
        kind,
        major,
        minor,
        read: access.contains('r'),
        write: access.contains('w'),
        mknod: access.contains('m'),
    })
}

/// Host: moves the child where the clone could not put it.
pub(crate) fn join(b: &mut Builder<'_>) {
    if matches!(b.facts.cgroups, Cgroups::Legacy(_)) {
        b.host("linux.cgroupsPath", HostStep::JoinCgroup);
        b.host("", HostStep::Tell(Sync::CgroupJoined));
    }
}

/// Init: where the clone could not put it into its cgroup, it waits for the host to do so.
pub(crate) fn await_move(b: &mut Builder<'_>) {
    if matches!(b.facts.cgroups, Cgroups::Legacy(_)) {
        b.init("", InitStep::Wait(Sync::CgroupJoined));
    }
}

/// Init: the namespace made after the move is rooted at the container's cgroup,
/// cgroup_namespaces(7).
pub(crate) fn enter_namespace(b: &mut Builder<'_>) {
    await_move(b);
    if matches!(b.facts.cgroups, Cgroups::Legacy(_)) && b.makes_namespace(NamespaceType::Cgroup) {
        b.init(
            "linux.namespaces",
            InitStep::Unshare {
                flags: CLONE_NEWCGROUP,
            },
        );
    }
}
