//! A directory of kan's own, held by its descriptor.

use crate::Result;
use crate::error::with;
use crate::os::files;
use kan_sys::fd::{AsFd, BorrowedFd, OwnedFd};
use kan_sys::file::{
    self, O_CREAT, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_PATH, O_RDONLY, O_TRUNC, O_WRONLY,
    S_IFIFO, Status,
};
use kan_sys::{Errno, Sysno};
use std::ffi::{CStr, CString};
use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory to which only trusted users can write ([`crate::state::trust`]). Its entries are looked up
/// by name, one component at a time, from the descriptor; no symbolic link is followed.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    /// Opened with O_PATH.
    opened: Arc<OwnedFd>,
    /// Where it was found. For messages, and for the few calls that take nothing but a path.
    path: PathBuf,
}

/// Which directory it is, for as long as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    filesystem: u64,
    inode: u64,
}

impl Identity {
    pub(crate) const fn of(status: Status) -> Self {
        let Status {
            filesystem, inode, ..
        } = status;
        Self { filesystem, inode }
    }
}

impl Directory {
    pub(crate) fn new(opened: OwnedFd, path: PathBuf) -> Self {
        let opened = Arc::new(opened);
        Self { opened, path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of an entry, for messages.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A path that leads to this very directory, wherever it is now, and also where its own path
    /// is longer than unix(7) accepts for a socket.
    pub(crate) fn descriptor_path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.opened.as_raw_fd()))
    }

    /// openat(2) of an entry, without following a link, close-on-exec; `flags` are those of open(2).
    pub(crate) fn open(&self, name: &str, flags: u32, mode: u32) -> io::Result<File> {
        let opened = self.open_entry(&c_name(name)?, flags, mode);
        opened.map(File::from).map_err(as_io)
    }

    /// EINVAL for what is not the name of an entry: with O_NOFOLLOW a single name leads nowhere else.
    fn open_entry(&self, name: &CStr, flags: u32, mode: u32) -> kan_sys::Result<OwnedFd> {
        let bytes = name.to_bytes();
        if bytes == b".." || bytes.contains(&b'/') {
            return Err(kan_sys::Error {
                call: Sysno::openat,
                errno: Errno::EINVAL,
            });
        }
        file::openat(&*self.opened, name, flags | O_NOFOLLOW, mode)
    }

    /// The directory of this name in this one.
    pub(crate) fn directory(&self, name: &str) -> io::Result<Self> {
        let opened = self.open_entry(&c_name(name)?, O_PATH | O_DIRECTORY, 0);
        Ok(Self::new(opened.map_err(as_io)?, self.path_of(name)))
    }

    pub(crate) fn status(&self) -> io::Result<Status> {
        file::status(&*self.opened, c"").map_err(as_io)
    }

    pub(crate) fn identity(&self) -> io::Result<Identity> {
        self.status().map(Identity::of)
    }

    /// fstatat(2) of an entry; a symbolic link is not followed.
    pub(crate) fn status_of(&self, name: &str) -> io::Result<Status> {
        file::status(&*self.opened, &c_name(name)?).map_err(as_io)
    }

    /// Reads an entry that rarely is longer than `usual` bytes ([`files::read_to_end`]).
    pub(crate) fn read(&self, name: &str, usual: usize) -> Result<Vec<u8>> {
        self.try_read(name, usual)
            .map_err(with("read", &self.path_of(name)))
    }

    /// The same, with the error as the system reported it.
    pub(crate) fn try_read(&self, name: &str, usual: usize) -> io::Result<Vec<u8>> {
        files::read_to_end(self.open(name, O_RDONLY | O_NONBLOCK, 0)?, usual)
    }

    /// Writes a file that only kan's user may read: a config's environment holds secrets.
    pub(crate) fn write_private(&self, name: &str, text: &[u8]) -> Result<()> {
        self.open(name, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
            .and_then(|mut file| file.write_all(text))
            .map_err(with("write", &self.path_of(name)))
    }

    pub(crate) fn rename(&self, name: &str, new_name: &str) -> Result<()> {
        let rename = || {
            let (old, new) = (c_name(name)?, c_name(new_name)?);
            file::renameat(&*self.opened, &old, &*self.opened, &new).map_err(as_io)
        };
        rename().map_err(with("rename", &self.path_of(name)))
    }

    /// mkdirat(2).
    pub(crate) fn make_directory(&self, name: &str, mode: u32) -> io::Result<()> {
        file::mkdirat(&*self.opened, &c_name(name)?, mode).map_err(as_io)
    }

    /// mkfifo(3) for kan's user alone.
    pub(crate) fn make_fifo(&self, name: &str) -> Result<()> {
        let make =
            || file::mknodat(&*self.opened, &c_name(name)?, S_IFIFO | 0o600, 0).map_err(as_io);
        make().map_err(with("create", &self.path_of(name)))
    }

    /// Removes an entry that is not a directory.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        file::unlinkat(&*self.opened, &c_name(name)?).map_err(as_io)
    }

    /// rmdir(2) of an entry.
    pub(crate) fn remove_directory(&self, name: &str) -> io::Result<()> {
        file::rmdirat(&*self.opened, &c_name(name)?).map_err(as_io)
    }

    /// The names of all entries that are UTF-8; no others are kan's.
    pub(crate) fn names(&self) -> Result<Vec<String>> {
        let names = entries(&self.opened).map_err(|error| with("read", &self.path)(as_io(error)));
        let utf8 = |name: CString| name.into_string().ok();
        Ok(names?.into_iter().filter_map(utf8).collect())
    }

    /// Removes everything in this directory, however deep: what lies in a subdirectory was perhaps
    /// put there by a container. So there is no recursion: a directory that is not empty is
    /// moved up into this one, and its turn comes.
    pub(crate) fn clear(&self) -> Result<()> {
        let clear = || {
            let mut moved = 0;
            loop {
                let names = entries(&self.opened)?;
                if names.is_empty() {
                    return Ok(());
                }
                for name in names {
                    if is_directory_left(&self.opened, &name)? {
                        self.lift(&name, &mut moved)?;
                    }
                }
            }
        };
        clear().map_err(|error| with("clear", &self.path)(as_io(error)))
    }

    /// Moves the directories of one in this directory up into this one, and removes it.
    fn lift(&self, name: &CStr, moved: &mut u64) -> kan_sys::Result<()> {
        let below = Arc::new(self.open_entry(name, O_RDONLY | O_DIRECTORY, 0)?);
        for entry in entries(&below)? {
            while is_directory_left(&below, &entry)? {
                *moved += 1;
                let free = CString::new(format!(".moved-{moved}")).unwrap_or_default();
                match file::renameat(&*below, &entry, &*self.opened, &free) {
                    // The name is taken.
                    Err(error) if is_taken(&error) => {}
                    other => {
                        other?;
                        break;
                    }
                }
            }
        }
        file::rmdirat(&*self.opened, name)
    }

    /// Opens this directory once more, to lock it: flock(2) belongs to the open file.
    pub(crate) fn reopen(&self) -> io::Result<File> {
        let opened = self.open_entry(c".", O_RDONLY | O_DIRECTORY, 0);
        opened.map(File::from).map_err(as_io)
    }

    /// Whether a kan holds the lock.
    pub(crate) fn is_locked(&self) -> bool {
        let Ok(open) = self.reopen() else {
            return false;
        };
        matches!(open.try_lock_shared(), Err(TryLockError::WouldBlock))
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.opened.as_fd()
    }
}

