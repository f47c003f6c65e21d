//! What resctrl tells of a container, for `events`.

use kan_cgroup::{CmtStats, IntelRdt, L3CacheInfo, MbmStats, MemBwInfo};
use kan_plan::Resctrl;
use std::path::Path;

/// The host's abilities and those of the container's group, from the most special one of `groups`.
pub(crate) fn read(resctrl: &Resctrl, groups: &[String]) -> IntelRdt {
    let (Some(group), Some(monitored)) = (groups.first(), groups.last()) else {
        return IntelRdt::default();
    };
    let root = Path::new(&resctrl.root);
    let mut stats = IntelRdt::default();
    if resctrl.allocates_cache {
        stats.l3_cache_info = Some(cache(root));
        stats.l3_cache_schema_root = schema(root, "L3:");
        stats.l3_cache_schema = schema(Path::new(group), "L3:");
    }
    if resctrl.allocates_bandwidth {
        stats.mem_bw_info = Some(bandwidth(root));
        stats.mem_bw_schema_root = schema(root, "MB:");
        stats.mem_bw_schema = schema(Path::new(group), "MB:");
    }
    if resctrl.monitors {
        let all = monitors(&Path::new(monitored).join("mon_data"));
        let (mbm, cmt) = all.into_iter().unzip();
        (stats.mbm_stats, stats.cmt_stats) = (Some(mbm), Some(cmt));
    }
    stats
}

fn text(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.trim().to_owned()
}

fn number(path: &Path) -> u64 {
    text(path).parse().unwrap_or(0)
}

fn schema(group: &Path, resource: &str) -> String {
    let text = text(&group.join("schemata"));
    let mut lines = text.lines().map(str::trim);
    let found = lines.find(|line| line.starts_with(resource));
    found.unwrap_or_default().to_owned()
}

fn cache(root: &Path) -> L3CacheInfo {
    let info = root.join("info/L3");
    L3CacheInfo {
        cbm_mask: text(&info.join("cbm_mask")),
        min_cbm_bits: number(&info.join("min_cbm_bits")),
        num_closids: number(&info.join("num_closids")),
    }
}

fn bandwidth(root: &Path) -> MemBwInfo {
    let get = |name: &str| number(&root.join("info/MB").join(name));
    MemBwInfo {
        bandwidth_gran: get("bandwidth_gran"),
        delay_linear: get("delay_linear"),
        min_bandwidth: get("min_bandwidth"),
        num_closids: get("num_closids"),
    }
}

/// A directory for each L3 cache, in the order of their names.
fn monitors(data: &Path) -> Vec<(MbmStats, CmtStats)> {
    let entries = std::fs::read_dir(data).into_iter().flatten().flatten();
    let mut caches: Vec<_> = entries.map(|entry| entry.path()).collect();
    caches.sort();
    let each = caches.iter().map(|cache| {
        let get = |name: &str| number(&cache.join(name));
        let mbm = MbmStats {
            mbm_total_bytes: get("mbm_total_bytes"),
            mbm_local_bytes: get("mbm_local_bytes"),
        };
        let llc_occupancy = get("llc_occupancy");
        (mbm, CmtStats { llc_occupancy })
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_group_and_its_host_in_runcs_shape() {
        let root = std::env::temp_dir().join(format!("kan-resctrl-stats-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for (file, text) in [
            ("info/L3/cbm_mask", "fff\n"),
            ("info/L3/min_cbm_bits", "1\n"),
            ("info/L3/num_closids", "4\n"),
            ("info/MB/bandwidth_gran", "10\n"),
            ("info/MB/min_bandwidth", "10\n"),
            ("info/MB/num_closids", "4\n"),
            ("schemata", "    L3:0=fff\n    MB:0=100\n"),
            ("c/schemata", "    L3:0=00f\n    MB:0= 20\n"),
            ("c/mon_groups/c/mon_data/mon_L3_00/llc_occupancy", "4096\n"),
            ("c/mon_groups/c/mon_data/mon_L3_00/mbm_total_bytes", "7\n"),
        ] {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let path = |name: &str| root.join(name).to_string_lossy().into_owned();
        let resctrl = Resctrl {
            root: root.to_string_lossy().into_owned(),
            allocates_cache: true,
            allocates_bandwidth: true,
            monitors: true,
        };
        let stats = read(&resctrl, &[path("c"), path("c/mon_groups/c")]);
        let expected = serde_json::json!({
            "l3_cache_info": {"cbm_mask": "fff", "min_cbm_bits": 1, "num_closids": 4},
            "l3_cache_schema_root": "L3:0=fff",
            "l3_cache_schema": "L3:0=00f",
            "mem_bw_info": {"bandwidth_gran": 10, "min_bandwidth": 10, "num_closids": 4},
            "mem_bw_schema_root": "MB:0=100",
            "mem_bw_schema": "MB:0= 20",
            "mbm_stats": [{"mbm_total_bytes": 7}],
            "cmt_stats": [{"llc_occupancy": 4096}],
        });
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(serde_json::to_value(stats).unwrap(), expected);
        assert_eq!(read(&resctrl, &[]), IntelRdt::default());
    }
}
