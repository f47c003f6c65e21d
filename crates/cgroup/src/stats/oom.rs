//! Processes that the kernel killed because a container's memory limit was reached.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{self, Errno};

use crate::error::{Error, Operation, Result};
use crate::file;
use crate::locate::place::Placement;

/// How many processes of the container were killed for want of memory since its cgroup was made;
/// 0 also where that cannot be read. `memory.events` of v2 counts all cgroups below too
/// (cgroup-v2.rst), `memory.oom_control` of v1 the cgroup alone.
#[must_use]
pub fn oom_kills(placement: &Placement) -> u64 {
    let (dir, name) = match placement.v1("memory") {
        Some(dir) => (Some(dir), "memory.oom_control"),
        None => (placement.v2(), "memory.events"),
    };
    let text = dir.and_then(|dir| file::value(&dir.path().join(name)).ok());
    text.as_deref().map_or(0, count)
}

fn count(text: &str) -> u64 {
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// Tells when a container is out of memory: readable, for poll(2), when it may be.
#[derive(Debug)]
pub struct OomWatch {
    event: OwnedFd,
    /// The file that counts.
    counter: PathBuf,
    /// v2: how many processes had been killed when it was last read. v1 tells by the event.
    killed: Option<u64>,
}

impl OomWatch {
    /// Begins to watch; `None` where the container has no memory controller.
    ///
    /// # Errors
    /// The call that failed, with the file.
    pub fn new(placement: &Placement) -> Result<Option<Self>> {
        if let Some(dir) = placement.v1("memory") {
            return Self::v1(&dir.path()).map(Some);
        }
        let path = placement.v2().map(|dir| dir.path().join("memory.events"));
        match path.filter(|path| path.exists()) {
            Some(path) => Self::v2(path).map(Some),
            None => Ok(None),
        }
    }

    /// cgroup-v1/memory.rst, OOM Control: the descriptors of an eventfd and of `memory.oom_control`
    /// are written to `cgroup.event_control`.
    fn v1(dir: &Path) -> Result<Self> {
        let counter = dir.join("memory.oom_control");
        let failed = |path: &Path, operation| {
            let path = path.to_path_buf();
            move |errno| Error::call(operation, &path, errno)
        };
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let event = eventfd(0, flags).map_err(failed(dir, Operation::Wait))?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let control = openat(CWD, &counter, flags, Mode::empty())
            .map_err(failed(&counter, Operation::Read))?;
        let number = |fd: &OwnedFd| std::os::fd::AsRawFd::as_raw_fd(fd);
        let line = format!("{} {}", number(&event), number(&control));
        file::write(&dir.join("cgroup.event_control"), &line)?;
        Ok(Self {
            event,
            counter,
            killed: None,
        })
    }

    /// cgroup-v2.rst, Core Interface Files: a changed events file is a modified file.
    fn v2(counter: PathBuf) -> Result<Self> {
        let failed = |errno| Error::call(Operation::Wait, &counter, errno);
        let event = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(failed)?;
        inotify::add_watch(&event, &counter, WatchFlags::MODIFY).map_err(failed)?;
        let killed = count(&file::read(&counter)?);
        Ok(Self {
            event,
            counter,
            killed: Some(killed),
        })
    }

    /// Takes what has happened since: whether the container was out of memory. Once its cgroup is
    /// gone it was not; v1 raises the event then, too.
    pub fn take(&mut self) -> bool {
        let mut buffer = [0_u8; 4096];
        while !matches!(
            io::read(&self.event, &mut buffer),
            Ok(0) | Err(Errno::AGAIN)
        ) {
            if self.killed.is_none() {
                break;
            }
        }
        let Ok(text) = file::value(&self.counter) else {
            return false;
        };
        match &mut self.killed {
            None => true,
            Some(killed) => {
                let now = count(&text);
                std::mem::replace(killed, now) < now
            }
        }
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_versions_count() {
        assert_eq!(
            super::count("low 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 1\n"),
            2
        );
        assert_eq!(
            super::count("oom_kill_disable 0\nunder_oom 0\noom_kill 4"),
            4
        );
        assert_eq!(super::count(""), 0);
    }
}
