//! `mounts`: config.md, Mounts.

use crate::builder::Builder;
use crate::mount_options::Options;
use crate::user_namespace;
use crate::{CgroupFact, Cgroups};
use kan_op::init::{MountChange, MountPoint, MountTarget, Parameter, RootPath, TreeSource};
use kan_op::{InitStep, Slot};
use kan_spec::config::{Mount, NamespaceType};
use linux_raw_sys::general::{
    MOUNT_ATTR_NODEV, MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_RDONLY,
};
use std::ffi::CStr;

/// Init: every mount, in the order of config.json.
pub(crate) fn all(b: &mut Builder<'_>) {
    let config = b.config;
    for (index, mount) in config.mounts.iter().enumerate() {
        let entry = Entry {
            at: format!("mounts[{index}]"),
            mount,
            options: Options::parse(&mount.options),
        };
        entry.plan(b);
    }
}

/// One entry of `mounts`.
struct Entry<'a> {
    at: String,
    mount: &'a Mount,
    options: Options,
}

impl Entry<'_> {
    fn plan(&self, b: &mut Builder<'_>) {
        for index in &self.options.not_yet {
            let option = &self.mount.options[*index];
            let why = format!("option {option} is not supported by this version of kan");
            b.problem(format!("{}.options[{index}]", self.at), why);
        }
        if !self.mount.uid_mappings.is_empty() || !self.mount.gid_mappings.is_empty() {
            let at = format!("{}.uidMappings", self.at);
            b.problem(
                at,
                "idmapped mounts are not supported by this version of kan",
            );
        }
        let fstype = self.mount.r#type.as_deref().unwrap_or("none");
        match (self.options.bind, fstype) {
            (Some(recursive), _) => self.bind(b, recursive),
            (None, "bind") => self.bind(b, false),
            (None, "cgroup" | "cgroup2") => self.cgroup(b),
            (None, fstype) => self.filesystem(b, fstype),
        }
    }

    /// A path the container sees. The spec lets a relative one start at `/`.
    fn destination(&self, b: &mut Builder<'_>) -> RootPath {
        let path = &self.mount.destination;
        let slash = if path.starts_with('/') { "" } else { "/" };
        b.root_path(
            &format!("{}.destination", self.at),
            &format!("{slash}{path}"),
        )
    }

    fn filesystem(&self, b: &mut Builder<'_>, fstype: &str) {
        let mut parameters = self.source(b);
        let is_virtual = matches!(
            fstype,
            "proc" | "sysfs" | "tmpfs" | "devpts" | "mqueue" | "ramfs"
        );
        if !is_virtual && self.options.set & MOUNT_ATTR_RDONLY != 0 {
            parameters.push(Parameter {
                key: c"ro".into(),
                value: None,
                option: None,
            });
        }
        parameters.extend(self.data(b));
        let fstype = b.c_string(&format!("{}.type", self.at), fstype);
        let attributes = self.options.set;
        let step = InitStep::NewFilesystem {
            out: Slot::Tree,
            fstype,
            parameters,
            attributes,
        };
        b.init(self.at.clone(), step);
        self.finish(b);
    }

    /// What mountinfo shows as the source. For a disk it is the device.
    fn source(&self, b: &mut Builder<'_>) -> Vec<Parameter> {
        let Some(source) = &self.mount.source else {
            return Vec::new();
        };
        let value = b.c_string(&format!("{}.source", self.at), source.as_str());
        vec![Parameter {
            key: c"source".into(),
            value: Some(value),
            option: None,
        }]
    }

    fn data(&self, b: &mut Builder<'_>) -> Vec<Parameter> {
        let data = self.options.data.iter();
        data.map(|(index, key, value)| {
            let at = format!("{}.options[{index}]", self.at);
            Parameter {
                key: b.c_string(&at, key.as_str()),
                value: value.as_ref().map(|value| b.c_string(&at, value.as_str())),
                option: u16::try_from(*index).ok(),
            }
        })
        .collect()
    }

    fn bind(&self, b: &mut Builder<'_>, recursive: bool) {
        let Some(source) = &self.mount.source else {
            b.problem(format!("{}.source", self.at), "a bind mount needs a source");
            return;
        };
        let path = b.bundle_path(source);
        let path = b.c_string(&format!("{}.source", self.at), path);
        self.clone_of(b, TreeSource::Host(path), recursive);
        self.explicit_attributes(b);
        self.finish(b);
    }

    fn clone_of(&self, b: &mut Builder<'_>, source: TreeSource, recursive: bool) {
        b.init(
            self.at.clone(),
            InitStep::CloneTree {
                out: Slot::Tree,
                source,
                recursive,
            },
        );
    }

    /// A bind mount without flags keeps its source's. With any, those not named are off, as a
    /// remount would have it.
    fn explicit_attributes(&self, b: &mut Builder<'_>) {
        const FLAGS: u32 = MOUNT_ATTR_RDONLY
            | MOUNT_ATTR_NOSUID
            | MOUNT_ATTR_NODEV
            | MOUNT_ATTR_NOEXEC
            | MOUNT_ATTR_NODIRATIME
            | MOUNT_ATTR_NOSYMFOLLOW;
        let Options { set, mut clear, .. } = self.options;
        if set | clear == 0 {
            return;
        }
        // Inside a user namespace the flags of the host's mounts are locked: mount_namespaces(7).
        if !user_namespace::is_new(b) {
            clear |= FLAGS & !set;
        }
        self.change(
            b,
            MountChange {
                set,
                clear,
                ..MountChange::default()
            },
        );
    }

    fn change(&self, b: &mut Builder<'_>, change: MountChange) {
        let target = MountTarget::Slot(Slot::Tree);
        b.init(self.at.clone(), InitStep::ChangeMount { target, change });
    }

    /// What every kind of mount ends with: recursive attributes, propagation, attachment.
    fn finish(&self, b: &mut Builder<'_>) {
        let Options {
            set_below,
            clear_below,
            ..
        } = self.options;
        if set_below | clear_below != 0 {
            let (set, clear) = (set_below, clear_below);
            self.change(
                b,
                MountChange {
                    set,
                    clear,
                    propagation: 0,
                    recursive: true,
                },
            );
        }
        for (propagation, recursive) in &self.options.propagation {
            let (propagation, recursive) = (*propagation, *recursive);
            self.change(
                b,
                MountChange {
                    propagation,
                    recursive,
                    ..MountChange::default()
                },
            );
        }
        let at = self.destination(b);
        self.attach(b, at);
    }

    fn attach(&self, b: &mut Builder<'_>, at: RootPath) {
        let fstype = self.mount.r#type.as_deref().unwrap_or_default();
        let ordinary = matches!(fstype, "proc" | "sysfs") && self.options.bind.is_none();
        let point = if ordinary {
            MountPoint::Ordinary
        } else {
            MountPoint::Any
        };
        b.init(
            self.at.clone(),
            InitStep::Attach {
                tree: Slot::Tree,
                at,
                point,
            },
        );
    }
}

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

