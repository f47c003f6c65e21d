//! Waiting with a bound, on descriptors.

use std::time::{Duration, Instant};

use rustix::event::{self, PollFd, Timespec};
use rustix::io::{self, Errno};

/// The moment at which waiting ends.
pub(crate) struct Deadline {
    at: Instant,
    patience: Duration,
}

impl Deadline {
    pub(crate) fn after(patience: Duration) -> Self {
        Self {
            at: Instant::now() + patience,
            patience,
        }
    }

    /// The earlier of this and a time from now.
    pub(crate) fn within(&self, patience: Duration) -> Self {
        Self::after(patience.min(self.left()))
    }

    pub(crate) fn passed(&self) -> bool {
        self.left().is_zero()
    }

    /// The whole time waited for, for error messages.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }
}

/// poll(2), repeated after signals. Whether a descriptor became ready in time.
pub(crate) fn ready(fds: &mut [PollFd<'_>], deadline: &Deadline) -> io::Result<bool> {
    loop {
        let left = Timespec::try_from(deadline.left()).map_err(|_| Errno::INVAL)?;
        match event::poll(fds, Some(&left)) {
            Err(Errno::INTR) => {}
            answer => return answer.map(|count| count > 0),
        }
    }
}

/// Gives way for a millisecond. Only for states whose end the kernel tells nobody: v1's FREEZING, a
/// cgroup whose last process is dead but still being taken off the CPU, and killed threads that no
/// pidfd can hold.
pub(crate) fn pause() {
    let _ = ready(&mut [], &Deadline::after(Duration::from_millis(1)));
}
