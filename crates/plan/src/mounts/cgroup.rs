//! Mounts of control groups: config-linux.md, Default Filesystems; cgroups(7).

use crate::builder::Builder;
use crate::mounts::Entry;
use crate::process::labels;
use crate::{CgroupFact, Cgroups};
use kan_op::init::{MountChange, MountPoint, NewMount, Parameter, RootPath, TreeSource};
use kan_op::{InitStep, Slot};
use kan_spec::config::NamespaceType;
use linux_raw_sys::general::MOUNT_ATTR_RDONLY;
use std::ffi::CStr;

fn parameter(key: &CStr, value: &CStr) -> Parameter {
    Parameter {
        key: key.into(),
        value: Some(value.into()),
        option: None,
    }
}

/// What mountinfo shows as the source.
fn named_source(name: &CStr) -> Parameter {
    parameter(c"source", name)
}

/// Whether cgroup filesystems have a parameter of this name, of either version: the kernel's
/// admin-guide/cgroup-v2.rst, Mounting, and cgroup1_fs_parameters of kernel/cgroup/cgroup-v1.c. They are
/// about the whole hierarchy, which a container does not change.
pub(crate) fn is_parameter(name: &str) -> bool {
    const UNIFIED: [&str; 6] = [
        "nsdelegate",
        "favordynmods",
        "memory_localevents",
        "memory_recursiveprot",
        "memory_hugetlb_accounting",
        "pids_localevents",
    ];
    const LEGACY: [&str; 8] = [
        "all",
        "clone_children",
        "cpuset_v2_mode",
        "name",
        "none",
        "noprefix",
        "release_agent",
        "xattr",
    ];
    const CONTROLLERS: [&str; 13] = [
        "blkio",
        "cpu",
        "cpuacct",
        "cpuset",
        "devices",
        "freezer",
        "hugetlb",
        "memory",
        "net_cls",
        "net_prio",
        "perf_event",
        "pids",
        "rdma",
    ];
    const FLAGS: [&str; 4] = ["sync", "dirsync", "lazytime", "mand"];
    [&UNIFIED[..], &LEGACY, &CONTROLLERS, &FLAGS]
        .iter()
        .any(|names| names.contains(&name))
}

