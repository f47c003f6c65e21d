//! `linux.intelRdt`: config-linux.md, IntelRdt; Documentation/filesystems/resctrl.rst.

use crate::builder::Builder;
use crate::facts::Resctrl;
use kan_op::HostStep;
use kan_op::host::ResctrlGroup;
use kan_spec::config::{Config, IntelRdt};

/// The groups of a container, from the most general one: those that its processes join.
#[must_use]
pub fn resctrl_groups(config: &Config, resctrl: &Resctrl, id: &str) -> Vec<String> {
    let Some(rdt) = config
        .linux
        .as_ref()
        .and_then(|linux| linux.intel_rdt.as_ref())
    else {
        return Vec::new();
    };
    let group = group(rdt, resctrl, id);
    let monitor = rdt.enable_monitoring.then(|| monitor(&group, id));
    std::iter::once(group).chain(monitor).collect()
}

/// Those that `delete` removes, from the most special one. A class of service that was named is
/// somebody else's to remove, as with runc.
#[must_use]
pub fn resctrl_own_groups(config: &Config, resctrl: &Resctrl, id: &str) -> Vec<String> {
    let is_named = config
        .linux
        .as_ref()
        .and_then(|linux| linux.intel_rdt.as_ref())
        .is_some_and(|rdt| rdt.clos_id.is_some());
    let mut own = resctrl_groups(config, resctrl, id);
    if is_named && !own.is_empty() {
        own.remove(0);
    }
    own.reverse();
    own
}

/// `/` is the root's class.
fn group(rdt: &IntelRdt, resctrl: &Resctrl, id: &str) -> String {
    match rdt.clos_id.as_deref() {
        Some("/") => resctrl.root.clone(),
        named => format!("{}/{}", resctrl.root, named.unwrap_or(id)),
    }
}

fn monitor(group: &str, id: &str) -> String {
    format!("{group}/mon_groups/{id}")
}

/// Host: makes the groups before the child is there.
pub(crate) fn make(b: &mut Builder<'_>) {
    let Some(rdt) = b.linux().and_then(|linux| linux.intel_rdt.as_ref()) else {
        return;
    };
    let Some(resctrl) = b.facts.resctrl.clone() else {
        let why = "intelRdt is specified in config, but Intel RDT is not enabled";
        return b.problem("linux.intelRdt", why);
    };
    check(b, rdt, &resctrl);
    let step = resctrl_group(rdt, &resctrl, &b.request.id);
    b.host("linux.intelRdt", HostStep::MakeResctrlGroup(step));
}

/// The container's group, with what is to stand in it.
#[must_use]
pub fn resctrl_group(rdt: &IntelRdt, resctrl: &Resctrl, id: &str) -> ResctrlGroup {
    let path = group(rdt, resctrl, id);
    let schemata = schemata(rdt);
    ResctrlGroup {
        must_exist: rdt.clos_id.is_some() && schemata.is_empty(),
        is_shared: rdt.clos_id.is_some(),
        schemata,
        monitor: rdt.enable_monitoring.then(|| monitor(&path, id)),
        path,
    }
}

/// runc's words.
fn check(b: &mut Builder<'_>, rdt: &IntelRdt, resctrl: &Resctrl) {
    let monitors = rdt.enable_monitoring || rdt.enable_cmt || rdt.enable_mbm;
    let wants = [
        (
            "l3CacheSchema",
            rdt.l3_cache_schema.is_some() && !resctrl.allocates_cache,
            "intelRdt.l3CacheSchema is specified in config, but Intel RDT/CAT is not enabled",
        ),
        (
            "memBwSchema",
            rdt.mem_bw_schema.is_some() && !resctrl.allocates_bandwidth,
            "intelRdt.memBwSchema is specified in config, but Intel RDT/MBA is not enabled",
        ),
        (
            "enableMonitoring",
            monitors && !resctrl.monitors,
            "monitoring is specified in config, but Intel RDT/CMT and MBM are not enabled",
        ),
    ];
    for (key, is_lacking, why) in wants {
        if is_lacking {
            b.problem(format!("linux.intelRdt.{key}"), why);
        }
    }
}

/// The lines for the group's `schemata`. Where both schemas are given, lines for the bandwidth
/// count from its own alone (config-linux.md).
fn schemata(rdt: &IntelRdt) -> Vec<String> {
    let lines = |text: &Option<String>| -> Vec<String> {
        let text = text.as_deref().unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    let mut all = lines(&rdt.l3_cache_schema);
    if rdt.mem_bw_schema.is_some() {
        all.retain(|line| !line.starts_with("MB:"));
    }
    all.extend(lines(&rdt.mem_bw_schema));
    all.extend(rdt.schemata.iter().cloned());
    all.retain(|line| !line.is_empty());
    all
}

/// Host: the child joins; its own children come along.
pub(crate) fn join(b: &mut Builder<'_>) {
    let Some(resctrl) = &b.facts.resctrl else {
        return;
    };
    let groups = resctrl_groups(b.config, resctrl, &b.request.id);
    if !groups.is_empty() {
        b.host("linux.intelRdt", HostStep::JoinResctrlGroups(groups));
    }
}
