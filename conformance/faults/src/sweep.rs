//! One command of kan, struck at every system call of its own and of its child.

use std::fmt;
use std::ops::Range;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::Signal;

use crate::helpers;
use crate::leftovers::Snapshot;
use crate::outcome::{Fault, Outcome, Verdict, check, fail};
use crate::registers;
use crate::stage::{Config, Done, Stage};
use crate::tracer::{self, Deed, Ended, Role, Strike, Trace};
use crate::update;

/// Faults that are told before a sweep gives up.
const MOST_FAULTS: usize = 8;

/// Which command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `create`
    Create,
    /// `run --detach`
    Run,
    /// `exec --detach` in a running container.
    Exec,
    /// `start` of a created container.
    Start,
    /// `delete` of a created container.
    DeleteCreated,
    /// `delete` of a stopped container.
    DeleteStopped,
    /// `delete --force` of a running container.
    DeleteRunning,
    /// `delete` of a running container, which is refused.
    DeleteRefused,
    /// `update` of a running container.
    Update,
}

/// What is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// The host is killed at its own calls, init lives on.
    KillHost,
    /// Init is killed at its own calls, the host lives on.
    KillInit,
    /// The host is killed when init is at one of its calls.
    KillHostAtInit,
    /// Both are killed when init is at one of its calls.
    KillBothAtInit,
    /// A call of the host fails.
    FailHost,
    /// A call of init fails.
    FailInit,
}

/// A command, a blow, and which of all calls.
#[derive(Clone, Copy, Debug)]
pub struct Sweep {
    /// The command.
    pub verb: Verb,
    /// What happens at each of the calls.
    pub blow: Blow,
    /// The container's config.
    pub config: Config,
    /// Every how many calls.
    pub stride: usize,
}

impl Verb {
    fn leaves_it_running(self) -> bool {
        matches!(self, Self::Exec | Self::DeleteRefused | Self::Update)
    }
}

impl Blow {
    fn role(self) -> Role {
        match self {
            Self::KillHost | Self::FailHost => Role::Host,
            _ => Role::Init,
        }
    }

    fn deed(self) -> Deed<'static> {
        let (host, init) = match self {
            Self::FailHost | Self::FailInit => return Deed::Fail(Errno::EIO),
            Self::KillHost | Self::KillHostAtInit => (true, false),
            Self::KillInit => (false, true),
            Self::KillBothAtInit => (true, true),
        };
        Deed::Kill { host, init }
    }

    fn kills_host(self) -> bool {
        matches!(
            self,
            Self::KillHost | Self::KillHostAtInit | Self::KillBothAtInit
        )
    }
}

/// Calls whose failure says nothing about kan: memory for the allocator, what the C library and
/// std do before main, and calls that can't fail.
const NOT_FAILED: &[&str] = &[
    "arch_prctl",
    "brk",
    "close",
    "execve",
    "exit_group",
    "getrandom",
    "mprotect",
    "munmap",
    "poll",
    "rseq",
    "sched_getaffinity",
    "set_robust_list",
    "set_tid_address",
    "sigaltstack",
];

const SUCCESS: Ended = Ended::Exited(0);

/// A sweep under way.
struct Walk {
    /// Ranges of calls.
    spared: Vec<Range<usize>>,
    before: Snapshot,
    count: Count,
    faults: Vec<String>,
}

/// What a sweep counts.
#[derive(Debug, Default)]
struct Count {
    /// Calls that were struck.
    points: usize,
    /// Commands that succeeded nevertheless.
    succeeded: usize,
    /// Points after whose `delete` a process was still on its way out.
    late: usize,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            points,
            succeeded,
            late,
        } = self;
        write!(f, "{points} calls hit")?;
        if *succeeded > 0 {
            write!(f, ", {succeeded} commands succeeded")?;
        }
        if *late > 0 {
            write!(f, ", {late} with a process late to go")?;
        }
        Ok(())
    }
}

