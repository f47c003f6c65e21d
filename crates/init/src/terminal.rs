//! The container's terminal, made in its own devpts.

use crate::outcome::Step;
use crate::rootpath::INSIDE;
use crate::slots::Slots;
use kan_op::{Flaw, Slot};
use kan_sys::fd::OwnedFd;
use kan_sys::file::{
    self, O_DIRECTORY, O_NOCTTY, O_NOFOLLOW, O_PATH, O_RDWR, RESOLVE_NO_SYMLINKS, S_IFCHR, S_IFDIR,
    S_IFLNK, S_IFREG,
};
use kan_sys::io::Standard;
use kan_sys::mount::{self, Depth};
use kan_sys::{Errno, io, socket, terminal};

/// statfs(2)'s type of devpts.
const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;
/// The number of /dev/ptmx, admin-guide/devices.txt.
const PTMX_DEVICE: u64 = (5 << 8) | 2;
/// fchown(2): leave the group as it is, which is the devpts mount's `gid=`.
const SAME_GROUP: u32 = u32::MAX;

/// A path says nothing in a root that the container's author prepared: the master must be
/// devpts' own, and the other side comes from the master, not from a path (CVE-2025-52565).
pub(crate) fn open(slots: &mut Slots, size: Option<(u16, u16)>, uid: u32, newlines: bool) -> Step {
    let flags = O_RDWR | O_NOCTTY;
    let master = file::openat2(slots.get(Slot::Root)?, c"/dev/pts/ptmx", flags, 0, INSIDE)?;
    let found = file::status(&master, c"")?;
    let is_devpts = mount::filesystem_magic(&master)? == DEVPTS_SUPER_MAGIC;
    if !is_devpts || !found.is(S_IFCHR) || found.device != PTMX_DEVICE {
        return Err(Flaw::NotTerminal.into());
    }
    terminal::unlock(&master)?;
    let peer = terminal::peer(&master)?;
    if !newlines {
        terminal::clear_onlcr(&peer)?;
    }
    if let Some((width, height)) = size {
        terminal::set_size(&master, width, height)?;
    }
    file::chown(&peer, uid, SAME_GROUP)?;
    slots.fill(Slot::Master, master);
    slots.fill(Slot::Terminal, peer);
    Ok(())
}

/// The mount point is made without following a link (CVE-2026-88264).
pub(crate) fn bind_console(slots: &Slots) -> Step {
    let root = slots.get(Slot::Root)?;
    let dev = file::openat2(root, c"/dev", O_PATH | O_DIRECTORY, 0, INSIDE)?;
    match file::mknodat(&dev, c"console", S_IFREG | 0o600, 0) {
        Err(error) if error.errno == Errno::EEXIST => {}
        other => other?,
    }
    let resolve = INSIDE | RESOLVE_NO_SYMLINKS;
    let point = file::openat2(&dev, c"console", O_PATH | O_NOFOLLOW, 0, resolve)?;
    let found = file::status(&point, c"")?;
    if found.is(S_IFLNK) || found.is(S_IFDIR) {
        return Err(Flaw::WrongKind.into());
    }
    let tree = mount::clone_tree(slots.get(Slot::Terminal)?, c"", Depth::Single)?;
    Ok(mount::attach(&tree, &point)?)
}

pub(crate) fn send(slots: &mut Slots) -> Step {
    let master = slots.take(Slot::Master)?;
    let over = slots.take(Slot::ConsoleSocket)?;
    Ok(socket::send_descriptor(over, c"/dev/ptmx", master)?)
}

/// The terminal is no controlling one yet.
pub(crate) fn use_as_stdio(terminal: OwnedFd) -> Step {
    for standard in Standard::ALL {
        io::dup_onto(&terminal, standard)?;
    }
    Ok(())
}
