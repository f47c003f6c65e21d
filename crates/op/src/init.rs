//! The steps of the init half.

use crate::{Slot, Sync};
use alloc::ffi::CString;
use alloc::vec::Vec;

pub use crate::mount::{
    MountChange, MountPoint, MountTarget, NewMount, Parameter, RootPath, TreeSource,
};

/// A kind of device file, mknod(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A character device.
    Character {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    Block {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// How init leaves the host's root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootEntry {
    /// pivot_root(2), then the old root is detached.
    Pivot {
        /// Whether the old root is made a slave first, so that the detaching does not spread.
        slave_first: bool,
    },
    /// The root's mount is moved over `/`, then chroot(2): for hosts whose root is the initramfs,
    /// where pivot_root(2) can't work (`--no-pivot`).
    Move,
    /// chroot(2) alone: for containers without a mount namespace.
    Chroot,
}

/// Users and groups of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups; `None` leaves them as they are.
    pub groups: Option<Vec<u32>>,
    /// Whether a setgroups(2) that is refused changes nothing: for no groups, in a user namespace that
    /// may deny the call (user_namespaces(7)).
    pub groups_may_stay: bool,
}

/// What is executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The paths to try, in this order: the first one that exists is taken.
    pub candidates: Vec<CString>,
    /// argv.
    pub args: Vec<CString>,
    /// The environment.
    pub env: Vec<CString>,
    /// Whether HOME is added, as [`InitStep::FindHome`] found it.
    pub with_home: bool,
}

/// Where a hook's output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Where init's goes, which is the container's.
    Inherited,
    /// Nowhere.
    Null,
    /// Into the descriptor in a slot.
    Into(Slot),
}

impl Stream {
    /// The slot, if it is one.
    #[must_use]
    pub const fn slot(self) -> Option<Slot> {
        match self {
            Self::Into(slot) => Some(slot),
            Self::Inherited | Self::Null => None,
        }
    }
}

/// A hook that init runs, in the container's namespaces: config.md, POSIX-platform hooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitHook {
    /// Its kind as in config.json, such as `createContainer`.
    pub kind: &'static str,
    /// Its place in the list of its kind.
    pub index: usize,
    /// The executable.
    pub path: CString,
    /// argv.
    pub args: Vec<CString>,
    /// The environment.
    pub env: Vec<CString>,
    /// Whether HOME is added, as [`InitStep::FindHome`] found it.
    pub with_home: bool,
    /// Whether it starts in the container's root, which is not entered yet, rather than where init is.
    pub in_root: bool,
    /// The state document for its stdin, up to the pid, which only init knows.
    pub state_before: Vec<u8>,
    /// The rest of it.
    pub state_after: Vec<u8>,
    /// Seconds until it is given up.
    pub timeout: Option<u64>,
    /// Its stdout.
    pub stdout: Stream,
    /// Its stderr.
    pub stderr: Stream,
}

/// Arguments of sched_setattr(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheduling {
    /// SCHED_*.
    pub policy: u32,
    /// SCHED_FLAG_*.
    pub flags: u64,
    /// Nice value.
    pub nice: i32,
    /// Static priority.
    pub priority: u32,
    /// Nanoseconds.
    pub runtime: u64,
    /// Nanoseconds.
    pub deadline: u64,
    /// Nanoseconds.
    pub period: u64,
}

/// How the host half gets the descriptor of a filter's listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// It takes a duplicate by pidfd_getfd(2) of the number on the board: no call is made that the
    /// filter may forbid.
    Offered,
    /// Init sends it over the channel: for a host half without the privilege to take it, and a
    /// filter that allows sendmsg(2).
    Sent,
}

/// `struct sock_filter` of linux/filter.h.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterInstruction {
    /// The operation.
    pub code: u16,
    /// Instructions to skip if the test holds.
    pub jt: u8,
    /// Instructions to skip if it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