impl Sweep {
    /// Strikes at every call.
    ///
    /// # Errors
    /// The first faults, each with its call.
    pub fn perform(&self, stage: &Stage) -> Verdict {
        let start = Instant::now();
        let args = match self.verb {
            Verb::DeleteStopped => ["exit"],
            _ => ["wait"],
        };
        stage.make_bundle(&stage.bundle(), &stage.config(self.config, &args)?)?;
        let at_first = stage.place.snapshot();
        // The first one makes the parents of the cgroups, which stay.
        self.rehearse(stage)?;
        let spared = self.spared(&self.rehearse(stage)?);
        let before = stage.place.snapshot();
        let mut changes = before.changes(&at_first);
        changes.retain(|change| !change.starts_with("left: cgroup: "));
        check!(changes.is_empty(), "undisturbed: {}", changes.join(", "));
        let mut walk = Walk {
            spared,
            before,
            count: Count::default(),
            faults: Vec::new(),
        };
        self.walk(stage, &mut walk)?;
        nix::unistd::alarm::cancel();
        let Walk { count, faults, .. } = walk;
        check!(faults.is_empty(), "{}", faults.join("\n"));
        check!(count.points > 0, "not one call was hit");
        Ok(format!("{count}, {:.1} s", start.elapsed().as_secs_f64()))
    }

    /// Where the host waits for the kernel the number of its calls varies a little: the end is
    /// where the calls do not come any more.
    fn walk(&self, stage: &Stage, walk: &mut Walk) -> Outcome {
        let mut unseen = 0;
        for index in (0..).step_by(self.stride) {
            if walk.spared.iter().any(|range| range.contains(&index)) {
                continue;
            }
            if unseen == 3 || walk.faults.len() == MOST_FAULTS {
                break;
            }
            // A hang becomes this process' end; the line says where.
            nix::unistd::alarm::set(60);
            eprintln!("{:?} call {index}", self.blow.role());
            let strike = Strike {
                role: self.blow.role(),
                index,
                unless: self.unless(),
                deed: self.blow.deed(),
            };
            let trace = self.trace(stage, Some(strike))?;
            let came = trace.calls[self.blow.role() as usize].len() > index;
            unseen = if came { 0 } else { unseen + 1 };
            let call = trace.struck.map_or("(none)", registers::name);
            if let Err(Fault(why)) = self.examine(stage, &trace, walk) {
                let role = self.blow.role();
                walk.faults
                    .push(format!("{role:?} call {index}, {call}: {why}"));
                restore(stage);
            }
        }
        Ok(())
    }

    fn unless(&self) -> fn(&str) -> bool {
        match self.blow {
            // What it writes is the error message.
            Blow::FailHost if self.verb == Verb::DeleteRefused => {
                |name| name == "write" || NOT_FAILED.contains(&name)
            }
            Blow::FailHost | Blow::FailInit => |name| NOT_FAILED.contains(&name),
            _ => |_| false,
        }
    }

    /// What the C library and std do before main, from the first memory to the signal stack, fails
    /// in their way, so that is not made to fail.
    fn spared(&self, calls: &[u64]) -> Vec<Range<usize>> {
        if self.blow != Blow::FailHost {
            return Vec::new();
        }
        let names: Vec<_> = calls.iter().map(|call| registers::name(*call)).collect();
        let executions = (0..names.len())
            .filter(|at| names[*at] == "execveat")
            .map(|at| at + 1);
        let starts: Vec<_> = std::iter::once(0).chain(executions).collect();
        let spared = starts.iter().enumerate().filter_map(|(nth, start)| {
            let end = starts.get(nth + 1).copied().unwrap_or(names.len());
            let image = &names[*start..end];
            let first = image
                .iter()
                .position(|name| matches!(*name, "brk" | "arch_prctl"))?;
            // One asks for the old stack, one sets the new; at the end there is another.
            let stacks = (0..image.len()).filter(|at| image[*at] == "sigaltstack");
            let last = stacks.take(2).last()?;
            Some(start + first..start + last + 1)
        });
        spared.collect()
    }

