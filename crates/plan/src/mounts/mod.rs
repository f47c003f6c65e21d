//! `mounts`: config.md, Mounts.

pub(crate) mod bind;
pub(crate) mod by_path;
pub(crate) mod cgroup;
pub(crate) mod data;
pub(crate) mod destination;
pub(crate) mod options;

use crate::builder::Builder;
use crate::linux::devices;
use crate::linux::namespaces;
use crate::linux::user_namespace;
use crate::mounts::destination::{inside, parts};
use crate::mounts::options::{Extra, Options};
use crate::process::labels;
use kan_op::init::{
    MountChange, MountPoint, MountTarget, NewMount, Parameter, RootPath, TreeSource,
};
use kan_op::{HostStep, InitStep, Slot};
use kan_spec::config::{Mount, NamespaceType};
use linux_raw_sys::general::MOUNT_ATTR_RDONLY;

/// Init: every mount, in the order of config.json, but for those that come [last](last): their places
/// in the list.
pub(crate) fn all(b: &mut Builder<'_>) -> Vec<usize> {
    let late = late(b);
    let mut later = late.iter().copied().peekable();
    for index in 0..b.config.mounts.len() {
        if later.next_if_eq(&index).is_some() {
            continue;
        }
        let entry = Entry::new(b, index);
        if !entry.is_without_network() {
            namespaces::enter_network(b);
        }
        entry.plan(b);
    }
    late
}

/// Init: sysfs, which waits for the network namespace, and what is mounted on it.
pub(crate) fn last(b: &mut Builder<'_>, late: Vec<usize>) {
    namespaces::enter_network(b);
    for index in late {
        Entry::new(b, index).plan(b);
    }
}

/// The mounts that come last, by their places: none where the network namespace is not made apart,
/// where a destination does not say plainly where it leads, or where a source lies in the root, in which
/// it would find what is mounted there. Paths are taken as they are written.
fn late(b: &Builder<'_>) -> Vec<usize> {
    let entries = || (0..b.config.mounts.len()).map(|index| Entry::new(b, index));
    if !namespaces::makes_network_apart(b) || entries().any(|entry| entry.is_odd(b)) {
        return Vec::new();
    }
    let is_sysfs = |entry: &Entry<'_>| entry.is_new("sysfs") && entry.parts().eq(["sys"]);
    let from_sysfs = entries().skip_while(|entry| !is_sysfs(entry));
    let late: Vec<_> = from_sysfs
        .filter(|entry| entry.parts().next() == Some("sys"))
        .collect();
    // Another procfs must not come after the masks of the first, wherever a link may lead it: one may
    // be bound, and lie in what was bound before.
    let is_bind = |entry: &&Entry<'_>| entry.is_bind().is_some();
    let is_harmless = |entry: &Entry<'_>| {
        is_bind(&entry) || matches!(entry.fstype(), "sysfs" | "cgroup" | "cgroup2")
    };
    if late.iter().filter(is_bind).count() > 1 || !late.iter().all(is_harmless) {
        return Vec::new();
    }
    late.into_iter().map(|entry| entry.index).collect()
}

/// Init: one of them.
pub(crate) fn one(b: &mut Builder<'_>, index: usize) {
    Entry::new(b, index).plan(b);
}

/// Whether it is a new bind mount.
pub(crate) fn is_bind(b: &Builder<'_>, index: usize) -> bool {
    let entry = Entry::new(b, index);
    entry.is_bind().is_some() && !entry.options.has(Extra::Remount)
}

/// Host: one tree, for a container that is there; whether init finds it on the stage.
pub(crate) fn stage_one(b: &mut Builder<'_>, index: usize) -> bool {
    let entry = Entry::new(b, index);
    let is_staged = entry.is_staged(b);
    if is_staged {
        b.host("mounts", HostStep::OpenStage);
        entry.stage(b);
    }
    is_staged
}

/// Host: trees of mounts that init can't make itself.
pub(crate) fn stage(b: &mut Builder<'_>) {
    let entries = (0..b.config.mounts.len()).map(|index| Entry::new(b, index));
    let staged: Vec<_> = entries.filter(|entry| entry.needs_stage(b)).collect();
    if !staged.is_empty() {
        b.host("mounts", HostStep::OpenStage);
    }
    for entry in staged {
        entry.stage(b);
    }
}

/// Init: those new file systems that were left writable for what had to be made in them.
pub(crate) fn lock_late(b: &mut Builder<'_>) {
    for index in 0..b.config.mounts.len() {
        let entry = Entry::new(b, index);
        if entry.is_locked_late(b) {
            entry.lock_directory(b);
        }
    }
}

