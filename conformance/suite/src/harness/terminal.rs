//! Pseudo-terminals: one that the test makes and runs the runtime under, and one that the
//! runtime makes and hands over a console socket (runtime.md leaves the protocol to runc: one
//! message, the master in SCM_RIGHTS).

use std::fs::{File, OpenOptions};
use std::io::{IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcgetwinsize, tcsetwinsize};

use super::command::{Cmd, TIMEOUT};
use super::outcome::{Fault, Outcome, check, fail};

/// The master side of a terminal, and everything that has come out of it.
pub struct Master {
    fd: OwnedFd,
    seen: String,
}

impl Master {
    /// Wraps a master, such as one received from a console socket.
    pub const fn new(fd: OwnedFd) -> Self {
        Self {
            fd,
            seen: String::new(),
        }
    }

    /// Types something.
    ///
    /// # Errors
    /// The kernel's.
    pub fn write(&self, text: &str) -> Outcome {
        File::from(self.fd.try_clone()?).write_all(text.as_bytes())?;
        Ok(())
    }

    /// Reads until the output since the last call contains a text; answers that output.
    ///
    /// # Errors
    /// After [`TIMEOUT`], or when the other side is closed.
    pub fn read_until(&mut self, text: &str) -> Result<String, Fault> {
        let end = Instant::now() + TIMEOUT;
        let mut searched = 0;
        while !self.seen[searched..].contains(text) {
            // Megabytes may come before it.
            searched = self.seen.len().saturating_sub(text.len());
            while !self.seen.is_char_boundary(searched) {
                searched -= 1;
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.read_some(left)? {
                Some(0) => fail!("terminal closed without {text:?}: {:?}", self.seen),
                Some(_) => {}
                None => fail!("terminal: no {text:?} within {TIMEOUT:?}: {:?}", self.seen),
            }
        }
        Ok(std::mem::take(&mut self.seen))
    }

    /// Reads until the other side is closed; answers the output since the last call.
    ///
    /// # Errors
    /// After [`TIMEOUT`].
    pub fn read_to_end(&mut self) -> Result<String, Fault> {
        let end = Instant::now() + TIMEOUT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.read_some(left)? {
                Some(0) => return Ok(std::mem::take(&mut self.seen)),
                Some(_) => {}
                None => fail!("terminal: still open after {TIMEOUT:?}: {:?}", self.seen),
            }
        }
    }

    /// Reads once: the count, 0 when the other side is closed, nothing after the timeout.
    fn read_some(&mut self, timeout: Duration) -> Result<Option<usize>, Fault> {
        let timeout = Timespec::try_from(timeout)?;
        if poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], Some(&timeout))? == 0 {
            return Ok(None);
        }
        let mut bytes = [0; 4096];
        match rustix::io::read(&self.fd, &mut bytes[..]) {
            Ok(count) => {
                self.seen
                    .push_str(&String::from_utf8_lossy(&bytes[..count]));
                Ok(Some(count))
            }
            // A master whose slaves are all closed answers EIO, not the end of file.
            Err(rustix::io::Errno::IO) => Ok(Some(0)),
            Err(error) => Err(error.into()),
        }
    }

    /// (rows, columns).
    ///
    /// # Errors
    /// The kernel's.
    pub fn size(&self) -> Result<(u16, u16), Fault> {
        let size = tcgetwinsize(&self.fd)?;
        Ok((size.ws_row, size.ws_col))
    }

    /// Changes the size, which the kernel tells the foreground processes by WINCH.
    ///
    /// # Errors
    /// The kernel's.
    pub fn resize(&self, rows: u16, columns: u16) -> Outcome {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        Ok(tcsetwinsize(&self.fd, size)?)
    }

    /// Its settings.
    ///
    /// # Errors
    /// The kernel's.
    pub fn settings(&self) -> Result<Termios, Fault> {
        Ok(tcgetattr(&self.fd)?)
    }

    /// The name of its slave in the mount namespace that it belongs to.
    ///
    /// # Errors
    /// The kernel's.
    pub fn slave_name(&self) -> Result<PathBuf, Fault> {
        Ok(PathBuf::from(
            ptsname(&self.fd, Vec::new())?
                .to_string_lossy()
                .into_owned(),
        ))
    }
}