impl Entry<'_> {
    pub(crate) fn cgroup(&self, b: &mut Builder<'_>) {
        match &b.facts.cgroups {
            Cgroups::Unified(fact) => self.cgroup_v2(b, &fact.clone()),
            Cgroups::Legacy(facts) => self.cgroup_v1(b, &facts.clone()),
            Cgroups::Own { facts, .. } => match &facts.clone()[..] {
                [only] if only.is_v2 => self.cgroup_v2(b, only),
                all => self.cgroup_v1(b, all),
            },
            Cgroups::Absent => b.problem(self.at.clone(), "this host has no cgroup file system"),
        }
    }

    fn cgroup_v2(&self, b: &mut Builder<'_>, fact: &CgroupFact) {
        if b.has_namespace(NamespaceType::Cgroup) {
            self.new_cgroup_filesystem(b, c"cgroup2", Vec::new());
        } else {
            self.own_cgroup(b, fact);
        }
        self.finish(b);
    }

    /// Without a cgroup namespace the container sees only its own part; only to read where that
    /// is not the container's but its caller's (CVE-2023-25809).
    fn own_cgroup(&self, b: &mut Builder<'_>, fact: &CgroupFact) {
        let is_own = matches!(b.facts.cgroups, Cgroups::Own { .. });
        let foreign = if is_own { MOUNT_ATTR_RDONLY } else { 0 };
        let path = b.c_string(&self.at, format!("{}/{}", fact.mount, fact.path));
        self.clone_of(b, TreeSource::Host(path), false);
        let change = MountChange {
            set: self.options.set | foreign,
            ..MountChange::default()
        };
        self.change(b, change);
    }

    fn new_cgroup_filesystem(
        &self,
        b: &mut Builder<'_>,
        fstype: &CStr,
        mut parameters: Vec<Parameter>,
    ) {
        parameters.insert(0, named_source(fstype));
        self.new_filesystem(b, fstype, parameters, self.options.set);
    }

    fn new_filesystem(
        &self,
        b: &mut Builder<'_>,
        fstype: &CStr,
        parameters: Vec<Parameter>,
        attributes: u32,
    ) {
        let step = InitStep::NewFilesystem(NewMount {
            out: Slot::Tree,
            fstype: fstype.into(),
            parameters,
            attributes,
            mode_of: None,
            instead: None,
            pids: None,
        });
        b.init(self.at.clone(), step);
    }

    /// cgroup v1: a directory with a mount for each hierarchy, and links for controllers that
    /// share one.
    fn cgroup_v1(&self, b: &mut Builder<'_>, facts: &[CgroupFact]) {
        let mut parameters = vec![named_source(c"tmpfs"), parameter(c"mode", c"0755")];
        parameters.extend(labels::parameter(b, "tmpfs"));
        let attributes = self.options.set & !MOUNT_ATTR_RDONLY;
        self.new_filesystem(b, c"tmpfs", parameters, attributes);
        let at = self.destination(b);
        self.attach(b, at);
        for fact in facts {
            self.hierarchy(b, fact);
        }
        if self.options.set & MOUNT_ATTR_RDONLY != 0 {
            self.lock_directory(b);
        }
    }

    fn hierarchy(&self, b: &mut Builder<'_>, fact: &CgroupFact) {
        let name = fact.mount.rsplit('/').next().unwrap_or_default().to_owned();
        if b.has_namespace(NamespaceType::Cgroup) {
            let fstype = if fact.is_v2 { c"cgroup2" } else { c"cgroup" };
            let parameters = self.hierarchy_parameters(b, fact);
            self.new_cgroup_filesystem(b, fstype, parameters);
        } else {
            self.own_cgroup(b, fact);
        }
        let at = self.below(b, &name);
        b.init(
            self.at.clone(),
            InitStep::Attach {
                tree: Slot::Tree,
                at,
                point: MountPoint::Directory,
            },
        );
        for controller in fact
            .controllers
            .iter()
            .filter(|controller| **controller != name)
        {
            self.controller_link(b, controller, &name);
        }
    }

    /// `cpu` leads to `cpu,cpuacct` where the two share a hierarchy.
    fn controller_link(&self, b: &mut Builder<'_>, controller: &str, hierarchy: &str) {
        if controller.contains('=') {
            return;
        }
        let at = self.below(b, controller);
        let target = b.c_string(&self.at, hierarchy);
        b.init(
            self.at.clone(),
            InitStep::MakeLink {
                at,
                target,
                replace: false,
            },
        );
    }

    fn hierarchy_parameters(&self, b: &mut Builder<'_>, fact: &CgroupFact) -> Vec<Parameter> {
        if fact.is_v2 {
            return Vec::new();
        }
        let named = fact
            .controllers
            .iter()
            .find_map(|name| name.strip_prefix("name="));
        if let Some(name) = named {
            let value = Some(b.c_string(&self.at, name));
            let none = Parameter {
                key: c"none".into(),
                value: None,
                option: None,
            };
            return vec![
                none,
                Parameter {
                    key: c"name".into(),
                    value,
                    option: None,
                },
            ];
        }
        let flags = fact.controllers.iter();
        flags
            .map(|controller| Parameter {
                key: b.c_string(&self.at, controller.as_str()),
                value: None,
                option: None,
            })
            .collect()
    }

    fn below(&self, b: &mut Builder<'_>, name: &str) -> RootPath {
        let path = format!("{}/{name}", self.inside.trim_end_matches('/'));
        b.root_path(&format!("{}.destination", self.at), &path)
    }
}
