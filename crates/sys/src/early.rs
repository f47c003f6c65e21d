//! The program's very first instructions, where the linker is told to begin with `kan_start`: they
//! seal the executable while nothing of the program has been written to yet.
//!
//! Then its pages may be exchanged for those of the same file on a read-only clone of its mount, and
//! prctl(2) PR_SET_MM_MAP makes that file the process' executable: what execve(2) would do, without
//! tearing the process down and starting the C library a second time. This is a short cut and no
//! more: whenever anything is out of the ordinary it does nothing that matters, and `seal::ensure` of
//! the lifecycle crate executes a sealed copy later.
//!
//! Nothing here may need relocations, thread-local storage or the C library: none of it is ready. So
//! this crate is always optimized, or functions of core's would be called by way of addresses that are
//! not there yet; and larger values stay where they are made, as handing them on may call memcpy.

use crate::Sysno;
use core::sync::atomic::{AtomicBool, Ordering};
use linux_raw_sys::auxvec::{AT_EXECFN, AT_PAGESZ, AT_PHDR, AT_PHNUM};
use linux_raw_sys::general::{
    AT_EMPTY_PATH, AT_FDCWD, MAP_FIXED, MAP_POPULATE, MAP_PRIVATE, MOUNT_ATTR_RDONLY, O_CLOEXEC,
    OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE, PROT_EXEC, PROT_READ, PROT_WRITE, mount_attr,
};
use linux_raw_sys::prctl::{PR_SET_MM, PR_SET_MM_MAP, prctl_mm_map};

/// Whether this process was sealed here, or is the child of one that was.
pub fn is_sealed() -> bool {
    SEALED.load(Ordering::Relaxed)
}

/// Zero in the file, so that no page of it has to be touched before it is exchanged.
static SEALED: AtomicBool = AtomicBool::new(false);

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl kan_start",
    ".type kan_start, @function",
    "kan_start:",
    "xor ebp, ebp",
    // The registers that the ABI defines at process entry: rdx is a function for atexit(3).
    "mov r12, rsp",
    "mov r13, rdx",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {seal}",
    "mov rsp, r12",
    "mov rdx, r13",
    "jmp _start",
    seal = sym seal,
);

#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".globl kan_start",
    ".type kan_start, @function",
    "kan_start:",
    "mov x19, x0",
    "mov x0, sp",
    "bl {seal}",
    "mov x0, x19",
    "b _start",
    seal = sym seal,
);

/// `stack` is what the kernel left there: argc, argv, a null, the environment, a null, and the
/// auxiliary vector (System V ABI, Process Initialization).
///
/// # Safety
/// Called by `kan_start` alone.
unsafe extern "C" fn seal(stack: *const usize) {
    // SAFETY: the kernel's layout.
    unsafe {
        let args = stack.add(1);
        if !wants_seal(args, *stack) {
            return;
        }
        let mut start = Start {
            stack: stack as usize,
            args: 0,
            env: 0,
            end: 0,
            segments: core::ptr::null(),
            count: 0,
            page: 0,
        };
        start.read(args, args.add(*stack + 1));
        if start.is_ordinary()
            && let Some(tree) = clone_own_mount()
        {
            if start.run_from(tree) {
                set(&raw const SEALED as usize, 1);
            }
            close(tree);
        }
    }
}

/// Whether one of the arguments is the name of a command that enters namespaces. One that only
/// looks like it costs a sixth of a millisecond.
///
/// # Safety
/// `args` is an array of `count` C strings.
unsafe fn wants_seal(args: *const usize, count: usize) -> bool {
    let mut index = 1;
    while index < count {
        // SAFETY: promised by the caller.
        let arg = unsafe { *args.add(index) as *const u8 };
        // SAFETY: likewise; no comparison goes past the final NUL.
        if unsafe { is(arg, b"run\0") || is(arg, b"exec\0") || is(arg, b"create\0") } {
            return true;
        }
        index += 1;
    }
    false
}

