//! Waiting with a bound, on descriptors.

use std::time::{Duration, Instant};

use kan_sys::waiting::{self, Watch};
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

/// [`kan_sys::waiting::wait`] for a descriptor, or for the time to pass. Whether it became ready in
/// time; EINTR if the caller is told to stop.
pub(crate) fn ready(watch: Option<Watch<'_>>, deadline: &Deadline) -> io::Result<bool> {
    let mut watch = watch;
    let watched = watch.as_mut().map_or(&mut [][..], std::slice::from_mut);
    waiting::wait(watched, Some(deadline.left()))
        .map_err(|error| Errno::from_raw_os_error(error.errno.into_raw()))
}

/// Gives way for a millisecond. Only for states whose end the kernel tells nobody: v1's FREEZING, a
/// cgroup whose last process is dead but still being taken off the CPU, and killed threads that no
/// pidfd can hold.
pub(crate) fn pause() -> io::Result<()> {
    ready(None, &Deadline::after(Duration::from_millis(1))).map(drop)
}
