//! A container's terminal: where it goes with `--console-socket`, and kan as its receiver, which
//! copies between it and kan's own terminal. docs/terminals.md has the whole scheme.

use crate::Result;
use crate::error::with;
use crate::host::terminal::own_terminal::OwnTerminal;
use crate::host::terminal::stream::{Stream, or_nothing};
use crate::os::waiting;
use kan_sys::fd::{AsFd, OwnedFd};
use kan_sys::{Errno, io, terminal};
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::termios::{self, LocalFlags, SpecialCharacterIndices};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Connects to `--console-socket`.
pub(crate) fn connect(path: &Path) -> Result<OwnedFd> {
    let failed = |error: kan_sys::Error| match waiting::stopped(error, "the console socket") {
        Ok(stopped) => stopped,
        Err(error) => {
            with("connect to", path)(std::io::Error::from_raw_os_error(error.errno.into_raw()))
        }
    };
    kan_sys::waiting::connect(path.as_os_str().as_bytes()).map_err(failed)
}

/// How much is read at once, bytes: what a terminal gives at the most is less.
const PIECE: usize = 8192;

/// How much of a terminal's output may be left when its process has ended, bytes: more than the
/// kernel keeps of it (65,536 and the line discipline's 4096). A process in the background that goes
/// on writing would otherwise never let kan end.
const LEFT: usize = 128 * 1024;

/// A terminal that nobody has open at the moment is looked at again after so long, milliseconds:
/// service managers close their console and open it again.
const AGAIN: u16 = 100;

/// A container's terminal, connected to kan's own stdin and stdout.
pub(crate) struct Console {
    /// None after kan's own side was hung up.
    master: Option<OwnedFd>,
    own: OwnTerminal,
    stdin: Stream,
    stdout: Stream,
    stdin_is_open: bool,
    /// What was read and could not be written yet, to the container and from it.
    input: Vec<u8>,
    output: Vec<u8>,
    /// The last byte of the input so far.
    last: u8,
    /// Whether no process has the other side open: EIO.
    is_closed: bool,
    /// How much may still be read, once the process has ended.
    left: Option<usize>,
}

impl Console {
    /// `master` is kan's alone, as it was handed over: its O_NONBLOCK is nobody else's.
    pub(crate) fn new(master: OwnedFd) -> Self {
        let _ = io::set_nonblocking(&master);
        let console = Self {
            master: Some(master),
            own: OwnTerminal::make_raw(),
            stdin: Stream::input(),
            stdout: Stream::output(),
            stdin_is_open: true,
            input: Vec::new(),
            output: Vec::new(),
            last: b'\n',
            is_closed: false,
            left: None,
        };
        console.resize();
        console
    }

    /// The container's terminal gets the size of kan's own, if that has one.
    pub(crate) fn resize(&self) {
        if let Some((master, (width, height))) = self
            .master
            .as_ref()
            .zip(crate::host::terminal::own_terminal::size())
        {
            let _ = terminal::set_size(master, width, height);
        }
    }

    /// After a stop, in which a shell has set its terminal for itself.
    pub(crate) fn resume(&mut self) {
        self.own.make_raw_again();
        self.resize();
    }