/// Both sides of a terminal that the test made.
pub struct Terminal {
    /// The test's side.
    pub master: Master,
    /// Kept open until [`Terminal::release`], so that the settings outlast the program.
    slave: Option<File>,
}

impl Terminal {
    /// A new terminal of a size.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(rows: u16, columns: u16) -> Result<Self, Fault> {
        let fd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&fd)?;
        unlockpt(&fd)?;
        let master = Master::new(fd);
        master.resize(rows, columns)?;
        let noctty = OFlags::NOCTTY.bits().cast_signed();
        let name = master.slave_name()?;
        let slave = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(noctty)
            .open(name)?;
        Ok(Self {
            master,
            slave: Some(slave),
        })
    }

    /// Runs a command with this as its controlling terminal, as an interactive shell would.
    ///
    /// # Errors
    /// The kernel's.
    pub fn control(&self, cmd: Cmd) -> Result<Cmd, Fault> {
        let [stdin, stdout, stderr] = self.streams()?;
        Ok(cmd
            .wrapped(&["setsid", "--ctty", "--wait"])
            .streams(stdin, stdout, stderr))
    }

    /// Sets O_NONBLOCK on the slave, which all who have it from the test share.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_nonblocking(&self) -> Outcome {
        let Some(slave) = &self.slave else {
            fail!("the terminal has been released")
        };
        let flags = rustix::fs::fcntl_getfl(slave)? | OFlags::NONBLOCK;
        Ok(rustix::fs::fcntl_setfl(slave, flags)?)
    }

    /// Three handles of the slave.
    ///
    /// # Errors
    /// The kernel's.
    fn streams(&self) -> Result<[Stdio; 3], Fault> {
        let Some(slave) = &self.slave else {
            fail!("the terminal has been released")
        };
        let clone = || slave.try_clone().map(Stdio::from);
        Ok([clone()?, clone()?, clone()?])
    }

    /// Closes the test's own handle of the slave, so that the end of the others is seen.
    pub fn release(&mut self) {
        self.slave = None;
    }
}

/// A socket that waits for a console.
pub struct ConsoleSocket {
    listener: UnixListener,
    /// Its path, for `--console-socket`.
    pub path: PathBuf,
}

impl ConsoleSocket {
    /// A new socket in a directory.
    ///
    /// # Errors
    /// The kernel's.
    pub fn bind(dir: &Path) -> Result<Self, Fault> {
        let path = dir.join("console.sock");
        Ok(Self {
            listener: UnixListener::bind(&path)?,
            path,
        })
    }

    /// Waits for the master.
    ///
    /// # Errors
    /// After [`TIMEOUT`], or if the message holds no file descriptor or several.
    pub fn receive(&self) -> Result<Master, Fault> {
        self.wait(&self.listener)?;
        let (stream, _) = self.listener.accept()?;
        self.wait(&stream)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut bytes = [0; 4096];
        let mut parts = [IoSliceMut::new(&mut bytes)];
        recvmsg(&stream, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let mut fds: Vec<OwnedFd> = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        check!(
            fds.len() == 1,
            "the console message holds {} descriptors",
            fds.len()
        );
        match fds.pop() {
            Some(fd) => Ok(Master::new(fd)),
            None => fail!("the console message holds no descriptor"),
        }
    }

    /// Waits until there is something to read.
    fn wait(&self, fd: impl AsFd) -> Outcome {
        let timeout = Timespec::try_from(TIMEOUT)?;
        let ready = poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout))?;
        check!(
            ready == 1,
            "nothing came through {} within {TIMEOUT:?}",
            self.path.display()
        );
        Ok(())
    }
}
