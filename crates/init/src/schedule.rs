//! Where and when the container's process runs.

use crate::Step;
use kan_op::{Flaw, InitStep};
use kan_sys::file::{self, O_RDONLY};
use kan_sys::namespace::{self, CLONE_NEWTIME};
use kan_sys::schedule::{self, Attributes};

pub(crate) fn perform(step: &InitStep) -> Step {
    match step {
        InitStep::SetScheduler(wanted) => Ok(schedule::set_scheduler(Attributes {
            policy: wanted.policy,
            flags: wanted.flags,
            nice: wanted.nice,
            priority: wanted.priority,
            runtime: wanted.runtime,
            deadline: wanted.deadline,
            period: wanted.period,
            ..Attributes::default()
        })?),
        InitStep::SetIoPriority(priority) => Ok(schedule::set_io_priority(*priority)?),
        InitStep::SetAffinity(cpus) => Ok(schedule::set_affinity(cpus)?),
        InitStep::SetPersonality(domain) => Ok(schedule::set_personality(*domain)?),
        InitStep::SetMemoryPolicy { mode, nodes } => Ok(schedule::set_memory_policy(*mode, nodes)?),
        InitStep::EnterTimeNamespace => {
            let target = file::open(c"/proc/self/ns/time_for_children", O_RDONLY, 0)?;
            Ok(namespace::setns(target, CLONE_NEWTIME)?)
        }
        _ => Err(Flaw::OutOfStep.into()),
    }
}
