//! Ending a process: exit_group(2).

use crate::call::call;

/// exit_group(2). Where a seccomp filter refuses it, exit(2), which does the same for the only thread;
/// and where that is refused too, an instruction that no processor has: SIGILL, which the kernel forces
/// upon the first process of a pid namespace as well.
#[unsafe(link_section = "kan_waiting")]
pub fn exit(code: i32) -> ! {
    // SAFETY: ends the process; there is nothing to be sound about afterwards.
    unsafe {
        let _ = call!(exit_group, code as isize);
        let _ = call!(exit, code as isize);
    }
    loop {
        trap();
    }
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn trap() {
    // SAFETY: the kernel ends the process.
    unsafe { core::arch::asm!("ud2") }
}

#[cfg(any(
    target_arch = "aarch64",
    target_arch = "arm",
    target_arch = "loongarch64",
    target_arch = "riscv64",
    target_arch = "s390x"
))]
fn trap() {
    // SAFETY: a word of zeros is no instruction there; the kernel ends the process.
    unsafe { core::arch::asm!(".long 0") }
}

/// Elsewhere the kernel is asked for a signal.
#[cfg(not(any(
    target_arch = "x86",
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "arm",
    target_arch = "loongarch64",
    target_arch = "riscv64",
    target_arch = "s390x"
)))]
fn trap() {
    // SAFETY: ends the process.
    unsafe {
        if let Ok(own) = call!(getpid) {
            let _ = call!(kill, own, linux_raw_sys::general::SIGKILL);
        }
    }
}
