//! Descriptors that a caller hands on to the container.

use crate::{Error, Result};

/// Checks that all of them are open: those of socket activation, from 3 on, then those of
/// `--preserve-fds`.
///
/// Otherwise what kan opens itself would take their numbers, and stay open in the container until it
/// is started: the lock of its directory among it, for which `start` would wait.
pub(crate) fn check(activated: u32, preserved: u32) -> Result<()> {
    let first = activated.saturating_add(3);
    for number in 3..first {
        if let Err(error) = std::fs::symlink_metadata(format!("/proc/self/fd/{number}")) {
            let why = crate::error::lowercase(&error);
            return Err(Error::Step(format!(
                "LISTEN_FDS: descriptor {number} (of {activated} from 3 on): {why}"
            )));
        }
    }
    for index in 0..preserved {
        let number = first.saturating_add(index);
        if let Err(error) = std::fs::symlink_metadata(format!("/proc/self/fd/{number}")) {
            let why = crate::error::lowercase(&error);
            let text = format!("unable to stat preserved-fd {index} (of {preserved}): {why}");
            return Err(Error::Step(format!(
                "--preserve-fds: descriptor {number}: {text}"
            )));
        }
    }
    Ok(())
}
