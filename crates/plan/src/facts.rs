//! What the planner knows of the host. Golden plans are made with fixed facts.

use kan_op::host::CgroupDirectory;

/// The cgroup that the container will have, in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupFact {
    /// Where the hierarchy is mounted.
    pub mount: String,
    /// The container's cgroup below it, without a leading slash.
    pub path: String,
    /// The hierarchy's controllers as in /proc/self/cgroup; `name=systemd` for a named one.
    pub controllers: Vec<String>,
    /// Whether the hierarchy is of cgroup v2.
    pub is_v2: bool,
}

/// How the host does cgroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cgroups {
    /// cgroup v2 alone: the child starts in its cgroup.
    Unified(CgroupFact),
    /// cgroup v1, or v1 with v2 beside it: the child is moved after the clone.
    Legacy(Vec<CgroupFact>),
    /// None at all.
    Absent,
    /// There are some, and the container gets none: its processes stay where kan itself is.
    Own {
        /// kan's own cgroup in each hierarchy.
        facts: Vec<CgroupFact>,
        /// Why, as the end of a sentence.
        why: String,
    },
}

/// The systemd unit that holds the container's cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its slice, such as `system.slice`.
    pub slice: String,
    /// Its name, such as `kan-web.scope`.
    pub name: String,
    /// Whether it is the user's own manager that makes it, rather than the system's.
    pub is_users: bool,
}

/// What AppArmor does on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppArmor {
    /// It is not there, or switched off.
    Absent,
    /// It is on, and kan itself runs unconfined.
    Unconfined,
    /// It is on, and kan itself runs under a profile.
    Confined,
}

/// Facts about the host and about kan's own process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Where the container's cgroup lies.
    pub cgroups: Cgroups,
    /// The unit that systemd makes for the container's cgroup. For `exec` it is there only if
    /// nobody but systemd may move a process into it.
    pub unit: Option<Unit>,
    /// Whether kan's user is not the host's root, whatever his ids are in his user namespace.
    pub is_rootless: bool,
    /// kan's effective user id, in its user namespace.
    pub uid: u32,
    /// kan's effective group id.
    pub gid: u32,
    /// Whether kan's own user namespace denies setgroups(2), as all below it then do.
    pub denies_groups: bool,
    /// The capabilities that kan can hand on, bit n for capability n: CapPrm of proc(5).
    pub permitted: u64,
    /// kan's bounding set, CapBnd of proc(5).
    pub bounding: u64,
    /// The signals that kan's caller ignores, SigIgn of proc(5): bit n-1 for signal n.
    pub ignored_signals: u64,
    /// AppArmor; looked at only where the config names a profile.
    pub apparmor: AppArmor,
    /// Intel RDT, where it is mounted; looked at only where the config wants it.
    pub resctrl: Option<Resctrl>,
    /// Whether SELinux is on; looked at only where the config has a label.
    pub selinux: bool,
}

impl Facts {
    /// Whether clone3(2) puts the child where it belongs: into its cgroup, or nowhere else than
    /// kan itself is. Otherwise it is moved after it is there.
    pub(crate) fn is_placed_by_clone(&self) -> bool {
        self.unit.is_none() && !matches!(self.cgroups, Cgroups::Legacy(_))
    }

    /// Whether the child is cloned into its cgroup.
    pub(crate) fn is_cloned_into_cgroup(&self) -> bool {
        self.unit.is_none() && matches!(self.cgroups, Cgroups::Unified(_))
    }

    /// Whether kan has a capability (CAP_*).
    pub(crate) const fn has_capability(&self, capability: u32) -> bool {
        self.permitted >> capability & 1 != 0
    }

    /// A machine with cgroup v2 alone and nothing else of note: for golden plans and for
    /// `kan plan` where the real facts don't matter.
    #[must_use]
    pub fn example(id: &str) -> Self {
        Self {
            cgroups: Cgroups::Unified(CgroupFact {
                mount: "/sys/fs/cgroup".into(),
                path: id.into(),
                controllers: Vec::new(),
                is_v2: true,
            }),
            unit: None,
            is_rootless: false,
            uid: 0,
            gid: 0,
            denies_groups: false,
            permitted: 0x1ff_ffff_ffff,
            bounding: 0x1ff_ffff_ffff,
            ignored_signals: 1 << 12,
            apparmor: AppArmor::Unconfined,
            selinux: true,
            resctrl: Some(Resctrl {
                root: "/sys/fs/resctrl".into(),
                allocates_cache: true,
                allocates_bandwidth: true,
                monitors: true,
            }),
        }
    }
}

/// What the host's resctrl file system can do. Looked at only where the config wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resctrl {
    /// Where it is mounted.
    pub root: String,
    /// Cache allocation: its `info` has a directory for the L3 cache.
    pub allocates_cache: bool,
    /// Memory bandwidth allocation: likewise for `MB`.
    pub allocates_bandwidth: bool,
    /// Monitoring: likewise for `L3_MON`.
    pub monitors: bool,
}

/// The directory of a fact, as steps name it.
pub(crate) fn directory(fact: &CgroupFact) -> CgroupDirectory {
    CgroupDirectory {
        mount: fact.mount.clone(),
        path: fact.path.clone(),
    }
}

/// The container's cgroup in each hierarchy.
pub(crate) fn directories(facts: &Facts) -> Vec<CgroupDirectory> {
    match &facts.cgroups {
        Cgroups::Unified(fact) => vec![directory(fact)],
        Cgroups::Legacy(facts) => facts.iter().map(directory).collect(),
        Cgroups::Absent | Cgroups::Own { .. } => Vec::new(),
    }
}
