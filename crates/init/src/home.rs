//! The user's home directory, from the container's /etc/passwd: passwd(5).

use crate::exec::{ExecStrings, HOME_SIZE};
use crate::outcome::{Step, Stop};
use kan_op::Flaw;
use kan_sys::fd::OwnedFd;
use kan_sys::file::{self, O_NOCTTY, O_NONBLOCK, O_RDONLY, S_IFREG};
use kan_sys::{io, memory};

/// As much of the file as is read, bytes. An image can hold one of any size, and a sparse one costs
/// it nothing; a hundred thousand users take some 10 MB.
const LONGEST: usize = 16 << 20;

/// As long as it may take, nanoseconds: a file system of the image's own (fuse(4)) can answer as
/// slowly as it likes. A read that never ends is ended by the signal that ends kan.
const PATIENCE: u64 = 10_000_000_000;

impl ExecStrings<'_> {
    /// A container without the file, or without the user in it, has `/` as its home. What is not a
    /// regular file counts as absent.
    pub(crate) fn find_home(&mut self, uid: u32) -> Step {
        // In a root that somebody else prepared it may be a FIFO, or a terminal.
        let flags = O_RDONLY | O_NONBLOCK | O_NOCTTY;
        let Ok(passwd) = file::open(c"/etc/passwd", flags, 0) else {
            return Ok(());
        };
        if !file::status(&passwd, c"")?.is(S_IFREG) {
            return Ok(());
        }
        let mut search = Search::new(uid, &mut self.home[5..]);
        search.read(&passwd)?;
        if search.length > 0 && search.overflow {
            return Err(Flaw::PathTooLong.into());
        }
        let length = if search.found { search.length } else { 0 };
        if length == 0 {
            self.home[5] = b'/';
        }
        self.home[5 + length.max(1)] = 0;
        Ok(())
    }
}

/// Reads the file a byte at a time: `name:password:uid:gid:gecos:home:shell`.
struct Search<'h> {
    wanted: u32,
    home: &'h mut [u8],
    field: u32,
    uid: Option<u32>,
    length: usize,
    overflow: bool,
    found: bool,
}

impl<'h> Search<'h> {
    fn new(wanted: u32, home: &'h mut [u8]) -> Self {
        let uid = None;
        Self {
            wanted,
            home,
            field: 0,
            uid,
            length: 0,
            overflow: false,
            found: false,
        }
    }

    fn read(&mut self, passwd: &OwnedFd) -> Result<(), Stop> {
        let mut buffer = [0; 4096];
        let began = memory::monotonic_ns();
        let mut total = 0;
        loop {
            let count = io::read(passwd, &mut buffer)?;
            total += count;
            if total > LONGEST {
                return Err(Flaw::TooLarge.into());
            }
            if memory::monotonic_ns().saturating_sub(began) > PATIENCE {
                return Err(Flaw::TooSlow.into());
            }
            for byte in &buffer[..count] {
                self.take(*byte);
                if self.found {
                    return Ok(());
                }
            }
            if count == 0 {
                self.take(b'\n');
                return Ok(());
            }
        }
    }

    fn take(&mut self, byte: u8) {
        match byte {
            b'\n' => {
                self.found = self.field >= 5 && self.uid == Some(self.wanted);
                if !self.found {
                    (self.field, self.uid, self.length, self.overflow) = (0, None, 0, false);
                }
            }
            b':' => self.field += 1,
            _ if self.field == 2 => self.uid = digit(self.uid, byte),
            _ if self.field == 5 => self.keep(byte),
            _ => {}
        }
    }

    fn keep(&mut self, byte: u8) {
        match self.home.get_mut(self.length) {
            Some(place) if self.length < HOME_SIZE - 6 => *place = byte,
            _ => {
                self.overflow = true;
                return;
            }
        }
        self.length += 1;
    }
}

/// For conformance/fuzz: what is found in a file's bytes.
#[cfg(feature = "fuzzing")]
pub(crate) fn home_in(passwd: &[u8], uid: u32) -> alloc::vec::Vec<u8> {
    let mut home = [0; HOME_SIZE - 5];
    let mut search = Search::new(uid, &mut home);
    for byte in passwd.iter().chain(b"\n") {
        search.take(*byte);
        if search.found {
            break;
        }
    }
    let length = if search.found { search.length } else { 0 };
    home[..length].to_vec()
}

/// One more decimal digit; anything else makes a number that matches nobody.
fn digit(so_far: Option<u32>, byte: u8) -> Option<u32> {
    let value = u32::from(byte.wrapping_sub(b'0'));
    if value > 9 {
        return Some(u32::MAX);
    }
    Some(so_far.unwrap_or(0).saturating_mul(10).saturating_add(value))
}
