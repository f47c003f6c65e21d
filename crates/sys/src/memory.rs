//! Memory shared with a child: mmap(2).

use crate::Result;
use crate::call::call;
use core::sync::atomic::AtomicU64;
use linux_raw_sys::general::{MAP_ANONYMOUS, MAP_SHARED, PROT_READ, PROT_WRITE};

/// `count` zeroed words that a later child shares (MAP_SHARED | MAP_ANONYMOUS), for as long as
/// either process lives.
pub fn shared_words(count: usize) -> Result<&'static [AtomicU64]> {
    let size = count * size_of::<AtomicU64>();
    let (protection, flags) = (PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
    // SAFETY: the kernel chooses the address of new memory.
    let at = unsafe { call!(mmap, 0, size, protection, flags, -1isize, 0) }?;
    // SAFETY: the mapping is `size` zeroed bytes, page-aligned and never unmapped; all zeroes
    // is a valid AtomicU64.
    Ok(unsafe { core::slice::from_raw_parts(at as *const AtomicU64, count) })
}

/// clock_gettime(2) CLOCK_MONOTONIC, nanoseconds.
pub fn monotonic_ns() -> u64 {
    use linux_raw_sys::general::{CLOCK_MONOTONIC, timespec};
    let mut now = timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the buffer has the size the kernel writes. The call cannot fail.
    let _ = unsafe { call!(clock_gettime, CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
