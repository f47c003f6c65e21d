//! Mounts by mount(2): what fsconfig(2) can't say.

use crate::builder::Builder;
use crate::linux::namespaces;
use crate::mounts::Entry;
use crate::mounts::data;
use crate::mounts::options::Extra;
use crate::process::labels;
use kan_op::InitStep;
use kan_op::init::MountTarget;
use linux_raw_sys::general as raw;

/// MOUNT_ATTR_* and what mount(2) calls them.
const ATTRIBUTES: [(u32, u32); 8] = [
    (raw::MOUNT_ATTR_RDONLY, raw::MS_RDONLY),
    (raw::MOUNT_ATTR_NOSUID, raw::MS_NOSUID),
    (raw::MOUNT_ATTR_NODEV, raw::MS_NODEV),
    (raw::MOUNT_ATTR_NOEXEC, raw::MS_NOEXEC),
    (raw::MOUNT_ATTR_NOATIME, raw::MS_NOATIME),
    (raw::MOUNT_ATTR_STRICTATIME, raw::MS_STRICTATIME),
    (raw::MOUNT_ATTR_NODIRATIME, raw::MS_NODIRATIME),
    (raw::MOUNT_ATTR_NOSYMFOLLOW, raw::MS_NOSYMFOLLOW),
];

/// Flags of a file system, which fsconfig(2) knows by name.
const SUPERBLOCK: [(&str, u32); 4] = [
    ("sync", raw::MS_SYNCHRONOUS),
    ("dirsync", raw::MS_DIRSYNC),
    ("lazytime", raw::MS_LAZYTIME),
    ("mand", raw::MS_MANDLOCK),
];

/// The most data that mount(2) takes: a page.
const LONGEST_DATA: usize = 4095;

impl Entry<'_> {
    /// fsconfig(2) has no word for MS_I_VERSION, and does not take every value: the lower directories
    /// of an overlay are often too long.
    pub(crate) fn needs_path(&self, b: &Builder<'_>) -> bool {
        let mut data = self.options.data.iter();
        self.options.has(Extra::InodeVersion)
            || data.any(|(_, key, value)| {
                let value = value.as_ref().map(|value| self.in_bundle(b, key, value));
                value.is_some_and(|value| data::takes_mount(key, &value))
            })
    }

    pub(crate) fn by_path(&self, b: &mut Builder<'_>) {
        let is_remount = self.options.has(Extra::Remount);
        let target = MountTarget::Container(self.destination(b));
        if is_remount && self.is_bind().is_some() {
            for change in self.whole_change(b) {
                let target = target.clone();
                b.init(self.at.clone(), InitStep::ChangeMount { target, change });
            }
            return self.finish_in_place(b, &target);
        }
        let fstype = if is_remount { "" } else { self.fstype() };
        let source = self.mount.source.as_deref().unwrap_or_default();
        let data = self.joined_data(b);
        if data.len() > LONGEST_DATA {
            let why = "the options take more than the 4095 bytes that mount(2) has for them";
            b.problem(format!("{}.options", self.at), why);
        }
        if !is_remount && fstype == "proc" && namespaces::pids_beside(b).is_some() {
            let why = "mount(2) would show kan's processes; give options that fsconfig(2) takes: \
                       shorter ones, without iversion";
            b.problem(self.at.clone(), why);
        }
        let step = InitStep::MountByPath {
            fstype: b.c_string(&format!("{}.type", self.at), fstype),
            source: b.c_string(&format!("{}.source", self.at), source),
            flags: self.flags(is_remount),
            data: b.c_string(&format!("{}.options", self.at), data),
            at: self.destination(b),
        };
        b.init(self.at.clone(), step);
        self.finish_in_place(b, &target);
    }

    fn finish_in_place(&self, b: &mut Builder<'_>, target: &MountTarget) {
        self.recursive_attributes(b, target);
        self.propagation(b, target);
    }

    fn flags(&self, is_remount: bool) -> u32 {
        let attributes = ATTRIBUTES.iter();
        let set = attributes.filter(|(attribute, _)| self.options.set & attribute != 0);
        let mut flags = set.fold(0, |flags, (_, flag)| flags | flag);
        for (name, flag) in SUPERBLOCK {
            if self.options.data.iter().any(|(_, key, _)| key == name) {
                flags |= flag;
            }
        }
        if self.options.has(Extra::InodeVersion) {
            flags |= raw::MS_I_VERSION;
        }
        if is_remount {
            flags |= raw::MS_REMOUNT;
        }
        flags
    }

    fn joined_data(&self, b: &Builder<'_>) -> String {
        let is_flag = |key: &str| SUPERBLOCK.iter().any(|(name, _)| *name == key);
        let data = self.options.data.iter();
        let data = data.filter(|(_, key, value)| value.is_some() || !is_flag(key));
        let words = data.map(|(_, key, value)| {
            let value = value.as_ref().map(|value| self.in_bundle(b, key, value));
            data::join(key, value.as_deref())
        });
        let label = labels::of_mount(b, self.fstype());
        let label = label.map(|(key, label)| data::join(key, Some(label)));
        words.chain(label).collect::<Vec<_>>().join(",")
    }
}
