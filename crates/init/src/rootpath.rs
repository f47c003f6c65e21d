//! Paths inside the container: every lookup starts at the root's descriptor and cannot leave it.

use crate::outcome::Stop;
use crate::slots::Slots;
use core::ffi::CStr;
use kan_op::{Flaw, Slot, init::RootPath};
use kan_sys::fd::{AsFd, BorrowedFd, OwnedFd};
use kan_sys::file::{
    self, O_CREAT, O_DIRECTORY, O_EXCL, O_PATH, O_WRONLY, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS,
    S_IFLNK,
};
use kan_sys::{Errno, Error};

/// How the container's own links are treated: followed inside the root, as chroot(2) would, but
/// never those of /proc that lead anywhere.
pub(crate) const INSIDE: u32 = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;

/// The kernel's own limit on links in one path, path_resolution(7).
const MAX_LINKS: u32 = 40;

/// What is made where nothing lies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Make {
    Directory,
    File,
}

/// Opens what lies at `path`, with O_PATH.
pub(crate) fn look_up(root: BorrowedFd<'_>, path: &RootPath) -> Result<OwnedFd, Error> {
    file::openat2(root, &path.0, O_PATH, 0, INSIDE)
}

/// Opens what lies at `path`, with O_PATH; what is missing of it is made. The directory that holds it
/// is kept in `last` if it was made there, so that what is mounted on it covers nothing.
pub(crate) fn look_up_or_make<'p>(
    slots: &Slots,
    last: &mut LastDirectory<'p>,
    path: &'p RootPath,
    make: Make,
) -> Result<OwnedFd, Stop> {
    let root = slots.get(Slot::Root)?;
    // Next to one that was missing, most are.
    if last.holds(path) && made_last(slots, last, path, make)? {
        return Ok(look_up(root, path)?);
    }
    match look_up(root, path) {
        Err(error) if error.errno == Errno::ENOENT => {}
        other => {
            last.forget(slots);
            return Ok(other?);
        }
    }
    if made_last(slots, last, path, make)? {
        return Ok(look_up(root, path)?);
    }
    last.forget(slots);
    make_all(root, path, make)
}

/// Most often only the last name is missing, in a directory that was just mounted. Whatever else is
/// the case is left to the walk: a link that leads nowhere, say.
fn made_last<'p>(
    slots: &Slots,
    last: &mut LastDirectory<'p>,
    path: &'p RootPath,
    make: Make,
) -> Result<bool, Stop> {
    if matches!(last_name(path).to_bytes(), b"" | b"." | b"..") {
        return Ok(false);
    }
    let Ok((directory, name)) = last.holding(slots.get(Slot::Root)?, path) else {
        return Ok(false);
    };
    Ok(make_here(directory, name, make).is_ok())
}

/// The directory that held the last name that was made: most lie in /dev, one after the other.
#[derive(Debug, Default)]
pub(crate) struct LastDirectory<'p>(Option<(&'p [u8], OwnedFd)>);

impl<'p> LastDirectory<'p> {
    /// Whether this is the directory that holds the last name of `path`.
    fn holds(&self, path: &RootPath) -> bool {
        self.0
            .as_ref()
            .is_some_and(|(kept, _)| *kept == above(path))
    }

    /// The directory that holds the last name of `path`, below the root, and that name; missing ones
    /// are made.
    pub(crate) fn holding(
        &mut self,
        root: BorrowedFd<'_>,
        path: &'p RootPath,
    ) -> Result<(BorrowedFd<'_>, &'p CStr), Stop> {
        let opened = match self.0.take() {
            Some((kept, directory)) if kept == above(path) => directory,
            _ => parent(root, path)?.0,
        };
        let kept = self.0.insert((above(path), opened));
        Ok((kept.1.as_fd(), last_name(path)))
    }

    /// Closes it.
    pub(crate) fn forget(&mut self, slots: &Slots) {
        if let Some((_, directory)) = self.0.take() {
            slots.spend(directory);
        }
    }
}