/// # Safety
/// `text` is a C string, `word` ends in NUL.
unsafe fn is(text: *const u8, word: &[u8]) -> bool {
    let (start, length) = (word.as_ptr(), word.len());
    let mut index = 0;
    while index < length {
        // SAFETY: all bytes before were equal, so none of them was the final NUL.
        if unsafe { *text.add(index) != *start.add(index) } {
            return false;
        }
        index += 1;
    }
    true
}

/// What the kernel tells a new program.
struct Start {
    stack: usize,
    /// Where the words of the command line, and behind them the environment's, begin and end.
    args: usize,
    env: usize,
    end: usize,
    segments: *const Segment,
    count: usize,
    page: usize,
}

/// `Elf64_Phdr`, elf(5).
#[repr(C)]
struct Segment {
    kind: u32,
    flags: u32,
    offset: usize,
    address: usize,
    physical: usize,
    file_size: usize,
    memory_size: usize,
    alignment: usize,
}

const PT_LOAD: u32 = 1;
const PF_X: u32 = 1;
const PF_W: u32 = 2;
const PF_R: u32 = 4;

impl Start {
    /// # Safety
    /// `args` and `env` are where the kernel left them, of a program that is called with words.
    unsafe fn read(&mut self, args: *const usize, env: *const usize) {
        // SAFETY: both arrays and the vector behind them end as the ABI says.
        unsafe {
            let mut entry = env;
            while *entry != 0 {
                entry = entry.add(1);
            }
            entry = entry.add(1);
            while *entry != 0 {
                let value = *entry.add(1);
                match *entry as u32 {
                    AT_PHDR => self.segments = value as *const Segment,
                    AT_PHNUM => self.count = value,
                    AT_PAGESZ => self.page = value,
                    AT_EXECFN => self.end = value,
                    _ => {}
                }
                entry = entry.add(2);
            }
            self.args = *args;
            self.env = if *env == 0 { self.end } else { *env };
        }
    }

    /// Whether all is known, and this is not the copy that `seal::ensure` executes, as `/dev/fd/N`.
    ///
    /// # Safety
    /// [`read`](Self::read) was called.
    unsafe fn is_ordinary(&self) -> bool {
        let is_known = !self.segments.is_null() && self.end != 0 && self.page.is_power_of_two();
        // SAFETY: the kernel points at a C string.
        is_known && !unsafe { is(self.end as *const u8, b"/dev/fd/") }
    }

    /// Exchanges the program's pages for those of the file that `tree` is, and makes that the
    /// process' executable. Where a call is refused the program is as it was, or from the same file by
    /// way of another mount. (A kernel without memory for an exchange may have taken the old pages away
    /// by then; that ends the program, as it would have soon.)
    ///
    /// # Safety
    /// Nothing has been written to the program's memory.
    unsafe fn run_from(&self, tree: usize) -> bool {
        // SAFETY: the segments are the program's own, as the kernel has found them.
        unsafe {
            let Some(file) = open_again(tree) else {
                return false;
            };
            let mut extent = Extent {
                code: usize::MAX,
                code_end: 0,
                data: 0,
                data_end: 0,
            };
            let is_set = self.map(file, &mut extent) && self.name_executable(file, &extent);
            close(file);
            is_set
        }
    }

    /// # Safety
    /// As for [`run_from`](Self::run_from).
    unsafe fn map(&self, file: usize, extent: &mut Extent) -> bool {
        let header = self.page_of(self.segments as usize);
        let mut base = None;
        let mut index = 0;
        while index < self.count {
            // SAFETY: the kernel says that there are so many; those that were exchanged already are
            // the same.
            let segment = unsafe { &*self.segments.add(index) };
            index += 1;
            if segment.kind != PT_LOAD || segment.file_size == 0 {
                continue;
            }
            if segment.memory_size > segment.file_size && segment.flags & PF_W == 0 {
                return false;
            }
            // The first of them holds the file's header.
            let base = *base.get_or_insert(header.wrapping_sub(self.page_of(segment.address)));
            let at = base.wrapping_add(segment.address);
            let end = at.wrapping_add(segment.file_size);
            extent.add(segment.flags, at, end);
            // SAFETY: the same bytes as there are now, with the same protection.
            if !unsafe { self.map_segment(file, segment, at, end) } {
                return false;
            }
        }
        true
    }

