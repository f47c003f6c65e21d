//! The memory that Rust programs allocate from, where the C library's would be slow.

use crate::call::call;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};
use dlmalloc::Dlmalloc;
use linux_raw_sys::general::{MAP_ANONYMOUS, MAP_PRIVATE, MREMAP_MAYMOVE, PROT_READ, PROT_WRITE};

/// How much is asked of the kernel at a time, bytes: enough for most commands. Only what is touched
/// takes memory.
const GRANULARITY: usize = 1 << 20;

/// Doug Lea's allocator behind a lock that costs one instruction. musl's own allocator asks the
/// kernel for each larger block and gives it back at once, some sixty calls in a `run`.
///
/// Whoever finds it locked lets others run: a program of kan's has one thread, and rarely more.
pub struct Heap {
    locked: AtomicBool,
    heap: UnsafeCell<Dlmalloc<Pages>>,
}

// SAFETY: `heap` is only touched by who has set `locked`.
unsafe impl Sync for Heap {}

impl Heap {
    /// An empty one.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "a static is made by a const fn")]
    pub const fn new() -> Self {
        let mut heap = Dlmalloc::new_with_allocator(Pages);
        heap.set_granularity(GRANULARITY);
        Self {
            locked: AtomicBool::new(false),
            heap: UnsafeCell::new(heap),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Dlmalloc<Pages>) -> T) -> T {
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

/// What is left when the kernel gives no more, bytes: enough to say so, and to take back what was
/// made. Pages that nobody touches take no memory.
const RESERVE_SIZE: usize = 256 << 10;

#[repr(align(4096))]
struct Reserve(UnsafeCell<[u8; RESERVE_SIZE]>);

// SAFETY: handed out once, to the allocator, which has a lock.
unsafe impl Sync for Reserve {}

static RESERVE: Reserve = Reserve(UnsafeCell::new([0; RESERVE_SIZE]));
static RESERVE_IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Pages of the kernel's, mmap(2).
struct Pages;

// SAFETY: what is handed out is readable, writable, and nobody else's.
unsafe impl dlmalloc::Allocator for Pages {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        /// Of memory that is not to be given back.
        const EXTERN: u32 = 1;
        let (protection, flags) = (PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
        // SAFETY: a new mapping, of no file, where the kernel likes.
        match unsafe { call!(mmap, 0, size, protection, flags, -1isize, 0) } {
            Ok(at) => (at as *mut u8, size, 0),
            Err(_) if !RESERVE_IS_TAKEN.swap(true, Ordering::Relaxed) => {
                (RESERVE.0.get().cast(), RESERVE_SIZE, EXTERN)
            }
            Err(_) => (ptr::null_mut(), 0, 0),
        }
    }

    fn remap(&self, at: *mut u8, old: usize, new: usize, can_move: bool) -> *mut u8 {
        let flags = if can_move { MREMAP_MAYMOVE } else { 0 };
        // SAFETY: the caller's own mapping.
        let moved = unsafe { call!(mremap, at, old, new, flags) };
        moved.map_or(ptr::null_mut(), |at| at as *mut u8)
    }

    fn free_part(&self, at: *mut u8, old: usize, new: usize) -> bool {
        // SAFETY: the caller's own mapping, the rest of which he does not use any more.
        unsafe { call!(munmap, at as usize + new, old - new) }.is_ok()
    }

    fn free(&self, at: *mut u8, size: usize) -> bool {
        // SAFETY: the caller's own mapping.
        unsafe { call!(munmap, at, size) }.is_ok()
    }

    fn can_release_part(&self, _flags: u32) -> bool {
        true
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    /// A multiple of the kernel's pages, which are of 4 KiB on x86-64, of up to 64 KiB elsewhere.
    fn page_size(&self) -> usize {
        if cfg!(target_arch = "x86_64") {
            4 << 10
        } else {
            64 << 10
        }
    }
}
