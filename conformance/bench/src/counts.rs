//! System calls of each command, counted by strace over all processes, and what they were when
//! somebody last looked at them: counts.json. Times differ from day to day, counts do not.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::config::Payload;
use crate::footprint::figure;
use crate::growth::crowd::{Crowd, Stage};
use crate::growth::items;
use crate::instructions;
use crate::process::{ContainerProcess, timed, timed_payload};
use crate::runtime::Runtime;
use crate::samples::{Figure, Unit, median_of};
use crate::scenarios::{Bench, Container};
use crate::view::{View, cgroup2};

/// What every counted row's name ends in.
const CALLS: &str = ": system calls";
/// Counts per figure: waiting for another process takes a call more or less at times.
const TIMES: usize = 3;

/// The committed counts of kan, by row.
pub fn committed() -> Map<String, Value> {
    serde_json::from_str(include_str!("../counts.json")).unwrap_or_default()
}

/// What counts.json would hold after these figures.
pub fn of_kan(figures: &[Figure]) -> Value {
    let counted = figures
        .iter()
        .filter(|figure| figure.runtime == "kan" && figure.what.ends_with(CALLS));
    let median = |what: &String| median_of(figures, what, "kan").map(Value::from);
    let pairs = counted.filter_map(|figure| Some((figure.what.clone(), median(&figure.what)?)));
    Value::Object(pairs.collect())
}

/// The calls of `run`, of a life in three commands, and of the commands on a running container.
pub fn calls(bench: &Bench<'_>, floor: &Runtime, runtimes: &[&Runtime]) -> Vec<Figure> {
    type Count = fn(&Bench<'_>, &Runtime) -> Result<f64, String>;
    let rows: [(&str, Count); 7] = [
        ("run", run),
        ("run (100 mounts)", run_with_mounts),
        ("create+start+delete", life),
        ("state", |bench, runtime| {
            on_running(bench, runtime, "state", &[])
        }),
        ("kill", |bench, runtime| {
            on_running(bench, runtime, "kill", &["CONT"])
        }),
        ("exec", exec),
        ("list of 20", list),
    ];
    let figures = rows.into_iter().flat_map(|(row, count)| {
        let floor = (row == "run").then_some(floor);
        floor
            .into_iter()
            .chain(runtimes.iter().copied())
            .map(move |runtime| {
                let counted = (0..TIMES).map(|_| count(bench, runtime)).collect();
                figure(&format!("{row}{CALLS}"), runtime, Unit::Calls, counted)
            })
    });
    figures.collect()
}

fn run(bench: &Bench<'_>, runtime: &Runtime) -> Result<f64, String> {
    let bundle = bench.workspace.bundle(runtime, Payload::End, View::V2)?;
    run_of(bench, runtime, &bundle)
}

fn run_with_mounts(bench: &Bench<'_>, runtime: &Runtime) -> Result<f64, String> {
    let bundle = items::bundle_with(bench, runtime, "mounts", 100)?;
    run_of(bench, runtime, &bundle)
}

fn run_of(bench: &Bench<'_>, runtime: &Runtime, bundle: &Path) -> Result<f64, String> {
    let traced = Traced::new(
        bench,
        runtime,
        "run",
        runtime.run(bundle, &cgroup2(View::V2)),
    );
    timed_payload(&mut traced.command(), bench.stderr)?;
    traced.total()
}

fn life(bench: &Bench<'_>, runtime: &Runtime) -> Result<f64, String> {
    let bundle = bench.workspace.bundle(runtime, Payload::End, View::V2)?;
    let pid_file = bench.workspace.pid_file(runtime);
    let create = Traced::new(bench, runtime, "create", runtime.create(&bundle, &pid_file));
    let [start, delete] = ["start", "delete"]
        .map(|verb| Traced::new(bench, runtime, verb, runtime.on_container(verb, &[])));
    timed(&mut create.command(), bench.stderr)?;
    let (process, _) = ContainerProcess::from_pid_file(&pid_file)?;
    timed(&mut start.command(), bench.stderr)?;
    process.wait()?;
    timed(&mut delete.command(), bench.stderr)?;
    Ok(create.total()? + start.total()? + delete.total()?)
}

fn on_running(
    bench: &Bench<'_>,
    runtime: &Runtime,
    verb: &str,
    arguments: &[&str],
) -> Result<f64, String> {
    let _container = Container::running(bench, runtime)?;
    let traced = Traced::new(bench, runtime, verb, runtime.on_container(verb, arguments));
    timed(&mut traced.command(), bench.stderr)?;
    traced.total()
}

fn exec(bench: &Bench<'_>, runtime: &Runtime) -> Result<f64, String> {
    let _container = Container::running(bench, runtime)?;
    let exec = runtime.on_container("exec", &["/payload"]);
    let traced = Traced::new(bench, runtime, "exec", exec);
    timed_payload(&mut traced.command(), bench.stderr)?;
    traced.total()
}

fn list(bench: &Bench<'_>, runtime: &Runtime) -> Result<f64, String> {
    let mut crowd = Crowd::new(bench, runtime, Stage::Running);
    crowd.grow_to(instructions::LISTED)?;
    let list = runtime.command(&[OsStr::new("list")]);
    let traced = Traced::new(bench, runtime, "list", list);
    timed(&mut traced.command(), bench.stderr)?;
    traced.total()
}

/// A command whose calls are counted, with those of every process that it starts.
struct Traced {
    log: PathBuf,
    inner: Command,
}

impl Traced {
    fn new(bench: &Bench<'_>, runtime: &Runtime, verb: &str, inner: Command) -> Self {
        let name = format!("{}-{verb}.strace", runtime.name);
        let log = bench.workspace.directory.join(name);
        // Left by the count before; where there is none, nothing has to go.
        let _ = std::fs::remove_file(&log);
        Self { log, inner }
    }

    /// With `-D` strace is not the command's parent, so that `create` ends while its container lives.
    fn command(&self) -> Command {
        let mut command = Command::new("strace");
        command
            .args(["-D", "-f", "-c", "-o"])
            .arg(&self.log)
            .arg(self.inner.get_program())
            .args(self.inner.get_args());
        command
    }

    /// strace writes its log when the last process has ended, and nobody hears of that.
    fn total(&self) -> Result<f64, String> {
        for _ in 0..500 {
            let text = std::fs::read_to_string(&self.log).unwrap_or_default();
            if let Some(total) = total_calls(&text) {
                return Ok(total);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err("strace: no total".to_owned())
    }
}

/// The fourth column of strace's last line, `100.00 0.01 21 129 8 total`.
fn total_calls(text: &str) -> Option<f64> {
    let line = text.lines().rfind(|line| line.ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_the_calls_column_with_and_without_errors() {
        let head = "% time seconds usecs/call calls errors syscall\n";
        assert_eq!(
            total_calls(&format!("{head}100.00 0.002715 21 129 8 total\n")),
            Some(129.0)
        );
        assert_eq!(
            total_calls(&format!("{head}100.00 0.002715 21 117 total\n")),
            Some(117.0)
        );
        assert_eq!(total_calls(head), None);
    }

    #[test]
    fn every_counted_row_is_committed() {
        let rows: Vec<String> = committed().keys().cloned().collect();
        let due = [
            "create+start+delete",
            "exec",
            "kill",
            "list of 20",
            "run (100 mounts)",
            "run",
            "state",
        ];
        assert_eq!(rows, due.map(|row| format!("{row}{CALLS}")));
    }
}