/// Removes a file or an empty directory; whether it is a directory with something in it.
fn is_directory_left(at: &OwnedFd, name: &CStr) -> kan_sys::Result<bool> {
    let gone = |error: &kan_sys::Error| error.errno == Errno::ENOENT;
    match file::unlinkat(at, name) {
        Ok(()) => return Ok(false),
        Err(error) if gone(&error) => return Ok(false),
        // Linux answers EISDIR for a directory, and where POSIX file systems are emulated EPERM.
        Err(error) if matches!(error.errno, Errno::EISDIR | Errno::EPERM) => {}
        Err(error) => return Err(error),
    }
    match file::rmdirat(at, name) {
        Ok(()) => Ok(false),
        Err(error) if gone(&error) => Ok(false),
        Err(error) if matches!(error.errno, Errno::ENOTEMPTY | Errno::EEXIST) => Ok(true),
        Err(error) => Err(error),
    }
}

fn is_taken(error: &kan_sys::Error) -> bool {
    matches!(
        error.errno,
        Errno::EEXIST | Errno::ENOTEMPTY | Errno::ENOTDIR
    )
}

/// The names of all entries.
fn entries(directory: &Arc<OwnedFd>) -> kan_sys::Result<Vec<CString>> {
    let opened = file::openat(&**directory, c".", O_RDONLY | O_DIRECTORY, 0)?;
    let (mut names, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let some = file::entries(&opened, &mut buffer)?;
        if some.is_empty() {
            return Ok(names);
        }
        let own = |name: &&CStr| !matches!(name.to_bytes(), b"." | b"..");
        names.extend(some.filter(own).map(CStr::to_owned));
    }
}

fn c_name(name: &str) -> io::Result<CString> {
    Ok(CString::new(name)?)
}

pub(crate) fn as_io(error: kan_sys::Error) -> io::Error {
    io::Error::from_raw_os_error(error.errno.into_raw())
}

/// A new directory for a test that only its owner can write to, whatever the umask: another
/// test may have it at 0 for a moment.
#[cfg(test)]
pub(crate) fn scratch(name: &str) -> PathBuf {
    use std::os::unix::fs::DirBuilderExt;
    let path = std::env::temp_dir().join(format!("kan-{name}-{}", std::process::id()));
    let made = std::fs::DirBuilder::new().mode(0o755).create(&path);
    made.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}
