//! `process.scheduler`, `process.ioPriority`, `process.execCPUAffinity`, `linux.memoryPolicy`,
//! `linux.personality`, `linux.timeOffsets`: where and when the process runs.

use crate::builder::Builder;
use kan_op::init::Scheduling;
use kan_op::{HostStep, InitStep};
use kan_spec::config::{
    IoPriorityClass, MemoryPolicyFlag, MemoryPolicyMode, NamespaceType, PersonalityDomain,
    Scheduler, SchedulerFlag, SchedulerPolicy, parse_list,
};
use linux_raw_sys::general::CLONE_NEWTIME;

/// The size of an affinity mask that covers every machine: CONFIG_NR_CPUS of distributions.
const ALL_CPUS: usize = 8192;

/// Init: the caller's affinity is not the container's; its cpuset is what limits it, as in runc.
pub(crate) fn reset_affinity(b: &mut Builder<'_>) {
    b.init("", InitStep::SetAffinity(vec![u64::MAX; ALL_CPUS / 64]));
}

/// Init of `exec`: the CPUs before the process is in the container's cgroup.
pub(crate) fn initial_affinity(b: &mut Builder<'_>) {
    let affinity = b
        .process()
        .and_then(|process| process.exec_cpu_affinity.as_ref());
    if let Some(cpus) = affinity.and_then(|affinity| affinity.initial.as_deref()) {
        set_affinity(b, "process.execCPUAffinity.initial", cpus);
    }
}

/// Init of `exec`: the CPUs from then on; without the field all that the cpuset has.
pub(crate) fn final_affinity(b: &mut Builder<'_>) {
    let affinity = b
        .process()
        .and_then(|process| process.exec_cpu_affinity.as_ref());
    match affinity.and_then(|affinity| affinity.r#final.as_deref()) {
        Some(cpus) => set_affinity(b, "process.execCPUAffinity.final", cpus),
        None => reset_affinity(b),
    }
}

fn set_affinity(b: &mut Builder<'_>, at: &str, cpus: &str) {
    match words(cpus, ALL_CPUS) {
        Some(words) => b.init(at.to_owned(), InitStep::SetAffinity(words)),
        None => b.problem(
            at,
            format!("{cpus:?} is not a list of CPUs below {ALL_CPUS}"),
        ),
    }
}

/// A list such as `0-3,7` as a bit mask.
fn words(list: &str, limit: usize) -> Option<Vec<u64>> {
    let mut words = Vec::new();
    if list.is_empty() {
        return Some(words);
    }
    for (first, last) in parse_list(list).ok()? {
        for bit in usize::try_from(first).ok()?..=usize::try_from(last).ok()? {
            if bit >= limit {
                return None;
            }
            if words.len() <= bit / 64 {
                words.resize(bit / 64 + 1, 0);
            }
            words[bit / 64] |= 1 << (bit % 64);
        }
    }
    Some(words)
}

/// Init: while it still has the capabilities for it.
pub(crate) fn io_priority(b: &mut Builder<'_>) {
    if let Some(priority) = b.process().and_then(|process| process.io_priority) {
        let class = match priority.class {
            IoPriorityClass::Rt => 1,
            IoPriorityClass::Be => 2,
            IoPriorityClass::Idle => 3,
        };
        let value = class << 13 | u32::from(priority.priority);
        b.init("process.ioPriority", InitStep::SetIoPriority(value));
    }
}

/// Init: likewise.
pub(crate) fn scheduler(b: &mut Builder<'_>) {
    if let Some(wanted) = checked_scheduling(b).filter(|one| !is_set_from_outside(b, one)) {
        b.init("process.scheduler", InitStep::SetScheduler(wanted));
    }
}

/// Whether the policy would not survive the clone of the container's process: a deadline task can't
/// be cloned, and the flag resets the clone's policy (sched(7)).
fn is_set_from_outside(b: &Builder<'_>, wanted: &Scheduling) -> bool {
    let is_lost =
        wanted.policy == policy(SchedulerPolicy::Deadline) || wanted.flags & RESET_ON_FORK != 0;
    b.clones && is_lost
}

/// Host: see [`is_set_from_outside`]. `forks` says whether hooks are still to be forked.
pub(crate) fn scheduler_from_outside(b: &mut Builder<'_>, forks: bool) {
    if let Some(mut wanted) = scheduling(b).filter(|wanted| is_set_from_outside(b, wanted)) {
        if forks {
            wanted = with_hooks(b, wanted);
        }
        b.host("process.scheduler", HostStep::SetScheduler(wanted));
    }
}

/// Init of `create`: as [`scheduler`], where hooks may still be forked. A deadline task can't fork
/// (sched(7)) unless its children are to be none, and once the hooks have run init has no
/// privilege left to become one or to lose that mark.
pub(crate) fn scheduler_before_hooks(b: &mut Builder<'_>) {
    if let Some(wanted) = checked_scheduling(b).filter(|one| !is_set_from_outside(b, one)) {
        let wanted = with_hooks(b, wanted);
        b.init("process.scheduler", InitStep::SetScheduler(wanted));
    }
}

fn with_hooks(b: &Builder<'_>, mut wanted: Scheduling) -> Scheduling {
    let hooks = b.config.hooks.as_ref();
    let forks = hooks.is_some_and(|hooks| !hooks.start_container.is_empty());
    if forks && wanted.policy == policy(SchedulerPolicy::Deadline) {
        wanted.flags |= RESET_ON_FORK;
    }
    wanted
}