    /// Runs the command undisturbed.
    fn rehearse(&self, stage: &Stage) -> Outcome<Vec<u64>> {
        let trace = self.trace(stage, None)?;
        let (_, errors) = stage.heard()?;
        check!(
            trace.ended == self.undisturbed(),
            "undisturbed: {:?}: {errors}",
            trace.ended
        );
        self.clean_up(stage)?;
        let [host, init] = trace.calls;
        Ok(match self.blow.role() {
            Role::Host => host,
            Role::Init => init,
        })
    }

    /// Prepares the container and runs the command under the tracer.
    fn trace(&self, stage: &Stage, strike: Option<Strike<'_>>) -> Outcome<Trace> {
        self.prepare(stage)?;
        let words = match self.verb {
            Verb::Create => stage.making(&["create"], &stage.bundle(), &stage.id),
            Verb::Run => stage.making(&["run", "--detach"], &stage.bundle(), &stage.id),
            Verb::Start => stage.words(&["start"], Some(&stage.id)),
            Verb::Exec => {
                let mut words = stage.words(&["exec", "--detach"], Some(&stage.id));
                words.extend(["/program", "wait"].map(str::to_owned));
                words
            }
            Verb::Update => update::words(stage)?,
            Verb::DeleteRunning => stage.words(&["delete", "--force"], Some(&stage.id)),
            Verb::DeleteCreated | Verb::DeleteStopped | Verb::DeleteRefused => {
                stage.words(&["delete"], Some(&stage.id))
            }
        };
        self.trace_words(stage, &words, strike)
    }

    fn trace_words(
        &self,
        stage: &Stage,
        words: &[String],
        strike: Option<Strike<'_>>,
    ) -> Outcome<Trace> {
        let (out, err) = stage.outputs()?;
        let disguise = |pid| helpers::disguise(stage, self.config, pid);
        tracer::run_disguised(words, &out, &err, strike, &disguise)
    }

    fn prepare(&self, stage: &Stage) -> Outcome {
        helpers::refresh(self.config)?;
        if matches!(self.verb, Verb::Create | Verb::Run) {
            return Ok(());
        }
        let create = stage.making(&["create"], &stage.bundle(), &stage.id);
        if self.config == Config::Resctrl {
            let ended = self.trace_words(stage, &create, None)?.ended;
            check!(ended == SUCCESS, "create: {ended:?}: {}", stage.heard()?.1);
        } else {
            stage.execute(&create)?.quiet()?;
        }
        if matches!(
            self.verb,
            Verb::DeleteStopped
                | Verb::DeleteRunning
                | Verb::DeleteRefused
                | Verb::Exec
                | Verb::Update
        ) {
            stage.kan(&["start"])?.quiet()?;
        }
        if self.verb == Verb::DeleteStopped {
            await_status(stage, "stopped")?;
        }
        Ok(())
    }

    fn examine(&self, stage: &Stage, trace: &Trace, walk: &mut Walk) -> Outcome {
        let killed = trace.ended == Ended::Signalled(Signal::SIGKILL) && self.blow.kills_host();
        walk.count.points += usize::from(trace.struck.is_some());
        walk.count.succeeded += usize::from(trace.struck.is_some() && trace.ended == SUCCESS);
        let (_, errors) = stage.heard()?;
        if !killed && trace.ended != SUCCESS {
            self.failed_properly(stage, &walk.before, trace.ended, &errors)?;
        }
        self.state_is_sane(stage, killed)?;
        walk.count.late += usize::from(self.clean_up(stage)?);
        unchanged(stage, &walk.before)
    }

    fn undisturbed(&self) -> Ended {
        match self.verb {
            Verb::DeleteRefused => Ended::Exited(1),
            _ => SUCCESS,
        }
    }

    /// The exit code of a failure; that of `exec` must not look like the program's.
    fn failure(&self) -> Ended {
        Ended::Exited(if self.verb == Verb::Exec { 255 } else { 1 })
    }

