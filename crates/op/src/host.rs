//! The steps of the host half.

pub use crate::cgroup::CgroupDirectory;
use crate::init::Scheduling;
use crate::mount::MountChange;
use crate::unit::Property;
use crate::{Limits, Slot, Sync};
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt::{self, Write as _};

/// An id mapping line, user_namespaces(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// First id inside the namespace.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// Mappings of users and of groups.
pub type IdRanges = (Vec<IdRange>, Vec<IdRange>);

/// Ids of a mount's files that are mapped, mount_setattr(2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedIds {
    /// Users and groups; `None` for those of the user namespace that the container joins.
    pub ranges: Option<IdRanges>,
    /// Whether the mounts below are mapped as well.
    pub recursive: bool,
}

/// A mount tree of the host's that init finds ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedTree {
    /// Its name on the stage.
    pub name: String,
    /// The path it is cloned from.
    pub source: String,
    /// Whether a symbolic link at the end of the path is followed.
    pub follow: bool,
    /// Whether the mounts below come along.
    pub recursive: bool,
    /// What changes, in order.
    pub changes: Vec<MountChange>,
    /// The ids that are mapped.
    pub ids: Option<MappedIds>,
}

/// A namespace that is joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Where it is open.
    pub slot: Slot,
    /// Its CLONE_NEW* flag.
    pub flag: u32,
}

/// The device files that a rule speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// Character and block devices.
    All,
    /// Character devices.
    Character,
    /// Block devices.
    Block,
}

/// One rule of the devices controller, cgroup-v1/devices.rst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRule {
    /// Whether it allows or denies.
    pub allow: bool,
    /// Which kind of device.
    pub kind: DeviceKind,
    /// Major number; `None` is any.
    pub major: Option<u32>,
    /// Minor number; `None` is any.
    pub minor: Option<u32>,
    /// Reading.
    pub read: bool,
    /// Writing.
    pub write: bool,
    /// mknod(2).
    pub mknod: bool,
}

impl fmt::Display for DeviceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.allow { "allow" } else { "deny" };
        let kind = match self.kind {
            DeviceKind::All => 'a',
            DeviceKind::Character => 'c',
            DeviceKind::Block => 'b',
        };
        write!(f, "{verb} {kind} ")?;
        number(f, self.major)?;
        f.write_char(':')?;
        number(f, self.minor)?;
        f.write_char(' ')?;
        for (letter, has) in [('r', self.read), ('w', self.write), ('m', self.mknod)] {
            if has {
                f.write_char(letter)?;
            }
        }
        Ok(())
    }
}

fn number(f: &mut fmt::Formatter<'_>, number: Option<u32>) -> fmt::Result {
    match number {
        Some(number) => write!(f, "{number}"),
        None => f.write_char('*'),
    }
}

/// A class of service of Intel RDT, a directory in resctrl: config-linux.md, IntelRdt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResctrlGroup {
    /// The directory.
    pub path: String,
    /// Whether it has to be there already.
    pub must_exist: bool,
    /// Whether others may use it, so that one that is there is compared and not changed.
    pub is_shared: bool,
    /// Lines for its `schemata`.
    pub schemata: Vec<String>,
    /// A group in it that monitors the container alone.
    pub monitor: Option<String>,
}

/// A hook that kan runs itself, in the runtime's namespaces: config.md, POSIX-platform hooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostHook {
    /// Its kind as in config.json, such as `createRuntime`.
    pub kind: &'static str,
    /// Its place in the list of its kind.
    pub index: usize,
    /// The executable.
    pub path: String,
    /// argv; empty means the path alone.
    pub args: Vec<String>,
    /// The environment; empty means kan's own.
    pub env: Vec<String>,
    /// Seconds until it is given up.
    pub timeout: Option<u64>,
    /// A file that its stdout is added to; `None` is nowhere.
    pub stdout: Option<String>,
    /// A file that its stderr is added to; `None` keeps it for the error.
    pub stderr: Option<String>,
}

