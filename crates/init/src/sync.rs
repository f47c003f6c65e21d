//! Meeting the host half, and waiting for `start`.

use crate::outcome::Step;
use kan_op::{Flaw, Sync};
use kan_sys::fd::BorrowedFd;
use kan_sys::io;

/// See [`Init::wait`].
#[unsafe(link_section = "kan_waiting")]
pub(crate) fn wait(channel: BorrowedFd<'_>, sync: Sync) -> Step {
    let mut told = [0];
    let length = io::read(channel, &mut told)?;
    if length == 1 && told[0] == sync as u8 {
        return Ok(());
    }
    Err(Flaw::OutOfStep.into())
}

/// See [`Init::tell`].
#[unsafe(link_section = "kan_waiting")]
pub(crate) fn tell(channel: BorrowedFd<'_>, sync: Sync) -> Step {
    io::write(channel, &[sync as u8])?;
    Ok(())
}

/// See [`Init::await_start`].
#[unsafe(link_section = "kan_waiting")]
pub(crate) fn await_start(fifo: BorrowedFd<'_>) -> Step {
    let mut byte = [0];
    io::read(fifo, &mut byte)?;
    Ok(())
}
