//! Who may write where containers are stored: kan executes what it finds there, hooks for instance,
//! with its own privileges.
//!
//! The path of the state root is resolved once, component by component, and each component is
//! checked. A directory must belong to root or to kan's user, and nobody else may be able to write
//! to it, unless it is sticky (inode(7)): then nobody else can remove or rename what is in it. A
//! symbolic link must belong to root or to kan's user as well.

use crate::error::with;
use crate::os::directory::{Directory, as_io};
use crate::os::privilege::is_in_first_user_namespace;
use crate::outer_filter;
use crate::{Error, Result};
use kan_sys::Errno;
use kan_sys::file::{self, O_DIRECTORY, O_NOFOLLOW, O_PATH, S_IFDIR, S_IFLNK, Status};
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Write permission of the group and of others. With an access control list the group's bits are
/// the most that the list gives to anybody, acl(5).
const OTHERS_WRITE: u32 = 0o022;

const STICKY: u32 = 0o1000;

/// Links in a path, as in the kernel's own resolution: path_resolution(7).
const MAX_LINKS: u32 = 40;

/// The users whom kan trusts with its state: root and its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trust {
    uid: u32,
    /// The owner that files of unmapped users seem to have, as those of the host's root do; `None`
    /// where every user is mapped.
    overflow: fn() -> Option<u32>,
}

impl Trust {
    pub(crate) fn of_this_process() -> Self {
        Self {
            uid: kan_sys::credentials::effective_uid(),
            overflow: overflow_uid,
        }
    }

    fn includes(self, uid: u32) -> bool {
        uid == 0 || uid == self.uid || (self.overflow)() == Some(uid)
    }

    /// Why this owner is not trusted.
    fn refuse_owner(self, found: &Status) -> Option<String> {
        if self.includes(found.uid) {
            return None;
        }
        let expected = match self.uid {
            0 => "root".to_owned(),
            uid => format!("root or uid {uid}"),
        };
        Some(format!("owned by uid {}, expected {expected}", found.uid))
    }

    /// Why a directory of the root's path is not trusted.
    fn refuse_component(self, found: &Status) -> Option<String> {
        self.refuse_owner(found).or_else(|| {
            let mode = found.mode & 0o7777;
            let is_open = mode & OTHERS_WRITE != 0 && mode & STICKY == 0;
            is_open.then(|| writable(mode))
        })
    }

    /// Why a container's directory is not trusted. There others may not even create a file.
    fn refuse_container(self, found: &Status) -> Option<String> {
        self.refuse_owner(found).or_else(|| {
            let mode = found.mode & 0o7777;
            (mode & OTHERS_WRITE != 0).then(|| writable(mode))
        })
    }

    /// Checks a container's directory.
    pub(crate) fn check_container(self, directory: &Directory) -> Result<()> {
        let path = directory.path();
        let found = directory.status().map_err(with("stat", path))?;
        self.refuse_container(&found)
            .map_or(Ok(()), |why| Err(untrusted(path, why)))
    }

    /// The directory at an absolute path; missing ones are created if so wanted, and `None`
    /// returned otherwise.
    pub(crate) fn resolve(self, path: &Path, create: bool) -> Result<Option<Directory>> {
        let mut walk = Walk::new(self, path)?;
        while let Some(name) = walk.left.pop() {
            if !walk.enter(&name, create)? {
                return Ok(None);
            }
        }
        Ok(Some(Directory::new(walk.at.0, walk.at.1)))
    }
}

fn writable(mode: u32) -> String {
    format!("writable by other users (mode {mode:04o})")
}

fn untrusted(path: &Path, why: String) -> Error {
    let path = path.to_owned();
    Error::Untrusted { path, why }
}

/// user_namespaces(7), "Unmapped user and group IDs".
fn overflow_uid() -> Option<u32> {
    if is_in_first_user_namespace() {
        return None;
    }
    let text = std::fs::read_to_string("/proc/sys/kernel/overflowuid");
    Some(text.ok()?.trim_end().parse().unwrap_or(65534))
}

