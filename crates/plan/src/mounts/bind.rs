//! Bind mounts: config.md, Mounts; mount_setattr(2) for mapped ids.

use crate::builder::Builder;
use crate::linux::user_namespace;
use crate::mounts::Entry;
use crate::mounts::cgroup;
use crate::mounts::data;
use crate::mounts::destination::{inside, parts};
use crate::mounts::options::Extra;
use kan_op::host::{MappedIds, StagedTree};
use kan_op::init::{MountChange, TreeSource};
use kan_op::{HostStep, InitStep, Slot};
use kan_spec::config::NamespaceType;
use linux_raw_sys::general::{
    CAP_SYS_ADMIN, MOUNT_ATTR__ATIME, MOUNT_ATTR_NODEV, MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_RDONLY,
};
use std::path::Path;

/// What a remount of a bind mount decides, but for access times.
const FLAGS: u32 = MOUNT_ATTR_RDONLY
    | MOUNT_ATTR_NOSUID
    | MOUNT_ATTR_NODEV
    | MOUNT_ATTR_NOEXEC
    | MOUNT_ATTR_NODIRATIME
    | MOUNT_ATTR_NOSYMFOLLOW;

/// Those that a user namespace locks where a mount comes into it from outside: mount_namespaces(7),
/// Restrictions on mount namespaces. MOUNT_ATTR_NODIRATIME is one of the access times.
const LOCKED: u32 = FLAGS & !MOUNT_ATTR_NOSYMFOLLOW;

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
            self.map_ids(b);
            self.whole_change(b)
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
        let is_new = self.is_bind().is_some() && !self.options.has(Extra::Remount);
        if !is_new || !b.makes_namespace(NamespaceType::Mount) {
            return false;
        }
        let may_stage = b.facts.has_capability(CAP_SYS_ADMIN);
        let is_foreign = user_namespace::is_used(b) && !self.is_in_root(b);
        let is_mapped = self.mapped_ids(b).is_some() && !self.is_mapped_by_init(b);
        is_mapped || may_stage && is_foreign
    }

    /// Whether init maps the ids of a tree that it clones itself: what lies in the root may only be
    /// there once the mounts before it are made. That takes privileges over the file system, which
    /// init has without a user namespace alone.
    fn is_mapped_by_init(&self, b: &Builder<'_>) -> bool {
        let is_new = self.is_bind().is_some() && !self.options.has(Extra::Remount);
        is_new
            && self.index > 0
            && !user_namespace::is_used(b)
            && self.mapped_ids(b).is_some_and(|ids| ids.ranges.is_some())
            && self.is_in_root(b)
    }

    /// Init: maps the ids of a tree of its own.
    fn map_ids(&self, b: &mut Builder<'_>) {
        let Some(ids) = self.mapped_ids(b).filter(|_| self.is_mapped_by_init(b)) else {
            return;
        };
        let namespace = b.c_string(&self.at, self.ids_name());
        let step = InitStep::MapIds {
            tree: Slot::Tree,
            namespace,
            recursive: ids.recursive,
        };
        b.init(self.at.clone(), step);
    }

    /// The name on the stage of the user namespace with its mappings.
    fn ids_name(&self) -> String {
        format!("ids-{}", self.index)
    }

    /// An earlier mount in which the source lies, or which a recursive source holds.
    fn mount_of_source(&self, b: &Builder<'_>) -> Option<usize> {
        let root = b.bundle_path(&b.config.root.as_ref()?.path);
        let source = self.bind_source(b)?;
        let source: Vec<_> = parts(Path::new(&source).strip_prefix(root).ok()?.to_str()?).collect();
        let is_recursive = self.is_bind() == Some(true);
        let earlier = b.config.mounts[..self.index].iter();
        let mut places = earlier.map(|mount| inside(b, mount));
        places.position(|place| {
            let place: Vec<_> = parts(&place).collect();
            source.starts_with(&place) || is_recursive && place.starts_with(&source)
        })
    }

    /// Whether its source lies in the root, as it is written.
    pub(crate) fn is_in_root(&self, b: &Builder<'_>) -> bool {
        let root = b.config.root.as_ref().map(|root| b.bundle_path(&root.path));
        root.zip(self.bind_source(b))
            .is_some_and(|(root, source)| Path::new(&source).starts_with(root))
    }

    /// Whether the host half has something to put on the stage.
    pub(crate) fn needs_stage(&self, b: &Builder<'_>) -> bool {
        self.is_staged(b) || self.is_mapped_by_init(b)
    }

    /// Host: the tree as far as it can be made before the container's mount namespace is.
    pub(crate) fn stage(&self, b: &mut Builder<'_>) {
        if self.is_mapped_by_init(b) {
            return self.stage_ids(b);
        }
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

    fn stage_ids(&self, b: &mut Builder<'_>) {
        let ids = self.mapped_ids(b).and_then(|ids| ids.ranges);
        if let Some(ranges) = ids {
            let name = self.ids_name();
            b.host(self.at.clone(), HostStep::StageIds { name, ranges });
        }
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

    /// What changes where nothing lies between: on a tree of init's own, or on a mount that is remounted.
    pub(crate) fn whole_change(&self, b: &Builder<'_>) -> Vec<MountChange> {
        let (before, after) = self.attributes(b);
        [before, after].concat()
    }

    /// What changes before the tree enters the container's user namespace, where set flags are
    /// locked, and what after, where the kernel refuses to clear a locked one.
    fn attributes(&self, b: &Builder<'_>) -> (Vec<MountChange>, Vec<MountChange>) {
        let options = &self.options;
        // A bind mount without flags keeps its source's. With any, those not named are off, as a
        // remount would have it, unless a user namespace locks them: the container's, or the one
        // that kan itself is in.
        let is_explicit = options.set | options.clear != 0;
        let unnamed = FLAGS & !options.set & !options.clear;
        let unnamed = if is_explicit { unnamed } else { 0 };
        let is_late = user_namespace::is_used(b);
        // On the stage nothing is locked yet.
        let is_locked_later = is_late && self.is_staged(b);
        let own = MountChange {
            set: options.set,
            clear: options.clear | unnamed & !LOCKED,
            clear_unlocked: if is_locked_later { 0 } else { unnamed & LOCKED },
            ..MountChange::default()
        };
        // The recursive ones of a tree that is not staged follow with those of other kinds.
        let (set, clear) = if self.is_staged(b) {
            (options.set_below, options.clear_below)
        } else {
            (0, 0)
        };
        let below = MountChange {
            set,
            clear,
            recursive: true,
            ..MountChange::default()
        };
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for change in [own, below] {
            let always = MOUNT_ATTR__ATIME | MOUNT_ATTR_NOSYMFOLLOW;
            let now = if is_late { always } else { u32::MAX };
            let (early, late) = (change.clear & now, change.clear & !now);
            before.push(MountChange {
                clear: early,
                ..change
            });
            after.push(MountChange {
                set: 0,
                clear: late,
                clear_unlocked: 0,
                ..change
            });
        }
        before.retain(changes_something);
        after.retain(changes_something);
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
        if is_bind {
            self.check_data(b);
        } else if !self.options.has(Extra::Remount) {
            self.check_parameters(b);
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

    /// Parameters that nobody else refuses: kan mounts cgroups in its own way, and some filesystems pass
    /// over what they do not know.
    fn check_parameters(&self, b: &mut Builder<'_>) {
        for (index, key, _) in &self.options.data {
            let (at, fstype) = (format!("{}.options[{index}]", self.at), self.fstype());
            match fstype {
                "cgroup" | "cgroup2" if cgroup::is_parameter(key) => {
                    let note = format!("{at}: {key} has no effect in a container");
                    b.plan.notes.push(note);
                }
                "cgroup" | "cgroup2" => b.problem(at, format!("{fstype} has no option {key:?}")),
                _ if data::is_ignored(fstype, key) => {
                    let why = format!("{fstype} has no option {key:?}, and would ignore it");
                    b.problem(at, why);
                }
                _ => {}
            }
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
        if wants && !b.facts.has_capability(CAP_SYS_ADMIN) {
            // runc: "id-mapped mounts are not supported for rootless containers".
            let why = "only root can map the ids of a mount: mount_setattr(2), CAP_SYS_ADMIN";
            b.problem(format!("{}.uidMappings", self.at), why);
        }
        if wants
            && user_namespace::is_used(b)
            && let Some(earlier) = self.mount_of_source(b)
        {
            let why = format!(
                "lies in mounts[{earlier}], which is not there before the container has its user \
                 namespace; from then on its ids can't be mapped"
            );
            b.problem(format!("{}.source", self.at), why);
        }
        if wants && !b.makes_namespace(NamespaceType::Mount) {
            let why = "mapped ids need a new mount namespace";
            b.problem(format!("{}.uidMappings", self.at), why);
        }
    }
}

fn changes_something(change: &MountChange) -> bool {
    change.set | change.clear | change.clear_unlocked != 0
}
