//! How init tells its parent where it is, and why it failed: words in shared memory.
//!
//! Memory rather than a message, because it also speaks for a child that was killed: by its
//! memory limit, by a signal, by a seccomp filter.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::SeqCst};

/// What went wrong where no system call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Flaw {
    /// None: a system call failed.
    Call = 0,
    /// The other half is gone, or spoke out of turn.
    OutOfStep,
    /// A mount on /proc or /sys would follow a link (CVE-2019-19921).
    NotOrdinaryDirectory,
    /// The file that should be the host's /dev/null is not (CVE-2025-31133).
    NotNull,
    /// The file that should make terminals is not a devpts one (CVE-2025-52565).
    NotTerminal,
    /// The working directory lies outside the container's root (CVE-2024-21626).
    OutsideRoot,
    /// No candidate for the executable exists.
    NotFound,
    /// The executable is a directory.
    IsDirectory,
    /// A path inside the container has too many links or is too long for init's buffer.
    PathTooLong,
    /// A file that a step writes or masks is not of the kind it has to be.
    WrongKind,
    /// A hook exited with the code in `part`, not zero.
    HookExited,
    /// A hook was ended by the signal in `part`.
    HookSignalled,
    /// A hook took longer than its timeout.
    HookTimedOut,
    /// Of a mount and its mount point one is a directory and the other is not; `part` is 1 if the
    /// mount is the directory.
    KindsDiffer,
    /// A file of the image is larger than init reads.
    TooLarge,
    /// A file of the image took longer to read than init waits.
    TooSlow,
}

impl Flaw {
    const ALL: [Self; 16] = [
        Self::Call,
        Self::OutOfStep,
        Self::NotOrdinaryDirectory,
        Self::NotNull,
        Self::NotTerminal,
        Self::OutsideRoot,
        Self::NotFound,
        Self::IsDirectory,
        Self::PathTooLong,
        Self::WrongKind,
        Self::HookExited,
        Self::HookSignalled,
        Self::HookTimedOut,
        Self::KindsDiffer,
        Self::TooLarge,
        Self::TooSlow,
    ];
}

/// Why a step failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong, beside the call.
    pub flaw: Flaw,
    /// The part of the step it happened in, for instance the index of a parameter; 0 otherwise.
    pub part: u16,
    /// The system call's number on this architecture.
    pub call: u16,
    /// What it answered, errno(3).
    pub errno: u16,
}

/// The words that init writes and its parent reads.
#[derive(Clone, Copy, Debug)]
pub struct Board<'w>(&'w [AtomicU64]);

/// Set in the second word once it holds a failure.
const FAILED: u64 = 1 << 63;

impl<'w> Board<'w> {
    /// The words needed without a trace.
    pub const WORDS: usize = 3 + Self::REASON / 8;

    /// The longest reason, bytes.
    pub const REASON: usize = 192;

    /// A board on `words`; those past [`Board::WORDS`] hold the time at which each step ended.
    #[must_use]
    pub const fn new(words: &'w [AtomicU64]) -> Self {
        Self(words)
    }

    /// Init: step `index` begins.
    pub fn begin(&self, index: usize) {
        self.0[0].store(index as u64, Relaxed);
    }

    /// Parent: the step that began last.
    #[must_use]
    pub fn step(&self) -> usize {
        usize::try_from(self.0[0].load(SeqCst)).unwrap_or(0)
    }

    /// Init: the number of a descriptor of its own that the parent is to take.
    pub fn offer(&self, descriptor: i32) {
        let offered = u64::from(descriptor.unsigned_abs()) + 1;
        self.0[2].store(offered, SeqCst);
    }

    /// Parent: what init offers.
    #[must_use]
    pub fn offered(&self) -> Option<i32> {
        let word = self.0[2].load(SeqCst).checked_sub(1)?;
        i32::try_from(word).ok()
    }

    /// Init: whether the parent wants the times of steps.
    #[must_use]
    pub const fn is_traced(&self) -> bool {
        self.0.len() > Self::WORDS
    }

    /// Init: step `index` ended at `now`, nanoseconds of CLOCK_MONOTONIC.
    pub fn stamp(&self, index: usize, now: u64) {
        if let Some(word) = self.0.get(Self::WORDS + index) {
            word.store(now, Relaxed);
        }
    }

    /// Parent: when step `index` ended, if it did and the trace was on.
    #[must_use]
    pub fn stamped(&self, index: usize) -> Option<u64> {
        let at = self.0.get(Self::WORDS + index)?.load(SeqCst);
        (at != 0).then_some(at)
    }

    /// Init: the current step failed.
    pub fn fail(&self, failure: Failure) {
        let word = FAILED
            | u64::from(failure.flaw as u8) << 48
            | u64::from(failure.part) << 32
            | u64::from(failure.call) << 16
            | u64::from(failure.errno);
        self.0[1].store(word, SeqCst);
    }

    /// Init: why the current step failed, in the kernel's words or init's own; what is too long is cut.
    pub fn give_reason(&self, reason: &[u8]) {
        let words = self.0.iter().skip(3);
        for (word, bytes) in words.zip(reason.chunks(8).take(Self::REASON / 8)) {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_ne_bytes(padded), SeqCst);
        }
    }

    /// Parent: that reason; empty if there is none.
    #[must_use]
    pub fn reason(&self) -> Vec<u8> {
        let words = self.0.iter().skip(3).take(Self::REASON / 8);
        let bytes = words.flat_map(|word| word.load(SeqCst).to_ne_bytes());
        bytes.take_while(|byte| *byte != 0).collect()
    }

    /// Parent: the failure of the current step, if init could still report one.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        let word = self.0[1].load(SeqCst);
        let part = |shift: u32| u16::try_from(word >> shift & 0xffff).unwrap_or(0);
        let flaw = Flaw::ALL.get(usize::from(part(48) & 0x7fff)).copied();
        (word & FAILED != 0).then(|| Failure {
            flaw: flaw.unwrap_or(Flaw::Call),
            part: part(32),
            call: part(16),
            errno: part(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_comes_back_as_it_was() {
        let words = [const { AtomicU64::new(0) }; Board::WORDS];
        let board = Board::new(&words);
        assert_eq!((board.failure(), board.offered()), (None, None));
        board.offer(0);
        assert_eq!(board.offered(), Some(0));
        assert!(board.reason().is_empty());
        board.give_reason(b"tmpfs: Unknown parameter");
        assert_eq!(board.reason(), b"tmpfs: Unknown parameter");
        board.give_reason(&[b'x'; 500]);
        assert_eq!(board.reason(), [b'x'; Board::REASON]);
        for flaw in Flaw::ALL {
            let failure = Failure {
                flaw,
                part: 65535,
                call: 442,
                errno: 4095,
            };
            board.fail(failure);
            assert_eq!(board.failure(), Some(failure));
        }
    }

    #[test]
    fn flaws_are_numbered_by_their_place() {
        for (place, flaw) in Flaw::ALL.into_iter().enumerate() {
            assert_eq!(flaw as usize, place);
        }
    }
}
