//! Processes that kan did not just make: a pid is believed only together with its start time.

use crate::error::{during, with};
use crate::os::files;
use crate::state::record::InitProcess;
use crate::{Error, Result};
use kan_sys::fd::OwnedFd;
use std::path::Path;

/// What /proc/PID/stat tells of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Clock ticks since boot.
    pub(crate) start_time: u64,
    /// Whether it has ended and only waits for its parent.
    pub(crate) is_over: bool,
    name: Name,
}

/// A process' own name, which execve(2) changes: proc_pid_comm(5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Name {
    /// TASK_COMM_LEN of the kernel.
    bytes: [u8; 16],
    length: usize,
}

impl Name {
    fn new(text: &[u8]) -> Self {
        let mut name = Self::default();
        name.length = text.len().min(name.bytes.len());
        name.bytes[..name.length].copy_from_slice(&text[..name.length]);
        name
    }
}

impl Stat {
    /// The process' name.
    pub(crate) fn name(&self) -> &[u8] {
        &self.name.bytes[..self.name.length]
    }
}

/// Reads /proc/PID/stat; `None` if there is no such process. Any other failure is one: a process
/// that can't be seen is not taken for a dead one.
pub(crate) fn stat(pid: i32) -> Result<Option<Stat>> {
    let (path, mut buffer) = (format!("/proc/{pid}/stat"), [0; 1024]);
    match files::read_small(&path, &mut buffer) {
        Ok(text) => match parse(text) {
            None => Err(Error::Step(format!("{path}: not understood"))),
            found => Ok(found),
        },
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(with("read", Path::new(&path))(error)),
    }
}

/// ESRCH comes from reading the file of a process that ended after the opening.
fn is_gone(error: &std::io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(nix::libc::ENOENT | nix::libc::ESRCH)
    )
}

/// The name may hold anything, `)` as well; what follows its last one is plain, proc(5).
pub(crate) fn parse(text: &[u8]) -> Option<Stat> {
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let begin = text.iter().position(|byte| *byte == b'(')? + 1;
    let rest = std::str::from_utf8(text.get(end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    // Field 22 of the line; the state is field 3.
    let start_time = fields.nth(18)?.parse().ok()?;
    Some(Stat {
        start_time,
        is_over: matches!(state, "Z" | "X" | "x"),
        name: Name::new(text.get(begin..end)?),
    })
}

impl InitProcess {
    /// The process that `pid` is now, and its name.
    pub(crate) fn of(pid: i32) -> Result<(Self, String)> {
        let found = stat(pid)?.ok_or_else(|| Error::Step("init ended at once".into()))?;
        let start_time = found.start_time;
        let name = String::from_utf8_lossy(found.name()).into_owned();
        Ok((Self { pid, start_time }, name))
    }

    /// What it is now, if it is still there. A zombie is not.
    pub(crate) fn look(self) -> Result<Option<Stat>> {
        let now = stat(self.pid)?;
        Ok(now.filter(|now| now.start_time == self.start_time && !now.is_over))
    }

    /// Whether it is still there.
    pub(crate) fn is_alive(self) -> Result<bool> {
        Ok(self.look()?.is_some())
    }

    /// A descriptor of it; `None` if it has ended. Checked after the opening, so that the
    /// descriptor is this process' and nobody else's.
    pub(crate) fn open(self) -> Result<Option<OwnedFd>> {
        match kan_sys::process::pidfd_open(self.pid) {
            Ok(pidfd) => Ok(self.is_alive()?.then_some(pidfd)),
            Err(error) if error.errno == kan_sys::Errno::ESRCH => Ok(None),
            Err(error) => Err(during("open the container's process")(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_confuses_nobody() {
        let line = b"7 (a) Z 1 (b)) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 0 0";
        assert_eq!(
            parse(line),
            Some(Stat {
                start_time: 4242,
                is_over: false,
                name: Name::new(b"a) Z 1 (b)"),
            })
        );
        assert_eq!(parse(b"7 (x) Z"), None);
    }

    #[test]
    fn a_file_that_is_longer_than_usual_is_read_whole() {
        for usual in [1, 64, 8192] {
            let text = files::read_whole(Path::new("/proc/self/status"), usual).unwrap();
            assert!(
                String::from_utf8_lossy(&text).contains("\nCapBnd:"),
                "{usual}"
            );
        }
    }

    #[test]
    fn this_process_is_alive_and_its_predecessor_is_not() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let (me, _) = InitProcess::of(pid).unwrap();
        assert!(me.is_alive().unwrap());
        assert!(
            !InitProcess {
                start_time: me.start_time - 1,
                ..me
            }
            .is_alive()
            .unwrap()
        );
        assert!(
            InitProcess {
                start_time: me.start_time - 1,
                ..me
            }
            .open()
            .unwrap()
            .is_none()
        );
    }
}
