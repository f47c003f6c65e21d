//! The container's cgroup as a unit of systemd: `--systemd-cgroup`. Each limit is a property of
//! the unit as well as a value in a file: systemd writes the files anew, from the properties it
//! knows, whenever it is reloaded. systemd.resource-control(5), org.freedesktop.systemd1(5).

pub(crate) mod variant;

use crate::builder::Builder;
use crate::facts::directories;
use crate::linux::resources;
use crate::{Cgroups, annotations};
use kan_op::host::{DeviceKind, DeviceRule};
use kan_op::unit::{Property, Value};
use kan_op::{HostStep, Limits, Setting};

/// Host: starts the unit with the child in it, and goes on as with any other cgroup.
pub(crate) fn start(b: &mut Builder<'_>) {
    let Some(unit) = &b.facts.unit else { return };
    let limits = resources::planned(b);
    let devices = resources::effective_device_rules(b);
    let mut properties = basic(b, &unit.slice);
    properties.extend(unit_properties(limits.iter().map(|(_, limits)| limits)));
    properties.extend(unit_device_properties(&devices));
    properties.extend(annotated(b));
    let directories = directories(b.facts);
    const FIELD: &str = "linux.cgroupsPath";
    let unit = unit.name.clone();
    b.host(FIELD, HostStep::StartUnit { unit, properties });
    b.host(FIELD, HostStep::EnterUnit(directories));
    for (field, limits) in limits {
        b.host(field, HostStep::Limit(limits));
    }
    if !devices.is_empty() {
        b.host("linux.resources.devices", HostStep::LimitDevices(devices));
    }
}

/// What every container's unit has: as with runc, and `CollectMode`, by which systemd forgets a
/// unit that failed.
fn basic(b: &Builder<'_>, slice: &str) -> Vec<Property> {
    let yes = |name| Property::new(name, Value::Bool(true));
    let text = |name, text: &str| Property::new(name, Value::Text(text.into()));
    let io = match b.facts.cgroups {
        Cgroups::Legacy(_) => "BlockIOAccounting",
        _ => "IOAccounting",
    };
    vec![
        text("Description", &format!("kan container {}", b.request.id)),
        text("Slice", slice),
        yes("Delegate"),
        yes("CPUAccounting"),
        yes("MemoryAccounting"),
        yes("TasksAccounting"),
        yes(io),
        Property::new("DefaultDependencies", Value::Bool(false)),
        text("CollectMode", "inactive-or-failed"),
    ]
}

/// What annotations that name a property of the unit begin with.
pub(crate) const PROPERTY: &str = "org.systemd.property.";

/// `org.systemd.property.NAME` annotations, as runc and crun read them.
fn annotated(b: &mut Builder<'_>) -> Vec<Property> {
    let config = b.config;
    let all = config.annotations.iter();
    let ours = all.filter_map(|(key, text)| Some((key, key.strip_prefix(PROPERTY)?, text)));
    ours.filter_map(|(key, name, text)| match variant::property(name, text) {
        Ok(property) => Some(property),
        Err(why) => {
            b.problem(annotations::field(key), why);
            None
        }
    })
    .collect()
}

/// The properties that say the same as these limits. What systemd has no property for is left to
/// the files.
pub fn unit_properties<'l>(limits: impl IntoIterator<Item = &'l Limits>) -> Vec<Property> {
    let mut properties: Vec<Property> = Vec::new();
    let settings: Vec<&Setting> = limits.into_iter().flat_map(|one| &one.settings).collect();
    let value_of = |file: &str| {
        let mut all = settings.iter().filter(|setting| setting.file == file);
        all.next_back().map(|setting| setting.value.as_str())
    };
    for setting in &settings {
        let value = setting.value.trim();
        let found = match &*setting.file {
            "cpu.max" => bandwidth(value),
            "cpu.idle" if value == "1" => vec![number("CPUWeight", Some(0))],
            "cpu.idle" => Vec::new(),
            "cpu.weight" if value_of("cpu.idle").is_some_and(|idle| idle.trim() == "1") => {
                Vec::new()
            }
            "cpu.cfs_quota_us" => {
                let period = value_of("cpu.cfs_period_us").unwrap_or("100000");
                bandwidth(&format!("{value} {period}"))
            }
            "io.weight" | "io.bfq.weight" => weight(setting).into_iter().collect(),
            "io.max" => throttle(value).into_iter().collect(),
            "cpuset.cpus" => bits("AllowedCPUs", value).into_iter().collect(),
            "cpuset.mems" => bits("AllowedMemoryNodes", value).into_iter().collect(),
            file => simple(file, value).into_iter().collect(),
        };
        for property in found {
            add(&mut properties, property);
        }
    }
    properties
}

