//! `cgroup.events` (cgroup v2): whether a cgroup and everything below it holds processes, and
//! whether it is frozen.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use kan_sys::waiting::Watch;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io;

use crate::file;
use crate::wait::{Deadline, ready};

/// An open `cgroup.events`.
pub(crate) struct Events(OwnedFd);

impl Events {
    pub(crate) fn open(cgroup: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        openat(CWD, cgroup.join("cgroup.events"), flags, Mode::empty()).map(Self)
    }

    /// The value of a key. Of a cgroup that was removed nothing is true.
    pub(crate) fn get(&self, key: &str) -> io::Result<bool> {
        let mut buffer = [0_u8; 128];
        match io::pread(&self.0, &mut buffer, 0) {
            Ok(length) => Ok(is_set(&String::from_utf8_lossy(&buffer[..length]), key)),
            Err(errno) if file::vanished(errno) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Waits until a key has a value. Whether that happened in time.
    ///
    /// POLLPRI is raised for any change since the last read (cgroup-v2.rst, "Basic Operations"),
    /// so a change between reading and polling is not lost.
    pub(crate) fn wait(&self, key: &str, value: bool, deadline: &Deadline) -> io::Result<bool> {
        while self.get(key)? != value {
            if !ready(Some(Watch::news(self.0.as_fd())), deadline)? {
                return Ok(self.get(key)? == value);
            }
        }
        Ok(true)
    }
}

pub(crate) fn is_set(text: &str, key: &str) -> bool {
    text.lines()
        .any(|line| line.split_once(' ') == Some((key, "1")))
}

#[cfg(test)]
mod tests {
    use super::is_set;

    #[test]
    fn keys_are_whole_words() {
        let text = "populated 1\nfrozen 0\n";
        assert!(is_set(text, "populated"));
        assert!(!is_set(text, "frozen"));
        assert!(!is_set(text, "popul"));
        assert!(!is_set("populated 10\n", "populated"));
        assert!(!is_set("", "populated"));
    }
}
