//! Many containers of one runtime at once.

use rustix::process::Pid;

use crate::config::Payload;
use crate::footprint::{figure, proportional};
use crate::leftovers;
use crate::process::{ContainerProcess, reap_orphans, timed};
use crate::runtime::Runtime;
use crate::samples::{Figure, Unit};
use crate::scenarios::Bench;
use crate::view::View;

/// How many blocked containers' memory is added up.
pub const BLOCKED: usize = 100;

/// How far a container of a crowd has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Waiting for `start`.
    Created,
    /// Its program runs, and waits for ever.
    Running,
}

/// Containers that are killed, and their traces removed, when dropped.
pub struct Crowd<'a> {
    bench: &'a Bench<'a>,
    runtime: Runtime,
    stage: Stage,
    /// Their first processes, as seen from here.
    pub pids: Vec<Pid>,
}

impl<'a> Crowd<'a> {
    /// Nobody yet.
    pub fn new(bench: &'a Bench<'a>, runtime: &Runtime, stage: Stage) -> Self {
        Self {
            bench,
            runtime: runtime.with_container("crowd"),
            stage,
            pids: Vec::new(),
        }
    }

    /// Adds containers until there are so many.
    pub fn grow_to(&mut self, size: usize) -> Result<(), String> {
        while self.pids.len() < size {
            let pid = self.add(self.pids.len())?;
            self.pids.push(pid);
        }
        Ok(())
    }

    fn add(&self, index: usize) -> Result<Pid, String> {
        let runtime = self.runtime.with_container(&index.to_string());
        let workspace = self.bench.workspace;
        let bundle = workspace.variant(&runtime, Payload::Pause, View::V2, |_| {})?;
        let pid_file = workspace.pid_file(&runtime);
        timed(&mut runtime.create(&bundle, &pid_file), self.bench.stderr)?;
        let (_, pid) = ContainerProcess::from_pid_file(&pid_file)?;
        if self.stage == Stage::Running {
            timed(&mut runtime.on_container("start", &[]), self.bench.stderr)?;
        }
        Ok(pid)
    }
}

impl Drop for Crowd<'_> {
    fn drop(&mut self) {
        leftovers::of_containers(&self.runtime.id, &self.runtime.root);
        reap_orphans();
    }
}

/// The row's name.
pub fn row() -> String {
    format!("{BLOCKED} created: proportional")
}

/// The proportional memory of [`BLOCKED`] processes that wait for `start`, together.
pub fn memory(bench: &Bench<'_>, runtimes: &[&Runtime]) -> Vec<Figure> {
    let together = |runtime: &Runtime| {
        let mut crowd = Crowd::new(bench, runtime, Stage::Created);
        crowd.grow_to(BLOCKED)?;
        let sum: Result<f64, String> = crowd.pids.iter().map(|&pid| proportional(pid)).sum();
        sum.map(|sum| vec![sum])
    };
    let figures = runtimes
        .iter()
        .map(|runtime| figure(&row(), runtime, Unit::Kibibytes, together(runtime)));
    figures.collect()
}
