//! `probe hunt`: a process of the container that tries to trace every other, as an attacker waits
//! for a runtime whose memory he could read.

use std::fs;
use std::io::Write as _;

use crate::kernel;

/// The processes of a PID namespace that has just been made have numbers below this.
const LAST: i32 = 200;

/// Tries until TERM, and prints a line `caught …` for each process that it could trace while that
/// was not yet a program of the container: another probe.
pub fn until_term() -> Result<i32, String> {
    kernel::block_all_signals();
    let own = i32::try_from(std::process::id()).map_err(|error| error.to_string())?;
    say("ready");
    while !kernel::is_pending(libc::SIGTERM) {
        for pid in (1..LAST).filter(|pid| *pid != own) {
            if kernel::seize(pid) {
                let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                if name.trim() != "probe" {
                    say(&format!("caught {pid} {name:?}"));
                }
                kernel::let_go(pid);
            }
        }
    }
    say("done");
    Ok(0)
}

/// One line, written at once.
fn say(line: &str) {
    println!("{line}");
    let _ = std::io::stdout().flush();
}
