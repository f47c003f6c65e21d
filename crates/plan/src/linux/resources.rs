//! `linux.resources`: config-linux.md, Control groups. Each field becomes a value in a file of the
//! container's cgroup, in the words of the version of cgroups that this host has for the
//! controller.
//!
//! As in runc a number that is 0 says nothing where the kernel would take no 0, because Go programs
//! cannot leave a number out: only `pids.limit`, `cpu.idle` and `cpu.burst` mean it.

mod block_io;
mod cpu;
mod devices;
mod memory;
mod others;
mod unified;
mod words;

use crate::builder::Builder;
use crate::linux::cgroups::directory;
use crate::{CgroupFact, Cgroups, Field};
use kan_op::{HostStep, IfMissing, Limits, Setting};
use kan_spec::Problem;
use kan_spec::config::Resources;
use std::borrow::Cow;

pub use devices::device_rules;
pub(crate) use devices::{
    effective as effective_device_rules, limit_devices_at_once, limit_devices_by_files,
};
pub(crate) use words::limits_text;

/// What a cgroup has now, as far as a new value depends on it. The default is a new cgroup's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// The quota of `cpu.max`, in microseconds or `max`.
    pub quota: String,
    /// The period of `cpu.max`, in microseconds.
    pub period: u64,
    /// `memory.max` in bytes; -1 is none, and `None` unknown.
    pub memory: Option<i64>,
}

impl Default for Present {
    fn default() -> Self {
        Self {
            quota: "max".into(),
            period: 100_000,
            memory: None,
        }
    }
}

/// Limits, each with the section that asked for it, and what a user should know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// In the order in which they are set.
    pub limits: Vec<(Field, Limits)>,
    /// What is left out, as in runc.
    pub warnings: Vec<String>,
}

/// The limits that `resources` ask for on a host with these cgroups. Device rules are not among
/// them. `at` is put in front of each field's name.
///
/// # Errors
/// Every field that cannot be honoured.
pub fn plan_limits(
    at: &'static str,
    resources: &Resources,
    cgroups: &Cgroups,
    present: &Present,
) -> Result<Planned, Vec<Problem>> {
    let mut planner = Planner {
        at,
        cgroups,
        present,
        planned: Planned::default(),
        problems: Vec::new(),
    };
    planner.all(resources);
    if planner.problems.is_empty() {
        Ok(planner.planned)
    } else {
        Err(planner.problems)
    }
}

/// Host: `linux.resources` but for the devices, before anything runs in the cgroup.
pub(crate) fn limit(b: &mut Builder<'_>) {
    for (field, limits) in planned(b) {
        b.host(field, HostStep::Limit(limits));
    }
}

/// The limits of the config; what is wrong with them is a problem.
pub(crate) fn planned(b: &mut Builder<'_>) -> Vec<(Field, Limits)> {
    let Some(resources) = b.linux().and_then(|linux| linux.resources.as_ref()) else {
        return Vec::new();
    };
    let present = Present::default();
    match plan_limits("linux.resources.", resources, &b.facts.cgroups, &present) {
        Ok(planned) => {
            b.plan.warnings.extend(planned.warnings);
            planned.limits
        }
        Err(problems) => {
            for problem in problems {
                b.problems.push(problem);
            }
            Vec::new()
        }
    }
}

/// Where a controller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    V1,
    V2,
}

struct Planner<'a> {
    at: &'static str,
    cgroups: &'a Cgroups,
    present: &'a Present,
    planned: Planned,
    problems: Vec<Problem>,
}

impl Planner<'_> {
    fn all(&mut self, resources: &Resources) {
        if let Some(cpu) = &resources.cpu {
            cpu::sets(self, cpu);
            cpu::time(self, cpu);
        }
        if let Some(memory) = &resources.memory {
            memory::memory(self, memory);
        }
        if let Some(pids) = &resources.pids {
            others::pids(self, *pids);
        }
        if let Some(block_io) = &resources.block_io {
            block_io::block_io(self, block_io);
        }
        others::hugepages(self, &resources.hugepage_limits);
        others::rdma(self, &resources.rdma);
        if let Some(network) = &resources.network {
            others::network(self, network);
        }
        unified::unified(self, &resources.unified);
    }

    /// The container's cgroup in the hierarchy that has a controller: in v1 if one lists it, else
    /// in v2, whose controllers show only when a file is written.
    fn find(&self, controller: &str) -> Option<&CgroupFact> {
        match self.cgroups {
            Cgroups::Absent | Cgroups::Own { .. } => None,
            Cgroups::Unified(fact) => Some(fact),
            Cgroups::Legacy(facts) => {
                let has = |fact: &&CgroupFact| fact.controllers.iter().any(|c| c == controller);
                facts
                    .iter()
                    .find(has)
                    .or_else(|| facts.iter().find(|fact| fact.is_v2))
            }
        }
    }

    fn home(&self, controller: &str) -> Home {
        match self.find(controller) {
            Some(fact) if !fact.is_v2 => Home::V1,
            _ => Home::V2,
        }
    }

    fn problem(&mut self, field: &str, why: impl Into<String>) {
        self.problems
            .push(Problem::new(format!("{}{field}", self.at), why));
    }

    fn set(
        &self,
        field: &str,
        file: impl Into<Cow<'static, str>>,
        value: impl ToString,
    ) -> Setting {
        Setting {
            field: format!("{}{field}", self.at).into(),
            file: file.into(),
            value: value.to_string(),
            if_missing: IfMissing::Fail,
            above: None,
        }
    }

    /// Adds a controller's settings, or a problem for each if the host has no place for them.
    fn add(
        &mut self,
        section: &str,
        controller: impl Into<Cow<'static, str>>,
        settings: Vec<Setting>,
    ) {
        let controller = controller.into();
        if settings.is_empty() {
            return;
        }
        let Some(fact) = self.find(&controller) else {
            let why = match self.cgroups {
                Cgroups::Own { why, .. } => format!("the container gets no cgroup: {why}"),
                _ => format!("no cgroup hierarchy of this host has the {controller} controller"),
            };
            let problems = settings
                .into_iter()
                .map(|setting| Problem::new(setting.field, why.clone()));
            return self.problems.extend(problems);
        };
        let limits = Limits {
            directory: directory(fact),
            is_v2: fact.is_v2,
            controller,
            settings,
        };
        let field = format!("{}{section}", self.at).into();
        self.planned.limits.push((field, limits));
    }
}

/// A number that says something.
fn said<N: Copy + PartialEq + From<u8>>(number: Option<N>) -> Option<N> {
    number.filter(|number| *number != N::from(0))
}

/// Whether the container's memory is limited in any way.
pub(crate) fn limit_memory(b: &Builder<'_>) -> bool {
    let resources = b.linux().and_then(|linux| linux.resources.as_ref());
    resources.is_some_and(|resources| {
        let mut files = resources.unified.iter().map(|(file, _)| file);
        resources.memory.is_some() || files.any(|file| file.starts_with("memory."))
    })
}
