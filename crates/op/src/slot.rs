//! Named places for what exists only at run time.

/// A place for one open descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Slot {
    /// Init's end of the socket on which the halves meet.
    Channel,
    /// The FIFO on which init waits for `start`.
    Fifo,
    /// The container's root directory: a mount tree at first, `/` after the pivot.
    Root,
    /// A mount tree between its making and its attachment.
    Tree,
    /// The host's /dev/null, for masking files.
    Null,
    /// The shared, empty, read-only directory that masks directories.
    Empty,
    /// The terminal's master side.
    Master,
    /// The terminal's other side, which becomes the process' stdio.
    Terminal,
    /// The socket over which the terminal's master is sent.
    ConsoleSocket,
    /// Where hooks that init runs write their errors.
    HookErrors,
    /// Where they write their output.
    HookOutput,
    /// Through which the agent hears of system calls, seccomp_unotify(2).
    Listener,
    /// A namespace that init joins.
    Namespace(NamespaceSlot),
}

/// The namespace kinds that can be joined by path, each with a slot of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum NamespaceSlot {
    /// user_namespaces(7)
    User,
    /// ipc_namespaces(7)
    Ipc,
    /// uts_namespaces(7)
    Uts,
    /// network_namespaces(7)
    Network,
    /// pid_namespaces(7)
    Pid,
    /// cgroup_namespaces(7)
    Cgroup,
    /// time_namespaces(7)
    Time,
    /// mount_namespaces(7)
    Mount,
}

impl Slot {
    /// How many slots there are.
    pub const COUNT: usize = 20;

    /// This slot's place in a table of [`Slot::COUNT`] entries.
    pub const fn index(self) -> usize {
        match self {
            Self::Channel => 0,
            Self::Fifo => 1,
            Self::Root => 2,
            Self::Tree => 3,
            Self::Null => 4,
            Self::Empty => 5,
            Self::Master => 6,
            Self::Terminal => 7,
            Self::ConsoleSocket => 8,
            Self::HookErrors => 9,
            Self::Listener => 10,
            Self::HookOutput => 11,
            Self::Namespace(kind) => 12 + kind as usize,
        }
    }
}

/// What a step does with a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotUse {
    /// Fills an empty slot.
    Fills(Slot),
    /// Needs it full and leaves it so.
    Reads(Slot),
    /// Needs it full and leaves it empty.
    Empties(Slot),
}
