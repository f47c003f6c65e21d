//! For conformance/fuzz: the kernel's files, as far as they are read here.

use crate::locate::mountinfo;
use crate::locate::proc_cgroup;
use crate::stats::events;
use crate::{processes as procs, stats};
use std::path::Component;

/// `/proc/self/mountinfo`.
///
/// # Panics
/// If more comes out than went in.
pub fn mountinfo(text: &str) {
    for mount in mountinfo::parse(text) {
        assert!(mount.point.as_os_str().len() <= text.len());
        assert!(mount.root.as_os_str().len() <= text.len());
        assert!(!mount.options.is_empty());
    }
}

/// `/proc/self/cgroup`, and files of a cgroup.
///
/// # Panics
/// If a path climbs, or a pid is none.
pub fn files(text: &str) {
    for line in proc_cgroup::parse(text) {
        let mut parts = line.path.components();
        assert!(parts.all(|part| matches!(part, Component::Normal(_))));
    }
    for pid in procs::parse(text) {
        assert!(pid.as_raw_nonzero().get() > 0);
    }
    events::is_set(text, "populated");
    stats::parse_every_way(text);
}