    /// What to wait for, and for how long at the most.
    pub(crate) fn watch<'c>(&'c self, all: &mut Vec<PollFd<'c>>) -> PollTimeout {
        if self.stdin_is_open && self.input.is_empty() {
            all.push(PollFd::new(self.stdin.as_fd(), PollFlags::POLLIN));
        }
        if !self.output.is_empty() {
            all.push(PollFd::new(self.stdout.as_fd(), PollFlags::POLLOUT));
        }
        let Some(master) = self.master.as_ref() else {
            return PollTimeout::NONE;
        };
        if self.is_closed {
            return PollTimeout::from(AGAIN);
        }
        let mut events = PollFlags::empty();
        events.set(PollFlags::POLLIN, self.may_read());
        events.set(PollFlags::POLLOUT, !self.input.is_empty());
        // POLLHUP is always reported: it is for later while the output is full.
        if !events.is_empty() {
            all.push(PollFd::new(master.as_fd(), events));
        }
        PollTimeout::NONE
    }

    /// Whether there is room for more output, and may be more.
    fn may_read(&self) -> bool {
        self.output.is_empty() && self.left != Some(0)
    }

    /// Copies what is there, both ways, without waiting for anybody.
    pub(crate) fn copy(&mut self) {
        self.is_closed = false;
        if self.stdin_is_open && self.input.is_empty() {
            self.read_stdin();
        }
        self.write_input();
        self.write_output();
        while self.may_read() && self.read_output() {
            self.write_output();
        }
    }

    /// No process of the container that kan waits for is left: what was written before is copied.
    pub(crate) fn finish(&mut self) {
        self.left = Some(LEFT);
        self.stdin_is_open = false;
        self.copy();
    }

    /// Whether something of it is still to be copied.
    pub(crate) fn has_more(&self) -> bool {
        self.master.is_some() && (self.may_read() || !self.output.is_empty())
    }

    /// Whether no process has the terminal open, and all that came out of it is written.
    pub(crate) fn is_at_its_end(&self) -> bool {
        self.master.is_none() || self.is_closed && self.output.is_empty()
    }

    /// kan's own terminal, or the reader of its output, has gone: the container's terminal hangs up, as
    /// the user's would under a program without a container.
    fn hang_up(&mut self) {
        self.master = None;
        self.stdin_is_open = false;
        self.input.clear();
        self.output.clear();
    }

    fn read_stdin(&mut self) {
        let mut piece = [0; PIECE];
        match self.stdin.read(&mut piece) {
            Ok(None) => {}
            Ok(Some(0)) if !self.own.is_raw() => {
                self.stdin_is_open = false;
                self.end_input();
            }
            Ok(Some(0)) | Err(_) => self.hang_up(),
            Ok(Some(count)) => {
                self.input.extend_from_slice(&piece[..count]);
                self.last = piece[count - 1];
            }
        }
    }

    /// At the end of a pipe or file the terminal gets its own sign for it, VEOF of termios(3), where it
    /// has one: twice after half a line, since the first one only ends that.
    fn end_input(&mut self) {
        let settings = self
            .master
            .as_ref()
            .and_then(|fd| termios::tcgetattr(fd).ok());
        let lines = settings.filter(|all| all.local_flags.contains(LocalFlags::ICANON));
        let Some(settings) = lines else { return };
        let end = settings.control_chars[SpecialCharacterIndices::VEOF as usize];
        if end == 0 {
            return;
        }
        self.input.push(end);
        if !matches!(self.last, b'\n' | b'\r') && self.last != end {
            self.input.push(end);
        }
    }

    fn write_input(&mut self) {
        let Some(master) = self.master.as_ref().filter(|_| !self.input.is_empty()) else {
            return;
        };
        match or_nothing(io::write(master, &self.input)) {
            Ok(count) => drop(self.input.drain(..count.unwrap_or(0))),
            // No process has it open now; one that opens it later may read this.
            Err(_) => self.is_closed = true,
        }
    }

    fn write_output(&mut self) {
        while !self.output.is_empty() {
            match self.stdout.write(&self.output) {
                Ok(Some(count)) => drop(self.output.drain(..count)),
                Ok(None) => return,
                Err(_) => self.hang_up(),
            }
        }
    }

    /// Whether something was read.
    fn read_output(&mut self) -> bool {
        let Some(master) = &self.master else {
            return false;
        };
        let mut piece = [0; PIECE];
        let read = or_nothing(io::read(master, &mut piece));
        let count = match read {
            Ok(Some(count)) => count,
            Ok(None) => 0,
            // A master whose other side is closed answers EIO, ioctl_tty(2).
            Err(error) => {
                self.is_closed = error.errno == Errno::EIO;
                0
            }
        };
        self.output.extend_from_slice(&piece[..count]);
        if let Some(left) = &mut self.left {
            *left = if count == 0 {
                0
            } else {
                left.saturating_sub(count)
            };
        }
        count > 0
    }
}
