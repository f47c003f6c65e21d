//! What a filter answers: `SECCOMP_RET_*` of linux/seccomp.h, see seccomp(2).

use kan_spec::config::SeccompAction;

/// `SECCOMP_RET_KILL_THREAD`: also what a call of an architecture outside the profile gets, as
/// libseccomp has it (`SCMP_FLTATR_ACT_BADARCH`), which neither runc nor crun changes.
pub(crate) const KILL_THREAD: u32 = 0;
const KILL_PROCESS: u32 = 0x8000_0000;
const TRAP: u32 = 0x0003_0000;
const ERRNO: u32 = 0x0005_0000;
const USER_NOTIF: u32 = 0x7fc0_0000;
const TRACE: u32 = 0x7ff0_0000;
const LOG: u32 = 0x7ffc_0000;
const ALLOW: u32 = 0x7fff_0000;

/// The lower half of the answer: an errno, or a message to the tracer (`SECCOMP_RET_DATA`).
const DATA: u32 = 0xffff;

const EPERM: u32 = 1;
/// The same on every architecture but mips and parisc.
const ENOSYS: u32 = 38;
const ENOSYS_MIPS: u32 = 89;
const ENOSYS_PARISC: u32 = 251;

/// The filter's answer for an action of the profile. `errno` counts for ERRNO and TRACE alone.
pub(crate) const fn answer(action: SeccompAction, errno: Option<u32>) -> u32 {
    let data = match errno {
        Some(errno) => errno & DATA,
        None => EPERM,
    };
    match action {
        SeccompAction::Kill | SeccompAction::KillThread => KILL_THREAD,
        SeccompAction::KillProcess => KILL_PROCESS,
        SeccompAction::Trap => TRAP,
        SeccompAction::Errno => ERRNO | data,
        SeccompAction::Trace => TRACE | data,
        SeccompAction::Allow => ALLOW,
        SeccompAction::Log => LOG,
        SeccompAction::Notify => USER_NOTIF,
    }
}

/// "Function not implemented" in the numbers of the architecture that the filter runs on.
pub(crate) const fn enosys(audit: u32) -> u32 {
    ERRNO
        | match audit & 0xffff {
            8 => ENOSYS_MIPS,
            15 => ENOSYS_PARISC,
            _ => ENOSYS,
        }
}

/// The actions that a kernel offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actions(u16);

impl Actions {
    /// All of them: every kernel since Linux 5.0.
    pub const ALL: Self = Self(u16::MAX);

    /// Reads /proc/sys/kernel/seccomp/actions_avail, names separated by spaces. Names that no
    /// profile can use are passed over.
    #[must_use]
    pub fn from_actions_avail(text: &str) -> Self {
        let bits = text.split_ascii_whitespace().map(|name| match name {
            "kill_thread" | "kill" => bit(SeccompAction::Kill) | bit(SeccompAction::KillThread),
            "kill_process" => bit(SeccompAction::KillProcess),
            "trap" => bit(SeccompAction::Trap),
            "errno" => bit(SeccompAction::Errno),
            "trace" => bit(SeccompAction::Trace),
            "allow" => bit(SeccompAction::Allow),
            "log" => bit(SeccompAction::Log),
            "user_notif" => bit(SeccompAction::Notify),
            _ => 0,
        });
        Self(bits.fold(0, |all, one| all | one))
    }

    /// Whether the kernel has this one.
    #[must_use]
    pub const fn contains(self, action: SeccompAction) -> bool {
        self.0 & bit(action) != 0
    }
}

const fn bit(action: SeccompAction) -> u16 {
    1 << action as u16
}
