//! Where a new container's cgroup shall lie, and who makes it.

use crate::host::Host;
use crate::os::privilege::is_host_root;
use crate::state::unit::Unit;
use crate::{Error, Result};
use kan_cgroup::{CgroupsPath, Hierarchy, Kind, Layout, Placement, Scope, Version};
use kan_op::host::DeviceRule;
use kan_plan::{CgroupFact, Cgroups};
use kan_spec::config::Config;
use kan_sys::fd::AsFd;
use std::path::Path;

/// Who makes cgroups: `--cgroup-manager`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CgroupManager {
    /// kan, in the cgroup file systems.
    #[default]
    Cgroupfs,
    /// systemd, asked over D-Bus.
    Systemd,
    /// Nobody: the container's processes stay where kan is.
    Disabled,
}

/// What the command line says of cgroups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CgroupOptions {
    /// `--cgroup-manager`, or `--systemd-cgroup`.
    pub manager: CgroupManager,
    /// `--rootless`; `None` is for finding out.
    pub rootless: Option<bool>,
}

/// Where the cgroup will lie.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) facts: Cgroups,
    /// Empty for a container without a cgroup of its own.
    pub(crate) placement: Placement,
    pub(crate) unit: Option<Unit>,
    /// What the planner needs to know of the unit.
    pub(crate) unit_fact: Option<kan_plan::Unit>,
    pub(crate) is_rootless: bool,
}

impl Home {
    /// Looks at the host, and changes nothing.
    pub(crate) fn find(config: &Config, id: &str, options: CgroupOptions) -> Result<Self> {
        let is_rootless = match options.rootless {
            Some(said) => said,
            None => !is_host_root()?,
        };
        let wanted = kan_plan::cgroups_path(config);
        match options.manager {
            CgroupManager::Disabled => Self::own(
                is_rootless,
                "cgroups are disabled (--cgroup-manager disabled)",
            ),
            CgroupManager::Systemd => Self::in_unit(config, id, is_rootless),
            CgroupManager::Cgroupfs => {
                let given = wanted;
                let wanted = CgroupsPath::parse(wanted, id)?;
                let placement = kan_cgroup::place(&Layout::detect(&wanted)?, &wanted)?;
                // Root meets an obstacle when it makes the cgroup, and is told of it then.
                let obstacle = match is_rootless {
                    true => kan_cgroup::obstacle(&placement)?,
                    false => None,
                };
                match obstacle {
                    // As with runc: nobody who asks for a place gets another one.
                    Some(why) if given.is_some_and(|path| !path.is_empty()) => {
                        let path = given.unwrap_or_default();
                        Err(Error::Step(format!(
                            "linux.cgroupsPath: cgroup {path} cannot be created: {why}"
                        )))
                    }
                    Some(why) => Self::own(true, &why),
                    None => Ok(Self::at(placement, is_rootless)),
                }
            }
        }
    }

    fn at(placement: Placement, is_rootless: bool) -> Self {
        Self {
            facts: of_placement(&placement),
            placement,
            unit: None,
            unit_fact: None,
            is_rootless,
        }
    }

    fn own(is_rootless: bool, why: &str) -> Result<Self> {
        let own = kan_cgroup::own()?;
        let facts = match own.iter().map(fact_of_own).collect::<Vec<_>>() {
            none if none.is_empty() => Cgroups::Absent,
            facts => Cgroups::Own {
                facts,
                why: why.to_owned(),
            },
        };
        Ok(Self {
            facts,
            ..Self::at(Placement::default(), is_rootless)
        })
    }

    fn in_unit(config: &Config, id: &str, is_rootless: bool) -> Result<Self> {
        if !kan_dbus::is_running() {
            let why = "systemd not running on this host, cannot use systemd cgroups manager";
            return Err(Error::Step(why.into()));
        }
        let scope = Scope::parse(kan_plan::cgroups_path(config), id, is_rootless)?;
        let unit = Unit {
            name: scope.unit.clone(),
            user: is_rootless.then(kan_sys::credentials::effective_uid),
        };
        let manager = if is_rootless {
            unit.control_group()?
        } else {
            String::new()
        };
        let layout = Layout::detect(&CgroupsPath::parse(Some("/any"), id)?)?;
        let below = kan_plan::cgroup_below_unit(config);
        let placement = scope.place(&layout, &manager, below)?;
        let unit_fact = kan_plan::Unit {
            slice: scope.slice,
            name: scope.unit,
            is_users: is_rootless,
        };
        Ok(Self {
            unit: Some(unit),
            unit_fact: Some(unit_fact),
            ..Self::at(placement, is_rootless)
        })
    }
}

/// The facts of a container's cgroup.
pub(crate) fn of_placement(placement: &Placement) -> Cgroups {
    let mut facts: Vec<_> = placement.directories().iter().map(fact).collect();
    let is_unified = matches!(placement.directories(), [one] if one.kind() == Kind::Unified);
    match facts.pop() {
        None => Cgroups::Absent,
        Some(only) if is_unified => Cgroups::Unified(only),
        Some(last) => {
            facts.push(last);
            Cgroups::Legacy(facts)
        }
    }
}

fn fact(directory: &kan_cgroup::Directory) -> CgroupFact {
    CgroupFact {
        mount: directory.mount().to_string_lossy().into_owned(),
        path: directory.below().to_string_lossy().into_owned(),
        controllers: directory.controllers().to_vec(),
        is_v2: directory.is_v2(),
    }
}

fn fact_of_own(hierarchy: &Hierarchy) -> CgroupFact {
    let own = hierarchy.own.as_deref().unwrap_or(Path::new(""));
    CgroupFact {
        mount: hierarchy.mount.to_string_lossy().into_owned(),
        path: own.to_string_lossy().trim_start_matches('/').to_owned(),
        controllers: hierarchy.controllers.clone(),
        is_v2: hierarchy.version == Version::V2,
    }
}

impl Host<'_> {
    pub(crate) fn limit_devices(&self, rules: &[DeviceRule]) -> Result<()> {
        let opened = self.cgroup.as_ref().map(AsFd::as_fd);
        let limited = kan_cgroup::limit_devices(&self.record.cgroups, opened, rules);
        limited.map_err(|error| Error::devices("", &error))
    }
}
