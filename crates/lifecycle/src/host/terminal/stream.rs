//! kan's own standard input or output, read and written without waiting.
//!
//! O_NONBLOCK belongs to the open file, fcntl(2), which kan shares with its caller and with whoever
//! else the caller has started: a shell would find its terminal changed. So terminals and pipes are
//! opened once more, for kan alone. What can't be opened again is used as it is, only when poll(2) has
//! said that it is ready, and in pieces that are likely to fit.

use kan_sys::fd::{AsFd, BorrowedFd, OwnedFd};
use kan_sys::file::{self, O_NOCTTY, O_NONBLOCK, O_RDONLY, O_WRONLY, S_IFCHR, S_IFIFO};
use kan_sys::{Errno, Result, io, terminal};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// What a pipe has room for when poll(2) says that it can be written to, pipe(7): PIPE_BUF.
const PIECE: usize = 4096;

/// One of the standard descriptors.
pub(crate) struct Stream {
    number: i32,
    /// The same file, opened by kan for itself and with O_NONBLOCK.
    own: Option<OwnedFd>,
}

impl Stream {
    pub(crate) fn input() -> Self {
        Self::new(0, O_RDONLY)
    }

    pub(crate) fn output() -> Self {
        Self::new(1, O_WRONLY)
    }

    fn new(number: i32, access: u32) -> Self {
        let own = if can_be_opened_again(number) {
            let path = match number {
                0 => c"/proc/self/fd/0",
                _ => c"/proc/self/fd/1",
            };
            file::open(path, access | O_NONBLOCK | O_NOCTTY, 0).ok()
        } else {
            None
        };
        Self { number, own }
    }

    /// Reads what is there: `None` when nothing is.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> Result<Option<usize>> {
        if !self.is_ready(PollFlags::POLLIN) {
            return Ok(None);
        }
        or_nothing(io::read(self, buffer))
    }

    /// Writes some of the bytes: `None` when there is no room.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<Option<usize>> {
        if !self.is_ready(PollFlags::POLLOUT) {
            return Ok(None);
        }
        let length = match self.own {
            Some(_) => bytes.len(),
            None => bytes.len().min(PIECE),
        };
        or_nothing(io::write(self, &bytes[..length]))
    }

    /// Whether a call would not wait.
    fn is_ready(&self, events: PollFlags) -> bool {
        if self.own.is_some() {
            return true;
        }
        let mut watched = [PollFd::new(self.as_fd(), events)];
        poll(&mut watched, PollTimeout::ZERO).is_ok_and(|count| count > 0)
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.own {
            Some(own) => own.as_fd(),
            None => io::standard(self.number),
        }
    }
}

/// EAGAIN is not an error, and never the end.
pub(crate) fn or_nothing(done: Result<usize>) -> Result<Option<usize>> {
    match done {
        Err(error) if error.errno == Errno::EAGAIN => Ok(None),
        other => other.map(Some),
    }
}

/// Opening has no side effect on pipes and terminals, but on /dev/ptmx, where it creates a terminal,
/// and perhaps on other devices. A file would be written from its beginning.
fn can_be_opened_again(number: i32) -> bool {
    let fd = io::standard(number);
    let Ok(found) = file::status(fd, c"") else {
        return false;
    };
    found.is(S_IFIFO) || found.is(S_IFCHR) && terminal::is_slave(fd, found.device)
}
