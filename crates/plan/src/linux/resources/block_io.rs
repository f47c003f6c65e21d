//! `linux.resources.blockIO`: blkio of v1, io of v2.

use super::planner::{Home, Planner, said};
use kan_op::{IfMissing, Setting};
use kan_spec::config::{BlockIo, ThrottleDevice, WeightDevice};
use std::fmt::Display;

pub(super) fn block_io(p: &mut Planner<'_>, block_io: &BlockIo) {
    match p.home("blkio") {
        Home::V1 => {
            let settings = all(p, block_io, &V1);
            p.add("blockIO", "blkio", settings);
        }
        Home::V2 => {
            let settings = all(p, block_io, &V2);
            p.add("blockIO", "io", settings);
        }
    }
}

/// What the versions do not share.
struct Version {
    /// The file of BFQ's weight, and of another I/O scheduler's.
    weight: [&'static str; 2],
    /// The same for single devices.
    weight_device: [&'static str; 2],
    /// What the other scheduler makes of a weight.
    other_weight: fn(u16) -> u16,
    has_leaf: bool,
    /// File and, within its line, name of each throttle.
    throttles: [(&'static str, &'static str); 4],
    /// No throttle.
    unlimited: &'static str,
}

/// cgroup-v1/blkio-controller.rst, block/bfq-iosched.rst.
const V1: Version = Version {
    weight: ["blkio.bfq.weight", "blkio.weight"],
    weight_device: ["blkio.bfq.weight_device", "blkio.weight_device"],
    other_weight: |weight| weight,
    has_leaf: true,
    throttles: [
        ("blkio.throttle.read_bps_device", ""),
        ("blkio.throttle.write_bps_device", ""),
        ("blkio.throttle.read_iops_device", ""),
        ("blkio.throttle.write_iops_device", ""),
    ],
    unlimited: "0",
};

/// cgroup-v2.rst, IO Interface Files.
const V2: Version = Version {
    weight: ["io.bfq.weight", "io.weight"],
    weight_device: ["io.bfq.weight", "io.weight"],
    // 10 to 1000 becomes 1 to 10000, as in runc and crun.
    other_weight: |weight| {
        let wide = 1 + (u32::from(weight) - 10) * 9999 / 990;
        u16::try_from(wide).unwrap_or(10_000)
    },
    has_leaf: false,
    throttles: [
        ("io.max", "rbps="),
        ("io.max", "wbps="),
        ("io.max", "riops="),
        ("io.max", "wiops="),
    ],
    unlimited: "max",
};

fn all(p: &mut Planner<'_>, block_io: &BlockIo, version: &Version) -> Vec<Setting> {
    let mut settings = Vec::new();
    if let Some(weight) = checked(p, "blockIO.weight", block_io.weight) {
        settings.push(weight_of(
            p,
            "blockIO.weight",
            version,
            version.weight,
            weight,
            &"",
        ));
    }
    settings.extend(leaf(
        p,
        "blockIO.leafWeight",
        version,
        block_io.leaf_weight,
        "",
    ));
    for (index, device) in block_io.weight_device.iter().enumerate() {
        weight_device(p, index, device, version, &mut settings);
    }
    let lists = [
        ("throttleReadBpsDevice", &block_io.throttle_read_bps_device),
        (
            "throttleWriteBpsDevice",
            &block_io.throttle_write_bps_device,
        ),
        (
            "throttleReadIOPSDevice",
            &block_io.throttle_read_iops_device,
        ),
        (
            "throttleWriteIOPSDevice",
            &block_io.throttle_write_iops_device,
        ),
    ];
    for ((name, list), file) in lists.into_iter().zip(version.throttles) {
        for (index, device) in list.iter().enumerate() {
            let field = format!("blockIO.{name}[{index}]");
            settings.push(throttle(p, &field, device, file, version.unlimited));
        }
    }
    settings
}

/// config-linux.md: "The range is from 10 to 1000."
fn checked(p: &mut Planner<'_>, field: &str, weight: Option<u16>) -> Option<u16> {
    let weight = said(weight)?;
    if !(10..=1000).contains(&weight) {
        p.problem(field, format!("must be from 10 to 1000, is {weight}"));
        return None;
    }
    Some(weight)
}

/// With BFQ its own weight counts, without it that of the I/O cost model. `device` is empty or a
/// number and a space.
fn weight_of(
    p: &Planner<'_>,
    field: &str,
    version: &Version,
    [bfq, other]: [&'static str; 2],
    weight: u16,
    device: &dyn Display,
) -> Setting {
    let value = format!("{device}{}", (version.other_weight)(weight));
    let if_missing = IfMissing::Instead { file: other, value };
    Setting {
        if_missing,
        ..p.set(field, bfq, format!("{device}{weight}"))
    }
}

fn leaf(
    p: &mut Planner<'_>,
    field: &str,
    version: &Version,
    weight: Option<u16>,
    device: &str,
) -> Option<Setting> {
    let weight = checked(p, field, weight)?;
    if !version.has_leaf {
        p.problem(field, "the io controller of cgroup v2 has no leaf weights");
        return None;
    }
    let file = match device {
        "" => "blkio.leaf_weight",
        _ => "blkio.leaf_weight_device",
    };
    Some(p.set(field, file, format!("{device}{weight}")))
}

fn weight_device(
    p: &mut Planner<'_>,
    index: usize,
    device: &WeightDevice,
    version: &Version,
    settings: &mut Vec<Setting>,
) {
    let number = format!("{}:{} ", device.major, device.minor);
    let field = format!("blockIO.weightDevice[{index}].weight");
    if let Some(weight) = checked(p, &field, device.weight) {
        let files = version.weight_device;
        settings.push(weight_of(p, &field, version, files, weight, &number));
    }
    let field = format!("blockIO.weightDevice[{index}].leafWeight");
    settings.extend(leaf(p, &field, version, device.leaf_weight, &number));
}

fn throttle(
    p: &Planner<'_>,
    field: &str,
    device: &ThrottleDevice,
    (file, name): (&'static str, &'static str),
    unlimited: &str,
) -> Setting {
    let (major, minor) = (device.major, device.minor);
    let value = match device.rate {
        0 => format!("{major}:{minor} {name}{unlimited}"),
        rate => format!("{major}:{minor} {name}{rate}"),
    };
    p.set(field, file, value)
}

#[cfg(test)]
mod tests {
    use super::V2;

    #[test]
    fn weights_of_both_ends_and_the_middle() {
        for (weight, expected) in [(10, 1), (100, 910), (500, 4950), (1000, 10_000)] {
            assert_eq!((V2.other_weight)(weight), expected);
        }
    }
}
