//! A process that keeps nothing of its maker's memory: munmap(2), madvise(2), clone(2).
//!
//! A process that another one cloned has a copy of all of its memory. Where somebody may look into
//! the new process before it executes a program, that memory must hold nothing that is not the
//! program's. So the maker first moves onto a small stack in a [`Capsule`], which holds all that
//! the new process needs, and unmaps everything else.

use crate::Result;
use crate::call::call;
use core::ffi::{CStr, c_char};
use core::sync::atomic::AtomicU64;
use linux_raw_sys::auxvec::{AT_EXECFN, AT_PAGESZ, AT_SYSINFO_EHDR};
use linux_raw_sys::general::{
    CLONE_PARENT, MADV_DONTFORK, MADV_DONTNEED, MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE,
    SIGCHLD,
};

/// Whether this architecture's stack can be changed here. Where it cannot, the memory stays as it
/// is, and only [`crate::process::set_dumpable`] protects it.
pub const CAN_LEAVE_MEMORY: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

/// The stack of a process that has left its memory, bytes. The deepest call is an error line of
/// 4,200 bytes.
const STACK: usize = 64 << 10;

unsafe extern "C" {
    /// The program's image in memory: symbols of the linker, ld(1).
    static __ehdr_start: u8;
    static __bss_start: u8;
    static _end: u8;
    /// getauxval(3).
    safe fn getauxval(kind: core::ffi::c_ulong) -> core::ffi::c_ulong;
}

/// The size of a page of this kernel, bytes: AT_PAGESZ of getauxval(3). arm64 has kernels with
/// pages of 4, 16 and 64 KiB.
#[must_use]
pub fn page_size() -> usize {
    match getauxval(AT_PAGESZ.into()) {
        0 => 4096,
        size => size as usize,
    }
}

/// Memory that is kept when all else is left: what is copied into it, and a stack.
///
/// Nothing is ever removed from it, and it lives as long as the process.
#[derive(Debug)]
pub struct Capsule {
    start: usize,
    used: usize,
    /// Where the stack begins, and what may be used ends.
    limit: usize,
    end: usize,
}

impl Capsule {
    /// A capsule with room for `room` bytes. It is private to each process that has a copy of it.
    ///
    /// # Errors
    /// mmap(2).
    pub fn new(room: usize) -> Result<Self> {
        let page = page_size();
        let room = room.next_multiple_of(page);
        let size = room + STACK.next_multiple_of(page);
        let (protection, flags) = (PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
        // SAFETY: a new mapping, of no file, where the kernel likes.
        let start = unsafe { call!(mmap, 0, size, protection, flags, -1isize, 0) }?;
        Ok(Self {
            start,
            used: start,
            limit: start + room,
            end: start + size,
        })
    }

    /// What [`put`](Self::put) takes of the room for `count` values of a type.
    #[must_use]
    pub const fn room_for<T>(count: usize) -> usize {
        align_of::<T>() + size_of::<T>() * count
    }

    /// Copies values into the capsule. `None` if there is no room left for them.
    pub fn put<T: Copy + 'static>(&mut self, values: &[T]) -> Option<&'static mut [T]> {
        let at = self.used.next_multiple_of(align_of::<T>());
        let end = at.checked_add(size_of_val(values))?;
        if end > self.limit {
            return None;
        }
        self.used = end;
        // SAFETY: the range is mapped, aligned for T, handed out once and never unmapped; the
        // values are plain data, and do not overlap with memory that nobody had before.
        Some(unsafe {
            let place = at as *mut T;
            core::ptr::copy_nonoverlapping(values.as_ptr(), place, values.len());
            core::slice::from_raw_parts_mut(place, values.len())
        })
    }

    /// Copies a C string into the capsule.
    pub fn put_string(&mut self, text: &CStr) -> Option<&'static CStr> {
        let bytes = self.put(text.to_bytes_with_nul())?;
        CStr::from_bytes_with_nul(bytes).ok()
    }

    /// Where it lies.
    #[must_use]
    pub const fn place(&self) -> Place {
        Place {
            start: self.start,
            end: self.end,
        }
    }
}

