//! The program's very first instructions, where the linker is told to begin with `kan_start`: they
//! seal the executable before the C library is set up, which would otherwise be done twice.
//!
//! A static program of glibc spends half a millisecond before main, most of it on `cpuid`, which
//! traps in a virtual machine. This is a short cut and no more: whenever anything is out of the
//! ordinary it does nothing, and `seal::ensure` of the lifecycle crate decides later.
//!
//! Nothing here may need relocations, thread-local storage or the C library: none of it is ready.

use crate::Sysno;
use linux_raw_sys::general::{
    AT_EMPTY_PATH, AT_FDCWD, MOUNT_ATTR_RDONLY, OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE, mount_attr,
};

/// The auxiliary vector's entry that points at the name the program was executed by, getauxval(3).
const AT_EXECFN: usize = 31;

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
        let env = args.add(*stack + 1);
        if wants_seal(args, *stack) && !executed_by_descriptor(env) {
            execute_sealed(args, env);
        }
    }
}

/// Whether one of the arguments is the name of a command that enters namespaces. One that only
/// looks like it costs half a millisecond.
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

/// Whether this program was executed as `/dev/fd/N`, as the sealed copy is: never a second time.
///
/// # Safety
/// `env` is the environment, followed by the auxiliary vector.
unsafe fn executed_by_descriptor(env: *const usize) -> bool {
    let mut entry = env;
    // SAFETY: both arrays end as the ABI says.
    unsafe {
        while *entry != 0 {
            entry = entry.add(1);
        }
        entry = entry.add(1);
        while *entry != 0 {
            if *entry == AT_EXECFN {
                let name = *entry.add(1) as *const u8;
                return is(name, b"/dev/fd/");
            }
            entry = entry.add(2);
        }
    }
    true
}

/// As `seal::ensure` does it. Returns if anything fails.
///
/// # Safety
/// `args` and `env` are as execve(2) wants them.
unsafe fn execute_sealed(args: *const usize, env: *const usize) {
    let exe = c"/proc/self/exe".as_ptr() as usize;
    let (here, nothing) = (AT_FDCWD as usize, c"".as_ptr() as usize);
    let flags = (OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC) as usize;
    let attr = mount_attr {
        attr_set: MOUNT_ATTR_RDONLY as u64,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    let (read_only, size) = (&raw const attr as usize, size_of::<mount_attr>());
    let empty = AT_EMPTY_PATH as usize;
    // SAFETY: all pointers are live and have the kernel's layout.
    unsafe {
        let tree = call(Sysno::open_tree as usize, here, exe, flags, 0, 0);
        if tree >= MAX_ERROR {
            return;
        }
        let set = Sysno::mount_setattr as usize;
        if call(set, tree, nothing, empty, read_only, size) == 0 {
            let (execute, args, env) = (Sysno::execveat as usize, args as usize, env as usize);
            call(execute, tree, nothing, args, env, empty);
        }
        call(Sysno::close as usize, tree, 0, 0, 0, 0);
    }
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
unsafe fn call(number: usize, a: usize, b: usize, c: usize, d: usize, e: usize) -> usize {
    let answer;
    // SAFETY: the kernel's calling convention.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number => answer,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
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
unsafe fn call(number: usize, a: usize, b: usize, c: usize, d: usize, e: usize) -> usize {
    let answer;
    // SAFETY: the kernel's calling convention.
    unsafe {
        core::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a => answer,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e,
            options(nostack),
        );
    }
    answer
}