/// A path as a layer of an overlay, with the escapes of the kernel's filesystems/overlayfs.rst.
fn escaped_for_overlay(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for letter in path.chars() {
        if matches!(letter, '\\' | ',' | ':') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// One entry of `mounts`.
pub(crate) struct Entry<'a> {
    pub(crate) index: usize,
    pub(crate) at: String,
    pub(crate) mount: &'a Mount,
    /// Where it goes, as the container sees it.
    pub(crate) inside: String,
    pub(crate) options: Options,
}

impl<'a> Entry<'a> {
    fn new(b: &Builder<'a>, index: usize) -> Self {
        let config = b.config;
        let mount = &config.mounts[index];
        Self {
            index,
            inside: inside(b, mount),
            at: format!("mounts[{index}]"),
            mount,
            options: Options::parse(&mount.options, mount.r#type.as_deref().unwrap_or_default()),
        }
    }

    fn plan(&self, b: &mut Builder<'_>) {
        self.check(b);
        if self.options.has(Extra::Remount) {
            return self.by_path(b);
        }
        match (self.is_bind(), self.fstype()) {
            (Some(recursive), _) => self.bind(b, recursive),
            (None, "cgroup" | "cgroup2") => self.cgroup(b),
            (None, _) if self.needs_path(b) => self.by_path(b),
            (None, fstype) => self.filesystem(b, fstype),
        }
    }

    /// Whether it is the same mount in every network namespace, as it is not for sysfs and for file
    /// systems that come over the network.
    fn is_without_network(&self) -> bool {
        let local = [
            "proc", "tmpfs", "devpts", "mqueue", "ramfs", "cgroup", "cgroup2", "overlay",
        ];
        self.is_bind().is_some()
            || self.options.has(Extra::Remount)
            || local.contains(&self.fstype())
    }

    fn parts(&self) -> impl Iterator<Item = &str> + Clone {
        parts(&self.inside)
    }

    /// Whether what it mounts, or where, depends on the other mounts.
    fn is_odd(&self, b: &Builder<'_>) -> bool {
        let climbs = |path: &str| parts(path).any(|part| part == "..");
        let destination = &self.inside;
        let source = self.mount.source.as_deref().unwrap_or_default();
        parts(destination).next().is_none()
            || climbs(destination)
            || self.is_bind().is_some() && (climbs(source) || self.is_in_root(b))
    }

    /// Whether it is a new file system of this type.
    fn is_new(&self, fstype: &str) -> bool {
        let is_other = self.is_bind().is_some() || self.options.has(Extra::Remount);
        !is_other && self.fstype() == fstype
    }

    pub(crate) fn fstype(&self) -> &'a str {
        self.mount.r#type.as_deref().unwrap_or("none")
    }

    /// Whether the entry is a bind mount, and if so whether a recursive one. The spec goes by
    /// the options alone; engines also write the type.
    pub(crate) fn is_bind(&self) -> Option<bool> {
        let by_type = (self.fstype() == "bind").then_some(false);
        self.options.bind.or(by_type)
    }

    /// A path the container sees.
    pub(crate) fn destination(&self, b: &mut Builder<'_>) -> RootPath {
        b.root_path(&format!("{}.destination", self.at), &self.inside)
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
        parameters.extend(labels::parameter(b, fstype));
        let is_filled = self.options.has(Extra::CopyUp) || self.is_locked_late(b);
        let step = InitStep::NewFilesystem(NewMount {
            out: Slot::Tree,
            fstype: b.c_string(&format!("{}.type", self.at), fstype),
            parameters,
            attributes: self.options.set & !if is_filled { MOUNT_ATTR_RDONLY } else { 0 },
            mode_of: self.covered_mode(b),
            instead: self.instead(b),
            pids: self.pids(b),
        });
        b.init(self.at.clone(), step);
        if self.options.has(Extra::CopyUp) {
            self.copy_up(b);
        }
        self.finish(b);
    }

    /// A procfs shows the pid namespace of whoever opens it, and init is not in one that is joined.
    fn pids(&self, b: &Builder<'_>) -> Option<Slot> {
        (self.fstype() == "proc")
            .then(|| namespaces::pids_beside(b))
            .flatten()
    }

    /// As in runc, a tmpfs without a mode is like the directory it covers.
    fn covered_mode(&self, b: &mut Builder<'_>) -> Option<RootPath> {
        let mut data = self.options.data.iter();
        let is_like = self.fstype() == "tmpfs" && !data.any(|(_, key, _)| key == "mode");
        is_like.then(|| self.destination(b))
    }

    /// sysfs shows a network namespace, and may be mounted by its owner only: a container with a
    /// user namespace gets the host's otherwise, as in runc.
    fn instead(&self, b: &Builder<'_>) -> Option<std::ffi::CString> {
        let is_foreign = user_namespace::is_used(b) && !b.makes_namespace(NamespaceType::Network);
        (self.fstype() == "sysfs" && is_foreign).then(|| c"/sys".into())
    }

    fn copy_up(&self, b: &mut Builder<'_>) {
        let from = self.destination(b);
        let tree = Slot::Tree;
        b.init(self.at.clone(), InitStep::CopyUp { tree, from });
        if self.options.set & MOUNT_ATTR_RDONLY != 0 && !self.is_locked_late(b) {
            let change = MountChange {
                set: MOUNT_ATTR_RDONLY,
                ..MountChange::default()
            };
            self.change(b, change);
        }
    }

    /// A read-only tmpfs in which mount points or devices are still to be made.
    fn is_locked_late(&self, b: &Builder<'_>) -> bool {
        let is_read_only = self.options.set & MOUNT_ATTR_RDONLY != 0;
        if self.fstype() != "tmpfs" || self.is_bind().is_some() || !is_read_only {
            return false;
        }
        let below = format!("{}/", self.inside.trim_end_matches('/'));
        let mut later = b.config.mounts[self.index + 1..].iter();
        later.any(|mount| inside(b, mount).starts_with(&below)) || devices::any_below(b, &below)
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
            let value = value.as_ref().map(|value| self.in_bundle(b, key, value));
            Parameter {
                key: b.c_string(&at, key.as_str()),
                value: value.map(|value| b.c_string(&at, value)),
                option: u16::try_from(*index).ok(),
            }
        })
        .collect()
    }

    /// crun works in the bundle's directory, so that the directories of an overlay may be relative
    /// to it. A colon between lower ones, or two, separates; one after a backslash is part of a
    /// name. The bundle's own path is escaped likewise.
    pub(crate) fn in_bundle(&self, b: &Builder<'_>, key: &str, value: &str) -> String {
        let bundle = || escaped_for_overlay(&b.bundle_path(""));
        match (self.fstype(), key) {
            ("overlay", "upperdir" | "workdir") if !value.starts_with('/') => bundle() + value,
            ("overlay", "lowerdir") => {
                let mut all = String::new();
                let mut is_start = true;
                let mut escaped = false;
                for c in value.chars() {
                    if is_start && !matches!(c, '/' | ':') {
                        all += &bundle();
                    }
                    is_start = c == ':' && !escaped;
                    escaped = c == '\\' && !escaped;
                    all.push(c);
                }
                all
            }
            _ => value.to_owned(),
        }
    }

    pub(crate) fn clone_of(&self, b: &mut Builder<'_>, source: TreeSource, recursive: bool) {
        b.init(
            self.at.clone(),
            InitStep::CloneTree {
                out: Slot::Tree,
                source,
                recursive,
            },
        );
    }

    pub(crate) fn change(&self, b: &mut Builder<'_>, change: MountChange) {
        let target = MountTarget::Slot(Slot::Tree);
        b.init(self.at.clone(), InitStep::ChangeMount { target, change });
    }

    /// What every kind of tree ends with: recursive attributes, propagation, attachment.
    pub(crate) fn finish(&self, b: &mut Builder<'_>) {
        if !self.is_staged(b) {
            self.recursive_attributes(b, &MountTarget::Slot(Slot::Tree));
        }
        self.propagation(b, &MountTarget::Slot(Slot::Tree));
        let at = self.destination(b);
        self.attach(b, at);
    }

    pub(crate) fn recursive_attributes(&self, b: &mut Builder<'_>, target: &MountTarget) {
        let (set, clear) = (self.options.set_below, self.options.clear_below);
        if set | clear != 0 {
            let target = target.clone();
            let change = MountChange {
                set,
                clear,
                recursive: true,
                ..MountChange::default()
            };
            b.init(self.at.clone(), InitStep::ChangeMount { target, change });
        }
    }

    pub(crate) fn propagation(&self, b: &mut Builder<'_>, target: &MountTarget) {
        for (propagation, recursive) in &self.options.propagation {
            let target = target.clone();
            let change = MountChange {
                propagation: *propagation,
                recursive: *recursive,
                ..MountChange::default()
            };
            b.init(self.at.clone(), InitStep::ChangeMount { target, change });
        }
    }

    pub(crate) fn attach(&self, b: &mut Builder<'_>, at: RootPath) {
        let ordinary = matches!(self.fstype(), "proc" | "sysfs") && self.is_bind().is_none();
        let point = if ordinary {
            MountPoint::Ordinary
        } else if self.options.has(Extra::CopyLink) {
            MountPoint::CopiedLink
        } else if self.options.has(Extra::DestinationLink) {
            MountPoint::Link
        } else if self.is_bind().is_none() {
            MountPoint::Directory
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

    /// The directory turns read-only once its mount points are in it.
    pub(crate) fn lock_directory(&self, b: &mut Builder<'_>) {
        let target = MountTarget::Container(self.destination(b));
        let change = MountChange {
            set: MOUNT_ATTR_RDONLY,
            ..MountChange::default()
        };
        b.init(self.at.clone(), InitStep::ChangeMount { target, change });
    }
}
