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
mod planner;
mod unified;
mod words;

use crate::builder::Builder;
use crate::{Cgroups, Field};
use kan_op::{HostStep, Limits};
use kan_spec::Problem;
use kan_spec::config::Resources;

pub use devices::device_rules;
pub(crate) use devices::{
    effective as effective_device_rules, limit_devices_at_once, limit_devices_by_files,
};
use planner::Planner;
pub use planner::{Planned, Present};
pub(crate) use words::limits_text;

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
    all(&mut planner, resources);
    if planner.problems.is_empty() {
        Ok(planner.planned)
    } else {
        Err(planner.problems)
    }
}

fn all(planner: &mut Planner<'_>, resources: &Resources) {
    if let Some(cpu) = &resources.cpu {
        cpu::sets(planner, cpu);
        cpu::time(planner, cpu);
    }
    if let Some(memory) = &resources.memory {
        memory::memory(planner, memory);
    }
    if let Some(pids) = &resources.pids {
        others::pids(planner, *pids);
    }
    if let Some(block_io) = &resources.block_io {
        block_io::block_io(planner, block_io);
    }
    others::hugepages(planner, &resources.hugepage_limits);
    others::rdma(planner, &resources.rdma);
    if let Some(network) = &resources.network {
        others::network(planner, network);
    }
    unified::unified(planner, &resources.unified);
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

/// Whether the container's memory is limited in any way.
pub(crate) fn limit_memory(b: &Builder<'_>) -> bool {
    let resources = b.linux().and_then(|linux| linux.resources.as_ref());
    resources.is_some_and(|resources| {
        let mut files = resources.unified.iter().map(|(file, _)| file);
        resources.memory.is_some() || files.any(|file| file.starts_with("memory."))
    })
}
