//! Which cgroups there are, and whether they can be created.

use super::look::{fails, limited, read, works};
use crate::diagnose::finding::Finding;
use kan_cgroup::{CgroupsPath, Layout};
use kan_sys::credentials::effective_uid;

pub(super) fn examine() -> Vec<Finding> {
    let layout = CgroupsPath::parse(Some("/kan"), "kan").and_then(|path| Layout::detect(&path));
    let mode = match &layout {
        Ok(layout) => mode(layout),
        Err(error) => fails("cgroups", error.to_string()).advise("mount them at /sys/fs/cgroup"),
    };
    vec![mode, reach(), systemd()]
}

fn mode(layout: &Layout) -> Finding {
    match layout {
        Layout::Absent => limited("cgroups", "none are mounted: no limits, no pause")
            .advise("mount -t cgroup2 none /sys/fs/cgroup"),
        Layout::Unified(_) => {
            let controllers = read("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
            if controllers.is_empty() {
                return limited("cgroups", "version 2, without controllers: no limits")
                    .advise("let whoever set /sys/fs/cgroup up delegate controllers to it");
            }
            works("cgroups", format!("version 2: {controllers}"))
        }
        Layout::Legacy(all) => {
            let is_hybrid = all.iter().any(|one| one.controllers.is_empty());
            let names: Vec<_> = all
                .iter()
                .flat_map(|one| &one.controllers)
                .cloned()
                .collect();
            let kind = if is_hybrid {
                "version 1 beside 2"
            } else {
                "version 1"
            };
            limited("cgroups", format!("{kind}: {}", names.join(" "))).advise(
                "works; version 2 alone starts containers faster: boot with \
                 systemd.unified_cgroup_hierarchy=1",
            )
        }
    }
}

/// Whether a cgroup can be created where a container's would lie.
fn reach() -> Finding {
    let about = "delegation";
    let placed = CgroupsPath::parse(None, "kan-doctor").and_then(|wanted| {
        let placement = kan_cgroup::place(&Layout::detect(&wanted)?, &wanted)?;
        kan_cgroup::obstacle(&placement)
    });
    match placed {
        Ok(None) => works(about, "cgroups can be created"),
        Ok(Some(why)) if effective_uid() == 0 => fails(about, why)
            .advise("mount the cgroup file systems writable, or use --cgroup-manager disabled"),
        Ok(Some(why)) => limited(about, why).advise(
            "containers of this user have no limits; with systemd, use --systemd-cgroup, and \
             Delegate= in user@.service for all controllers",
        ),
        Err(error) => fails(about, error.to_string())
            .advise("mount the cgroup file systems at /sys/fs/cgroup"),
    }
}

fn systemd() -> Finding {
    if kan_dbus::is_running() {
        return works("systemd", "runs: --systemd-cgroup works");
    }
    limited("systemd", "does not run: no --systemd-cgroup").advise("let kan create cgroups itself")
}