/// SCHED_FLAG_RESET_ON_FORK, uapi/linux/sched.h.
const RESET_ON_FORK: u64 = 1;

fn checked_scheduling(b: &mut Builder<'_>) -> Option<Scheduling> {
    let scheduler = b.process()?.scheduler.as_ref()?;
    if scheduler.policy == SchedulerPolicy::Iso {
        b.problem("process.scheduler.policy", "Linux has no SCHED_ISO");
    }
    scheduling(b)
}

fn scheduling(b: &Builder<'_>) -> Option<Scheduling> {
    let scheduler = b.process()?.scheduler.as_ref()?;
    Some(Scheduling {
        policy: policy(scheduler.policy),
        flags: flags(scheduler),
        nice: scheduler.nice,
        priority: u32::try_from(scheduler.priority).unwrap_or(u32::MAX),
        runtime: scheduler.runtime,
        deadline: scheduler.deadline,
        period: scheduler.period,
    })
}

/// uapi/linux/sched.h
const fn policy(policy: SchedulerPolicy) -> u32 {
    match policy {
        SchedulerPolicy::Other => 0,
        SchedulerPolicy::Fifo => 1,
        SchedulerPolicy::Rr => 2,
        SchedulerPolicy::Batch => 3,
        SchedulerPolicy::Iso => 4,
        SchedulerPolicy::Idle => 5,
        SchedulerPolicy::Deadline => 6,
    }
}

/// uapi/linux/sched.h
fn flags(scheduler: &Scheduler) -> u64 {
    scheduler.flags.iter().fold(0, |flags, flag| {
        flags
            | match flag {
                SchedulerFlag::ResetOnFork => RESET_ON_FORK,
                SchedulerFlag::Reclaim => 0x02,
                SchedulerFlag::DlOverrun => 0x04,
                SchedulerFlag::KeepPolicy => 0x08,
                SchedulerFlag::KeepParams => 0x10,
                SchedulerFlag::UtilClampMin => 0x20,
                SchedulerFlag::UtilClampMax => 0x40,
            }
    })
}

/// Init: personality(2).
pub(crate) fn personality(b: &mut Builder<'_>) {
    let Some(personality) = b.linux().and_then(|linux| linux.personality.as_ref()) else {
        return;
    };
    if !personality.flags.is_empty() {
        b.problem(
            "linux.personality.flags",
            "the specification defines none yet",
        );
    }
    let domain = match personality.domain {
        PersonalityDomain::Linux => 0,
        PersonalityDomain::Linux32 => 8,
    };
    b.init("linux.personality", InitStep::SetPersonality(domain));
}

/// The most nodes that Linux has, CONFIG_NODES_SHIFT of distributions.
const ALL_NODES: usize = 1024;

/// Init: set_mempolicy(2).
pub(crate) fn memory_policy(b: &mut Builder<'_>) {
    let Some(policy) = b.linux().and_then(|linux| linux.memory_policy.as_ref()) else {
        return;
    };
    let list = policy.nodes.as_deref().unwrap_or_default();
    let Some(nodes) = words(list, ALL_NODES) else {
        let why = format!("{list:?} is not a list of nodes below {ALL_NODES}");
        return b.problem("linux.memoryPolicy.nodes", why);
    };
    let flags = policy.flags.iter().fold(0, |flags, flag| {
        flags
            | match flag {
                MemoryPolicyFlag::NumaBalancing => 1 << 13,
                MemoryPolicyFlag::RelativeNodes => 1 << 14,
                MemoryPolicyFlag::StaticNodes => 1 << 15,
            }
    });
    let mode = mode(policy.mode) | flags;
    b.init(
        "linux.memoryPolicy",
        InitStep::SetMemoryPolicy { mode, nodes },
    );
}

/// uapi/linux/mempolicy.h
const fn mode(mode: MemoryPolicyMode) -> u32 {
    match mode {
        MemoryPolicyMode::Default => 0,
        MemoryPolicyMode::Preferred => 1,
        MemoryPolicyMode::Bind => 2,
        MemoryPolicyMode::Interleave => 3,
        MemoryPolicyMode::Local => 4,
        MemoryPolicyMode::PreferredMany => 5,
        MemoryPolicyMode::WeightedInterleave => 6,
    }
}

/// Init: clone3(2) can't make a time namespace whose offsets are still to be set, so init makes
/// one for its children and enters it itself (time_namespaces(7)). A change of user would make its
/// files in /proc somebody else's, proc(5): with a user namespace this comes before.
pub(crate) fn time_namespace(b: &mut Builder<'_>) {
    if !b.makes_namespace(NamespaceType::Time) {
        return;
    }
    let Some(linux) = b.linux() else { return };
    b.init(
        "linux.namespaces",
        InitStep::Unshare {
            flags: CLONE_NEWTIME,
        },
    );
    let line = |(clock, offset): &(kan_spec::config::Clock, kan_spec::config::TimeOffset)| {
        format!("{} {} {}\n", clock.name(), offset.secs, offset.nanosecs)
    };
    let text: String = linux.time_offsets.iter().map(line).collect();
    if !text.is_empty() {
        let value = b.c_string("linux.timeOffsets", text);
        let file = c"self/timens_offsets".into();
        b.init("linux.timeOffsets", InitStep::WriteProc { file, value });
    }
    b.init("linux.namespaces", InitStep::EnterTimeNamespace);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_a_mask() {
        assert_eq!(words("0-2,65", 8192), Some(vec![0b111, 0b10]));
        assert_eq!(words("", 64), Some(vec![]));
        assert_eq!(words("64", 64), None);
    }
}
