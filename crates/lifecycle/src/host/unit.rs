//! Host steps for a container's systemd unit and its cgroup.

use crate::Result;
use crate::host::Host;
use kan_op::unit::Property;

impl Host<'_> {
    pub(crate) fn start_unit(&mut self, properties: &[Property]) -> Result<()> {
        let pid = self.child_pid()?;
        let Some(unit) = &self.record.unit else {
            return Ok(());
        };
        self.made.unit = true;
        unit.start(properties, pid)
    }

    pub(crate) fn enter_unit(&self) -> Result<()> {
        Ok(kan_cgroup::adopt(&self.record.cgroups, self.child()?)?)
    }

    pub(crate) fn delegate_cgroup(&self, name: &str, owner: Option<u32>) -> Result<()> {
        let pid = self.child()?;
        Ok(kan_cgroup::delegate(
            &self.record.cgroups,
            name,
            owner,
            pid,
        )?)
    }

    pub(crate) fn attach_to_unit(&self) -> Result<()> {
        let (pid, below) = (self.child_pid()?, self.record.below_unit());
        match &self.record.unit {
            Some(unit) => unit.attach(&below, pid),
            None => Ok(()),
        }
    }
}
