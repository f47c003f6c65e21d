//! The suite is a child subreaper: the init of a detached container becomes its child.
//!
//! Children that std waits for are registered, so that collecting the others never steals
//! their exit code; a case that needs a zombie registers it too.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, WaitOptions, getpid, set_child_subreaper, waitpid};

/// Children that nobody else may wait for.
static OWNED: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Makes the suite the parent of orphans below it.
///
/// # Errors
/// The kernel's.
pub fn become_subreaper() -> rustix::io::Result<()> {
    set_child_subreaper(Some(getpid()))
}

/// Holds the register: while it is held, no child is collected.
pub fn register() -> Register {
    Register(OWNED.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The locked register.
pub struct Register(MutexGuard<'static, BTreeSet<i32>>);

impl Register {
    /// Keeps a child from being collected here.
    pub fn own(&mut self, pid: i32) {
        self.0.insert(pid);
    }

    /// Ends that, after the owner has waited for it.
    pub fn disown(&mut self, pid: i32) {
        self.0.remove(&pid);
    }
}

/// Collects every dead child that is nobody's.
pub fn collect() {
    let owned = register();
    for pid in dead_children() {
        if owned.0.contains(&pid) {
            continue;
        }
        if let Some(pid) = Pid::from_raw(pid) {
            // ECHILD or "not dead yet" are both fine.
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }
}

/// Dead children of the suite. Looked for in the whole of /proc: the `children` file needs
/// CONFIG_PROC_CHILDREN.
fn dead_children() -> Vec<i32> {
    let own = std::process::id().to_string();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| state_and_parent(*pid).is_some_and(|s| s.0 == "Z" && s.1 == own))
        .collect()
}

/// State letter and parent of a process (proc_pid_stat(5), fields 3 and 4).
pub fn state_and_parent(pid: i32) -> Option<(String, String)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in field 2 may hold anything but ends at the last parenthesis.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    Some((fields.next()?.into(), fields.next()?.into()))
}
