//! Bind mounts: config.md, Mounts; mount_setattr(2) for mapped ids.

use crate::builder::Builder;
use crate::mount_options::Extra;
use crate::mounts::Entry;
use crate::user_namespace;
use kan_op::HostStep;
use kan_op::host::{MappedIds, StagedTree};
use kan_op::init::{MountChange, TreeSource};
use kan_spec::config::NamespaceType;
use linux_raw_sys::general::{
    CAP_SYS_ADMIN, MOUNT_ATTR__ATIME, MOUNT_ATTR_NODEV, MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_RDONLY,
};

/// What a remount of a bind mount decides, but for access times.
const FLAGS: u32 = MOUNT_ATTR_RDONLY
    | MOUNT_ATTR_NOSUID
    | MOUNT_ATTR_NODEV
    | MOUNT_ATTR_NOEXEC
    | MOUNT_ATTR_NODIRATIME
    | MOUNT_ATTR_NOSYMFOLLOW;

impl Entry<'_> {
    pub(crate) fn bind(&self, b: &mut Builder<'_>, recursive: bool) {
        let Some(path) = self.bind_source(b) else {
            b.problem(format!("{}.source", self.at), "a bind mount needs a source");
            return;
        };
        let changes = if self.is_staged(b) {
            let name = b.c_string(&self.at, self.index.to_string());
            self.clone_of(b, TreeSource::Staged(name), true);
            self.attributes(b).1
        } else {
            let path = b.c_string(&format!("{}.source", self.at), path);
            let source = if self.keeps_source_link() {
                TreeSource::HostLink(path)
            } else {
                TreeSource::Host(path)
            };
            self.clone_of(b, source, recursive);
            let (before, after) = self.attributes(b);
            [before, after].concat()
        };
        for change in changes {
            self.change(b, change);
        }
        self.finish(b);
    }

    fn keeps_source_link(&self) -> bool {
        self.options.has(Extra::SourceLink) || self.options.has(Extra::CopyLink)
    }

    fn bind_source(&self, b: &Builder<'_>) -> Option<String> {
        let source = self.mount.source.as_ref()?;
        Some(b.bundle_path(source))
    }

    /// Whether the host half prepares the tree: to map ids takes privileges over the file system,
    /// and with a user namespace the source may lie where the container's root can't go, and its
    /// flags have to be locked (mount_namespaces(7), Restrictions on mount namespaces). What lies
    /// in the container's own root may be covered by an earlier mount, and is init's to find. A user
    /// without privileges can't have a stage, nor more than init can reach.
    pub(crate) fn is_staged(&self, b: &Builder<'_>) -> bool {
        if self.is_bind().is_none() || !b.makes_namespace(NamespaceType::Mount) {
            return false;
        }
        let may_stage = b.facts.has_capability(CAP_SYS_ADMIN);
        let is_foreign = user_namespace::is_used(b) && !self.is_in_root(b);
        self.mapped_ids(b).is_some() || may_stage && is_foreign
    }

    /// Whether its source lies in the root, as it is written.
    pub(crate) fn is_in_root(&self, b: &Builder<'_>) -> bool {
        let root = b.config.root.as_ref().map(|root| b.bundle_path(&root.path));
        root.zip(self.bind_source(b))
            .is_some_and(|(root, source)| std::path::Path::new(&source).starts_with(root))
    }

    /// Host: the tree as far as it can be made before the container's mount namespace is.
    pub(crate) fn stage(&self, b: &mut Builder<'_>) {
        let Some(source) = self.bind_source(b) else {
            return;
        };
        let tree = StagedTree {
            name: self.index.to_string(),
            source,
            follow: !self.keeps_source_link(),
            recursive: self.is_bind() == Some(true),
            changes: self.attributes(b).0,
            ids: self.mapped_ids(b),
        };
        b.host(self.at.clone(), HostStep::StageTree(tree));
    }

    /// The ids that the entry maps, if any. Mappings alone ask for it, as in runc; the option
    /// alone takes the mappings of the container's user namespace.
    fn mapped_ids(&self, b: &Builder<'_>) -> Option<MappedIds> {
        let option = self.options.maps_ids();
        let (uids, gids) = (&self.mount.uid_mappings, &self.mount.gid_mappings);
        let ranges = user_namespace::ranges;
        if !uids.is_empty() || !gids.is_empty() {
            return Some(MappedIds {
                ranges: Some((ranges(uids), ranges(gids))),
                recursive: option.unwrap_or(false),
            });
        }
        let linux = b.linux()?;
        let own = (ranges(&linux.uid_mappings), ranges(&linux.gid_mappings));
        option.map(|recursive| MappedIds {
            ranges: user_namespace::is_new(b).then_some(own),
            recursive,
        })
    }

    /// What changes before the tree enters the container's user namespace, where set flags are
    /// locked, and what after, where the kernel refuses to clear a locked one.
    fn attributes(&self, b: &Builder<'_>) -> (Vec<MountChange>, Vec<MountChange>) {
        let options = &self.options;
        let mut clear = options.clear;
        let is_explicit = options.set | options.clear != 0;
        // A bind mount without flags keeps its source's. With any, those not named are off, as a
        // remount would have it; in a user namespace they may be locked.
        if is_explicit && !user_namespace::is_used(b) {
            clear |= FLAGS & !options.set;
        }
        let (mut before, mut after) = (Vec::new(), Vec::new());
        // The recursive ones of a tree that is not staged follow with those of other kinds.
        let below = if self.is_staged(b) {
            (options.set_below, options.clear_below, true)
        } else {
            (0, 0, true)
        };
        for (set, clear, recursive) in [(options.set, clear, false), below] {
            let is_late = user_namespace::is_used(b);
            let now = if is_late { MOUNT_ATTR__ATIME } else { u32::MAX };
            add(&mut before, set, clear & now, recursive);
            add(&mut after, 0, clear & !now, recursive);
        }
        (before, after)
    }

    /// What contradicts itself.
    pub(crate) fn check(&self, b: &mut Builder<'_>) {
        let is_bind = self.is_bind().is_some();
        for (index, extra) in &self.options.extras {
            if let Some(why) = self.contradiction(*extra, is_bind) {
                b.problem(format!("{}.options[{index}]", self.at), why);
            }
        }
        if is_bind && !self.options.has(Extra::Remount) {
            self.check_data(b);
        }
        self.check_ids(b, is_bind);
    }

    fn contradiction(&self, extra: Extra, is_bind: bool) -> Option<&'static str> {
        match extra {
            Extra::CopyUp if self.fstype() != "tmpfs" || is_bind => {
                Some("tmpcopyup is an option of tmpfs")
            }
            Extra::SourceLink | Extra::CopyLink if !is_bind => {
                Some("is an option of bind mounts alone")
            }
            Extra::CopyLink
                if self.options.has(Extra::SourceLink)
                    || self.options.has(Extra::DestinationLink) =>
            {
                Some("copy-symlink excludes src-nofollow and dest-nofollow")
            }
            Extra::MapIds { .. } if !is_bind => Some("ids can be mapped in bind mounts alone"),
            _ => None,
        }
    }

    /// A bind mount has no file system of its own to take options. runc: "bind mounts cannot have
    /// any filesystem-specific options applied". Flags of the kernel's it lets pass, for mount(2)
    /// does.
    fn check_data(&self, b: &mut Builder<'_>) {
        for (index, key, value) in &self.options.data {
            let at = format!("{}.options[{index}]", self.at);
            let is_flag = matches!(&**key, "sync" | "dirsync" | "lazytime" | "mand");
            if is_flag && value.is_none() {
                let note = format!("{at}: {key} has no effect on a bind mount");
                b.plan.notes.push(note);
                continue;
            }
            let why = "bind mounts cannot have any filesystem-specific options applied";
            b.problem(at, why);
        }
    }

    fn check_ids(&self, b: &mut Builder<'_>, is_bind: bool) {
        let (uids, gids) = (&self.mount.uid_mappings, &self.mount.gid_mappings);
        let has_some = !uids.is_empty() || !gids.is_empty();
        if has_some && !is_bind {
            let at = format!("{}.uidMappings", self.at);
            b.problem(at, "ids can be mapped in bind mounts alone");
        }
        if uids.is_empty() != gids.is_empty() {
            let missing = if uids.is_empty() { "uid" } else { "gid" };
            let at = format!("{}.{missing}Mappings", self.at);
            b.problem(at, "both users and groups have to be mapped, or neither");
        }
        let wants = has_some || self.options.maps_ids().is_some();
        if wants && !has_some && !user_namespace::is_used(b) {
            let why = "idmap needs uidMappings and gidMappings, or a user namespace whose it takes";
            b.problem(format!("{}.uidMappings", self.at), why);
        }
        if wants && !b.makes_namespace(NamespaceType::Mount) {
            let why = "mapped ids need a new mount namespace";
            b.problem(format!("{}.uidMappings", self.at), why);
        }
    }
}

fn add(changes: &mut Vec<MountChange>, set: u32, clear: u32, recursive: bool) {
    if set | clear != 0 {
        changes.push(MountChange {
            set,
            clear,
            propagation: 0,
            recursive,
        });
    }
}