/// Goes along the path name by name, making what is missing. The buffers of a walk are large, and
/// few paths need one: they stay off the stack of those that do not.
#[inline(never)]
fn make_all(root: BorrowedFd<'_>, path: &RootPath, make: Make) -> Result<OwnedFd, Stop> {
    let mut walk = Walk::new(&path.0)?;
    while let Some(name) = walk.next_name()? {
        let last = walk.rest.is_blank();
        let kind = if last { make } else { Make::Directory };
        walk.step(root, &name, kind)?;
    }
    let done = walk.done.as_c_str();
    Ok(file::openat2(root, done, O_PATH, 0, INSIDE)?)
}

/// What comes before the last name of `path`, without a slash at its end.
fn above(path: &RootPath) -> &[u8] {
    let bytes = path.0.to_bytes();
    let cut = bytes.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    bytes.get(..cut).unwrap_or_default()
}

/// The last name of `path`.
pub(crate) fn last_name(path: &RootPath) -> &CStr {
    let bytes = path.0.to_bytes_with_nul();
    let name = bytes.get(above(path).len() + 1..).unwrap_or_default();
    CStr::from_bytes_with_nul(name).unwrap_or_default()
}

/// The directory that holds the last name of `path`, made if missing, and that name.
pub(crate) fn parent<'p>(
    root: BorrowedFd<'_>,
    path: &'p RootPath,
) -> Result<(OwnedFd, &'p CStr), Stop> {
    let opened = match open_above(root, path)? {
        Err(error) if error.errno == Errno::ENOENT => make_above(root, path)?,
        other => other?,
    };
    Ok((opened, last_name(path)))
}

/// The directory that holds the last name of `path`, or why it can't be opened.
fn open_above(root: BorrowedFd<'_>, path: &RootPath) -> Result<kan_sys::Result<OwnedFd>, Stop> {
    let mut directory = Text::EMPTY;
    directory.push(b"/")?;
    directory.push(above(path).get(1..).unwrap_or_default())?;
    Ok(open_directory(root, directory.as_c_str()))
}

fn open_directory(root: BorrowedFd<'_>, path: &CStr) -> kan_sys::Result<OwnedFd> {
    file::openat2(root, path, O_PATH | O_DIRECTORY, 0, INSIDE)
}

/// As [`make_all`], for what comes before the last name.
#[inline(never)]
fn make_above(root: BorrowedFd<'_>, path: &RootPath) -> Result<OwnedFd, Stop> {
    let walk = Walk::to_the_end(root, above(path))?;
    Ok(open_directory(root, walk.done.as_c_str())?)
}

/// A walk along a path whose parts may be missing.
struct Walk {
    /// The part behind us: it exists, and held no link when we passed.
    done: Text,
    /// The part before us.
    rest: Text,
    links: u32,
}

impl Walk {
    fn new(path: &CStr) -> Result<Self, Stop> {
        Self::new_from(path.to_bytes())
    }

    /// The whole way, of which all that is missing is made as directories.
    fn to_the_end(root: BorrowedFd<'_>, path: &[u8]) -> Result<Self, Stop> {
        let mut walk = Self::new_from(path)?;
        while let Some(name) = walk.next_name()? {
            walk.step(root, &name, Make::Directory)?;
        }
        Ok(walk)
    }

    fn new_from(path: &[u8]) -> Result<Self, Stop> {
        let mut walk = Self {
            done: Text::EMPTY,
            rest: Text::EMPTY,
            links: 0,
        };
        walk.done.push(b"/")?;
        walk.rest.push(path)?;
        Ok(walk)
    }

    /// The next name before us. `.` is skipped; `..` goes back, which is right without links
    /// behind us, and stays at the root as in a chroot.
    fn next_name(&mut self) -> Result<Option<Text>, Stop> {
        loop {
            let Some(name) = self.rest.take_name()? else {
                return Ok(None);
            };
            match name.bytes() {
                b"." => {}
                b".." => self.done.go_up(),
                _ => return Ok(Some(name)),
            }
        }
    }

    /// Goes past one name: through a link, or into what is there, or into what is made there.
    fn step(&mut self, root: BorrowedFd<'_>, name: &Text, make: Make) -> Result<(), Stop> {
        let here = file::openat2(root, self.done.as_c_str(), O_PATH | O_DIRECTORY, 0, INSIDE)?;
        match file::status(&here, name.as_c_str()) {
            Ok(found) if found.is(S_IFLNK) => return self.follow(&here, name),
            Ok(_) => {}
            Err(error) if error.errno == Errno::ENOENT => make_one(&here, name, make)?,
            Err(error) => return Err(error.into()),
        }
        self.done.enter(name.bytes())
    }

