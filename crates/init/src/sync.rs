//! Meeting the host half, and waiting for `start`.

use crate::{Init, Step};
use kan_op::{Failure, Flaw, HOOKS_RUN, Slot, Sync};
use kan_sys::fd::BorrowedFd;
use kan_sys::{io, namespace, socket};

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

impl Init<'_> {
    /// Reads one byte, the point that the host has reached. An end of file means that the host died
    /// before it had saved the state: init must die as well, for nobody would ever find it.
    pub(crate) fn wait(&self, sync: Sync) -> Step {
        wait(self.slots.get(Slot::Channel)?, sync)
    }

    /// The namespace comes with the message; if it does not, the host could not make one for init.
    pub(crate) fn enter_network(&self) -> Step {
        match socket::receive(self.slots.get(Slot::Channel)?)? {
            (0, _) => Err(Flaw::OutOfStep.into()),
            (_, Some(made)) => {
                namespace::setns(&made, namespace::CLONE_NEWNET)?;
                self.slots.spend(made);
                Ok(())
            }
            (_, None) => {
                namespace::unshare(namespace::CLONE_NEWNET)?;
                Ok(kan_sys::socket::raise_loopback()?)
            }
        }
    }

    pub(crate) fn tell(&self, sync: Sync) -> Step {
        tell(self.slots.get(Slot::Channel)?, sync)
    }

    /// The FIFO is open for reading and writing here, so that opening it never blocked and its
    /// end of file never comes: only a byte ends the wait.
    pub(crate) fn await_start(&self) -> Step {
        await_start(self.slots.get(Slot::Fifo)?)
    }

    pub(crate) fn tell_hooks_run(&self) -> Step {
        io::write(self.slots.get(Slot::Fifo)?, &[HOOKS_RUN])?;
        Ok(())
    }

    /// When `create` has long returned nobody reads the board: what went wrong since goes to the
    /// container's stderr, as runc's does, and to `start`, which reads the FIFO's other end where
    /// it waits for the program.
    #[cold]
    #[inline(never)]
    pub(crate) fn complain_if_alone(&self, failure: Failure) {
        let Ok(channel) = self.slots.get(Slot::Channel) else {
            return;
        };
        if !kan_sys::socket::peer_is_gone(channel) {
            return;
        }
        let line = self.strings.complaint(
            self.steps.get(self.board.step()),
            failure,
            &self.slots.reason,
        );
        let _ = io::write(io::standard(2), line.bytes());
        if let Ok(fifo) = self.slots.get(Slot::Fifo) {
            let _ = io::write(fifo, line.bytes());
        }
    }
}
