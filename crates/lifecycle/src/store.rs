//! The state directory: one directory a container.

use crate::cgroups::is_host_root;
use crate::container::Container;
use crate::error::with;
use crate::record::FILE;
use crate::{Error, Result, check_id, files, waiting};
use kan_sys::file::{O_DIRECTORY, O_RDONLY};
use std::fs::{DirBuilder, File, Metadata, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where containers are remembered (`--root`).
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// A container's directory, locked until it is dropped. A killed kan drops it too.
#[derive(Debug)]
pub(crate) struct Locked(#[expect(dead_code, reason = "held, not used")] File);

/// `/run/kan`, or `$XDG_RUNTIME_DIR/kan` for a user who is not root, as root of a user namespace of
/// his is not.
#[must_use]
pub fn default_root() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    match runtime {
        Some(dir) if !is_host_root().unwrap_or(false) => PathBuf::from(dir).join("kan"),
        _ => PathBuf::from("/run/kan"),
    }
}

/// Whether the default is root's, and kan's user is not root.
pub(crate) fn lacks_runtime_directory() -> bool {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR");
    runtime.is_none_or(|dir| dir.is_empty()) && !is_host_root().unwrap_or(true)
}

/// What to do about that.
pub(crate) const RUNTIME_DIRECTORY: &str =
    "set XDG_RUNTIME_DIR to a directory that is yours, such as /run/user/UID, or use --root";

/// The error, with what to do about a state directory that is not the user's.
pub(crate) fn with_advice(error: Error) -> Error {
    match &error {
        Error::File { source, .. }
            if source.kind() == ErrorKind::PermissionDenied && lacks_runtime_directory() =>
        {
            Error::Step(format!("{error} ({RUNTIME_DIRECTORY})"))
        }
        _ => error,
    }
}

impl Store {
    /// A store at `root`, which need not exist yet.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A container's directory, whether it exists or not.
    pub(crate) fn directory(&self, id: &str) -> PathBuf {
        self.root.join(id)
    }

    /// Makes and locks a container's directory.
    pub(crate) fn make(&self, id: &str) -> Result<(PathBuf, Locked)> {
        check_id(id)?;
        let directory = self.directory(id);
        match DirBuilder::new().mode(0o711).create(&directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut all = DirBuilder::new();
                all.recursive(true)
                    .mode(0o700)
                    .create(&self.root)
                    .map_err(with("make", &self.root))?;
                return self.make(id);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(Error::Exists(id.to_owned()));
            }
            other => other.map_err(with("make", &directory))?,
        }
        match lock(&directory, || ()) {
            // Another kan may have deleted the directory before it was locked, and a third have made
            // a container there.
            Ok(_) if directory.join(FILE).exists() => Err(Error::Exists(id.to_owned())),
            Ok(locked) => Ok((directory, locked)),
            Err(error) => {
                let _ = std::fs::remove_dir(&directory);
                Err(error)
            }
        }
    }

    /// Locks an existing container's directory; waits while another kan works on it.
    pub(crate) fn lock(&self, id: &str) -> Result<Locked> {
        self.lock_after(id, || ())
    }

    /// The same; what is to be done where another kan works on it, before waiting for that, is done.
    pub(crate) fn lock_after(&self, id: &str, if_held: impl FnOnce()) -> Result<Locked> {
        check_id(id)?;
        match lock(&self.directory(id), if_held) {
            Err(Error::File { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Err(Error::Unknown(id.to_owned()))
            }
            other => other,
        }
    }

    /// Finds a container.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::BadId`], or [`Error::BadState`] if its state can't be read.
    pub fn find(&self, id: &str) -> Result<Container> {
        check_id(id)?;
        Container::load(self.directory(id), id)
    }
}

fn lock(directory: &Path, if_held: impl FnOnce()) -> Result<Locked> {
    let mut if_held = Some(if_held);
    loop {
        let opened = files::open(directory, O_RDONLY | O_DIRECTORY, 0);
        let opened = opened.map_err(with("open", directory))?;
        match opened.try_lock() {
            Err(TryLockError::WouldBlock) => {
                if let Some(act) = if_held.take() {
                    act();
                }
                await_lock(&opened, directory)?;
            }
            Err(TryLockError::Error(error)) => return Err(with("lock", directory)(error)),
            Ok(()) => {}
        }
        // While kan waited, another one may have removed the directory, and a third made it anew. One
        // that was removed has no link left; a file system that does not count links is asked again.
        let locked = opened.metadata().map_err(with("look at", directory))?;
        if locked.nlink() > 0 || is_at(directory, &locked)? {
            return Ok(Locked(opened));
        }
    }
}

/// A lock that is held can't be waited for by poll(2): it is tried again and again, in intervals that
/// grow.
fn await_lock(directory: &File, path: &Path) -> Result<()> {
    const LONGEST: Duration = Duration::from_millis(20);
    let mut interval = Duration::from_millis(1);
    loop {
        waiting::pause(interval, "the container's lock")?;
        match directory.try_lock() {
            Err(TryLockError::WouldBlock) => interval = LONGEST.min(interval * 2),
            Err(TryLockError::Error(error)) => return Err(with("lock", path)(error)),
            Ok(()) => return Ok(()),
        }
    }
}

/// Whether what was opened is what lies at a path now.
fn is_at(path: &Path, opened: &Metadata) -> Result<bool> {
    let now = std::fs::metadata(path).map_err(with("look at", path))?;
    Ok((now.dev(), now.ino()) == (opened.dev(), opened.ino()))
}

/// Whether some kan holds the lock.
pub(crate) fn is_locked(directory: &Path) -> bool {
    let Ok(open) = File::open(directory) else {
        return false;
    };
    matches!(open.try_lock_shared(), Err(TryLockError::WouldBlock))
}
