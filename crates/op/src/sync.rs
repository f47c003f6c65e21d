//! Where the two halves meet.

/// A point that one half reaches and the other waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Sync {
    /// Host: the child is in its cgroup (cgroup v1 and systemd, where clone3 can't put it there),
    /// and what is done to it from outside before it clones another is done.
    CgroupJoined = 1,
    /// Init: it has created its namespaces, where the clone could not.
    NamespacesMade,
    /// Host: the child's user namespace has its id mappings.
    IdsMapped,
    /// Host: the network namespace, which goes along with the message.
    NetworkMade,
    /// Host: the network devices are in the container's network namespace.
    DevicesMoved,
    /// Init: the root file system lies mounted at its place, so that hooks find it.
    RootMounted,
    /// Host: prestart and createRuntime hooks have run.
    HooksRun,
    /// Host: what is done from outside to a process that clones the container's is done.
    MayClone,
    /// Init: its filter is loaded, and the number of the listener's descriptor is on the board.
    Listening,
    /// Host: it has the listener, and unless init is yet to clone the container's process, the
    /// agent has it too.
    ListenerTaken,
    /// Init: all is done that may fail before `start`.
    Ready,
    /// Host: the state is saved, so that the container can be found and deleted.
    Saved,
}

/// One of the two halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The process that the user started.
    Host,
    /// The container's first process, or the one that `exec` makes.
    Init,
}

impl Sync {
    /// All points, in the order in which they may occur.
    pub const ALL: [Self; 12] = [
        Self::CgroupJoined,
        Self::NamespacesMade,
        Self::IdsMapped,
        Self::NetworkMade,
        Self::DevicesMoved,
        Self::RootMounted,
        Self::HooksRun,
        Self::MayClone,
        Self::Listening,
        Self::ListenerTaken,
        Self::Ready,
        Self::Saved,
    ];

    /// The half that reaches this point and tells the other.
    pub const fn told_by(self) -> Side {
        match self {
            Self::CgroupJoined
            | Self::IdsMapped
            | Self::NetworkMade
            | Self::DevicesMoved
            | Self::HooksRun
            | Self::MayClone
            | Self::ListenerTaken
            | Self::Saved => Side::Host,
            Self::NamespacesMade | Self::RootMounted | Self::Listening | Self::Ready => Side::Init,
        }
    }

    /// The name that the printed plan and `docs/protocol.md` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CgroupJoined => "cgroup-joined",
            Self::NamespacesMade => "namespaces-made",
            Self::IdsMapped => "ids-mapped",
            Self::NetworkMade => "network-made",
            Self::DevicesMoved => "devices-moved",
            Self::RootMounted => "root-mounted",
            Self::HooksRun => "hooks-run",
            Self::MayClone => "may-clone",
            Self::Listening => "listening",
            Self::ListenerTaken => "listener-taken",
            Self::Ready => "ready",
            Self::Saved => "saved",
        }
    }
}

/// What init writes into the FIFO, once, when the hooks of startContainer have run. No line that
/// tells why it ends begins like this.
pub const HOOKS_RUN: u8 = b'+';
