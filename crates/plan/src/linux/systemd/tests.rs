use super::*;
use kan_op::IfMissing;
use kan_op::host::CgroupDirectory;

/// The properties of some files, as text.
fn of(files: &[(&'static str, &str)]) -> Vec<String> {
    let settings = files.iter().map(|(file, value)| Setting {
        field: "f".into(),
        file: (*file).into(),
        value: (*value).into(),
        if_missing: IfMissing::Fail,
        above: None,
    });
    let limits = Limits {
        controller: "any".into(),
        directory: CgroupDirectory {
            mount: String::new(),
            path: String::new(),
        },
        is_v2: true,
        settings: settings.collect(),
    };
    let all = unit_properties([&limits]);
    all.iter()
        .map(|property| format!("{}:{property}", property.value.signature()))
        .collect()
}

#[test]
fn each_file_has_its_property() {
    for (file, value, want) in [
        ("memory.max", "1024", "t:MemoryMax=1024"),
        ("memory.max", "max", "t:MemoryMax=infinity"),
        ("memory.low", "7", "t:MemoryLow=7"),
        ("memory.high", "7", "t:MemoryHigh=7"),
        ("memory.min", "7", "t:MemoryMin=7"),
        ("memory.swap.max", "0", "t:MemorySwapMax=0"),
        ("memory.oom.group", "1", "s:OOMPolicy=kill"),
        ("pids.max", "5", "t:TasksMax=5"),
        ("cpu.weight", "17", "t:CPUWeight=17"),
        ("cpu.idle", "1", "t:CPUWeight=0"),
        ("cpuset.cpus", "0-2,9", "ay:AllowedCPUs=[7 2]"),
        ("cpuset.mems", "0", "ay:AllowedMemoryNodes=[1]"),
        ("io.weight", "default 30", "t:IOWeight=30"),
        (
            "io.weight",
            "8:0 30",
            "a(st):IODeviceWeight=[(/dev/block/8:0 30)]",
        ),
        ("io.bfq.weight", "500", "t:IOWeight=4500"),
        (
            "io.max",
            "8:0 wiops=9",
            "a(st):IOWriteIOPSMax=[(/dev/block/8:0 9)]",
        ),
        ("memory.limit_in_bytes", "-1", "t:MemoryLimit=infinity"),
        ("cpu.shares", "5", "t:CPUShares=5"),
        ("blkio.weight", "50", "t:BlockIOWeight=50"),
    ] {
        assert_eq!(of(&[(file, value)]), [want], "{file}={value}");
    }
    for (file, value) in [
        ("hugetlb.2MB.max", "1"),
        ("cpu.idle", "0"),
        ("cpuset.cpus", "0-4000000000"),
        ("cpuset.cpus", "x"),
        ("memory.max", "x"),
        ("cpu.max", ""),
    ] {
        assert!(of(&[(file, value)]).is_empty(), "{file}={value}");
    }
}

/// systemd.resource-control(5), CPUQuota: percents, of which fractions are lost.
#[test]
fn bandwidth_is_in_whole_percents() {
    let want = |period: &str, share: &str| {
        [
            format!("t:CPUQuotaPeriodUSec={period}"),
            format!("t:CPUQuotaPerSecUSec={share}"),
        ]
    };
    for (value, period, share) in [
        ("50000 100000", "100000", "500000"),
        ("1234 100000", "100000", "20000"),
        ("max 50000", "50000", "infinity"),
        ("200000 100000", "100000", "2000000"),
        ("5000", "100000", "50000"),
        ("18446744073709551614 1", "1", "infinity"),
    ] {
        assert_eq!(of(&[("cpu.max", value)]), want(period, share), "{value}");
    }
    let both = [
        ("cpu.cfs_period_us", "50000"),
        ("cpu.cfs_quota_us", "25000"),
    ];
    assert_eq!(of(&both), want("50000", "500000"));
}

#[test]
fn properties_of_one_name_are_one() {
    let two = [("io.max", "8:0 rbps=1"), ("io.max", "8:1 rbps=2 riops=max")];
    assert_eq!(
        of(&two),
        [
            "a(st):IOReadBandwidthMax=[(/dev/block/8:0 1) (/dev/block/8:1 2)]",
            "a(st):IOReadIOPSMax=[(/dev/block/8:1 infinity)]"
        ]
    );
    assert_eq!(
        of(&[("pids.max", "1"), ("pids.max", "2")]),
        ["t:TasksMax=2"]
    );
    let idle = [("cpu.weight", "30"), ("cpu.idle", "1")];
    assert_eq!(of(&idle), ["t:CPUWeight=0"]);
}

fn rule(allow: bool, kind: DeviceKind, major: Option<u32>, minor: Option<u32>) -> DeviceRule {
    DeviceRule {
        allow,
        kind,
        major,
        minor,
        read: true,
        write: false,
        mknod: true,
    }
}

#[test]
fn devices_that_systemd_can_name_are_named() {
    let rules = [
        rule(false, DeviceKind::All, None, None),
        rule(true, DeviceKind::Character, Some(1), Some(3)),
        rule(true, DeviceKind::Block, Some(8), None),
        rule(true, DeviceKind::Character, None, None),
    ];
    let text: Vec<_> = unit_device_properties(&rules)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        text,
        [
            "DevicePolicy=strict",
            "DeviceAllow=[]",
            "DeviceAllow=[(/dev/char/1:3 rm) (block-8 rm) (char-* rm)]"
        ]
    );
}

#[test]
fn devices_that_systemd_can_not_name_are_left_to_kan() {
    let all_of_minor = [
        rule(false, DeviceKind::All, None, None),
        rule(true, DeviceKind::Character, None, Some(3)),
    ];
    for rules in [&all_of_minor[..], &[]] {
        let text: Vec<_> = unit_device_properties(rules)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(text, ["DevicePolicy=auto"]);
    }
}
