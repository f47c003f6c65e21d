//! Signals: rt_sigaction(2), rt_sigprocmask(2).

use crate::Result;
use crate::call::call;
use linux_raw_sys::general::{SIG_SETMASK, kernel_sigaction};

/// The size of a signal set as the kernel has it, bytes.
pub(crate) const SET_SIZE: usize = 8;

/// rt_sigaction(2): gives `signal` (1 to 64) its default action.
pub fn set_default(signal: u32) -> Result<()> {
    // SAFETY: all-zero is SIG_DFL with no flags and an empty mask.
    let action: kernel_sigaction = unsafe { core::mem::zeroed() };
    // SAFETY: the action outlives the call, the old one is not asked for.
    unsafe { call!(rt_sigaction, signal, &raw const action, 0, SET_SIZE).map(drop) }
}

/// rt_sigprocmask(2): blocks exactly the signals of `mask`, bit n-1 for signal n.
pub fn set_mask(mask: u64) -> Result<()> {
    // SAFETY: the set outlives the call, the old one is not asked for.
    unsafe { call!(rt_sigprocmask, SIG_SETMASK, &raw const mask, 0, SET_SIZE).map(drop) }
}

/// rt_sigaction(2): from now on `signal` (1 to 64) ends this process with the code 128 + signal, until
/// execve(2). Also the first one of a pid namespace, which no signal without a handler of its own
/// reaches from inside, and none with the default action from outside but SIGKILL and SIGSTOP:
/// pid_namespaces(7).
pub fn end_at(signal: u32) -> Result<()> {
    // SAFETY: all-zero is a valid action, with an empty mask.
    let mut action: kernel_sigaction = unsafe { core::mem::zeroed() };
    action.sa_handler_kernel = Some(end);
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        // The kernel wants to know where a handler returns to there, which this one does not.
        const SA_RESTORER: u32 = 0x0400_0000;
        action.sa_flags = SA_RESTORER.into();
        action.sa_restorer = Some(never);
    }
    // SAFETY: the action outlives the call, the old one is not asked for; the handler uses nothing
    // that the interrupted code may be in the middle of.
    unsafe { call!(rt_sigaction, signal, &raw const action, 0, SET_SIZE).map(drop) }
}

#[unsafe(link_section = "kan_waiting")]
unsafe extern "C" fn end(signal: core::ffi::c_int) {
    crate::exit::exit(128 + signal)
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
unsafe extern "C" fn never() {
    crate::exit::exit(255)
}

/// rt_sigaction(2): whether `signal` (1 to 64) is ignored.
pub fn is_ignored(signal: u32) -> Result<bool> {
    const SIG_IGN: usize = 1;
    // SAFETY: all-zero is a valid action.
    let mut action: kernel_sigaction = unsafe { core::mem::zeroed() };
    // SAFETY: the buffer has the size the kernel writes; nothing is changed.
    unsafe { call!(rt_sigaction, signal, 0, &raw mut action, SET_SIZE) }?;
    // SAFETY: the handler's place holds a number, which is not called here.
    Ok(unsafe { (&raw const action.sa_handler_kernel).cast::<usize>().read() } == SIG_IGN)
}

/// rt_sigaction(2): ignores `signal` (1 to 64).
pub fn ignore(signal: u32) -> Result<()> {
    const SIG_IGN: usize = 1;
    // SAFETY: all-zero is a valid action; the handler's place then holds SIG_IGN, which is no
    // function and is never called.
    let action: kernel_sigaction = unsafe {
        let mut action: kernel_sigaction = core::mem::zeroed();
        (&raw mut action.sa_handler_kernel)
            .cast::<usize>()
            .write(SIG_IGN);
        action
    };
    // SAFETY: the action outlives the call, the old one is not asked for.
    unsafe { call!(rt_sigaction, signal, &raw const action, 0, SET_SIZE).map(drop) }
}