/// A path that is being resolved.
struct Walk {
    trust: Trust,
    /// The directory reached so far.
    at: (kan_sys::fd::OwnedFd, PathBuf),
    /// The components that follow, the last one first.
    left: Vec<OsString>,
    links: u32,
}

impl Walk {
    fn new(trust: Trust, path: &Path) -> Result<Self> {
        let mut walk = Self {
            trust,
            at: top()?,
            left: Vec::new(),
            links: 0,
        };
        walk.push(path);
        let (opened, path) = &walk.at;
        let found = file::status(opened, c"").map_err(in_walk(path))?;
        walk.check(&found)?;
        Ok(walk)
    }

    fn push(&mut self, path: &Path) {
        let names = path.components().filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        });
        let names: Vec<_> = names.collect();
        self.left.extend(names.into_iter().rev());
    }

    /// Whether the directory that was reached, which looks like this, is trusted.
    fn check(&self, found: &Status) -> Result<()> {
        match self.trust.refuse_component(found) {
            Some(why) => Err(untrusted(&self.at.1, why)),
            None => Ok(()),
        }
    }

    /// Goes on to the next component; `false` if it does not exist and is not wanted.
    fn enter(&mut self, name: &OsStr, create: bool) -> Result<bool> {
        let path = match name.as_bytes() {
            b".." => self.at.1.parent().unwrap_or(&self.at.1).to_owned(),
            _ => self.at.1.join(name),
        };
        let text =
            CString::new(name.as_bytes()).map_err(|error| with("open", &path)(error.into()))?;
        let open = |at: &kan_sys::fd::OwnedFd| file::openat(at, &text, O_PATH | O_NOFOLLOW, 0);
        let opened = match open(&self.at.0) {
            Err(error) if error.errno == Errno::ENOENT && !create => return Ok(false),
            Err(error) if error.errno == Errno::ENOENT => {
                match file::mkdirat(&self.at.0, &text, 0o700) {
                    // Another kan was faster.
                    Err(error) if error.errno == Errno::EEXIST => {}
                    other => other.map_err(|error| with("create", &path)(as_io(error)))?,
                }
                open(&self.at.0)
            }
            other => other,
        };
        let opened = opened.map_err(in_walk(&path))?;
        let found = file::status(&opened, c"").map_err(in_walk(&path))?;
        if found.is(S_IFLNK) {
            return self.follow(&opened, &found, &path).map(|()| true);
        }
        if !found.is(S_IFDIR) {
            return Err(with("open", &path)(std::io::Error::from_raw_os_error(
                nix::libc::ENOTDIR,
            )));
        }
        self.at = (opened, path);
        self.check(&found).map(|()| true)
    }

    fn follow(&mut self, link: &kan_sys::fd::OwnedFd, found: &Status, path: &Path) -> Result<()> {
        if let Some(why) = self.trust.refuse_owner(found) {
            return Err(untrusted(path, format!("a symbolic link {why}")));
        }
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(with("open", path)(std::io::Error::from_raw_os_error(
                nix::libc::ELOOP,
            )));
        }
        let mut buffer = [0; 4096];
        let target = file::read_opened_link(link, &mut buffer).map_err(in_walk(path))?;
        let target = Path::new(OsStr::from_bytes(target));
        if target.is_absolute() {
            self.at = top()?;
        }
        self.push(target);
        Ok(())
    }
}

fn top() -> Result<(kan_sys::fd::OwnedFd, PathBuf)> {
    let path = PathBuf::from("/");
    let opened = file::open(c"/", O_PATH | O_DIRECTORY, 0).map_err(in_walk(&path))?;
    Ok((opened, path))
}

fn in_walk(path: &Path) -> impl FnOnce(kan_sys::Error) -> Error + use<'_> {
    move |error| match outer_filter::hint(error.call, error.errno) {
        hint if hint.is_empty() => with("open", path)(as_io(error)),
        hint => Error::Step(format!("open {}: {error}{hint}", path.display())),
    }
}

#[cfg(test)]
mod tests;
