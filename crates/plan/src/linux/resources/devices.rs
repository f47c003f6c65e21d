//! `linux.resources.devices`: config-linux.md, Allowed Device list.

use crate::Cgroups;
use crate::builder::Builder;
use kan_op::HostStep;
use kan_op::host::{DeviceKind, DeviceRule};
use kan_spec::config as spec;
use kan_spec::{Problem, Problems};

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

/// The rules that a list means. As with runc everything is denied to begin with and the devices of
/// every container are allowed in the end. `at` is put in front of each field's name.
///
/// # Errors
/// Every device number that is none.
pub fn device_rules(
    at: &str,
    listed: &[spec::DeviceRule],
) -> Result<Vec<DeviceRule>, Vec<Problem>> {
    let (mut rules, mut problems) = (vec![EVERYTHING], Problems::new());
    for (index, rule) in listed.iter().enumerate() {
        let at = format!("{at}devices[{index}]");
        rules.extend(device_rule(&at, rule, &mut problems));
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
    problems.finish(rules)
}

/// Host: `linux.resources.devices`. A container that may use all devices needs no step.
fn limit_devices(b: &mut Builder<'_>) {
    let rules = effective(b);
    if !rules.is_empty() {
        b.host("linux.resources.devices", HostStep::LimitDevices(rules));
    }
}

/// The config's rules; none where every device is allowed, or nobody can set any.
pub(crate) fn effective(b: &mut Builder<'_>) -> Vec<DeviceRule> {
    let has_own = !matches!(b.facts.cgroups, Cgroups::Own { .. } | Cgroups::Absent);
    if b.facts.is_rootless || !has_own {
        let note = "linux.resources.devices: not applied: that takes root and a cgroup; without \
                    root no device can be made in the container";
        b.plan.notes.push(note.into());
        return Vec::new();
    }
    let listed = b.linux().and_then(|linux| linux.resources.as_ref());
    let listed = listed.map_or(&[][..], |resources| &resources.devices);
    for (index, rule) in listed.iter().enumerate() {
        if let Some(other) = rule.access.chars().find(|letter| !"rwm".contains(*letter)) {
            let warning = format!(
                "linux.resources.devices[{index}].access: ignored {other:?}, since only r, w and m mean something"
            );
            b.plan.warnings.push(warning);
        }
    }
    match device_rules("linux.resources.", listed) {
        Ok(rules) if rules.iter().all(|rule| rule.allow) => Vec::new(),
        Ok(rules) => rules,
        Err(problems) => {
            problems.into_iter().for_each(|one| b.problems.push(one));
            Vec::new()
        }
    }
}

/// Host, cgroup v1: rule by rule, which init must not meet half-way, so before it is there.
pub(crate) fn limit_devices_by_files(b: &mut Builder<'_>) {
    if matches!(b.facts.cgroups, Cgroups::Legacy(_)) {
        limit_devices(b);
    }
}

/// Host, cgroup v2: one program, which the kernel takes its time to check, while init is at work.
/// In a unit it comes with the unit's properties.
pub(crate) fn limit_devices_at_once(b: &mut Builder<'_>) {
    if b.facts.is_placed_by_clone() {
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

fn device_rule(at: &str, rule: &spec::DeviceRule, problems: &mut Problems) -> Option<DeviceRule> {
    let mut number = |name: &str, value: Option<i64>| match value {
        None | Some(-1) => Some(None),
        Some(value) => {
            let value = u32::try_from(value).ok().map(Some);
            if value.is_none() {
                let why = "a device number is -1 (any) or not negative";
                problems.push(Problem::new(format!("{at}.{name}"), why));
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
