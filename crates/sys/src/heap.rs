//! The memory that Rust programs allocate from, where the C library's would be slow.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};
use dlmalloc::Dlmalloc;

/// How much is asked of the kernel at a time, bytes: enough for most commands. Only what is touched
/// takes memory.
const GRANULARITY: usize = 1 << 20;

/// Doug Lea's allocator behind a lock that costs one instruction. musl's own allocator asks the
/// kernel for each larger block and gives it back at once, some sixty calls in a `run`.
///
/// Whoever finds it locked lets others run: a program of kan's has one thread, and rarely more.
pub struct Heap {
    locked: AtomicBool,
    heap: UnsafeCell<Dlmalloc>,
}

// SAFETY: `heap` is only touched by who has set `locked`.
unsafe impl Sync for Heap {}

impl Heap {
    /// An empty one.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "a static is made by a const fn")]
    pub const fn new() -> Self {
        let mut heap = Dlmalloc::new();
        heap.set_granularity(GRANULARITY);
        Self {
            locked: AtomicBool::new(false),
            heap: UnsafeCell::new(heap),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Dlmalloc) -> T) -> T {
        while self.locked.swap(true, Ordering::Acquire) {
            // The holder may have lost the processor to this very thread.
            crate::schedule::give_way();
        }
        // SAFETY: locked, and nothing below calls back.
        let done = work(unsafe { &mut *self.heap.get() });
        self.locked.store(false, Ordering::Release);
        done
    }
}

// SAFETY: Dlmalloc keeps GlobalAlloc's promises; it does not panic.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, here and below.
        self.with(|heap| unsafe { heap.malloc(layout.size(), layout.align()) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        self.with(|heap| unsafe { heap.calloc(layout.size(), layout.align()) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        self.with(|heap| unsafe { heap.free(block, layout.size(), layout.align()) });
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        self.with(|heap| unsafe { heap.realloc(block, layout.size(), layout.align(), size) })
    }
}
