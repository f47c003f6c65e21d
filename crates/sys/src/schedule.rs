//! Where and when a process runs: sched_setattr(2), sched_setaffinity(2), ioprio_set(2),
//! set_mempolicy(2), personality(2).

use crate::Result;
use crate::call::call;

/// `struct sched_attr` of sched_setattr(2), as Linux 5.3 has it.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Attributes {
    /// Filled in by [`set_scheduler`].
    pub size: u32,
    /// SCHED_*.
    pub policy: u32,
    /// SCHED_FLAG_*.
    pub flags: u64,
    /// Nice value, for SCHED_OTHER and SCHED_BATCH.
    pub nice: i32,
    /// Static priority, for SCHED_FIFO and SCHED_RR.
    pub priority: u32,
    /// Nanoseconds, for SCHED_DEADLINE.
    pub runtime: u64,
    /// Nanoseconds, for SCHED_DEADLINE.
    pub deadline: u64,
    /// Nanoseconds, for SCHED_DEADLINE.
    pub period: u64,
    /// Utilisation clamps: runtime-spec has no field for their values.
    pub util: [u32; 2],
}

/// sched_setattr(2) on the calling process.
pub fn set_scheduler(attributes: Attributes) -> Result<()> {
    set_scheduler_of(0, attributes)
}

/// sched_setattr(2) on another process; 0 is the calling one.
pub fn set_scheduler_of(pid: i32, attributes: Attributes) -> Result<()> {
    let attributes = Attributes {
        size: size_of::<Attributes>() as u32,
        ..attributes
    };
    // SAFETY: the structure outlives the call and says its size.
    unsafe { call!(sched_setattr, pid as isize, &raw const attributes, 0).map(drop) }
}

/// sched_setaffinity(2) on the calling process: bit n of the words is CPU n. EINVAL if none of
/// them is in its cpuset.
pub fn set_affinity(cpus: &[u64]) -> Result<()> {
    // SAFETY: the mask is readable for its size.
    unsafe { call!(sched_setaffinity, 0, size_of_val(cpus), cpus.as_ptr()).map(drop) }
}

/// ioprio_set(2) on the calling process: the class in bits 13 and up, the level below.
pub fn set_io_priority(priority: u32) -> Result<()> {
    const IOPRIO_WHO_PROCESS: u32 = 1;
    // SAFETY: plain numbers.
    unsafe { call!(ioprio_set, IOPRIO_WHO_PROCESS, 0, priority).map(drop) }
}

/// set_mempolicy(2): MPOL_* with its flags, and the nodes, bit n of the words for node n.
pub fn set_memory_policy(mode: u32, nodes: &[u64]) -> Result<()> {
    let (mask, bits) = match nodes.len() {
        0 => (core::ptr::null(), 0),
        // The kernel counts one bit more than it reads (set_mempolicy(2), BUGS of its callers).
        words => (nodes.as_ptr(), words * 64 + 1),
    };
    // SAFETY: the mask is readable for its bits.
    unsafe { call!(set_mempolicy, mode, mask, bits).map(drop) }
}

/// personality(2).
pub fn set_personality(domain: u32) -> Result<()> {
    // SAFETY: a plain number.
    unsafe { call!(personality, domain).map(drop) }
}

/// sched_yield(2).
pub fn give_way() {
    // SAFETY: no arguments. The call cannot fail.
    let _ = unsafe { call!(sched_yield) };
}
