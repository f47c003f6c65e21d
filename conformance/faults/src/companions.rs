//! Processes that a case's containers need beside them.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::outcome::Outcome;

/// Processes of the case's own, for as long as it lasts.
#[derive(Debug, Default)]
pub struct Companions {
    all: RefCell<Vec<Child>>,
    pub console: RefCell<Option<PathBuf>>,
    pub has_systemd: Cell<bool>,
}

impl Companions {
    /// The console socket, if the config wants one.
    pub fn console(&self) -> Option<PathBuf> {
        self.console.borrow().clone()
    }

    /// Whether one of them is systemd's manager, and makes the cgroups.
    pub fn has_systemd(&self) -> bool {
        self.has_systemd.get()
    }

    pub fn add(&self, mut command: Command) -> Outcome<u32> {
        command.env_clear().stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn()?;
        let pid = child.id();
        self.all.borrow_mut().push(child);
        Ok(pid)
    }
}

impl Drop for Companions {
    fn drop(&mut self) {
        for child in self.all.get_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