/// Where a [`Capsule`] lies.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    start: usize,
    end: usize,
}

impl Place {
    /// Moves onto the capsule's stack, never to come back: calls `then(with)` there.
    ///
    /// `then` may use only what lies in the capsule and in the program's image, once it has called
    /// [`leave_memory`](Self::leave_memory).
    pub fn enter<T: 'static>(self, with: &'static mut T, then: fn(&'static mut T) -> !) -> ! {
        let mut call = Entry { with, then };
        let at: *mut Entry<T> = &raw mut call;
        on_stack(self.end, at.cast(), entry::<T>)
    }

    /// Unmaps all memory of this process but the program's image, the capsule, and `shared`; the
    /// image's zeroed data (`.bss`) is zero again. The vDSO and what the kernel maps beside it may
    /// stay.
    ///
    /// # Errors
    /// munmap(2).
    ///
    /// # Safety
    /// The stack is the capsule's ([`enter`](Self::enter)), and nothing outside of what
    /// stays is used from here on: no allocator, no thread-local data, no environment.
    pub unsafe fn leave_memory(self, shared: &[&[AtomicU64]]) -> Result<()> {
        if !CAN_LEAVE_MEMORY {
            return Ok(());
        }
        let page = page_size();
        let whole = |start: usize, end: usize| (start & !(page - 1), end.next_multiple_of(page));
        let image = whole(
            &raw const __ehdr_start as usize,
            core::hint::black_box(&raw const _end as usize),
        );
        let mut kept = [(usize::MAX, usize::MAX); 8];
        let mut all = [image, (self.start, self.end), threads(page)]
            .into_iter()
            .chain(shared.iter().map(|words| {
                let start = words.as_ptr() as usize;
                whole(start, start + size_of_val(*words))
            }));
        for (place, range) in kept.iter_mut().zip(all.by_ref()) {
            *place = range;
        }
        debug_assert!(all.next().is_none(), "more ranges than places");
        kept.sort_unstable();
        // The C library's data and the first stack say these, and go away.
        let (mut from, end, vdso) = (0, top(page), getauxval(AT_SYSINFO_EHDR.into()) as usize);
        zero_data(page);
        zero_beside_thread(page);
        for (start, after) in kept {
            unmap(from, start.min(end), page, vdso)?;
            from = after.max(from);
            if from >= end {
                break;
            }
        }
        Ok(())
    }
}

/// What [`Place::enter`] carries over to the other stack.
struct Entry<T: 'static> {
    with: &'static mut T,
    then: fn(&'static mut T) -> !,
}

extern "C" fn entry<T: 'static>(at: *mut ()) -> ! {
    // SAFETY: `enter` made it on the stack that it left, which is still mapped, and nobody
    // else has it.
    let Entry { with, then } = unsafe { core::ptr::read(at.cast::<Entry<T>>()) };
    then(with)
}

#[cfg(target_arch = "x86_64")]
fn on_stack(top: usize, with: *mut (), then: extern "C" fn(*mut ()) -> !) -> ! {
    // SAFETY: the stack's top is aligned to a page and nobody uses it; `then` does not return. The
    // call pushes a return address, as the ABI wants it at a function's beginning.
    unsafe {
        core::arch::asm!(
            "mov rsp, {top}",
            "xor ebp, ebp",
            "call {then}",
            "ud2",
            top = in(reg) top,
            then = in(reg) then,
            in("rdi") with,
            options(noreturn)
        )
    }
}

