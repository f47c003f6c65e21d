//! Collects the values that the files of a container's cgroup are to have.

use crate::facts::directory;
use crate::{CgroupFact, Cgroups, Field};
use kan_op::{IfMissing, Limits, Setting};
use kan_spec::Problem;
use std::borrow::Cow;

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

/// Where a controller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    V1,
    V2,
}

pub(super) struct Planner<'a> {
    pub(super) at: &'static str,
    pub(super) cgroups: &'a Cgroups,
    pub(super) present: &'a Present,
    pub(super) planned: Planned,
    pub(super) problems: Vec<Problem>,
}

impl Planner<'_> {
    /// The container's cgroup in the hierarchy that has a controller: in v1 if one lists it, else
    /// in v2, whose controllers show only when a file is written.
    pub(super) fn find(&self, controller: &str) -> Option<&CgroupFact> {
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

    pub(super) fn home(&self, controller: &str) -> Home {
        match self.find(controller) {
            Some(fact) if !fact.is_v2 => Home::V1,
            _ => Home::V2,
        }
    }

    pub(super) fn problem(&mut self, field: &str, why: impl Into<String>) {
        self.problems
            .push(Problem::new(format!("{}{field}", self.at), why));
    }

    pub(super) fn set(
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
    pub(super) fn add(
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
pub(super) fn said<N: Copy + PartialEq + From<u8>>(number: Option<N>) -> Option<N> {
    number.filter(|number| *number != N::from(0))
}
