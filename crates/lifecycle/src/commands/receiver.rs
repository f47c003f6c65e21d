//! `console`: receives a container's terminal over a console socket, as runc's recvtty does.

use crate::error::{during, with};
use crate::host::terminal::console::Console;
use crate::host::terminal::foreground::{is_ignored, take_over};
use crate::{Error, Result};
use kan_sys::fd::{AsFd, OwnedFd};
use kan_sys::{file, socket, terminal};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;
use nix::sys::termios::tcgetattr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Listens at `path` until a terminal arrives, and connects it to kan's own stdin and stdout until no
/// process has it open: 0 then, or 128 + n if signal n ended it.
///
/// # Errors
/// The socket can't be created, or something else than a terminal arrives.
pub fn receive_console(path: &Path) -> Result<i32> {
    let signals = take_over(&interesting())?;
    let socket = Socket::bind(path)?;
    let master = match socket.receive(&signals)? {
        Received::Terminal(master) => master,
        Received::Signal(number) => return Ok(128 + number),
    };
    // One terminal, and its name is free for the next one.
    drop(socket);
    // kan's own terminal translates newlines: docs/terminals.md.
    terminal::clear_onlcr(&master).map_err(during("switch ONLCR off"))?;
    let mut console = Console::new(master);
    while !console.is_at_its_end() {
        let mut watched = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        let limit = console.watch(&mut watched);
        let _ = poll(&mut watched, limit);
        while let Some(signal) = next(&signals) {
            match signal {
                Signal::SIGWINCH => console.resize(),
                Signal::SIGCONT => console.resume(),
                ends => return Ok(128 + ends as i32),
            }
        }
        console.copy();
    }
    Ok(0)
}

/// What ends kan, unless its caller ignores it, and what is about its own terminal.
fn interesting() -> SigSet {
    let ends = [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
    ];
    let ends = ends.into_iter().filter(|one| !is_ignored(*one));
    ends.chain([Signal::SIGWINCH, Signal::SIGCONT]).collect()
}

fn next(signals: &SignalFd) -> Option<Signal> {
    let info = signals.read_signal().ok()??;
    Signal::try_from(i32::try_from(info.ssi_signo).ok()?).ok()
}

enum Received {
    Terminal(OwnedFd),
    Signal(i32),
}

/// A listening socket, whose name is removed with it.
struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Whoever can connect could draw on the user's terminal: nobody but the user can, unix(7).
    fn bind(path: &Path) -> Result<Self> {
        let mask = file::umask(0o077);
        let bound = UnixListener::bind(path);
        file::umask(mask);
        Ok(Self {
            listener: bound.map_err(with("listen at", path))?,
            path: path.to_owned(),
        })
    }

    /// Somebody who connects and goes again without a terminal had a failure to report elsewhere.
    fn receive(&self, signals: &SignalFd) -> Result<Received> {
        let mut stream: Option<UnixStream> = None;
        loop {
            let source = stream.as_ref().map_or(self.listener.as_fd(), AsFd::as_fd);
            let mut watched = [
                PollFd::new(signals.as_fd(), PollFlags::POLLIN),
                PollFd::new(source, PollFlags::POLLIN),
            ];
            let _ = poll(&mut watched, PollTimeout::NONE);
            let speaks = watched[1].any().unwrap_or(false);
            match next(signals) {
                None | Some(Signal::SIGWINCH | Signal::SIGCONT) => {}
                Some(ends) => return Ok(Received::Signal(ends as i32)),
            }
            if !speaks {
                continue;
            }
            let Some(connected) = stream.take() else {
                let (connected, _) = self
                    .listener
                    .accept()
                    .map_err(with("accept at", &self.path))?;
                stream = Some(connected);
                continue;
            };
            let received = socket::receive(&connected);
            let (length, descriptor) = received.map_err(during("receive a terminal"))?;
            match descriptor {
                Some(master) if tcgetattr(&master).is_ok() => {
                    return Ok(Received::Terminal(master));
                }
                Some(_) => return Err(self.is_no_terminal()),
                None if length > 0 => return Err(self.is_no_terminal()),
                None => {}
            }
        }
    }

    fn is_no_terminal(&self) -> Error {
        let path = self.path.display();
        Error::Step(format!("{path}: what arrived is not a terminal"))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
