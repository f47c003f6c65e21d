//! `run` without `--detach`: signals go in, the terminal's characters both ways, children are
//! reaped, and the container's exit code comes out.

use crate::error::during;
use crate::notify::Relay;
use crate::{Error, Result};
use kan_sys::fd::{AsFd, BorrowedFd, OwnedFd};
use kan_sys::process::{Child, Ended, pidfd_send_signal, reap_any};
use kan_sys::{io, process, socket};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{self, SetArg, Termios};

/// A kan that stays with its container.
pub(crate) struct Foreground {
    signals: SignalFd,
}

impl Foreground {
    /// Before the clone, so that no signal is lost: from here on all wait in a descriptor.
    /// Init unblocks them for itself.
    pub(crate) fn prepare(subreaper: bool) -> Result<Self> {
        let failed = |errno: nix::Error| Error::Step(format!("take over signals: {errno}"));
        let all = SigSet::all();
        all.thread_block().map_err(failed)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&all, flags).map_err(failed)?;
        if subreaper {
            process::set_subreaper().map_err(during("become a subreaper"))?;
        }
        Ok(Self { signals })
    }

    /// Stays until the container's init has ended, and its terminal is read to its end.
    pub(crate) fn stay(
        self,
        child: &Child,
        console: Option<OwnedFd>,
        relay: Option<Relay>,
    ) -> kan_sys::Result<Ended> {
        let mut terminal = match console {
            Some(console) => Some(Terminal::new(socket::receive_descriptor(console)?)),
            None => None,
        };
        loop {
            self.wait_for_anything(terminal.as_ref(), relay.as_ref());
            // A manager that does not listen any more does not end the container.
            let _ = relay.as_ref().map(Relay::pass_on);
            if let Some(terminal) = &mut terminal {
                terminal.copy();
            }
            // One at a time: more of them end the next wait at once.
            if let Ok(Some(info)) = self.signals.read_signal() {
                pass_on(info.ssi_signo, child, terminal.as_ref());
            }
            if let Some(ended) = reap(child)? {
                if let Some(terminal) = &mut terminal {
                    terminal.drain();
                }
                return Ok(ended);
            }
        }
    }

    fn wait_for_anything(&self, terminal: Option<&Terminal>, relay: Option<&Relay>) {
        let mut watched = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        watched.extend(relay.map(|relay| PollFd::new(relay.as_fd(), PollFlags::POLLIN)));
        if let Some(terminal) = terminal {
            watched.extend(terminal.watched());
        }
        let _ = poll(&mut watched, PollTimeout::NONE);
    }
}

/// Reaps all that has ended; the container's init among them gives the end.
fn reap(child: &Child) -> kan_sys::Result<Option<Ended>> {
    while let Some((pid, ended)) = reap_any()? {
        if pid == child.pid {
            return Ok(Some(ended));
        }
    }
    Ok(None)
}

/// What kan gets, the container gets; SIGCHLD and SIGWINCH are about kan itself.
fn pass_on(signal: u32, child: &Child, terminal: Option<&Terminal>) {
    let Some(signal) = i32::try_from(signal).ok() else {
        return;
    };
    match Signal::try_from(signal) {
        Ok(Signal::SIGCHLD | Signal::SIGURG | Signal::SIGPIPE) => {}
        Ok(Signal::SIGWINCH) if terminal.is_some() => {
            if let Some(terminal) = terminal {
                terminal.resize();
            }
        }
        // The container may just have ended.
        _ => drop(pidfd_send_signal(&child.pidfd, signal)),
    }
}

/// The container's terminal, connected to kan's own stdin and stdout.
struct Terminal {
    master: OwnedFd,
    /// kan's own terminal as it was, to be restored.
    before: Option<Termios>,
    /// What was read from stdin and does not fit into the master yet.
    waiting: Vec<u8>,
    stdin_is_open: bool,
    master_is_open: bool,
}

impl Terminal {
    fn new(master: OwnedFd) -> Self {
        let before = termios::tcgetattr(io::standard(0)).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            termios::cfmakeraw(&mut raw);
            let _ = termios::tcsetattr(io::standard(0), SetArg::TCSANOW, &raw);
        }
        let _ = io::set_nonblocking(&master);
        let (waiting, stdin_is_open, master_is_open) = (Vec::new(), true, true);
        let terminal = Self {
            master,
            before,
            waiting,
            stdin_is_open,
            master_is_open,
        };
        terminal.resize();
        terminal
    }

    /// The container's terminal gets the size of kan's own, if that has one.
    fn resize(&self) {
        if let Some((width, height)) = kan_sys::terminal::size(io::standard(0)) {
            let _ = kan_sys::terminal::set_size(&self.master, width, height);
        }
    }

    fn watched(&self) -> Vec<PollFd<'_>> {
        let mut all = Vec::with_capacity(2);
        if self.master_is_open {
            let mut events = PollFlags::POLLIN;
            events.set(PollFlags::POLLOUT, !self.waiting.is_empty());
            all.push(PollFd::new(self.master.as_fd(), events));
        }
        if self.stdin_is_open && self.waiting.is_empty() {
            all.push(PollFd::new(io::standard(0), PollFlags::POLLIN));
        }
        all
    }

    /// Copies what is there, both ways, without blocking on the container.
    fn copy(&mut self) {
        if self.stdin_is_open && self.waiting.is_empty() && is_readable(io::standard(0)) {
            self.read_stdin();
        }
        if !self.waiting.is_empty() {
            self.write_waiting();
        }
        if self.master_is_open && is_readable(self.master.as_fd()) {
            self.master_is_open = self.copy_output();
        }
    }

    fn read_stdin(&mut self) {
        let mut buffer = [0; 8192];
        match io::read(io::standard(0), &mut buffer) {
            Ok(0) | Err(_) => {
                // The end of the input is the terminal's own sign for it, termios(3) VEOF.
                self.stdin_is_open = false;
                self.waiting.push(4);
            }
            Ok(count) => self.waiting.extend_from_slice(&buffer[..count]),
        }
    }

    fn write_waiting(&mut self) {
        if let Ok(count) = io::write(&self.master, &self.waiting) {
            self.waiting.drain(..count);
        }
    }

    /// Whether more may come: a master whose other side is closed answers EIO.
    fn copy_output(&mut self) -> bool {
        let mut buffer = [0; 8192];
        match io::read(&self.master, &mut buffer) {
            Ok(0) => false,
            Ok(count) => write_all(io::standard(1), &buffer[..count]),
            Err(error) => error.errno == kan_sys::Errno::EAGAIN,
        }
    }

    /// What the container wrote before it ended.
    fn drain(&mut self) {
        while self.master_is_open && is_readable(self.master.as_fd()) {
            self.master_is_open = self.copy_output();
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = termios::tcsetattr(io::standard(0), SetArg::TCSANOW, before);
        }
    }
}

fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match io::write(to, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(_) => return false,
        }
    }
    true
}

fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let mut watched = [PollFd::new(fd, PollFlags::POLLIN)];
    poll(&mut watched, PollTimeout::ZERO).is_ok_and(|count| count > 0)
}
