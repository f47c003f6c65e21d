//! `process`: config.md, Process, POSIX process and Linux process.

use super::closed_set;

/// What runs in the container (config.md, Process). `exec --process` reads one alone.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Process {
    /// `terminal`: give the process a terminal of its own as stdin, stdout and stderr.
    pub terminal: bool,
    /// `consoleSize`: size of that terminal, in characters.
    pub console_size: Option<ConsoleSize>,
    /// `user`: ids and umask. Absent means root, as in runc and crun.
    pub user: User,
    /// `args`: argv, with the command first; never empty.
    pub args: Vec<String>,
    /// `env`: `NAME=value` entries as for execve(2).
    pub env: Vec<String>,
    /// `cwd`: absolute path inside the container.
    pub cwd: String,
    /// `capabilities`: the five sets of capabilities(7). `None` is not the same as five empty sets
    /// for `exec`, where it means the container's own.
    pub capabilities: Option<Capabilities>,
    /// `rlimits`: at most one for each type.
    pub rlimits: Vec<Rlimit>,
    /// `noNewPrivileges`: prctl(2) PR_SET_NO_NEW_PRIVS.
    pub no_new_privileges: bool,
    /// `apparmorProfile`: the AppArmor profile that execve switches to.
    pub apparmor_profile: Option<String>,
    /// `oomScoreAdj`: -1000 to 1000, written to /proc/self/oom_score_adj; absent leaves it alone.
    pub oom_score_adj: Option<i32>,
    /// `selinuxLabel`: the SELinux context that execve switches to.
    pub selinux_label: Option<String>,
    /// `scheduler`: sched_setattr(2).
    pub scheduler: Option<Scheduler>,
    /// `ioPriority`: ioprio_set(2).
    pub io_priority: Option<IoPriority>,
    /// `execCPUAffinity`: CPUs for processes started by `exec`, not for the container's init.
    pub exec_cpu_affinity: Option<CpuAffinity>,
}

/// `process.consoleSize`: a terminal's size in characters, as `struct winsize` holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConsoleSize {
    /// `height`: rows.
    pub height: u16,
    /// `width`: columns.
    pub width: u16,
}

/// `process.user` (config.md, POSIX-platform user). Ids are those inside the container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    /// `uid`
    pub uid: u32,
    /// `gid`
    pub gid: u32,
    /// `umask`: 0 to 0o777; absent leaves the runtime's choice.
    pub umask: Option<u32>,
    /// `additionalGids`: supplementary groups.
    pub additional_gids: Vec<u32>,
}

/// `process.capabilities`: names such as `CAP_CHOWN`, as written. Unknown names are kept: the
/// specification wants a warning for them, not an error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// `bounding`
    pub bounding: Vec<String>,
    /// `effective`
    pub effective: Vec<String>,
    /// `inheritable`
    pub inheritable: Vec<String>,
    /// `permitted`
    pub permitted: Vec<String>,
    /// `ambient`
    pub ambient: Vec<String>,
}

/// One entry of `process.rlimits`, see setrlimit(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rlimit {
    /// `type`
    pub r#type: RlimitType,
    /// `soft`: never above `hard`. `u64::MAX` is RLIM_INFINITY.
    pub soft: u64,
    /// `hard`
    pub hard: u64,
}

closed_set! {
    /// `process.rlimits[].type`: the limits that Linux has, see getrlimit(2).
    RlimitType("rlimit type") {
        /// Size of the address space, bytes.
        As = "RLIMIT_AS",
        /// Size of a core file, bytes.
        Core = "RLIMIT_CORE",
        /// CPU time, seconds.
        Cpu = "RLIMIT_CPU",
        /// Size of the data segment, bytes.
        Data = "RLIMIT_DATA",
        /// Size of files written, bytes.
        Fsize = "RLIMIT_FSIZE",
        /// File locks; without effect since Linux 2.4.25.
        Locks = "RLIMIT_LOCKS",
        /// Locked memory, bytes.
        Memlock = "RLIMIT_MEMLOCK",
        /// POSIX message queues, bytes.
        Msgqueue = "RLIMIT_MSGQUEUE",
        /// Ceiling of the nice value, as 20 - nice.
        Nice = "RLIMIT_NICE",
        /// Highest file descriptor plus one.
        Nofile = "RLIMIT_NOFILE",
        /// Processes of the real user id.
        Nproc = "RLIMIT_NPROC",
        /// Resident set; without effect since Linux 2.4.30.
        Rss = "RLIMIT_RSS",
        /// Real-time priority.
        Rtprio = "RLIMIT_RTPRIO",
        /// Real-time CPU time without a blocking call, microseconds.
        Rttime = "RLIMIT_RTTIME",
        /// Queued signals of the real user id.
        Sigpending = "RLIMIT_SIGPENDING",
        /// Size of the stack, bytes.
        Stack = "RLIMIT_STACK",
    }
}

