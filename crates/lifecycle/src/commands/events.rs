//! `events`: what a container uses, and when it was out of memory.

use crate::error::with;
use crate::os::directory::Directory;
use crate::state::container::Container;
use crate::{Error, Result, Store, resctrl};
use kan_cgroup::{OomWatch, Placement, Stats};
use kan_plan::Resctrl;
use kan_spec::state::Status;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// A longer interval between statistics is taken for this one: a century.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

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
    Ok(running(store, id)?.usage.stats())
}

struct Watched {
    directory: Directory,
    usage: Usage,
}

/// What of a container is looked at again and again.
struct Usage {
    placement: Placement,
    /// Its groups in resctrl.
    classes: Option<(Resctrl, Vec<String>)>,
}

impl Usage {
    fn stats(&self) -> Stats {
        let mut stats = kan_cgroup::stats(&self.placement);
        if let Some((resctrl, groups)) = &self.classes {
            stats.intel_rdt = resctrl::stats::read(resctrl, groups);
        }
        stats
    }
}

fn running(store: &Store, id: &str) -> Result<Watched> {
    let container = store.find(id)?;
    match (&container.record, container.status()?) {
        (Some(record), status) if status != Status::Stopped => Ok(Watched {
            directory: container.directory.clone(),
            usage: Usage {
                placement: record.cgroups.clone(),
                classes: classes(&container, id)?,
            },
        }),
        _ => Err(Error::Status(format!(
            "container with id {id} is not running"
        ))),
    }
}

/// Only of a container whose config asks for them: others are in the root's.
fn classes(container: &Container, id: &str) -> Result<Option<(Resctrl, Vec<String>)>> {
    let Ok(config) = container.config() else {
        // Being made.
        return Ok(None);
    };
    let has = config
        .linux
        .as_ref()
        .is_some_and(|linux| linux.intel_rdt.is_some());
    let resctrl = if has { resctrl::find()? } else { None };
    Ok(resctrl.map(|resctrl| {
        let groups = kan_plan::resctrl_groups(&config, &resctrl, id);
        (resctrl, groups)
    }))
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
    let Watched { directory, usage } = running(store, id)?;
    let gone = watch_directory(&directory)?;
    let known = directory.identity().ok();
    let path = directory.path().to_owned();
    // The end of a directory is told when nobody has it open any more.
    drop(directory);
    let mut oom = OomWatch::new(&usage.placement)?;
    // The clock cannot express what is far longer.
    let interval = interval.min(LONGEST);
    let mut next = Instant::now() + interval;
    // Deleted before the watch began.
    while store.has(id, known) {
        // Another container of that id may have been created since.
        if is_over(&gone) {
            break;
        }
        let left = next.saturating_duration_since(Instant::now());
        let ready = ready(&path, &gone, oom.as_ref(), left)?;
        if ready.oom && oom.as_mut().is_some_and(OomWatch::take) && !tell(Event::Oom) {
            return Ok(());
        }
        if Instant::now() >= next && !ready.gone {
            next += interval;
            if !tell(Event::Stats(Box::new(usage.stats()))) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// inotify(7) of a container's directory, for its end.
fn watch_directory(directory: &Directory) -> Result<OwnedFd> {
    let failed = |errno: rustix::io::Errno| with("watch", directory.path())(errno.into());
    let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(failed)?;
    let flags = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::ONLYDIR;
    match inotify::add_watch(&watch, directory.descriptor_path(), flags) {
        Err(rustix::io::Errno::NOENT) | Ok(_) => Ok(watch),
        Err(errno) => Err(failed(errno)),
    }
}

/// Whether the directory that is watched is gone: each of the events asked for, and IN_IGNORED, say so.
fn is_over(watch: &OwnedFd) -> bool {
    let mut buffer = [0; 512];
    kan_sys::io::read(watch, &mut buffer).is_ok_and(|length| length > 0)
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
