//! `--no-pivot`: below a root that is moved over it the host's tree stays, out of sight. But a procfs or
//! sysfs on which nothing is masked would entitle the container's user namespaces to one of their own
//! without masks (the kernel's mount_too_revealing), so each goes, or where it is locked something lies
//! on it.

use crate::devices::PROC_SUPER_MAGIC;
use crate::mounts::configured_filesystem;
use crate::outcome::Step;
use crate::pivot::SLAVE;
use crate::slots::Slots;
use core::ffi::CStr;
use kan_sys::file::{self, O_DIRECTORY, O_PATH, O_RDONLY};
use kan_sys::io;
use kan_sys::mount::{self, Depth};

/// Hides them all, but for what lies in the container's root, the working directory.
pub(crate) fn hide(slots: &Slots) -> Step {
    // The host keeps its own, even where the mounts are shared with it.
    mount::change_at_path(c"/", SLAVE, Depth::Single)?;
    let mut own = [0; 4096];
    let own = file::current_directory(&mut own)?;
    let table = file::open(c"/proc/self/mountinfo", O_RDONLY, 0)?;
    let mut line = Line::default();
    let mut chunk = [0; 1024];
    loop {
        let length = io::read(&table, &mut chunk)?;
        let read = chunk.get(..length).unwrap_or_default();
        if read.is_empty() {
            break;
        }
        for byte in read {
            if *byte != b'\n' {
                line.push(*byte);
                continue;
            }
            if let Some(point) = line.bare_outside(own) {
                hide_at(slots, point)?;
            }
            line = Line::default();
        }
    }
    // Not in the table where /proc or /sys lies below another mount.
    hide_at(slots, c"/proc")?;
    hide_at(slots, c"/sys")
}

fn hide_at(slots: &Slots, path: &CStr) -> Step {
    while mount::change_at_path(path, SLAVE, Depth::Recursive).is_ok()
        && mount::detach(path).is_ok()
    {}
    let Ok(there) = file::open(path, O_PATH | O_DIRECTORY, 0) else {
        return Ok(());
    };
    const SYSFS_MAGIC: i64 = 0x6265_6572;
    let magic = mount::filesystem_magic(&there)?;
    if magic != PROC_SUPER_MAGIC && magic != SYSFS_MAGIC {
        return Ok(());
    }
    let cover = configured_filesystem(slots, c"tmpfs", &[], mount::MOUNT_ATTR_RDONLY, None)?;
    Ok(mount::attach(cover, there)?)
}

/// For conformance/fuzz: how many lines there are about which something would be done.
#[cfg(feature = "fuzzing")]
pub(crate) fn count(mountinfo: &[u8], own: &[u8]) -> usize {
    let lines = mountinfo.split(|byte| *byte == b'\n').map(|text| {
        let mut line = Line::default();
        text.iter().for_each(|byte| line.push(*byte));
        line
    });
    lines
        .filter(|line| line.bare_outside(own).is_some())
        .count()
}

/// A line of mountinfo, proc_pid_mountinfo(5), as far as it has been read: the fifth field is the mount
/// point, the one after a lone `-` the type.
struct Line {
    field: usize,
    /// The field so far, but for the mount point, which is kept.
    word: [u8; 8],
    length: usize,
    point: [u8; 4097],
    point_length: usize,
    type_field: usize,
    /// Digits of `\040` that are still to come, and their value.
    escape: (u8, u8),
    bare: bool,
}

const POINT: usize = 4;

impl Default for Line {
    fn default() -> Self {
        Self {
            field: 0,
            word: [0; 8],
            length: 0,
            point: [0; 4097],
            point_length: 0,
            type_field: usize::MAX,
            escape: (0, 0),
            bare: false,
        }
    }
}

impl Line {
    fn push(&mut self, byte: u8) {
        if byte == b' ' {
            self.end_of_field();
        } else if self.field == POINT {
            self.push_to_point(byte);
        } else {
            if let Some(place) = self.word.get_mut(self.length) {
                *place = byte;
            }
            self.length += 1;
        }
    }

    fn end_of_field(&mut self) {
        let word = self.word.get(..self.length).unwrap_or_default();
        if word == b"-" && self.field > POINT {
            self.type_field = self.field + 1;
        }
        if self.field == self.type_field {
            self.bare = word == b"proc" || word == b"sysfs";
        }
        self.length = 0;
        self.field += 1;
    }

    fn push_to_point(&mut self, byte: u8) {
        let byte = match (byte, self.escape) {
            (b'\\', _) => {
                self.escape = (3, 0);
                return;
            }
            (digit, (left @ 1.., value)) => {
                let value = value.wrapping_mul(8).wrapping_add(digit.wrapping_sub(b'0'));
                self.escape = (left - 1, value);
                if left > 1 {
                    return;
                }
                value
            }
            (plain, _) => plain,
        };
        // The last byte stays zero: a longer path cannot be named, and is not found.
        if self.point_length < self.point.len() - 1 {
            self.point[self.point_length] = byte;
            self.point_length += 1;
        }
    }

    /// The mount point of a procfs or sysfs that does not lie in `own`.
    fn bare_outside(&self, own: &[u8]) -> Option<&CStr> {
        let point = self.point.get(..self.point_length)?;
        let inside = point
            .strip_prefix(own)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"));
        if !self.bare || inside {
            return None;
        }
        CStr::from_bytes_until_nul(&self.point).ok()
    }
}
