//! Setting limits: on a new cgroup, on one in use, and taking back what could not be set as a whole.

use std::fs;

use kan_cgroup::{LimitError, limit};
use kan_op::host::CgroupDirectory;
use kan_op::{IfMissing, Limits, Setting, Usage};

use crate::scratch::Scratch;

/// The limits of a controller that this view has in one version or the other, with the settings
/// for that version; `None` where it has it in neither.
fn limits(
    scratch: &Scratch,
    controller: &'static str,
    [v1, v2]: [&[(&'static str, &str)]; 2],
) -> Option<Limits> {
    let (dir, list) = match scratch.placement.v1(controller) {
        Some(dir) => (dir, v1),
        None => (scratch.placement.v2()?, v2),
    };
    let offered = fs::read_to_string(dir.path().join("cgroup.controllers")).unwrap_or_default();
    if dir.is_v2() && !offered.split_whitespace().any(|name| name == controller) {
        return None;
    }
    Some(Limits {
        controller: controller.into(),
        directory: CgroupDirectory {
            mount: dir.mount().to_string_lossy().into_owned(),
            path: dir.below().to_string_lossy().into_owned(),
        },
        is_v2: dir.is_v2(),
        settings: list
            .iter()
            .map(|(file, value)| setting(file, value))
            .collect(),
    })
}

fn setting(file: &'static str, value: &str) -> Setting {
    Setting {
        field: format!("field.of.{file}").into(),
        file: file.into(),
        value: value.into(),
        if_missing: IfMissing::Fail,
        above: None,
    }
}

fn update<const N: usize>(all: [&Limits; N]) -> Result<(), LimitError> {
    kan_cgroup::update(all, || Ok(()))
}

fn read(limits: &Limits, file: &str) -> String {
    let path = format!(
        "{}/{}/{file}",
        limits.directory.mount, limits.directory.path
    );
    fs::read_to_string(path).unwrap().trim_end().to_owned()
}

fn memory(scratch: &Scratch, limit: &str, both: &str) -> Option<Limits> {
    let files = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"];
    limits(
        scratch,
        "memory",
        [
            &[(files[0], limit), (files[1], both)],
            &[("memory.max", limit)],
        ],
    )
}

/// Memory and memory with swap go up and down together, whichever comes first in the list.
#[test]
fn memory_and_swap_move_in_any_order() {
    let Some(scratch) = Scratch::made("limits-memory") else {
        return;
    };
    let sizes = [
        ("4194304", "8388608"),
        ("16777216", "16777216"),
        ("4194304", "4194304"),
    ];
    for (memory_size, both) in sizes {
        for reversed in [false, true] {
            let Some(mut wanted) = memory(&scratch, memory_size, both) else {
                return;
            };
            if reversed {
                wanted.settings.reverse();
            }
            update([&wanted]).unwrap();
            for Setting { file, value, .. } in &wanted.settings {
                assert_eq!(read(&wanted, file), *value, "{file}");
            }
        }
    }
}

#[test]
fn a_quota_moves_below_and_above_the_burst() {
    let Some(scratch) = Scratch::made("limits-cpu") else {
        return;
    };
    let cpu = |period: &str, quota: &str, burst: &str| {
        let v1 = [
            ("cpu.cfs_period_us", period),
            ("cpu.cfs_quota_us", quota),
            ("cpu.cfs_burst_us", burst),
        ];
        let max = format!("{quota} {period}");
        limits(
            &scratch,
            "cpu",
            [&v1, &[("cpu.max.burst", burst), ("cpu.max", &max)]],
        )
    };
    for (period, quota, burst) in [
        ("50000", "40000", "30000"),
        ("10000", "5000", "2000"),
        ("90000", "80000", "80000"),
    ] {
        let Some(wanted) = cpu(period, quota, burst) else {
            return;
        };
        update([&wanted]).unwrap();
        for Setting { file, value, .. } in &wanted.settings {
            assert_eq!(read(&wanted, file), *value, "{file}");
        }
    }
}

#[test]
fn a_refused_value_leaves_everything_as_it_was() {
    let Some(scratch) = Scratch::made("limits-back") else {
        return;
    };
    let pids = |value: &str| {
        limits(
            &scratch,
            "pids",
            [&[("pids.max", value)], &[("pids.max", value)]],
        )
    };
    let (Some(first), Some(mut second)) = (memory(&scratch, "4194304", "8388608"), pids("17"))
    else {
        return;
    };
    update([&first, &second]).unwrap();
    let bigger = memory(&scratch, "16777216", "33554432").unwrap();
    second.settings = vec![setting("pids.max", "19"), setting("pids.max", "nonsense")];
    let error = update([&bigger, &second]).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("field.of.pids.max: writing \"nonsense\" to /sys/fs/cgroup"),
        "{text}"
    );
    assert!(text.ends_with("pids.max: invalid argument"), "{text}");
    for Setting { file, value, .. } in &first.settings {
        assert_eq!(read(&first, file), *value, "{file}");
    }
    assert_eq!(read(&second, "pids.max"), "17");
}

/// Also where it is not the kernel that refuses.
#[test]
fn what_comes_after_can_take_it_back() {
    let Some(scratch) = Scratch::made("limits-then") else {
        return;
    };
    let pids = |value: &str| {
        limits(
            &scratch,
            "pids",
            [&[("pids.max", value)], &[("pids.max", value)]],
        )
    };
    let (Some(first), Some(second)) = (pids("17"), pids("19")) else {
        return;
    };
    update([&first]).unwrap();
    let failed = kan_cgroup::update([&second], || {
        assert_eq!(read(&second, "pids.max"), "19");
        Err(LimitError::BelowUsage {
            field: "later".into(),
            name: "thing",
            limit: 1,
            usage: 2,
        })
    });
    assert!(failed.unwrap_err().to_string().starts_with("later: "));
    assert_eq!(read(&second, "pids.max"), "17");
}

#[test]
fn a_file_that_is_not_there_is_named_with_field_and_controller() {
    let Some(scratch) = Scratch::made("limits-missing") else {
        return;
    };
    let dir = scratch.placement.directories().last().unwrap();
    let mut wanted = Limits {
        controller: "nonsense".into(),
        directory: CgroupDirectory {
            mount: dir.mount().to_string_lossy().into_owned(),
            path: dir.below().to_string_lossy().into_owned(),
        },
        is_v2: dir.is_v2(),
        settings: vec![setting("nonsense.max", "1")],
    };
    let error = limit(&wanted).unwrap_err();
    assert!(matches!(error, LimitError::Missing { .. }), "{error}");
    let text = error.to_string();
    assert!(text.starts_with("field.of.nonsense.max: "), "{text}");
    assert!(
        text.contains(" has no nonsense.max: the nonsense controller "),
        "{text}"
    );
    // Unless the value says nothing, or another file does.
    wanted.settings[0].if_missing = IfMissing::Skip;
    limit(&wanted).unwrap();
    let other = if dir.is_v2() {
        "cgroup.max.depth"
    } else {
        "notify_on_release"
    };
    wanted.settings[0].if_missing = IfMissing::Instead {
        file: other,
        value: "1".into(),
    };
    limit(&wanted).unwrap();
    assert_eq!(read(&wanted, other), "1");
}

#[test]
fn a_limit_below_present_use_is_refused_if_asked() {
    let Some(mut scratch) = Scratch::made("limits-usage") else {
        return;
    };
    let Some(mut wanted) = memory(&scratch, "1048576", "1048576") else {
        return;
    };
    // Memory that stays: a megabyte or two of a shell's variable.
    scratch.run("x=$(head -c 3000000 /dev/zero | tr '\\0' x); sleep 1000 & wait");
    let file = if wanted.is_v2 {
        "memory.current"
    } else {
        "memory.usage_in_bytes"
    };
    crate::scratch::wait_until(|| read(&wanted, file).parse::<u64>().unwrap() > 2_000_000);
    wanted.settings[0].above = Some(Usage {
        name: "memory limit",
        limit: 1_048_576,
        file,
    });
    let before = read(&wanted, &wanted.settings[0].file);
    let text = update([&wanted]).unwrap_err().to_string();
    assert!(
        text.contains(": rejecting memory limit 1048576 <= usage "),
        "{text}"
    );
    assert_eq!(read(&wanted, &wanted.settings[0].file), before);
}

/// v2: the parents pass the controller on when a limit asks for it.
#[test]
fn a_controller_of_v2_beside_v1_is_enabled() {
    let Some(scratch) = Scratch::new("limits-hybrid") else {
        return;
    };
    let leaf = scratch.below("inner/leaf");
    let created = kan_cgroup::create(&leaf).unwrap();
    let Some(dir) = leaf.v2() else {
        return created.undo();
    };
    let offered = fs::read_to_string(dir.mount().join("cgroup.controllers")).unwrap();
    if let Some(size) = huge_page_file(&offered) {
        let wanted = Limits {
            controller: "hugetlb".into(),
            directory: CgroupDirectory {
                mount: dir.mount().to_string_lossy().into_owned(),
                path: dir.below().to_string_lossy().into_owned(),
            },
            is_v2: true,
            settings: vec![setting(size, "4194304")],
        };
        limit(&wanted).unwrap();
        assert_eq!(read(&wanted, size), "4194304");
    }
    kan_cgroup::remove(&leaf).unwrap();
    created.undo();
}

fn huge_page_file(offered: &str) -> Option<&'static str> {
    let sizes = std::path::Path::new("/sys/kernel/mm/hugepages/hugepages-2048kB");
    let has = offered.split_whitespace().any(|name| name == "hugetlb") && sizes.exists();
    has.then_some("hugetlb.2MB.max")
}
