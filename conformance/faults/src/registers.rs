//! The registers that hold a system call's number and its result.

use nix::errno::Errno;
use nix::sys::ptrace::{getregs, setregs};
use nix::unistd::Pid;

/// Whether calls can be made to fail on this machine.
pub const CAN_FAIL_CALLS: bool = cfg!(target_arch = "x86_64");

/// The number of the call that a process is entering.
///
/// # Errors
/// ptrace(2)'s.
pub fn call_number(pid: Pid) -> Result<u64, Errno> {
    let registers = getregs(pid)?;
    #[cfg(target_arch = "x86_64")]
    return Ok(registers.orig_rax);
    #[cfg(target_arch = "aarch64")]
    return Ok(registers.regs[8]);
}

/// The arguments of the call that a process is entering.
///
/// # Errors
/// ptrace(2)'s.
pub fn arguments(pid: Pid) -> Result<[u64; 6], Errno> {
    let registers = getregs(pid)?;
    #[cfg(target_arch = "x86_64")]
    return Ok([
        registers.rdi,
        registers.rsi,
        registers.rdx,
        registers.r10,
        registers.r8,
        registers.r9,
    ]);
    #[cfg(target_arch = "aarch64")]
    return Ok([0, 1, 2, 3, 4, 5].map(|nth| registers.regs[nth]));
}

/// The result of the call that a process is leaving.
///
/// # Errors
/// ptrace(2)'s.
pub fn result(pid: Pid) -> Result<i64, Errno> {
    let registers = getregs(pid)?;
    #[cfg(target_arch = "x86_64")]
    return Ok(registers.rax.cast_signed());
    #[cfg(target_arch = "aarch64")]
    return Ok(registers.regs[0].cast_signed());
}

/// Makes the kernel skip the call: there is none with number -1.
///
/// # Errors
/// ptrace(2)'s.
pub fn skip_call(pid: Pid) -> Result<(), Errno> {
    let mut registers = getregs(pid)?;
    #[cfg(target_arch = "x86_64")]
    {
        registers.orig_rax = u64::MAX;
    }
    // arm64 keeps the number elsewhere (NT_ARM_SYSTEM_CALL): see CAN_FAIL_CALLS.
    #[cfg(target_arch = "aarch64")]
    {
        registers.regs[8] = u64::MAX;
    }
    setregs(pid, registers)
}

/// The result of a call that a process is leaving.
///
/// # Errors
/// ptrace(2)'s.
pub fn set_result(pid: Pid, errno: Errno) -> Result<(), Errno> {
    let mut registers = getregs(pid)?;
    let result = i64::from(-(errno as i32)).cast_unsigned();
    #[cfg(target_arch = "x86_64")]
    {
        registers.rax = result;
    }
    #[cfg(target_arch = "aarch64")]
    {
        registers.regs[0] = result;
    }
    setregs(pid, registers)
}

/// A call's name.
pub fn name(number: u64) -> &'static str {
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    syscalls::Sysno::new(number).map_or("?", |call| call.name())
}
