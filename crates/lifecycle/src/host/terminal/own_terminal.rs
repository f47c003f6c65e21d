//! The terminal that kan itself was started on, while it belongs to a container.

use kan_sys::{io, terminal};
use nix::sys::termios::{self, SetArg, SpecialCharacterIndices, Termios};
use nix::unistd::{getpgrp, tcgetpgrp};

/// (width, height) in characters of the terminal that kan was started on, by whichever of its
/// standard descriptors.
pub(crate) fn size() -> Option<(u16, u16)> {
    (0..=2).find_map(|number| terminal::size(io::standard(number)))
}

/// kan's stdin, if that is a terminal: each key goes to the container, whose terminal makes
/// lines, echoes and signals of them. What the program prints is processed as before, so that it is
/// this terminal that puts a carriage return before each newline.
pub(crate) struct OwnTerminal(Option<Settings>);

struct Settings {
    before: Termios,
    raw: Termios,
}

impl OwnTerminal {
    /// In the background this stops kan by SIGTTOU, tcsetattr(3), until it is in the foreground.
    pub(crate) fn make_raw() -> Self {
        let Ok(before) = termios::tcgetattr(io::standard(0)) else {
            return Self(None);
        };
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        raw.output_flags = before.output_flags;
        let settings = Self(Some(Settings { before, raw }));
        settings.make_raw_again();
        settings
    }

    pub(crate) const fn is_raw(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn make_raw_again(&self) {
        if let Some(settings) = &self.0 {
            let _ = termios::tcsetattr(io::standard(0), SetArg::TCSANOW, &settings.raw);
        }
    }
}

/// What kan has set is set back; what somebody else has changed meanwhile stays. In the background
/// the terminal is somebody else's altogether.
impl Drop for OwnTerminal {
    fn drop(&mut self) {
        let Some(settings) = self.0.take() else {
            return;
        };
        let stdin = io::standard(0);
        if tcgetpgrp(stdin).is_ok_and(|foreground| foreground != getpgrp()) {
            return;
        }
        if let Ok(now) = termios::tcgetattr(stdin) {
            let _ = termios::tcsetattr(stdin, SetArg::TCSANOW, &restored(now, &settings));
        }
    }
}

fn restored(mut now: Termios, Settings { before, raw }: &Settings) -> Termios {
    // A flag that kan has changed, and nobody after it.
    now.input_flags ^= (before.input_flags ^ raw.input_flags) - (now.input_flags ^ raw.input_flags);
    now.local_flags ^= (before.local_flags ^ raw.local_flags) - (now.local_flags ^ raw.local_flags);
    now.control_flags ^=
        (before.control_flags ^ raw.control_flags) - (now.control_flags ^ raw.control_flags);
    for index in [
        SpecialCharacterIndices::VMIN,
        SpecialCharacterIndices::VTIME,
    ] {
        let index = index as usize;
        if now.control_chars[index] == raw.control_chars[index] {
            now.control_chars[index] = before.control_chars[index];
        }
    }
    now
}

#[cfg(test)]
mod tests {
    use super::{Settings, restored};
    use nix::pty::openpty;
    use nix::sys::termios::{self, LocalFlags, OutputFlags, Termios};

    #[test]
    fn what_another_program_changes_meanwhile_stays() {
        let pair = openpty(None, None).unwrap();
        let before = termios::tcgetattr(&pair.slave).unwrap();
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        raw.output_flags = before.output_flags;
        let settings = Settings {
            before: before.clone(),
            raw: raw.clone(),
        };
        let all = |of: &Termios| {
            let flags = (of.input_flags, of.output_flags, of.local_flags);
            (flags, of.control_flags, of.control_chars)
        };
        assert_eq!(all(&restored(raw.clone(), &settings)), all(&before));
        let mut changed = raw;
        changed.output_flags.remove(OutputFlags::OPOST);
        changed
            .local_flags
            .insert(LocalFlags::ECHO | LocalFlags::TOSTOP);
        let after = restored(changed, &settings);
        assert!(!after.output_flags.contains(OutputFlags::OPOST));
        assert!(after.local_flags.contains(
            LocalFlags::ECHO | LocalFlags::TOSTOP | LocalFlags::ICANON | LocalFlags::ISIG
        ));
    }
}