/// `process.scheduler`: arguments of sched_setattr(2). An absent number is zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduler {
    /// `policy`
    pub policy: SchedulerPolicy,
    /// `nice`: -20 to 19, for SCHED_OTHER and SCHED_BATCH.
    pub nice: i32,
    /// `priority`: static priority, for SCHED_FIFO and SCHED_RR.
    pub priority: i32,
    /// `flags`
    pub flags: Vec<SchedulerFlag>,
    /// `runtime`: nanoseconds, for SCHED_DEADLINE.
    pub runtime: u64,
    /// `deadline`: nanoseconds, for SCHED_DEADLINE.
    pub deadline: u64,
    /// `period`: nanoseconds, for SCHED_DEADLINE.
    pub period: u64,
}

closed_set! {
    /// `process.scheduler.policy`, see sched(7).
    SchedulerPolicy("scheduler policy") {
        /// The default time-sharing policy.
        Other = "SCHED_OTHER",
        /// Real time, first in first out.
        Fifo = "SCHED_FIFO",
        /// Real time, round robin.
        Rr = "SCHED_RR",
        /// For batch work.
        Batch = "SCHED_BATCH",
        /// Reserved by the kernel, never implemented.
        Iso = "SCHED_ISO",
        /// Very low priority.
        Idle = "SCHED_IDLE",
        /// Earliest deadline first.
        Deadline = "SCHED_DEADLINE",
    }
}

closed_set! {
    /// `process.scheduler.flags[]`, see sched_setattr(2).
    SchedulerFlag("scheduler flag") {
        /// Children start with the default policy. The second name is that of runtime-spec 1.1.
        ResetOnFork = "SCHED_FLAG_RESET_ON_FORK" | "SCHED_RESET_ON_FORK",
        /// Reclaim bandwidth that other deadline tasks leave.
        Reclaim = "SCHED_FLAG_RECLAIM",
        /// Signal a deadline overrun.
        DlOverrun = "SCHED_FLAG_DL_OVERRUN",
        /// Leave the policy as it is.
        KeepPolicy = "SCHED_FLAG_KEEP_POLICY",
        /// Leave the parameters as they are.
        KeepParams = "SCHED_FLAG_KEEP_PARAMS",
        /// Set the lower utilisation clamp.
        UtilClampMin = "SCHED_FLAG_UTIL_CLAMP_MIN",
        /// Set the upper utilisation clamp.
        UtilClampMax = "SCHED_FLAG_UTIL_CLAMP_MAX",
    }
}

/// `process.ioPriority`, see ioprio_set(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoPriority {
    /// `class`
    pub class: IoPriorityClass,
    /// `priority`: 0 (highest) to 7.
    pub priority: u8,
}

closed_set! {
    /// `process.ioPriority.class`, see ioprio_set(2).
    IoPriorityClass("I/O priority class") {
        /// Real time.
        Rt = "IOPRIO_CLASS_RT",
        /// Best effort.
        Be = "IOPRIO_CLASS_BE",
        /// Idle.
        Idle = "IOPRIO_CLASS_IDLE",
    }
}

/// `process.execCPUAffinity`: lists such as `0-3,7`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CpuAffinity {
    /// `initial`: the CPUs before the process moves into the container's cgroup.
    pub initial: Option<String>,
    /// `final`: the CPUs after it moved.
    pub r#final: Option<String>,
}
