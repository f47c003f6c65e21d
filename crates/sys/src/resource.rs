//! Limits: prlimit64(2).

use crate::Result;
use crate::call::call;
use core::num::NonZeroI32;
use linux_raw_sys::general::rlimit64;

/// prlimit(2) on the calling process. `resource` is RLIMIT_*, [`u64::MAX`] means no limit.
pub fn set_limit(resource: u32, soft: u64, hard: u64) -> Result<()> {
    limit_process(0, resource, soft, hard)
}

/// prlimit(2) on another process.
pub fn set_limit_of(pid: NonZeroI32, resource: u32, soft: u64, hard: u64) -> Result<()> {
    limit_process(pid.get(), resource, soft, hard)
}

/// 0 is the calling process.
fn limit_process(pid: i32, resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = rlimit64 {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: the new limit outlives the call, the old one is not asked for.
    unsafe { call!(prlimit64, pid as isize, resource, &raw const limit, 0).map(drop) }
}

/// prlimit(2) on the calling process: (soft, hard).
pub fn limit(resource: u32) -> Result<(u64, u64)> {
    let mut found = rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the buffer has the size the kernel writes; no new limit is given.
    unsafe { call!(prlimit64, 0, resource, 0, &raw mut found) }?;
    Ok((found.rlim_cur, found.rlim_max))
}
