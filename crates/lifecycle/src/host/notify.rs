//! sd_notify(3) from inside a container: kan receives what the container says and passes it on.
//!
//! The container is given a socket of kan's own, since a pid namespace or a network namespace may
//! hide the manager's, and because the manager believes only the processes of its service.

use crate::Result;
use crate::error::{during, with};
use crate::os::directory::Directory;
use crate::os::waiting::{self, Watched};
use kan_sys::fd::{AsFd, BorrowedFd, OwnedFd};
use kan_sys::{file, io, socket};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The directory in a container's own that is mounted into it.
pub(crate) const DIRECTORY: &str = "notify";

/// The socket's name in there.
pub(crate) const SOCKET: &str = "notify.sock";

/// Longest message, bytes; systemd takes no longer ones.
const LONGEST: usize = 4096;

/// How long the manager may take to have heard everything: systemd's own patience.
const BARRIER: Duration = Duration::from_secs(30);

/// How long it may take to have room for a message, milliseconds.
const BUSY: u16 = 5000;

/// Creates the directory, without the socket.
pub(crate) fn make_directory(container: &Directory) -> Result<()> {
    let made = container.make_directory(DIRECTORY, 0o755);
    made.map_err(with("create", &container.path_of(DIRECTORY)))
}

/// Whether the container was given such a directory.
pub(crate) fn is_wanted(container: &Directory) -> bool {
    container
        .status_of(DIRECTORY)
        .is_ok_and(|found| found.is(file::S_IFDIR))
}

/// A directory of the container's that may be covered for a while: its own, or one below where the
/// socket's directory must be seen.
pub(crate) fn besides(container: &Directory) -> Result<PathBuf> {
    if !is_wanted(container) {
        return Ok(container.path().to_owned());
    }
    let path = container.path_of("stage");
    let made = container.make_directory("stage", 0o700);
    made.map(|()| path.clone()).map_err(with("create", &path))
}

/// kan between a container and a service manager.
pub(crate) struct Relay {
    container: UnixDatagram,
    /// The manager, or why nobody can be reached.
    manager: std::result::Result<UnixDatagram, String>,
}

impl Relay {
    /// Listens for the container, and connects to the manager. One that can't be reached, which has
    /// ended perhaps and left its name in the environment, stops nothing.
    pub(crate) fn open(container: &Directory, manager: &OsStr) -> Result<Self> {
        let path = container.path_of(DIRECTORY);
        let directory = container
            .directory(DIRECTORY)
            .map_err(with("open", &path))?;
        let path = directory.path_of(SOCKET);
        let _ = directory.remove(SOCKET);
        // Any user of the container may speak, as on the manager's own. The mode comes with the
        // socket, unix(7): by its name it could be another file already, for the container's root
        // may put a link there.
        let mask = file::umask(0);
        let bound = UnixDatagram::bind(directory.descriptor_path().join(SOCKET));
        file::umask(mask);
        let own = bound.map_err(with("bind", &path))?;
        own.set_nonblocking(true).map_err(with("bind", &path))?;
        let manager = connect(manager)
            .map_err(with("connect to NOTIFY_SOCKET", Path::new(manager)))
            .map_err(|error| error.to_string());
        Ok(Self {
            container: own,
            manager,
        })
    }

    /// Why nobody hears what the container says.
    pub(crate) fn warning(&self) -> Option<String> {
        let why = self.manager.as_ref().err()?;
        Some(format!(
            "{why}: no one is notified when the container is ready"
        ))
    }

    /// Passes on what the container says until it is ready, or has ended. The manager then is
    /// told of the container's process, and has taken note of it before this returns.
    pub(crate) fn until_ready(&self, pid: i32, init: impl AsFd) -> Result<()> {
        while self.manager.is_ok() {
            let mut watched = [
                Watched::read(init.as_fd()),
                Watched::read(self.container.as_fd()),
            ];
            waiting::wait(&mut watched, None, "READY=1")?;
            if self.pass_on()? {
                self.tell(format!("MAINPID={pid}\n").as_bytes())?;
                return self.barrier();
            }
            if watched[0].is_ready() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Passes on what is there; whether it said that the container is ready.
    pub(crate) fn pass_on(&self) -> Result<bool> {
        let mut message = [0; LONGEST];
        let mut is_ready = false;
        while let Ok(length) = self.container.recv(&mut message) {
            let said = filtered(&message[..length]);
            if !said.is_empty() {
                self.tell(&said)?;
            }
            is_ready |= said
                .split(|byte| *byte == b'\n')
                .any(|line| line == b"READY=1");
        }
        Ok(is_ready)
    }

    /// A manager whose queue is full gets some time. Signals are left to others: in the foreground
    /// they are the container's.
    fn tell(&self, message: &[u8]) -> Result<()> {
        let Ok(manager) = &self.manager else {
            return Ok(());
        };
        let mut sent = manager.send(message);
        if matches!(&sent, Err(error) if error.kind() == ErrorKind::WouldBlock) {
            let mut watched = [PollFd::new(manager.as_fd(), PollFlags::POLLOUT)];
            let _ = poll(&mut watched, PollTimeout::from(BUSY));
            sent = manager.send(message);
        }
        sent.map(drop)
            .map_err(with("write to", Path::new("NOTIFY_SOCKET")))
    }

    /// The manager closes the descriptor that comes with a barrier when it has read all that came
    /// before: sd_notify_barrier(3).
    fn barrier(&self) -> Result<()> {
        let Ok(manager) = &self.manager else {
            return Ok(());
        };
        let (own, theirs) = io::pipe().map_err(during("create a pipe"))?;
        let sent = socket::send_descriptor(manager, c"BARRIER=1", &theirs);
        sent.map_err(during("notify the service manager"))?;
        drop::<OwnedFd>(theirs);
        let mut watched = [Watched::end(own.as_fd())];
        waiting::wait(&mut watched, Some(BARRIER), "the service manager").map(drop)
    }
}

impl AsFd for Relay {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.container.as_fd()
    }
}

/// Without what is about pids and descriptors, which mean something else outside.
fn filtered(message: &[u8]) -> Vec<u8> {
    let own = |line: &&[u8]| {
        let key = line.split(|byte| *byte == b'=').next().unwrap_or_default();
        !matches!(
            key,
            b"" | b"MAINPID"
                | b"MAINPIDFD"
                | b"FDSTORE"
                | b"FDSTOREREMOVE"
                | b"FDNAME"
                | b"FDPOLL"
                | b"BARRIER"
        )
    };
    let lines: Vec<_> = message
        .split(|byte| *byte == b'\n')
        .filter(own)
        .flat_map(|line| [line, b"\n"])
        .collect();
    lines.concat()
}

fn connect(manager: &OsStr) -> std::io::Result<UnixDatagram> {
    let to = UnixDatagram::unbound()?;
    to.connect_addr(&address(manager)?)?;
    to.set_nonblocking(true)?;
    Ok(to)
}

/// A path, or `@` and a name in the abstract namespace, unix(7).
fn address(socket: &OsStr) -> std::io::Result<SocketAddr> {
    match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(socket),
    }
}