/// One thing that init does. Every field is resolved; there is nothing left to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InitStep {
    /// Waits until the host tells that it has reached this point.
    Wait(Sync),
    /// Tells the host that init has reached this point.
    Tell(Sync),
    /// Closes every inherited descriptor but stdio, the preserved ones and those in slots.
    CloseInherited {
        /// How many descriptors from 3 on are kept (`--preserve-fds`).
        preserved: u32,
    },
    /// Gives signals their default action and blocks none, whatever the caller had set.
    ResetSignals {
        /// The ignored ones, bit n-1 for signal n.
        ignored: u64,
    },
    /// setsid(2).
    NewSession,
    /// A session keyring of its own, so that the container can't read the caller's.
    NewKeyring {
        /// Its description.
        name: CString,
    },
    /// PR_SET_DUMPABLE off: from here on other processes can't look into this one
    /// (CVE-2016-9962).
    HideMemory,
    /// Undoes that, once kan's environment is overwritten: for a user who is not root, and could
    /// not enter a container that waits for `start` otherwise.
    ShowMemory,
    /// Joins the namespace in a slot, or with a pidfd several at once.
    Join {
        /// What to join.
        slot: Slot,
        /// CLONE_NEW* flags.
        flags: u32,
    },
    /// Receives the network namespace that the host half makes, and joins it; or makes it, where
    /// the host half says that it could not.
    EnterNetwork,
    /// Brings `lo` up in a new network namespace that init is in.
    RaiseLoopback,
    /// unshare(2).
    Unshare {
        /// CLONE_NEW* flags.
        flags: u32,
    },
    /// Changes mount attributes.
    ChangeMount {
        /// Which mount.
        target: MountTarget,
        /// What changes.
        change: MountChange,
    },
    /// A detached mount of a new file system.
    NewFilesystem(NewMount),
    /// mount(2) at a path inside the container: for what fsconfig(2) can't say.
    MountByPath {
        /// The type as in /proc/filesystems; empty for MS_REMOUNT.
        fstype: CString,
        /// What mountinfo shows as the source. For a disk it is the device.
        source: CString,
        /// MS_*; with MS_REMOUNT what lies at the path changes.
        flags: u32,
        /// The file system's options, separated by commas.
        data: CString,
        /// Where.
        at: RootPath,
    },
    /// Copies what lies in a directory inside the container into the tree in a slot: files,
    /// directories, links, devices, with mode and owner.
    CopyUp {
        /// The tree.
        tree: Slot,
        /// The directory; nothing is done if it is missing.
        from: RootPath,
    },
    /// A detached copy of a mount.
    CloneTree {
        /// Where the copy goes.
        out: Slot,
        /// What is copied.
        source: TreeSource,
        /// Whether the mounts below come along.
        recursive: bool,
    },
    /// Maps the ids of the tree in a slot, which is attached nowhere yet.
    MapIds {
        /// The tree.
        tree: Slot,
        /// The name on the stage of the user namespace whose mappings it gets.
        namespace: CString,
        /// Whether the mounts below get them as well.
        recursive: bool,
    },
    /// Attaches the tree in a slot, at a path inside the container.
    Attach {
        /// The tree; its slot is empty afterwards.
        tree: Slot,
        /// Where.
        at: RootPath,
        /// Which mount points are acceptable.
        point: MountPoint,
    },
    /// Attaches the tree in a slot at a path of the host, in init's mount namespace.
    /// The slot stays full.
    AttachOnHost {
        /// The tree.
        tree: Slot,
        /// Where.
        at: CString,
    },
    /// Takes away what is mounted at a path inside the container, at once or when nobody uses it
    /// any more.
    Unmount {
        /// The directory that holds it.
        directory: RootPath,
        /// Its name in there.
        name: CString,
    },
    /// Closes the descriptor in a slot.
    Close(Slot),
    /// Opens the host's /dev/null, and makes sure that it is.
    OpenNull,
    /// A directory inside the container, with its parents, unless it is there.
    MakeDirectory {
        /// Where.
        at: RootPath,
    },
    /// A device node inside the container; replaced never, accepted if it is the same.
    MakeNode {
        /// Where.
        at: RootPath,
        /// Its kind.
        kind: NodeKind,
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// A symbolic link inside the container. What lies there already stays.
    MakeLink {
        /// Where.
        at: RootPath,
        /// What it says.
        target: CString,
        /// Whether it replaces a file that lies there (/dev/ptmx must lead to the container's own).
        replace: bool,
    },
    /// Hides a path: a directory below the shared empty one, a file below /dev/null.
    /// Nothing is done if it is missing.
    MaskPath {
        /// Which.
        path: RootPath,
    },
    /// Makes a path read-only by a mount on itself. Nothing is done if it is missing.
    LockPath {
        /// Which.
        path: RootPath,
    },
    /// Leaves the host's root for the container's.
    EnterRoot(RootEntry),
    /// Opens `/`, in a mount namespace that was joined.
    OpenRoot,
    /// sethostname(2).
    SetHostname(CString),
    /// setdomainname(2).
    SetDomainname(CString),
    /// Writes a file below the host's /proc: sysctls, oom_score_adj.
    WriteProc {
        /// Its path below /proc.
        file: CString,
        /// What is written.
        value: CString,
    },
    /// A terminal from the container's own devpts.
    OpenTerminal {
        /// Its size in characters, (width, height).
        size: Option<(u16, u16)>,
        /// The user who owns it.
        uid: u32,
        /// Whether it turns a newline into a carriage return and a newline, ONLCR of termios(3), as
        /// the kernel's new terminals do. Not where the receiver's own terminal does that.
        newlines: bool,
    },
    /// Binds the terminal on the container's /dev/console.
    BindConsole,
    /// Sends the terminal's master over the console socket; both slots are empty afterwards.
    SendTerminal,
    /// Puts the terminal on stdin, stdout and stderr; its slot is empty afterwards.
    UseTerminal,
    /// Makes the terminal on stdin the session's controlling one, ioctl TIOCSCTTY.
    ControlTerminal,
    /// Clones a sibling in the pid namespace that was joined for children, which performs the
    /// remaining steps with nothing of this process' memory; this process exits. Until then
    /// nobody in that pid namespace can see it.
    EnterPidNamespace,
    /// prlimit(2).
    SetLimit {
        /// RLIMIT_*.
        resource: u32,
        /// The soft limit; `u64::MAX` is none.
        soft: u64,
        /// The hard limit.
        hard: u64,
    },
    /// sched_setattr(2).
    SetScheduler(Scheduling),
    /// ioprio_set(2): class and level as the call takes them.
    SetIoPriority(u32),
    /// sched_setaffinity(2): bit n of the words is CPU n.
    SetAffinity(Vec<u64>),
    /// personality(2).
    SetPersonality(u32),
    /// set_mempolicy(2).
    SetMemoryPolicy {
        /// Mode and flags.
        mode: u32,
        /// The nodes, bit n of the words for node n.
        nodes: Vec<u64>,
    },
    /// Enters the time namespace that was unshared for children, time_namespaces(7).
    EnterTimeNamespace,
    /// umask(2).
    SetUmask(u32),
    /// Enters the working directory as root and makes sure that it lies inside the container. A
    /// refusal is kept for the step after [`Self::SetIds`].
    EnterDirectory(CString),
    /// The same as the user, if root was refused; else nothing.
    ConfirmDirectory(CString),
    /// PR_CAPBSET_DROP for each.
    DropBounding {
        /// The capabilities to drop, bit n for capability n.
        drop: u64,
    },
    /// Users and groups; capabilities are kept across it.
    SetIds(Ids),
    /// capset(2), bit n for capability n.
    SetCapabilities {
        /// Effective set.
        effective: u64,
        /// Permitted set.
        permitted: u64,
        /// Inheritable set.
        inheritable: u64,
    },
    /// Raises ambient capabilities.
    RaiseAmbient {
        /// Bit n for capability n.
        capabilities: u64,
    },
    /// PR_SET_NO_NEW_PRIVS.
    NoNewPrivileges,
    /// Looks the user's home directory up in the container's /etc/passwd; `/` if it is not there.
    FindHome {
        /// The user.
        uid: u32,
    },
    /// Looks the executable up, so that a missing one is an error of `create`.
    FindProgram,
    /// Leaves all memory but what the remaining steps need: whoever enters the container before its
    /// program is executed, and a hook in it, may look into this process.
    LeaveMemory,
    /// seccomp(2), SECCOMP_SET_MODE_FILTER. From here on only read, write, close, execve and
    /// exit_group are sure to be allowed, and what a profile for programs can't do without.
    LoadFilter {
        /// The program.
        program: Vec<FilterInstruction>,
        /// SECCOMP_FILTER_FLAG_*.
        flags: u32,
        /// How the host half gets the listener, which goes into its slot: only where the flags ask
        /// for one.
        listener: Option<Listener>,
    },
    /// Blocks on the FIFO until `start` writes a byte. It stays open until the program is
    /// executed, by which `start` knows of that.
    AwaitStart,
    /// Tells `start`, which waits at the FIFO's other end, that the hooks of startContainer have
    /// run: an init that is killed before can't say so itself.
    TellHooksRun,
    /// Runs a hook and waits for it.
    RunHook(InitHook),
    /// execve(2) of what [`Self::FindProgram`] found. It closes the channel, by which the host
    /// knows of its success.
    Execute(Program),
}
