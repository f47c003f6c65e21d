//! `linux.resources`: `pids`, `hugepageLimits`, `rdma`, `network`.

use super::planner::{Home, Planner};
use kan_op::Setting;
use kan_spec::config::{HugepageLimit, Network, Pids, Rdma};

/// 0 becomes 1, as in runc: the container's process is there all the same, systemd takes no 0, and
/// either way no other can be made.
pub(super) fn pids(p: &mut Planner<'_>, pids: Pids) {
    let value = match pids.limit {
        None => return,
        Some(limit @ 1..) => limit.to_string(),
        Some(0) => "1".into(),
        Some(_) => "max".into(),
    };
    let settings = vec![p.set("pids.limit", "pids.max", value)];
    p.add("pids", "pids", settings);
}

/// hugetlb.rst: `rsvd` counts what is reserved and not only what is touched; Linux 5.7.
pub(super) fn hugepages(p: &mut Planner<'_>, limits: &[HugepageLimit]) {
    let suffix = match p.home("hugetlb") {
        Home::V1 => "limit_in_bytes",
        Home::V2 => "max",
    };
    let mut settings = Vec::new();
    for (index, HugepageLimit { page_size, limit }) in limits.iter().enumerate() {
        let field = format!("hugepageLimits[{index}]");
        for kind in ["", "rsvd."] {
            let file = format!("hugetlb.{page_size}.{kind}{suffix}");
            settings.push(p.set(&field, file, limit));
        }
    }
    p.add("hugepageLimits", "hugetlb", settings);
}

/// rdma.rst: the same in both versions.
pub(super) fn rdma(p: &mut Planner<'_>, devices: &[(String, Rdma)]) {
    let mut settings: Vec<Setting> = Vec::new();
    for (name, rdma) in devices {
        let field = kan_spec::member("rdma", name);
        if name.is_empty() || name.contains(char::is_whitespace) {
            p.problem(&field, "is no name of a device");
            continue;
        }
        let limits = [
            ("hca_handle", rdma.hca_handles),
            ("hca_object", rdma.hca_objects),
        ];
        let mut value = name.clone();
        for (key, limit) in limits {
            value += &limit.map_or_else(String::new, |limit| format!(" {key}={limit}"));
        }
        settings.push(p.set(&field, "rdma.max", value));
    }
    p.add("rdma", "rdma", settings);
}

/// net_cls.rst, net_prio.rst: cgroup v1 only.
pub(super) fn network(p: &mut Planner<'_>, network: &Network) {
    let class = network.class_id.filter(|class| *class != 0);
    let class: Vec<_> = class
        .map(|class| p.set("network.classID", "net_cls.classid", class))
        .into_iter()
        .collect();
    add_v1(p, "net_cls", class);
    let priorities = network.priorities.iter().enumerate();
    let priorities = priorities
        .map(|(index, interface)| {
            let value = format!("{} {}", interface.name, interface.priority);
            let field = format!("network.priorities[{index}]");
            p.set(&field, "net_prio.ifpriomap", value)
        })
        .collect();
    add_v1(p, "net_prio", priorities);
}

fn add_v1(p: &mut Planner<'_>, controller: &'static str, settings: Vec<Setting>) {
    if p.home(controller) == Home::V1 {
        return p.add("network", controller, settings);
    }
    let why = format!("no cgroup v1 hierarchy of this host has the {controller} controller");
    for setting in settings {
        let field = setting
            .field
            .strip_prefix(p.at)
            .unwrap_or_default()
            .to_owned();
        p.problem(&field, why.clone());
    }
}