/// Lists of the same name become one; of other values the last one counts.
fn add(properties: &mut Vec<Property>, property: Property) {
    let Some(same) = properties.iter_mut().find(|p| p.name == property.name) else {
        return properties.push(property);
    };
    match (&mut same.value, property.value) {
        (Value::Array(of, items), Value::Array(_, more)) if of == "(st)" => items.extend(more),
        (value, other) => *value = other,
    }
}

/// Files that hold one number.
fn simple(file: &str, value: &str) -> Option<Property> {
    let name = match file {
        "memory.max" => "MemoryMax",
        "memory.high" => "MemoryHigh",
        "memory.low" => "MemoryLow",
        "memory.min" => "MemoryMin",
        "memory.swap.max" => "MemorySwapMax",
        "pids.max" => "TasksMax",
        "cpu.weight" => "CPUWeight",
        "memory.limit_in_bytes" => "MemoryLimit",
        "cpu.shares" => "CPUShares",
        "blkio.weight" | "blkio.bfq.weight" => "BlockIOWeight",
        "memory.oom.group" => {
            let policy = if value == "1" { "kill" } else { "continue" };
            return Some(Property::new("OOMPolicy", Value::Text(policy.into())));
        }
        _ => return None,
    };
    Some(number(name, limit(value)?))
}

/// A number, or none for no limit. What is neither is left to the kernel to refuse.
fn limit(value: &str) -> Option<Option<u64>> {
    match value {
        "max" | "-1" => Some(None),
        value => value.parse().ok().map(Some),
    }
}

fn number(name: &str, value: Option<u64>) -> Property {
    Property::new(name, Value::Uint64(value.unwrap_or(u64::MAX)))
}

/// `QUOTA PERIOD`, in microseconds. systemd keeps whole percents of a CPU and writes the file from
/// them when it is reloaded: so they are rounded up, as in runc, and no container gets less.
fn bandwidth(value: &str) -> Vec<Property> {
    const SECOND: u64 = 1_000_000;
    const PERCENT: u64 = SECOND / 100;
    let mut parts = value.split_ascii_whitespace();
    let Some(quota) = parts.next().and_then(limit) else {
        return Vec::new();
    };
    let period = parts.next().and_then(|text| text.parse().ok());
    let period = period.filter(|period| *period != 0).unwrap_or(100_000_u64);
    let share = quota.map(|quota| {
        let exact = u128::from(quota) * u128::from(SECOND) / u128::from(period);
        let exact = u64::try_from(exact).unwrap_or(u64::MAX);
        exact.div_ceil(PERCENT).saturating_mul(PERCENT)
    });
    vec![
        number("CPUQuotaPeriodUSec", Some(period)),
        number("CPUQuotaPerSecUSec", share),
    ]
}

/// `[default] WEIGHT`, or `MAJOR:MINOR WEIGHT`.
fn weight(setting: &Setting) -> Option<Property> {
    let words: Vec<&str> = setting.value.split_ascii_whitespace().collect();
    let (device, value) = match words[..] {
        [value] | ["default", value] => (None, value),
        [device, value] => (Some(device), value),
        _ => return None,
    };
    let value: u64 = value.parse().ok()?;
    let is_bfq = setting.file == "io.bfq.weight";
    let value = if is_bfq { from_bfq(value) } else { value };
    Some(match device {
        None => number("IOWeight", Some(value)),
        Some(device) => pairs("IODeviceWeight", vec![(device, value)]),
    })
}