/// One thing that kan does itself. Every field is resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostStep {
    /// The container's directory, locked until the command ends.
    MakeContainer {
        /// The id.
        id: String,
    },
    /// Saves what is known, so that whatever follows can be deleted.
    SaveState,
    /// Keeps a copy of config.json, for `exec` and hooks.
    SaveConfig,
    /// The FIFO on which init waits for `start`.
    MakeFifo,
    /// Gives the FIFO the name by which `start` finds it: the container is created now.
    PublishFifo,
    /// Opens namespaces of the container that `exec` enters, each into its slot, and makes sure that
    /// they are those that `create` gave it, or belong to the same user namespace.
    OpenContainer {
        /// CLONE_NEW* flags.
        namespaces: u32,
        /// Whether its root directory is opened too: it is not that of a mount namespace.
        with_root: bool,
    },
    /// Opens a namespace that init joins.
    OpenNamespace {
        /// Where it goes.
        slot: Slot,
        /// Its file.
        path: String,
        /// The CLONE_NEW* flag that it must be of.
        flag: u32,
    },
    /// Connects to the socket that receives the terminal.
    ConnectConsole {
        /// Its path; `None` where kan itself receives it.
        path: Option<String>,
    },
    /// The container's cgroup, in each hierarchy.
    MakeCgroup(Vec<CgroupDirectory>),
    /// Limits of one controller, in the container's cgroup.
    Limit(Limits),
    /// Which devices the container may use; later rules override earlier ones.
    LimitDevices(Vec<DeviceRule>),
    /// Enters a mount namespace of kan's own, which init's will be a copy of, and makes an empty
    /// directory there, the stage, in which init begins. The clone leaves both.
    OpenStage,
    /// Puts a tree on the stage.
    StageTree(StagedTree),
    /// Puts a user namespace with these mappings on the stage: a file of this name, for init to map
    /// the ids of a tree that it clones itself.
    StageIds {
        /// Its name on the stage.
        name: String,
        /// Its mappings.
        ranges: IdRanges,
    },
    /// Goes on in a copy of the stage's mount namespace that belongs to the container's user
    /// namespace, in which the kernel locks the flags of every mount.
    LockStage,
    /// clone3(2).
    Clone {
        /// CLONE_NEW* flags.
        flags: u32,
        /// Whether the child starts in the container's cgroup (CLONE_INTO_CGROUP).
        into_cgroup: bool,
        /// Namespaces that a process in between joins first, of which the child is then a
        /// sibling (CLONE_PARENT). Their slots are empty afterwards.
        join: Vec<Joined>,
        /// Whether the child hides its memory from its first moment on (PR_SET_DUMPABLE, prctl(2)):
        /// it is made where others are who may trace it.
        hidden: bool,
    },
    /// kan itself takes the child's oom_score_adj, proc(5), until that is cloned: one who hides his
    /// memory may write it no more.
    LendOomScoreAdj(i32),
    /// Moves the child into the container's cgroup.
    JoinCgroup,
    /// Lets systemd start a transient unit that holds the child, and waits until it has.
    StartUnit {
        /// Its name.
        unit: String,
        /// Its properties, without `PIDs`, which names the child.
        properties: Vec<Property>,
    },
    /// Makes what a unit's manager has not made of the container's cgroup, and moves the child
    /// there.
    EnterUnit(Vec<CgroupDirectory>),
    /// Makes a user of the host the owner of the container's v2 cgroup.
    GiveCgroup {
        /// The user.
        uid: u32,
    },
    /// Moves the child into a cgroup below the container's v2 one.
    DelegateCgroup {
        /// Its name.
        name: String,
        /// The user of the host who gets it.
        uid: Option<u32>,
    },
    /// Lets systemd move the child into a running unit.
    AttachToUnit {
        /// Its name.
        unit: String,
    },
    /// Writes the child's id mappings.
    MapIds {
        /// User ids.
        uids: Vec<IdRange>,
        /// Group ids.
        gids: Vec<IdRange>,
        /// Whether setgroups(2) is denied before.
        deny_groups: bool,
    },
    /// A new network namespace for the child, while that mounts: making one takes the kernel longer
    /// than all others together. kan goes into it (unshare(2)), hands it over and comes back.
    MakeNetwork,
    /// Moves a network device into the container's network namespace, with what it is called
    /// there, its permanent global addresses, and up: config-linux.md, Network Devices.
    MoveNetDevice {
        /// Its name here.
        name: String,
        /// Its name there.
        new_name: String,
        /// The namespace's file; `None` for the child's own.
        namespace: Option<String>,
    },
    /// Writes the child's oom_score_adj, proc(5).
    SetOomScoreAdj(i32),
    /// prlimit(2) on the child.
    SetLimit {
        /// RLIMIT_*.
        resource: u32,
        /// The soft limit; `u64::MAX` is none.
        soft: u64,
        /// The hard limit.
        hard: u64,
    },
    /// sched_setattr(2) on the child, where a clone would take the policy away: sched(7).
    SetScheduler(Scheduling),
    /// Waits until the child has cloned the container's process ([`crate::InitStep::EnterPidNamespace`])
    /// and ended; that process is the child from here on.
    ReceiveProcess,
    /// Receives init's seccomp listener, where init sends it.
    ReceiveListener,
    /// Takes init's seccomp listener, unless it was received.
    TakeListener,
    /// Sends the listener to the agent, with the container process state of config-linux.md.
    SendListener {
        /// The agent's socket.
        path: String,
        /// What the agent is told besides.
        metadata: Option<String>,
    },
    /// Makes a class of service, or takes one that is there.
    MakeResctrlGroup(ResctrlGroup),
    /// Moves the child into groups of resctrl, in this order.
    JoinResctrlGroups(Vec<String>),
    /// Tells init that the host has reached this point.
    Tell(Sync),
    /// Waits until init tells that it has reached this point.
    Wait(Sync),
    /// A pipe through which the errors of hooks that init runs come back.
    MakeHookPipe,
    /// Opens a file that the output of hooks that init runs is added to.
    OpenHookOutput {
        /// Where it goes.
        slot: Slot,
        /// The file.
        path: String,
    },
    /// Runs a hook.
    RunHook(HostHook),
    /// Writes the child's pid, for whoever started kan.
    WritePidFile {
        /// Where.
        path: String,
    },
    /// Sends the child's pidfd over a socket.
    SendPidfd {
        /// The socket's path.
        path: String,
        /// What is sent with it: what the child is.
        what: &'static CStr,
    },
    /// The directory in which the container finds the socket for sd_notify(3).
    MakeNotifySocket {
        /// Whether the socket is made at once, rather than by `start`.
        listen: bool,
    },
}
