//! The systemd unit of a container.

use crate::{Error, Result};
use kan_dbus::{Manager, Whose};
use kan_op::unit::{Property, Value};
use serde::{Deserialize, Serialize};

/// What is kept of it, so that `delete` can end it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unit {
    /// Its name, such as `kan-web.scope`.
    pub(crate) name: String,
    /// The user whose manager has it; `None` for the system's.
    pub(crate) user: Option<u32>,
}

impl Unit {
    /// A connection to the manager that has the unit.
    fn manager(&self) -> Result<Manager> {
        let whose = self.user.map_or(Whose::System, Whose::User);
        Manager::connect(whose).map_err(|error| Error::Step(error.to_string()))
    }

    /// The cgroup that its manager rules.
    pub(crate) fn control_group(&self) -> Result<String> {
        let asked = self.manager()?.control_group();
        asked.map_err(|error| Error::Step(error.to_string()))
    }

    /// Starts it with a process in it.
    pub(crate) fn start(&self, properties: &[Property], pid: i32) -> Result<()> {
        let pids = Value::array("u", vec![Value::Uint32(pid.unsigned_abs())]);
        let mut all = vec![Property::new("PIDs", pids)];
        all.extend_from_slice(properties);
        self.ask(|manager| manager.start(&self.name, &all))
    }

    /// Moves a process into it, or into a cgroup below its own.
    pub(crate) fn attach(&self, below: &str, pid: i32) -> Result<()> {
        self.ask(|manager| manager.attach(&self.name, below, pid.unsigned_abs()))
    }

    /// Changes its properties.
    pub(crate) fn change(&self, properties: &[Property]) -> Result<()> {
        self.ask(|manager| manager.set_properties(&self.name, properties))
    }

    /// Ends what is left of it. That it is gone already is fine.
    pub(crate) fn stop(&self) -> Result<()> {
        self.ask(|manager| manager.stop(&self.name))
    }

    fn ask(&self, what: impl FnOnce(&mut Manager) -> kan_dbus::Result<()>) -> Result<()> {
        what(&mut self.manager()?).map_err(|error| Error::Step(error.to_string()))
    }
}