    /// # Safety
    /// `at` and `end` are where the segment of this very file lies.
    unsafe fn map_segment(&self, file: usize, segment: &Segment, at: usize, end: usize) -> bool {
        let flag = |wanted: u32, protection: u32| match segment.flags & wanted {
            0 => 0,
            _ => protection,
        };
        let protection = flag(PF_R, PROT_READ) | flag(PF_W, PROT_WRITE) | flag(PF_X, PROT_EXEC);
        // Most of what can be written to is, by the relocations, and page by page is dearer.
        let flags = MAP_PRIVATE | MAP_FIXED | flag(PF_W, MAP_POPULATE);
        let (start, past) = (self.page_of(at), self.page_of(end + self.page - 1));
        let (length, offset) = (past - start, self.page_of(segment.offset));
        let (protection, flags) = (protection as usize, flags as usize);
        let map = Sysno::mmap as usize;
        // SAFETY: promised by the caller.
        if unsafe { call(map, start, length, protection, flags, file, offset) } != start {
            return false;
        }
        if segment.memory_size > segment.file_size {
            // As the kernel does: what follows in the file is not what follows in memory.
            let mut byte = end;
            while byte < past {
                // SAFETY: in the page that was just mapped, which can be written to.
                unsafe { set(byte, 0) };
                byte += 1;
            }
        }
        true
    }

    /// prctl(2) PR_SET_MM_MAP with all that is so already, but for the executable. It takes
    /// CAP_SYS_ADMIN or, from Linux 5.9 on, CAP_CHECKPOINT_RESTORE; a kernel with
    /// CONFIG_CHECKPOINT_RESTORE; and that no page of the old executable is mapped.
    ///
    /// # Safety
    /// `extent` is where the program lies.
    unsafe fn name_executable(&self, file: usize, extent: &Extent) -> bool {
        // SAFETY: asks where the heap ends.
        let heap = unsafe { call(Sysno::brk as usize, 0, 0, 0, 0, 0, 0) };
        let map = prctl_mm_map {
            start_code: extent.code as u64,
            end_code: extent.code_end as u64,
            start_data: extent.data as u64,
            end_data: extent.data_end as u64,
            // Nobody has asked for any yet.
            start_brk: heap as u64,
            brk: heap as u64,
            start_stack: self.stack as u64,
            arg_start: self.args as u64,
            arg_end: self.env as u64,
            env_start: self.env as u64,
            env_end: self.end as u64,
            auxv: core::ptr::null_mut(),
            auxv_size: 0,
            exe_fd: file as u32,
        };
        let (option, what) = (PR_SET_MM as usize, PR_SET_MM_MAP as usize);
        let (map, size) = (&raw const map as usize, size_of::<prctl_mm_map>());
        // SAFETY: the map is live and has the kernel's layout.
        unsafe { call(Sysno::prctl as usize, option, what, map, size, 0, 0) == 0 }
    }

    const fn page_of(&self, address: usize) -> usize {
        address & !(self.page - 1)
    }
}

/// Where code and data begin and end, as the kernel's `load_elf_binary` counts it.
struct Extent {
    code: usize,
    code_end: usize,
    data: usize,
    data_end: usize,
}

impl Extent {
    fn add(&mut self, flags: u32, start: usize, end: usize) {
        if flags & PF_X != 0 {
            self.code = if start < self.code { start } else { self.code };
            self.code_end = if end > self.code_end {
                end
            } else {
                self.code_end
            };
        }
        self.data = if start > self.data { start } else { self.data };
        self.data_end = if end > self.data_end {
            end
        } else {
            self.data_end
        };
    }
}

