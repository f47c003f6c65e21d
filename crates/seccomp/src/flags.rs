//! The flags of the load: `SECCOMP_FILTER_FLAG_*` of linux/seccomp.h, see seccomp(2).

use kan_spec::config::{SeccompAction, SeccompFlag, SeccompProfile};
use kan_spec::{Problem, Problems};

/// `SECCOMP_FILTER_FLAG_LOG`, Linux 4.14.
pub const LOG: u32 = 1 << 1;
/// `SECCOMP_FILTER_FLAG_SPEC_ALLOW`, Linux 4.17.
pub const SPEC_ALLOW: u32 = 1 << 2;
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`, Linux 5.0: the call returns the agent's descriptor.
pub const NEW_LISTENER: u32 = 1 << 3;
/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`, Linux 5.19; the kernel refuses it without
/// [`NEW_LISTENER`].
pub const WAIT_KILLABLE_RECV: u32 = 1 << 5;
/// Every flag that a filter of this crate can have.
pub const ALL: u32 = LOG | SPEC_ALLOW | NEW_LISTENER | WAIT_KILLABLE_RECV;

/// The flags for a profile, of those that the kernel knows.
///
/// Without the key `flags` the filter is loaded with `SPEC_ALLOW` where the kernel has it, as runc
/// does: the mitigation that the flag leaves off costs a filtered process much of its speed. TSYNC
/// asks that the filter hold for every thread, and the process that loads it has only one, so that
/// nothing is left to ask of the kernel; runc does the same.
pub(crate) fn of(
    profile: &SeccompProfile,
    known: u32,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> u32 {
    let mut flags = 0;
    let listens = listens(profile);
    if listens {
        flags |= NEW_LISTENER;
    }
    let Some(asked) = &profile.flags else {
        return flags | (SPEC_ALLOW & known);
    };
    for (index, &flag) in asked.iter().enumerate() {
        let at = format!("linux.seccomp.flags[{index}]");
        let bit = match flag {
            SeccompFlag::Tsync => continue,
            SeccompFlag::Log => LOG,
            SeccompFlag::SpecAllow => SPEC_ALLOW,
            SeccompFlag::WaitKillableRecv => WAIT_KILLABLE_RECV,
        };
        if known & bit == 0 {
            problems.push(Problem::new(at, format!("the kernel does not know {flag}")));
        } else if flag == SeccompFlag::WaitKillableRecv && !listens {
            warnings.push(format!("{at}: {flag} does nothing without SCMP_ACT_NOTIFY"));
        } else {
            flags |= bit;
        }
    }
    flags
}

/// Whether some rule asks the agent.
#[must_use]
pub fn listens(profile: &SeccompProfile) -> bool {
    let mut rules = profile.syscalls.iter();
    rules.any(|rule| rule.action == SeccompAction::Notify)
}