    /// One line, the exit code of a failure, and what `create` began is taken back.
    fn failed_properly(
        &self,
        stage: &Stage,
        before: &Snapshot,
        ended: Ended,
        errors: &str,
    ) -> Outcome {
        check!(ended == self.failure(), "{ended:?}: {errors}");
        is_one_line(errors)?;
        if self.verb == Verb::Update {
            update::is_not_begun(stage)?;
        }
        if matches!(self.verb, Verb::Create | Verb::Run) {
            unchanged(stage, before)
                .map_err(|Fault(why)| Fault(format!("after {:?}: {why}", errors.trim_end())))?;
        }
        Ok(())
    }

    /// `state` has an answer, and a container that still waits for `start` can be started.
    fn state_is_sane(&self, stage: &Stage, killed: bool) -> Outcome {
        let done = stage.kan(&["state"])?;
        match done.status.code() {
            Some(0) if self.verb.leaves_it_running() => {
                check!(
                    done.stdout.contains("\"status\": \"running\""),
                    "the container does not run any more: {}",
                    done.stdout
                );
                Ok(())
            }
            _ if self.verb.leaves_it_running() => {
                fail!("the container is gone: {}", done.stderr)
            }
            Some(0) if self.verb == Verb::Start && killed => {
                if done.stdout.contains("\"status\": \"created\"") {
                    // Init may be about to read what the killed one wrote.
                    let done = stage.kan(&["start"])?;
                    if !done.stderr.contains("already running") {
                        done.quiet()?;
                    }
                }
                await_status(stage, "running")?;
                stage.await_program(stage.pid(&stage.id)?)
            }
            Some(0) => Ok(()),
            Some(1) => is_one_line(&done.stderr),
            _ => fail!("state: {}: {}", done.status, done.stderr),
        }
    }

    /// `delete --force`, which also says yes where there is nothing. Whether a process was still
    /// there afterwards.
    fn clean_up(&self, stage: &Stage) -> Outcome<bool> {
        let Done { stdout, .. } = stage.kan(&["delete", "--force"])?.quiet()?;
        check!(stdout.is_empty(), "delete --force says {stdout}");
        crate::leftovers::reap();
        Ok(!stage.place.processes().is_empty())
    }
}

/// Exactly one line, kan's.
///
/// # Errors
/// With the text.
pub fn is_one_line(errors: &str) -> Outcome {
    let is_line = errors.starts_with("kan: ") && errors.trim_end().len() > "kan: ".len();
    check!(
        is_line && errors.lines().count() == 1 && !errors.contains("panic"),
        "not one line of kan's: {errors:?}"
    );
    Ok(())
}

/// Everything is as it was.
///
/// # Errors
/// What is not.
pub fn unchanged(stage: &Stage, before: &Snapshot) -> Outcome {
    let left = stage.place.settled_processes(Duration::from_secs(2));
    check!(left.is_empty(), "left: {}", left.join(", "));
    let changes = stage.place.snapshot().changes(before);
    check!(changes.is_empty(), "{}", changes.join(", "));
    Ok(())
}

/// By hand, after a fault, so that the next point starts from nothing.
fn restore(stage: &Stage) {
    stage.place.clear();
    crate::leftovers::reap();
    let _ = std::fs::remove_dir_all(stage.state_dir());
    let _ = std::fs::create_dir(stage.state_dir());
}

/// Waits until `state` says so; there is no event for it.
///
/// # Errors
/// After five seconds.
pub fn await_status(stage: &Stage, status: &str) -> Outcome {
    let start = Instant::now();
    loop {
        let done = stage.kan(&["state"])?;
        if done.stdout.contains(&format!("\"status\": \"{status}\"")) {
            return Ok(());
        }
        check!(
            start.elapsed() < Duration::from_secs(5),
            "never {status}: {}{}",
            done.stdout,
            done.stderr
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}
