//! `mounts add` and `mounts remove`: file systems for a container that is there already.

use crate::host::Host;
use crate::host::facts;
use crate::os::waiting;
use crate::{Error, Result, Store, Timeline};
use kan_plan::{Facts, Plan, Request};
use kan_spec::config::{Config, Mount};
use kan_spec::state::Status;

type Planner =
    fn(&Config, usize, &Facts, &Request) -> std::result::Result<Plan, Vec<kan_spec::Problem>>;

/// Mounts all of a list, in its order, or nothing.
///
/// # Errors
/// [`Error::Unknown`]; [`Error::Status`] if the container has stopped; what is wrong with the
/// list, by field; the first mount that fails, after those before it were taken back.
pub fn add_mounts(store: &Store, id: &str, mounts: Vec<Mount>) -> Result<()> {
    waiting::take_over()?;
    let _locked = store.lock(id)?;
    let work = Work::prepare(store, id, mounts)?;
    let plans = work.plans(kan_plan::plan_mount)?;
    let undo = work.plans(kan_plan::plan_unmount)?;
    for (index, plan) in plans.iter().enumerate() {
        if let Err(error) = work.perform(plan) {
            for plan in undo[..index].iter().rev() {
                let _ = work.perform(plan);
            }
            return Err(error);
        }
    }
    Ok(())
}

/// Unmounts what lies at the destinations of a list, the last one first. Each is tried.
///
/// # Errors
/// As [`add_mounts`], but nothing is taken back.
pub fn remove_mounts(store: &Store, id: &str, mounts: Vec<Mount>) -> Result<()> {
    waiting::take_over()?;
    let _locked = store.lock(id)?;
    let work = Work::prepare(store, id, mounts)?;
    let plans = work.plans(kan_plan::plan_unmount)?;
    let done: Vec<_> = plans.iter().rev().map(|plan| work.perform(plan)).collect();
    done.into_iter().collect()
}

/// A container, and the mounts that it is about.
struct Work<'s> {
    store: &'s Store,
    record: crate::state::record::Record,
    config: Config,
    facts: Facts,
    request: Request,
}

impl<'s> Work<'s> {
    fn prepare(store: &'s Store, id: &str, mounts: Vec<Mount>) -> Result<Self> {
        let container = store.find(id)?;
        let is_there = matches!(
            container.status()?,
            Status::Created | Status::Running | Status::Paused
        );
        let stopped = || Error::Status("container not running".into());
        let record = container.record.clone().filter(|_| is_there);
        let record = record.ok_or_else(stopped)?;
        let mut config = container.config()?;
        config.mounts = mounts;
        Ok(Self {
            store,
            facts: facts::of_container(&record, &config)?,
            request: Request::bare(id, &record.bundle.to_string_lossy()),
            record,
            config,
        })
    }

    /// A plan for each mount, or every problem of all.
    fn plans(&self, plan: Planner) -> Result<Vec<Plan>> {
        let (mut plans, mut problems) = (Vec::new(), Vec::new());
        for index in 0..self.config.mounts.len() {
            match plan(&self.config, index, &self.facts, &self.request) {
                Ok(plan) => plans.push(plan),
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() {
            Ok(plans)
        } else {
            Err(Error::Plan(problems))
        }
    }

    /// The child has nothing to do any more when the plan has come to its end: dropping the host
    /// half ends it.
    fn perform(&self, plan: &Plan) -> Result<()> {
        let mut host = Host::new(plan, self.store, self.record.clone(), &[], false)?;
        host.perform_all(&mut Timeline::new(false))
    }
}
