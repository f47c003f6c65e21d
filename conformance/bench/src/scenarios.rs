//! What is timed: `run`, a whole life, and the commands on a running container.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::config::Payload;
use crate::process::{
    ContainerProcess, PAYLOAD_STATUS, Stderr, reap_orphans, timed, timed_payload,
};
use crate::rounds::{Contender, interleave};
use crate::runtime::Runtime;
use crate::samples::Figure;
use crate::view::{View, cgroup2};
use crate::workspace::Workspace;

/// What all scenarios share.
pub struct Bench<'a> {
    /// Where bundles go.
    pub workspace: &'a Workspace,
    /// Where programs complain.
    pub stderr: &'a Stderr,
    /// Samples of `run` per runtime; the rest is measured half as often.
    pub samples: usize,
}

/// Runs a command and takes the time.
type Timer = fn(&mut Command, &Stderr) -> Result<Duration, String>;

/// A sample, or the reason why none can be taken.
type Sample<'a> = Box<dyn FnMut() -> Result<Duration, String> + 'a>;

impl Bench<'_> {
    /// `run` of a program that ends at once.
    pub fn run(&self, runtimes: &[&Runtime], view: View) -> Vec<Figure> {
        let what = format!("run ({})", view.name());
        self.run_of(&what, self.samples, Payload::End, runtimes, view)
    }

    /// The same behind podman's default seccomp profile, which each runtime has to compile, or to
    /// find in its cache: a crun that has one has it warm after the first rounds.
    pub fn run_filtered(&self, runtimes: &[&Runtime]) -> Vec<Figure> {
        let samples = self.samples / 2;
        self.run_of(
            "run (v2, seccomp)",
            samples,
            Payload::Filtered,
            runtimes,
            View::V2,
        )
    }

    /// `run` of what podman asks for.
    pub fn run_as_podman(&self, runtimes: &[&Runtime]) -> Vec<Figure> {
        let what = "run (podman's config)";
        self.run_of(what, self.samples / 2, Payload::Podman, runtimes, View::V2)
    }

    fn run_of(
        &self,
        what: &str,
        samples: usize,
        payload: Payload,
        runtimes: &[&Runtime],
        view: View,
    ) -> Vec<Figure> {
        let contenders = runtimes.iter().map(|runtime| {
            let bundle = self.workspace.bundle(runtime, payload, view);
            self.contender(runtime, move || {
                let bundle = bundle.clone()?;
                timed_payload(&mut runtime.run(&bundle, &cgroup2(view)), self.stderr)
            })
        });
        interleave(what, samples, contenders.collect())
    }

    /// create, start, the program's end, delete.
    pub fn lifecycle(&self, runtimes: &[&Runtime]) -> Vec<Figure> {
        let contenders = runtimes.iter().map(|runtime| {
            let bundle = self.workspace.bundle(runtime, Payload::End, View::V2);
            self.contender(runtime, move || {
                let bundle = bundle.clone()?;
                self.one_life(runtime, &bundle)
            })
        });
        interleave(
            "create+start+delete",
            self.samples / 2,
            contenders.collect(),
        )
    }

    /// What an engine waits for: the three commands and the container's end; what this benchmark
    /// does between them is left out.
    fn one_life(&self, runtime: &Runtime, bundle: &Path) -> Result<Duration, String> {
        let pid_file = self.workspace.pid_file(runtime);
        let create = timed(&mut runtime.create(bundle, &pid_file), self.stderr)?;
        let (process, _) = ContainerProcess::from_pid_file(&pid_file)?;
        let begin = std::time::Instant::now();
        timed(&mut runtime.on_container("start", &[]), self.stderr)?;
        let status = process.wait()?;
        let start = begin.elapsed();
        if status != Some(PAYLOAD_STATUS) {
            return Err(format!(
                "the program ended with {status:?}, not with {PAYLOAD_STATUS}"
            ));
        }
        let delete = timed(&mut runtime.on_container("delete", &[]), self.stderr)?;
        Ok(create + start + delete)
    }

    /// `state`, `kill` and `exec` on a running container each.
    pub fn commands(&self, runtimes: &[&Runtime]) -> Vec<Figure> {
        let containers: Vec<_> = runtimes
            .iter()
            .map(|runtime| Container::running(self, runtime))
            .collect();
        let verbs: [(&str, &[&str], Timer); 3] = [
            ("state", &[], timed),
            ("kill", &["CONT"], timed),
            ("exec", &["/payload"], timed_payload),
        ];
        let figures = verbs.into_iter().flat_map(|(verb, arguments, timer)| {
            let contenders = runtimes
                .iter()
                .zip(&containers)
                .map(|(runtime, container)| {
                    let failed = container.as_ref().err().cloned();
                    self.contender(runtime, move || match &failed {
                        Some(why) => Err(why.clone()),
                        None => timer(&mut runtime.on_container(verb, arguments), self.stderr),
                    })
                });
            interleave(verb, self.samples / 2, contenders.collect())
        });
        figures.collect()
    }

    /// The start of the program itself, where nothing is to be done.
    pub fn version(&self, runtimes: &[&Runtime]) -> Vec<Figure> {
        let contenders = runtimes.iter().map(|runtime| {
            self.contender(runtime, || {
                timed(&mut runtime.bare("--version"), self.stderr)
            })
        });
        interleave("--version", self.samples / 2, contenders.collect())
    }

    /// A contender for [`interleave`].
    pub fn contender<'b>(
        &self,
        runtime: &'b Runtime,
        sample: impl FnMut() -> Result<Duration, String> + 'b,
    ) -> Contender<'b> {
        let sample: Sample<'b> = Box::new(sample);
        Contender {
            runtime: &runtime.name,
            sample,
        }
    }
}

/// A container that is deleted by force when dropped.
pub struct Container<'a> {
    runtime: &'a Runtime,
    stderr: &'a Stderr,
    process: ContainerProcess,
    /// Its first process, as seen from here.
    pub pid: rustix::process::Pid,
}

impl<'a> Container<'a> {
    /// Created, waiting for `start`.
    pub fn created(bench: &Bench<'a>, runtime: &'a Runtime) -> Result<Self, String> {
        let bundle = bench.workspace.bundle(runtime, Payload::Pause, View::V2)?;
        let pid_file = bench.workspace.pid_file(runtime);
        timed(&mut runtime.create(&bundle, &pid_file), bench.stderr)?;
        let (process, pid) = ContainerProcess::from_pid_file(&pid_file)?;
        Ok(Self {
            runtime,
            stderr: bench.stderr,
            process,
            pid,
        })
    }

    /// Started.
    pub fn running(bench: &Bench<'a>, runtime: &'a Runtime) -> Result<Self, String> {
        let container = Self::created(bench, runtime)?;
        timed(&mut runtime.on_container("start", &[]), bench.stderr)?;
        Ok(container)
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        // What can't be deleted here goes with the workspace's cgroups.
        if timed(&mut self.runtime.delete_by_force(), self.stderr).is_ok() {
            let _ = self.process.wait();
        }
        reap_orphans();
    }
}
