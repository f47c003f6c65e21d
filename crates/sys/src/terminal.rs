//! Pseudo-terminals: the ioctls of tty_ioctl(4) and ioctl_tty(2).

use crate::Result;
use crate::call::{call, owned, raw};
use linux_raw_sys::general::{O_CLOEXEC, O_NOCTTY, O_RDWR};
use linux_raw_sys::ioctl::{TIOCGPTPEER, TIOCSCTTY, TIOCSPTLCK, TIOCSWINSZ};
use rustix::fd::{AsFd, OwnedFd};

/// ioctl TIOCSPTLCK: lets the other end of a master be opened.
pub fn unlock(master: impl AsFd) -> Result<()> {
    let locked = 0i32;
    // SAFETY: the number outlives the call.
    unsafe { call!(ioctl, raw(&master), TIOCSPTLCK, &raw const locked).map(drop) }
}

/// ioctl TIOCGPTPEER (Linux 4.13): the other end of a master, whatever lies at its path.
pub fn peer(master: impl AsFd) -> Result<OwnedFd> {
    let flags = O_RDWR | O_NOCTTY | O_CLOEXEC;
    // SAFETY: plain numbers; the result is ours.
    unsafe { call!(ioctl, raw(&master), TIOCGPTPEER, flags).map(|fd| owned(fd)) }
}

/// ioctl TIOCSCTTY: makes `terminal` the session's controlling terminal.
pub fn control(terminal: impl AsFd) -> Result<()> {
    // SAFETY: plain numbers.
    unsafe { call!(ioctl, raw(&terminal), TIOCSCTTY, 0).map(drop) }
}

/// ioctl TIOCSWINSZ, in characters.
pub fn set_size(terminal: impl AsFd, width: u16, height: u16) -> Result<()> {
    let size = [height, width, 0, 0];
    // SAFETY: a struct winsize is four shorts; it outlives the call.
    unsafe { call!(ioctl, raw(&terminal), TIOCSWINSZ, &raw const size).map(drop) }
}

/// ioctls TCGETS and TCSETS: switches ONLCR off, termios(3), so that a newline stays one. For a
/// terminal whose output goes to another one, which translates.
pub fn clear_onlcr(terminal: impl AsFd) -> Result<()> {
    use linux_raw_sys::general::{ONLCR, termios};
    use linux_raw_sys::ioctl::{TCGETS, TCSETS};
    let terminal = raw(&terminal);
    // SAFETY: the all-zero pattern is a valid termios.
    let mut settings: termios = unsafe { core::mem::zeroed() };
    // SAFETY: the buffer has the size the kernel writes.
    unsafe { call!(ioctl, terminal, TCGETS, &raw mut settings) }?;
    settings.c_oflag &= !ONLCR;
    // SAFETY: the settings outlive the call.
    unsafe { call!(ioctl, terminal, TCSETS, &raw const settings).map(drop) }
}

/// Whether an open character device with this number, as stat(2) has it, is a terminal that may be
/// opened again: a pseudo-terminal's slave, a serial line or a virtual console, ttys and not the
/// multiplexer `/dev/ptmx`, of which each opening is a new terminal.
pub fn is_slave(fd: impl AsFd, device: u64) -> bool {
    /// admin-guide/devices.txt: TTYAUX, of which 0 to 1 are /dev/tty and /dev/console.
    const AUXILIARY: u64 = 5;
    use linux_raw_sys::general::termios;
    use linux_raw_sys::ioctl::TCGETS;
    // SAFETY: the all-zero pattern is a valid termios.
    let mut settings: termios = unsafe { core::mem::zeroed() };
    // SAFETY: the buffer has the size the kernel writes.
    let asked = unsafe { call!(ioctl, raw(&fd), TCGETS, &raw mut settings) };
    let (major, minor) = (device >> 8 & 0xfff, device & 0xff);
    asked.is_ok() && (major != AUXILIARY || minor <= 1)
}

/// ioctl TIOCGWINSZ: (width, height) in characters; `None` if it is no terminal or has no size.
pub fn size(terminal: impl AsFd) -> Option<(u16, u16)> {
    use linux_raw_sys::ioctl::TIOCGWINSZ;
    let mut size = [0u16; 4];
    // SAFETY: a struct winsize is four shorts.
    unsafe { call!(ioctl, raw(&terminal), TIOCGWINSZ, &raw mut size) }.ok()?;
    let [height, width, ..] = size;
    (width != 0 && height != 0).then_some((width, height))
}