/// Mounts of control groups: config-linux.md, Default Filesystems; cgroups(7).
impl Entry<'_> {
    fn cgroup(&self, b: &mut Builder<'_>) {
        match &b.facts.cgroups {
            Cgroups::Unified(fact) => self.cgroup_v2(b, &fact.clone()),
            Cgroups::Legacy(facts) => self.cgroup_v1(b, &facts.clone()),
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

    /// Without a cgroup namespace the container sees only its own part.
    fn own_cgroup(&self, b: &mut Builder<'_>, fact: &CgroupFact) {
        let path = b.c_string(&self.at, format!("{}/{}", fact.mount, fact.path));
        self.clone_of(b, TreeSource::Host(path), false);
        let change = MountChange {
            set: self.options.set,
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
        let fstype = fstype.into();
        let attributes = self.options.set;
        let step = InitStep::NewFilesystem {
            out: Slot::Tree,
            fstype,
            parameters,
            attributes,
        };
        b.init(self.at.clone(), step);
    }

    /// cgroup v1: a directory with a mount for each hierarchy, and links for controllers that
    /// share one.
    fn cgroup_v1(&self, b: &mut Builder<'_>, facts: &[CgroupFact]) {
        let parameters = vec![named_source(c"tmpfs"), parameter(c"mode", c"0755")];
        let attributes = self.options.set & !MOUNT_ATTR_RDONLY;
        let fstype = c"tmpfs".into();
        let step = InitStep::NewFilesystem {
            out: Slot::Tree,
            fstype,
            parameters,
            attributes,
        };
        b.init(self.at.clone(), step);
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
                point: MountPoint::Any,
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
        let path = format!("{}/{name}", self.mount.destination.trim_end_matches('/'));
        b.root_path(&format!("{}.destination", self.at), &path)
    }

    /// The directory turns read-only once its mount points are in it.
    fn lock_directory(&self, b: &mut Builder<'_>) {
        let target = MountTarget::Container(self.destination(b));
        let change = MountChange {
            set: MOUNT_ATTR_RDONLY,
            ..MountChange::default()
        };
        b.init(self.at.clone(), InitStep::ChangeMount { target, change });
    }
}
