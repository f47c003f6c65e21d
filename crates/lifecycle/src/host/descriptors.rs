//! Descriptors that a caller hands on to the container.

use crate::error::during;
use crate::{Error, Result};
use kan_sys::file::O_PATH;
use std::os::fd::AsRawFd;

/// Checks that all of them are open: those of socket activation, from 3 on, then those of
/// `--preserve-fds`, of which closed ones are a warning, as crun goes on without them.
///
/// Otherwise what kan opens itself would take their numbers, and stay open in the container until it
/// is started: the lock of its directory among it, for which `start` would wait.
pub(crate) fn check(activated: u32, preserved: u32) -> Result<Option<String>> {
    let first = activated.saturating_add(3);
    for number in 3..first {
        if let Err(error) = std::fs::symlink_metadata(format!("/proc/self/fd/{number}")) {
            let why = crate::error::lowercase(&error);
            return Err(Error::Step(format!(
                "LISTEN_FDS: descriptor {number} (of {activated} from 3 on): {why}"
            )));
        }
    }
    let mut closed = Vec::new();
    for number in first..first.saturating_add(preserved) {
        if !is_open(number) {
            // Fails at the first number that RLIMIT_NOFILE does not permit.
            reserve(number).map_err(during("reserve a closed descriptor of --preserve-fds"))?;
            closed.push(number.to_string());
        }
    }
    Ok((!closed.is_empty()).then(|| {
        let numbers = closed.join(", ");
        format!("--preserve-fds {preserved}: closed, and so in the container: descriptor {numbers}")
    }))
}

fn is_open(number: u32) -> bool {
    i32::try_from(number).is_ok_and(kan_sys::io::is_open)
}

/// Keeps a number from what kan opens; it is closed when the program is executed.
fn reserve(number: u32) -> kan_sys::Result<()> {
    let number = i32::try_from(number).unwrap_or(i32::MAX);
    let null = kan_sys::file::open(c"/dev/null", O_PATH, 0)?;
    let kept = if null.as_raw_fd() == number {
        null
    } else {
        kan_sys::io::duplicate(&null, number)?
    };
    kan_sys::io::keep(kept);
    Ok(())
}
