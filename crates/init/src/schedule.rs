//! Where and when the container's process runs.

use crate::outcome::Step;
use kan_op::init::Scheduling;
use kan_sys::file::{self, O_RDONLY};
use kan_sys::namespace::{self, CLONE_NEWTIME};
use kan_sys::schedule::{self, Attributes};

/// The same as the kernel has it.
#[must_use]
pub fn attributes(wanted: Scheduling) -> Attributes {
    let Scheduling {
        policy,
        flags,
        nice,
        priority,
        runtime,
        deadline,
        period,
    } = wanted;
    Attributes {
        policy,
        flags,
        nice,
        priority,
        runtime,
        deadline,
        period,
        ..Attributes::default()
    }
}

pub(crate) fn set_scheduler(wanted: Scheduling) -> Step {
    Ok(schedule::set_scheduler(attributes(wanted))?)
}

pub(crate) fn enter_time_namespace() -> Step {
    let target = file::open(c"/proc/self/ns/time_for_children", O_RDONLY, 0)?;
    Ok(namespace::setns(target, CLONE_NEWTIME)?)
}