/// The weight of which systemd makes this one for BFQ: the inverse of its BFQ_WEIGHT. Both have
/// 100 in the middle, but 1000 and 10000 at the end.
fn from_bfq(weight: u64) -> u64 {
    match weight {
        0..=100 => weight,
        _ => 100 + (weight - 100) * 9900 / 900,
    }
}

/// `MAJOR:MINOR rbps=… wbps=… riops=… wiops=…`
fn throttle(value: &str) -> Vec<Property> {
    let Some((device, keys)) = value.split_once(' ') else {
        return Vec::new();
    };
    let keys = keys.split_ascii_whitespace();
    keys.filter_map(|key| {
        let (key, value) = key.split_once('=')?;
        let name = match key {
            "rbps" => "IOReadBandwidthMax",
            "wbps" => "IOWriteBandwidthMax",
            "riops" => "IOReadIOPSMax",
            "wiops" => "IOWriteIOPSMax",
            _ => return None,
        };
        let value = limit(value)?.unwrap_or(u64::MAX);
        Some(pairs(name, vec![(device, value)]))
    })
    .collect()
}

/// `a(st)`, by device node. systemd looks a name like this up by its numbers.
fn pairs(name: &str, all: Vec<(&str, u64)>) -> Property {
    let pair = |(device, value): (&str, u64)| {
        let path = format!("/dev/block/{device}");
        Value::Struct(vec![Value::Text(path), Value::Uint64(value)])
    };
    Property::new(
        name,
        Value::array("(st)", all.into_iter().map(pair).collect()),
    )
}

/// A list such as `0-3,7` as a bit mask, the lowest bit first. The greatest number is bounded: a
/// text of a few bytes must not ask for gigabytes.
fn bits(name: &str, list: &str) -> Option<Property> {
    const MOST: usize = 8192;
    let mut mask: Vec<u8> = Vec::new();
    for range in list
        .split(',')
        .map(str::trim)
        .filter(|range| !range.is_empty())
    {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if last >= MOST {
            return None;
        }
        for bit in first..=last {
            if mask.len() <= bit / 8 {
                mask.resize(bit / 8 + 1, 0);
            }
            mask[bit / 8] |= 1 << (bit % 8);
        }
    }
    let bytes = mask.into_iter().map(Value::Byte).collect();
    Some(Property::new(name, Value::array("y", bytes)))
}

/// Device rules as systemd knows them, a policy and what it allows beyond. Where they can't say
/// all that the rules allow, systemd is to allow everything: what counts then are the rules that
/// kan has given the kernel.
#[must_use]
pub fn unit_device_properties(rules: &[DeviceRule]) -> Vec<Property> {
    let text = |text: &str| Value::Text(text.into());
    let all: Option<Vec<_>> = rules
        .iter()
        .filter(|rule| rule.allow)
        .map(device_entry)
        .collect();
    let entry = |(node, access): (String, String)| Value::Struct(vec![text(&node), text(&access)]);
    let allow = |entries| Property::new("DeviceAllow", Value::array("(ss)", entries));
    match all {
        Some(all) if !rules.is_empty() => vec![
            Property::new("DevicePolicy", text("strict")),
            // An empty list takes back what was allowed before.
            allow(Vec::new()),
            allow(all.into_iter().map(entry).collect()),
        ],
        _ => vec![Property::new("DevicePolicy", text("auto"))],
    }
}

/// systemd.resource-control(5), DeviceAllow=: a node, or a group of them.
fn device_entry(rule: &DeviceRule) -> Option<(String, String)> {
    let kind = match rule.kind {
        DeviceKind::All => return None,
        DeviceKind::Character => "char",
        DeviceKind::Block => "block",
    };
    let node = match (rule.major, rule.minor) {
        (Some(major), Some(minor)) => format!("/dev/{kind}/{major}:{minor}"),
        (Some(major), None) => format!("{kind}-{major}"),
        (None, None) => format!("{kind}-*"),
        (None, Some(_)) => return None,
    };
    let letters = [('r', rule.read), ('w', rule.write), ('m', rule.mknod)];
    let access = letters.into_iter().filter(|(_, has)| *has);
    Some((node, access.map(|(letter, _)| letter).collect()))
}

#[cfg(test)]
mod tests;
