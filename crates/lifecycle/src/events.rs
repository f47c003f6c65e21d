//! `events`: what a container uses, and when it was out of memory.

use crate::error::with;
use crate::{Error, Result, Store};
use kan_cgroup::{OomWatch, Placement, Stats};
use kan_spec::state::Status;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Something to tell.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// What the container uses now.
    Stats(Box<Stats>),
    /// It was out of memory.
    Oom,
}

/// What a container uses now.
///
/// # Errors
/// [`Error::Unknown`]; [`Error::Status`] if it has stopped.
pub fn stats(store: &Store, id: &str) -> Result<Stats> {
    running(store, id).map(|(_, placement)| kan_cgroup::stats(&placement))
}

fn running(store: &Store, id: &str) -> Result<(PathBuf, Placement)> {
    let container = store.find(id)?;
    match (&container.record, container.status()?) {
        (Some(record), status) if status != Status::Stopped => {
            Ok((container.directory.clone(), record.cgroups.clone()))
        }
        _ => Err(Error::Status(format!(
            "container with id {id} is not running"
        ))),
    }
}

/// Tells statistics in an interval, and each time that the container was out of memory, until it is
/// deleted or `tell` has nobody to tell it to.
///
/// # Errors
/// As [`stats`]; the kernel's, of watching.
pub fn watch(
    store: &Store,
    id: &str,
    interval: Duration,
    mut tell: impl FnMut(Event) -> bool,
) -> Result<()> {
    let (directory, placement) = running(store, id)?;
    let gone = watch_directory(&directory)?;
    let mut oom = OomWatch::new(&placement)?;
    let mut next = Instant::now() + interval;
    // Deleted before the watch began.
    while directory.exists() {
        let left = next.saturating_duration_since(Instant::now());
        let ready = ready(&directory, &gone, oom.as_ref(), left)?;
        if ready.oom && oom.as_mut().is_some_and(OomWatch::take) && !tell(Event::Oom) {
            return Ok(());
        }
        if Instant::now() >= next && !ready.gone {
            next += interval;
            if !tell(Event::Stats(Box::new(kan_cgroup::stats(&placement)))) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// inotify(7) of a container's directory, for its end.
fn watch_directory(directory: &Path) -> Result<OwnedFd> {
    let failed = |errno: rustix::io::Errno| with("watch", directory)(errno.into());
    let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(failed)?;
    let flags = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::ONLYDIR;
    match inotify::add_watch(&watch, directory, flags) {
        Err(rustix::io::Errno::NOENT) | Ok(_) => Ok(watch),
        Err(errno) => Err(failed(errno)),
    }
}

struct Ready {
    gone: bool,
    oom: bool,
}

fn ready(
    directory: &Path,
    gone: &OwnedFd,
    oom: Option<&OomWatch>,
    left: Duration,
) -> Result<Ready> {
    let fds = [Some(gone.as_fd()), oom.map(AsFd::as_fd)];
    let mut watched: Vec<_> = fds
        .into_iter()
        .flatten()
        .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
        .collect();
    // Rounded up: nothing is due a moment before its time.
    let timeout = left + Duration::from_micros(999);
    let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
    match poll(&mut watched, timeout) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(errno) => return Err(with("wait for the end of", directory)(errno.into())),
    }
    let is = |index: usize| {
        watched
            .get(index)
            .is_some_and(|fd| fd.any().unwrap_or(false))
    };
    Ok(Ready {
        gone: is(0),
        oom: is(1),
    })
}
