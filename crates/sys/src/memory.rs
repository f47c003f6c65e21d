//! Memory shared with a child: mmap(2).

use crate::Result;
use crate::call::{call, owned, ptr, raw};
use core::ffi::CStr;
use core::sync::atomic::AtomicU64;
use linux_raw_sys::general::{MAP_ANONYMOUS, MAP_SHARED, PROT_READ, PROT_WRITE};
use rustix::fd::{AsFd, OwnedFd};

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

/// Overwrites the environment of this process with nothing, where it lies (environ(7)). Every
/// variable is empty from then on, and has no name.
///
/// # Safety
/// The process has one thread, and nobody keeps a pointer of getenv(3); the standard library copies
/// what it reads.
pub unsafe fn forget_environment() {
    unsafe extern "C" {
        static mut environ: *mut *mut u8;
    }
    // SAFETY: the C library's list of this process' own strings, each of which ends in a NUL; the
    // list ends in a null, or is one. Nobody else reads them at the same time.
    unsafe {
        let mut place = environ;
        while !place.is_null() && !(*place).is_null() {
            let mut letter = *place;
            while *letter != 0 {
                letter.write_volatile(0);
                letter = letter.add(1);
            }
            place = place.add(1);
        }
    }
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

/// The seals that make a memfd unchangeable, for good.
const SEALS: u32 = {
    use linux_raw_sys::general::{F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_WRITE};
    F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE
};

/// memfd_create(2) with these contents, sealed against every change (fcntl(2), File Sealing).
pub fn sealed_file(name: &CStr, contents: &[u8]) -> Result<OwnedFd> {
    use linux_raw_sys::general::{F_ADD_SEALS, MFD_ALLOW_SEALING, MFD_CLOEXEC};
    // SAFETY: the name is a live C string; the result is ours.
    let file = unsafe { call!(memfd_create, ptr(name), MFD_CLOEXEC | MFD_ALLOW_SEALING) };
    // SAFETY: the result is ours.
    let file = file.map(|fd| unsafe { owned(fd) })?;
    let mut rest = contents;
    while !rest.is_empty() {
        rest = &rest[crate::io::write(&file, rest)?..];
    }
    // SAFETY: plain numbers.
    unsafe { call!(fcntl, raw(&file), F_ADD_SEALS, SEALS) }?;
    Ok(file)
}

/// Whether an open file is a memfd with every seal that [`sealed_file`] sets.
pub fn is_sealed(file: impl AsFd) -> bool {
    use linux_raw_sys::general::F_GET_SEALS;
    // SAFETY: plain numbers.
    unsafe { call!(fcntl, raw(&file), F_GET_SEALS, 0) }
        .is_ok_and(|seals| seals as u32 & SEALS == SEALS)
}

unsafe extern "C" {
    /// The program's own first header, elf(5): a symbol of the linker, ld(1).
    static __ehdr_start: elf::Header;
}

/// elf(5), of 64 bits.
mod elf {
    #[repr(C)]
    pub struct Header {
        pub identification: [u8; 16],
        pub kind_and_machine: [u16; 2],
        pub version: u32,
        pub entry: u64,
        pub segments_at: u64,
        pub sections_at: u64,
        pub flags: u32,
        pub size: u16,
        pub segment_size: u16,
        pub segment_count: u16,
    }

    #[repr(C)]
    pub struct Segment {
        pub kind: u32,
        pub flags: u32,
        pub offset: u64,
        pub address: u64,
        pub physical: u64,
        pub file_size: u64,
        pub memory_size: u64,
        pub alignment: u64,
    }

    pub const PT_LOAD: u32 = 1;
    pub const PF_W: u32 = 2;
}

unsafe extern "C" {
    /// Where the section `kan_waiting` begins and ends: symbols of the linker.
    static __start_kan_waiting: u8;
    static __stop_kan_waiting: u8;
}

/// madvise(2) MADV_DONTNEED for the pages of this process' image that are never written:
/// instructions and constants. They come back from the page cache when they are needed. Failing to
/// do so is no harm. `page` is [`page_size`]; a process that has left its memory cannot ask for it.
///
/// # Safety
/// The process has one thread, and has changed none of its instructions and constants.
#[inline(never)]
#[unsafe(link_section = "kan_waiting")]
pub unsafe fn drop_image(page: usize) {
    // The compiler must not take the symbol for an object of that size: more follows it.
    let header_at = core::hint::black_box(&raw const __ehdr_start as usize);
    // SAFETY: the kernel has mapped this header, and read it to start the program.
    let header = unsafe { &*(header_at as *const elf::Header) };
    let segments = (header_at + header.segments_at as usize) as *const elf::Segment;
    let mut base = None;
    // All are read before the first is dropped, or the header would come back.
    let mut ranges = [(0, 0); 4];
    let mut room = ranges.iter_mut();
    for index in 0..usize::from(header.segment_count) {
        // SAFETY: the header says that there are so many.
        let segment = unsafe { &*segments.add(index) };
        if segment.kind != elf::PT_LOAD {
            continue;
        }
        // The first of them holds the header. A program without a fixed place counts from there.
        let address = segment.address as usize;
        let base = *base.get_or_insert(header_at.wrapping_sub(address));
        let start = base.wrapping_add(address);
        let end = start + segment.memory_size as usize;
        let start = page_of(start, page);
        if segment.flags & elf::PF_W == 0
            && let Some(range) = room.next()
        {
            *range = (start, end.next_multiple_of(page) - start);
        }
    }
    apart_from_neighbours(page);
    for (start, length) in ranges {
        // SAFETY: mapped from the file and never written: segments do not share pages.
        let _ = unsafe { advise_unneeded(start, length) };
    }
}

/// A fault maps 64 KiB around it that are in the page cache, but never past the end of a mapping
/// (`do_fault_around` of Linux's mm/memory.c). Advice about a part of a mapping makes it one of its
/// own, so that only this section comes back.
#[unsafe(link_section = "kan_waiting")]
fn apart_from_neighbours(page: usize) {
    use linux_raw_sys::general::MADV_RANDOM;
    let start = page_of(&raw const __start_kan_waiting as usize, page);
    let end = (&raw const __stop_kan_waiting as usize).next_multiple_of(page);
    // SAFETY: advice on how the pages will be read.
    let _ = unsafe { call!(madvise, start, end - start, MADV_RANDOM) };
}

#[inline(always)]
const fn page_of(address: usize, page: usize) -> usize {
    address & !(page - 1)
}

/// # Safety
/// Nobody needs what was written to these pages.
unsafe fn advise_unneeded(at: usize, length: usize) -> Result<()> {
    use linux_raw_sys::general::MADV_DONTNEED;
    // SAFETY: promised by the caller.
    unsafe { call!(madvise, at, length, MADV_DONTNEED).map(drop) }
}