/// A read-only clone of the mount that the executable lies on, as `seal::ensure` makes it.
///
/// # Safety
/// As for [`seal`].
unsafe fn clone_own_mount() -> Option<usize> {
    let flags = (OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC) as usize;
    let (here, own) = (AT_FDCWD as usize, c"/proc/self/exe".as_ptr() as usize);
    let attr = mount_attr {
        attr_set: MOUNT_ATTR_RDONLY as u64,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    let (attr, size) = (&raw const attr as usize, size_of::<mount_attr>());
    let (nothing, empty) = (c"".as_ptr() as usize, AT_EMPTY_PATH as usize);
    // SAFETY: all pointers are live and have the kernel's layout.
    unsafe {
        let tree = call(Sysno::open_tree as usize, here, own, flags, 0, 0, 0);
        if tree >= MAX_ERROR {
            return None;
        }
        let change = Sysno::mount_setattr as usize;
        if call(change, tree, nothing, empty, attr, size, 0) != 0 {
            close(tree);
            return None;
        }
        Some(tree)
    }
}

/// The file that `tree` only points at (O_PATH), to be read.
///
/// # Safety
/// As for [`seal`].
unsafe fn open_again(tree: usize) -> Option<usize> {
    /// The string's words: constants, since a copy of an array calls memcpy. What is zero has room for
    /// three digits and the NUL.
    const WORDS: [u64; 3] = [
        u64::from_ne_bytes(*b"/proc/se"),
        u64::from_ne_bytes(*b"lf/fd/\0\0"),
        0,
    ];
    const LENGTH: usize = "/proc/self/fd/".len();
    if tree > 999 {
        return None;
    }
    let mut name = [WORDS[0], WORDS[1], WORDS[2]];
    let mut digits = 1;
    let mut unit = 1;
    while unit * 10 <= tree {
        unit *= 10;
        digits += 1;
    }
    let mut place = &raw mut name as usize + LENGTH;
    while digits > 0 {
        // SAFETY: at most three, and the last byte stays zero.
        unsafe { set(place, b'0' + (tree / unit % 10) as u8) };
        place += 1;
        unit /= 10;
        digits -= 1;
    }
    let (here, flags) = (AT_FDCWD as usize, O_CLOEXEC as usize);
    let name = &raw const name as usize;
    // SAFETY: a live C string.
    let file = unsafe { call(Sysno::openat as usize, here, name, flags, 0, 0, 0) };
    (file < MAX_ERROR).then_some(file)
}

/// Writes a byte; in a loop of plain writes the compiler would see memset.
///
/// # Safety
/// The address is one of this program's, and nobody else uses it.
unsafe fn set(address: usize, byte: u8) {
    // SAFETY: promised by the caller.
    unsafe { *(address as *mut u8) = core::hint::black_box(byte) };
}

/// # Safety
/// The descriptor is nobody else's.
unsafe fn close(descriptor: usize) {
    // SAFETY: promised by the caller.
    unsafe { call(Sysno::close as usize, descriptor, 0, 0, 0, 0, 0) };
}

/// The kernel's answers from here on are errors, syscall(2).
const MAX_ERROR: usize = usize::MAX - 4095;

/// A system call, by instructions alone: what other crates offer may call memcpy, which the C
/// library has not chosen yet.
///
/// # Safety
/// The arguments are what the call wants.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn call(number: usize, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> usize {
    let answer;
    // SAFETY: the kernel's calling convention.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number => answer,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    answer
}

/// As above.
///
/// # Safety
/// The arguments are what the call wants.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
unsafe fn call(number: usize, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> usize {
    let answer;
    // SAFETY: the kernel's calling convention.
    unsafe {
        core::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a => answer,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack),
        );
    }
    answer
}
