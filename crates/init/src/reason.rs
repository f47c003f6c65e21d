//! Why a step failed, beyond the number of its error: the kernel's own words, or what is wrong with a
//! program that exists.

use core::cell::Cell;
use core::ffi::CStr;
use kan_op::Board;
use kan_sys::fd::AsFd;
use kan_sys::file::{self, O_NONBLOCK, O_RDONLY};
use kan_sys::{Errno, io};

/// A text with room for as much as the board takes.
pub(crate) struct Reason(Cell<[u8; Board::REASON]>);

impl Default for Reason {
    fn default() -> Self {
        Self(Cell::new([0; Board::REASON]))
    }
}

impl core::fmt::Debug for Reason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Reason")
    }
}

impl Reason {
    /// Gives it to a function, if there is one.
    pub(crate) fn tell(&self, mut to: impl FnMut(&[u8])) {
        let text = self.0.get();
        let length = text.iter().position(|byte| *byte == 0);
        let text = text.get(..length.unwrap_or(text.len())).unwrap_or_default();
        if !text.is_empty() {
            to(text);
        }
    }

    /// What the kernel says of a filesystem context: each read(2) of it has one message, `e TEXT` for an
    /// error (Documentation/filesystems/mount_api.rst, The filesystem context security). The first error
    /// is kept.
    #[cold]
    pub(crate) fn read_log(&self, context: impl AsFd) {
        let mut message = [0; Board::REASON + 2];
        while let Ok(length @ 1..) = io::read(&context, &mut message) {
            if let Some([b'e', b' ', text @ ..]) = message.get(..length) {
                return self.set(&[text.trim_ascii_end()]);
            }
        }
    }

    /// Why a program that was found is not executed.
    #[cold]
    pub(crate) fn look_at_program(&self, path: &CStr, errno: Errno) {
        let mut head = [0; 1024];
        let opened = file::open(path, O_RDONLY | O_NONBLOCK, 0);
        let Ok(length) = opened.and_then(|file| io::read(&file, &mut head)) else {
            return;
        };
        let head = head.get(..length).unwrap_or_default();
        match (errno, head) {
            (Errno::ENOENT, [b'#', b'!', line @ ..]) => self.set(&[
                b"its interpreter ",
                script_interpreter(line),
                b" does not exist in the container",
            ]),
            (Errno::ENOENT, [0x7f, b'E', b'L', b'F', ..]) => {
                if let Some(loader) = elf_interpreter(head) {
                    self.set(&[b"its loader ", loader, b" does not exist in the container"]);
                }
            }
            (Errno::ENOEXEC, [0x7f, b'E', b'L', b'F', ..]) => self.set(&[
                b"it is for ",
                machine(head.get(18), head.get(19)),
                b", and this kernel runs on ",
                OWN.as_bytes(),
            ]),
            (Errno::ENOEXEC, []) => self.set(&[b"it is empty"]),
            (Errno::ENOEXEC, _) => self.set(&[b"it is no ELF file, and does not begin with #!"]),
            _ => {}
        }
    }

    fn set(&self, parts: &[&[u8]]) {
        let (mut text, mut length) = ([0; Board::REASON], 0);
        for byte in parts.iter().copied().flatten() {
            let Some(place) = text.get_mut(length) else {
                break;
            };
            // It is shown to people, and comes from the container.
            *place = if byte.is_ascii_control() { b'?' } else { *byte };
            length += 1;
        }
        self.0.set(text);
    }
}

/// The interpreter of a script, execve(2): up to the first blank.
fn script_interpreter(line: &[u8]) -> &[u8] {
    let line = line.trim_ascii_start();
    let end = line.iter().position(u8::is_ascii_whitespace);
    line.get(..end.unwrap_or(line.len())).unwrap_or_default()
}

/// PT_INTERP of a 64-bit ELF file of this machine's byte order, elf(5), if it lies in the beginning.
fn elf_interpreter(head: &[u8]) -> Option<&[u8]> {
    const PT_INTERP: u64 = 3;
    let number = |at: usize, size: usize| -> Option<u64> {
        let bytes = head.get(at..at.checked_add(size)?)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |number, byte| number << 8 | u64::from(*byte)),
        )
    };
    let table = usize::try_from(number(32, 8)?).ok()?;
    let (size, count) = (number(54, 2)?, number(56, 2)?);
    for index in 0..count {
        let at = table.checked_add(usize::try_from(index * size).ok()?)?;
        if number(at, 4)? == PT_INTERP {
            let from = usize::try_from(number(at.checked_add(8)?, 8)?).ok()?;
            let path = head.get(from..)?;
            let end = path.iter().position(|byte| *byte == 0)?;
            return path.get(..end);
        }
    }
    None
}

/// e_machine of elf(5), as it lies in the file: little-endian, or big-endian where the first byte is 0.
fn machine(first: Option<&u8>, second: Option<&u8>) -> &'static [u8] {
    let number = match (first, second) {
        (Some(0), Some(only)) | (Some(only), Some(_)) => *only,
        _ => 0,
    };
    match number {
        3 => b"i386",
        8 => b"MIPS",
        21 => b"ppc64",
        22 => b"s390x",
        40 => b"arm",
        62 => b"x86_64",
        183 => b"aarch64",
        243 => b"riscv64",
        _ => b"another machine",
    }
}

#[cfg(target_arch = "x86_64")]
const OWN: &str = "x86_64";
#[cfg(target_arch = "aarch64")]
const OWN: &str = "aarch64";
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const OWN: &str = "another";