#[cfg(target_arch = "aarch64")]
fn on_stack(top: usize, with: *mut (), then: extern "C" fn(*mut ()) -> !) -> ! {
    // SAFETY: the stack's top is aligned to a page and nobody uses it; `then` does not return.
    unsafe {
        core::arch::asm!(
            "mov sp, {top}",
            "mov x29, xzr",
            "mov x30, xzr",
            "br {then}",
            top = in(reg) top,
            then = in(reg) then,
            in("x0") with,
            options(noreturn)
        )
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn on_stack(_top: usize, with: *mut (), then: extern "C" fn(*mut ()) -> !) -> ! {
    then(with)
}

/// glibc registers an area of the thread's data with the kernel, rseq(2), which then writes to it
/// whenever the process is scheduled. musl does not.
#[cfg(target_env = "gnu")]
fn threads(page: usize) -> (usize, usize) {
    let pointer = thread_pointer();
    let start = pointer.saturating_sub(RSEQ_BEFORE) & !(page - 1);
    (start, (pointer + RSEQ_AFTER).next_multiple_of(page))
}

/// How far from the thread pointer that area lies at most, bytes: glibc 2.35 to 2.40 has it in its
/// `struct pthread` after the pointer, later ones right before it.
#[cfg(target_env = "gnu")]
const RSEQ_BEFORE: usize = 0x200;
#[cfg(target_env = "gnu")]
const RSEQ_AFTER: usize = 0xb00;

/// The C library keeps that thread's data where its heap begins: what is beside it becomes zero.
#[cfg(target_env = "gnu")]
fn zero_beside_thread(page: usize) {
    let ((start, end), pointer) = (threads(page), thread_pointer());
    for (from, to) in [(start, pointer - RSEQ_BEFORE), (pointer + RSEQ_AFTER, end)] {
        // SAFETY: the caller of `leave_memory` promises that nothing there is used any more.
        unsafe { core::ptr::write_bytes(from as *mut u8, 0, to.saturating_sub(from)) };
    }
}

#[cfg(not(target_env = "gnu"))]
fn zero_beside_thread(_page: usize) {}

#[cfg(target_env = "gnu")]
fn thread_pointer() -> usize {
    let pointer: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads the thread pointer, which the ABI keeps at this place.
    unsafe {
        core::arch::asm!("mov {}, fs:0", out(reg) pointer, options(nostack, readonly));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads the thread pointer.
    unsafe {
        core::arch::asm!("mrs {}, tpidr_el0", out(reg) pointer, options(nostack, nomem));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        pointer = 0;
    }
    pointer
}

#[cfg(not(target_env = "gnu"))]
fn threads(_page: usize) -> (usize, usize) {
    (usize::MAX, usize::MAX)
}

/// The end of the program's first stack, above which only the vDSO lies: the name of the executed
/// file is the last thing that the kernel puts there.
fn top(page: usize) -> usize {
    let name = getauxval(AT_EXECFN.into()) as *const c_char;
    // SAFETY: getauxval(3) names a C string of this process, which still has its first stack.
    let length = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul().len();
    (name as usize + length + size_of::<usize>()).next_multiple_of(page)
}

/// Whole pages of `.bss`. Those at its ends are shared with other data.
fn zero_data(page: usize) {
    let start = core::hint::black_box(&raw const __bss_start as usize).next_multiple_of(page);
    let end = core::hint::black_box(&raw const _end as usize) & !(page - 1);
    if start < end {
        let kept = kept_words().map(|word| {
            // SAFETY: null, or a word of the C library's.
            (word, unsafe { word.as_ref().copied() })
        });
        // SAFETY: the caller of `leave_memory` promises that nothing there is used any more.
        let _ = unsafe { call!(madvise, start, end - start, MADV_DONTNEED) };
        for (word, value) in kept {
            if let Some(value) = value {
                // SAFETY: not null.
                unsafe { word.write(value) };
            }
        }
    }
}

/// Words in `.bss` that the C library still uses, or null.
///
/// The sizes from which memcpy(3) and memset(3) of glibc proceed in another way (its
/// sysdeps/x86/cacheinfo.h): with 0 they would read and write beyond their arguments.
#[cfg(all(target_env = "gnu", target_arch = "x86_64"))]
fn kept_words() -> [*mut usize; 3] {
    macro_rules! address {
        ($symbol:literal) => {{
            let address: *mut usize;
            // SAFETY: reads an address that the linker has written.
            unsafe {
                core::arch::asm!(
                    concat!(".weak ", $symbol),
                    concat!("mov {}, qword ptr [rip + ", $symbol, "@GOTPCREL]"),
                    out(reg) address,
                    options(nostack, readonly)
                );
            }
            address
        }};
    }
    [
        address!("__x86_shared_non_temporal_threshold"),
        address!("__x86_rep_movsb_stop_threshold"),
        address!("__x86_memset_non_temporal_threshold"),
    ]
}

/// The first word of musl's data of the thread, which points at itself (its arch/x86_64/pthread_arch.h):
/// close(2) of the C library, which the drop of a descriptor calls, finds `errno` by it. musl keeps
/// these data in `.bss` as long as all thread-local data of the program fit into 128 bytes.
#[cfg(all(not(target_env = "gnu"), target_arch = "x86_64"))]
fn kept_words() -> [*mut usize; 1] {
    let thread: *mut usize;
    // SAFETY: reads the thread pointer, which the ABI keeps at this place.
    unsafe {
        core::arch::asm!("mov {}, fs:0", out(reg) thread, options(nostack, readonly));
    }
    [thread]
}

#[cfg(not(target_arch = "x86_64"))]
const fn kept_words() -> [*mut usize; 0] {
    []
}

/// munmap(2). Where the kernel has sealed its own mappings (mseal(2), Linux 6.15), it refuses the
/// range that they lie in as a whole: what is around them goes away then, and what is beside them
/// becomes zero.
fn unmap(start: usize, end: usize, page: usize, vdso: usize) -> Result<()> {
    /// More than the kernel maps beside the vDSO.
    const BESIDE: usize = 64 << 10;
    if start >= end {
        return Ok(());
    }
    // SAFETY: the caller of `leave_memory` promises that nothing there is used any more.
    let whole = unsafe { call!(munmap, start, end - start) };
    if whole.is_ok() || !(start..end).contains(&vdso) {
        return whole.map(drop);
    }
    let (before, after) = (
        vdso.saturating_sub(BESIDE).max(start),
        (vdso + BESIDE).min(end),
    );
    for (start, end) in [(start, before), (after, end)] {
        if start < end {
            // SAFETY: as above.
            unsafe { call!(munmap, start, end - start) }?;
        }
    }
    for at in (before..after).step_by(page) {
        // SAFETY: as above. The kernel's own pages refuse it.
        let _ = unsafe { call!(madvise, at, page, MADV_DONTNEED) };
    }
    Ok(())
}

/// madvise(2) MADV_DONTFORK: a child does not get these words.
///
/// # Errors
/// madvise(2).
pub fn keep_from_children(words: &'static [AtomicU64]) -> Result<()> {
    // The kernel rounds the size up to whole pages, which are the words' own:
    // `memory::shared_words`.
    let (start, size) = (words.as_ptr(), size_of_val(words));
    // SAFETY: advice about memory that this process keeps.
    unsafe { call!(madvise, start, size, MADV_DONTFORK).map(drop) }
}

/// clone(2) of a sibling (CLONE_PARENT), in the pid namespace that setns(2) chose for children: the
/// sibling calls `child(with)`, which never returns; its pid, in the caller's pid namespace.
///
/// By clone(2), not clone3(2), which engines' seccomp profiles answer with ENOSYS since no filter
/// can see its flags. The sibling's exit signal is the caller's own.
///
/// # Errors
/// clone(2): EAGAIN for a limit on processes, ENOMEM if the pid namespace's init has ended.
pub fn clone_sibling<T>(with: &mut T, child: fn(&mut T) -> !) -> Result<i32> {
    clone_sibling_in(0, with, child)
}

/// The same in new namespaces, CLONE_NEW* flags.
///
/// # Errors
/// clone(2).
pub fn clone_sibling_in<T>(new: u32, with: &mut T, child: fn(&mut T) -> !) -> Result<i32> {
    let flags = new | CLONE_PARENT | SIGCHLD;
    // SAFETY: without CLONE_VM the child has its own copy of this memory, stack included, so that
    // returning twice is what fork(2) does.
    #[cfg(not(target_arch = "s390x"))]
    let pid = unsafe { call!(clone, flags, 0, 0, 0, 0) }?;
    // SAFETY: likewise; here the stack comes first.
    #[cfg(target_arch = "s390x")]
    let pid = unsafe { call!(clone, 0, flags, 0, 0, 0) }?;
    if pid == 0 {
        child(with)
    }
    Ok(pid as i32)
}