/// A relay for `start`, if the container wants one and somebody listens.
pub(crate) fn for_start(container: &Directory) -> Result<Option<Relay>> {
    let manager = std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty());
    match manager {
        Some(manager) if is_wanted(container) => Relay::open(container, &manager).map(Some),
        _ => Ok(None),
    }
}

/// The step of a plan: the directory, and the socket where `start` will not make it.
pub(crate) fn make(container: &Directory, manager: Option<&OsStr>) -> Result<Option<Relay>> {
    make_directory(container)?;
    let Some(manager) = manager else {
        return Ok(None);
    };
    Relay::open(container, manager).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    fn opened(path: &Path) -> Directory {
        let found = crate::state::trust::Trust::of_this_process().resolve(path, false);
        found.unwrap().unwrap()
    }

    #[test]
    fn what_means_something_else_outside_is_kept_back() {
        assert_eq!(
            filtered(b"READY=1\nMAINPID=1\nSTATUS=a=b\n"),
            b"READY=1\nSTATUS=a=b\n"
        );
        assert_eq!(filtered(b"BARRIER=1"), b"");
    }

    #[test]
    fn readiness_is_passed_on_with_the_pid() {
        let directory = crate::os::directory::scratch("notify");
        let manager = directory.join("manager");
        let heard = UnixDatagram::bind(&manager).unwrap();
        let relay = make(&opened(&directory), Some(manager.as_os_str()))
            .unwrap()
            .unwrap();
        let container = UnixDatagram::unbound().unwrap();
        let path = directory.join(DIRECTORY).join(SOCKET);
        container.send_to(b"STATUS=x", &path).unwrap();
        container.send_to(b"READY=1\nMAINPID=7", &path).unwrap();
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            let mut message = [0; LONGEST];
            while all.last().is_none_or(|last| last != "BARRIER=1") {
                let length = heard.recv(&mut message).unwrap();
                all.push(String::from_utf8(message[..length].to_vec()).unwrap());
            }
            all
        });
        let (own, _theirs) = io::pipe().unwrap();
        relay.until_ready(77, &own).unwrap();
        let expected = ["STATUS=x\n", "READY=1\n", "MAINPID=77\n", "BARRIER=1"];
        assert_eq!(reader.join().unwrap(), expected);
        std::fs::remove_dir_all(&directory).unwrap();
    }

    /// The container's root may write in the directory, and puts a link where the socket is.
    #[test]
    fn a_link_in_place_of_the_socket_changes_no_other_file() {
        use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
        let directory = crate::os::directory::scratch("relay");
        std::fs::create_dir(directory.join(DIRECTORY)).unwrap();
        let (manager, decoy) = (directory.join("manager"), directory.join("decoy"));
        let _heard = UnixDatagram::bind(&manager).unwrap();
        std::fs::write(&decoy, "").unwrap();
        std::fs::set_permissions(&decoy, Permissions::from_mode(0o600)).unwrap();
        let path = directory.join(DIRECTORY).join(SOCKET);
        let opened = opened(&directory);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    let _ = std::fs::remove_file(&path);
                    let _ = std::os::unix::fs::symlink(&decoy, &path);
                }
            });
            for _ in 0..2000 {
                // It may fail, for the name is taken again.
                let _ = Relay::open(&opened, manager.as_os_str());
            }
            done.store(true, Relaxed);
        });
        let mode = std::fs::metadata(&decoy).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let _ = std::fs::remove_file(&path);
        let relay = Relay::open(&opened, manager.as_os_str()).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o777, "any user of the container may speak");
        drop(relay);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