    /// Puts what the link says in front of the rest of the way.
    fn follow(&mut self, here: &OwnedFd, name: &Text) -> Result<(), Stop> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Flaw::PathTooLong.into());
        }
        let mut buffer = [0; Text::SIZE];
        let target = file::readlinkat(here, name.as_c_str(), &mut buffer)?;
        if target.first() == Some(&b'/') {
            self.done = Text::EMPTY;
            self.done.push(b"/")?;
        }
        let mut rest = Text::EMPTY;
        rest.push(target)?;
        rest.push(b"/")?;
        rest.push(self.rest.bytes())?;
        self.rest = rest;
        Ok(())
    }
}

/// mkdirat(2) and its like only ever see one name. Somebody else may be faster; what they made
/// is looked at when the walk comes back to it.
fn make_one(here: &OwnedFd, name: &Text, make: Make) -> Result<(), Stop> {
    match make_here(here, name.as_c_str(), make) {
        Err(error) if error.errno == Errno::EEXIST => Ok(()),
        other => Ok(other?),
    }
}

fn make_here(here: impl AsFd, name: &CStr, make: Make) -> kan_sys::Result<()> {
    match make {
        Make::Directory => file::mkdirat(here, name, 0o755),
        Make::File => {
            let flags = O_CREAT | O_EXCL | O_WRONLY;
            file::openat2(here, name, flags, 0o644, INSIDE).map(drop)
        }
    }
}

/// A path in a buffer of its own, ending in NUL.
pub(crate) struct Text {
    bytes: [u8; Self::SIZE],
    length: usize,
}

impl Text {
    /// PATH_MAX, limits.h: with the final NUL.
    pub(crate) const SIZE: usize = 4096;

    pub(crate) const EMPTY: Self = Self {
        bytes: [0; Self::SIZE],
        length: 0,
    };

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    pub(crate) fn push(&mut self, more: &[u8]) -> Result<(), Stop> {
        let end = self.length + more.len();
        let Some(room) = self.bytes.get_mut(self.length..end) else {
            return Err(Flaw::PathTooLong.into());
        };
        if end == Self::SIZE {
            return Err(Flaw::PathTooLong.into());
        }
        room.copy_from_slice(more);
        self.bytes[end] = 0;
        self.length = end;
        Ok(())
    }

    /// Appends a number that is not negative, in decimal.
    pub(crate) fn push_number(&mut self, number: i32) -> Result<(), Stop> {
        let (mut digits, mut rest, mut from) = ([0; 10], number.unsigned_abs(), 10);
        loop {
            from -= 1;
            digits[from] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
            if rest == 0 {
                return self.push(&digits[from..]);
            }
        }
    }

    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }

    fn truncate(&mut self, length: usize) {
        self.length = length;
        self.bytes[length] = 0;
    }

    /// Whether nothing but slashes is left.
    fn is_blank(&self) -> bool {
        self.bytes().iter().all(|byte| *byte == b'/')
    }

    /// Takes the first name off the front.
    fn take_name(&mut self) -> Result<Option<Self>, Stop> {
        let text = self.bytes();
        let Some(start) = text.iter().position(|byte| *byte != b'/') else {
            return Ok(None);
        };
        let length = text[start..].iter().position(|byte| *byte == b'/');
        let end = length.map_or(text.len(), |length| start + length);
        let mut name = Self::EMPTY;
        name.push(&text[start..end])?;
        self.bytes.copy_within(end..self.length, 0);
        self.truncate(self.length - end);
        Ok(Some(name))
    }

    fn enter(&mut self, name: &[u8]) -> Result<(), Stop> {
        if self.length > 1 {
            self.push(b"/")?;
        }
        self.push(name)
    }

    fn go_up(&mut self) {
        let cut = self
            .bytes()
            .iter()
            .rposition(|byte| *byte == b'/')
            .unwrap_or(0);
        self.truncate(cut.max(1));
    }
}
