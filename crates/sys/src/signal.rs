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
