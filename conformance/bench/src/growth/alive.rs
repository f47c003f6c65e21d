//! What the containers that are already there cost a new one, and `list`.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use super::crowd::{Crowd, Stage};
use super::{Curve, Growth, Promise};
use crate::config::Payload;
use crate::process::{ContainerProcess, timed, timed_payload};
use crate::rounds::interleave;
use crate::runtime::Runtime;
use crate::samples::Figure;
use crate::scenarios::Bench;
use crate::view::{View, cgroup2};

/// How many are alive.
const SIZES: [usize; 3] = [10, 100, 1000];
/// Samples per point, at most.
const SAMPLES: usize = 30;
/// With the most alive, a start takes at most so many times what it takes with the fewest.
const FLAT: f64 = 1.2;
/// `list` of the most takes less, in milliseconds.
const LIST: f64 = 20.0;

/// Each runtime with a crowd of its own, one runtime after the other.
pub fn measure(bench: &Bench<'_>, floor: &Runtime, runtimes: &[&Runtime]) -> Growth {
    let mut growth = Growth::default();
    for runtime in runtimes {
        let mut crowd = Crowd::new(bench, runtime, Stage::Running);
        for size in SIZES {
            let grown = crowd.grow_to(size);
            settle(bench, floor);
            growth
                .figures
                .extend(among(bench, floor, runtime, size, &grown));
        }
        drop(crowd);
        settle(bench, floor);
    }
    growth.figures.sort_by_key(|figure| order(&figure.what));
    growth.curves = vec![
        curve("create+start", "alive", Promise::Flat(FLAT)),
        curve("list", "containers", Promise::Below(LIST)),
    ];
    growth
}

/// Rows of one kind together, the fewest containers first.
fn order(what: &str) -> (usize, usize) {
    let kinds = ["create+start (", "run (", "list ("];
    let kind = kinds.iter().position(|kind| what.starts_with(kind));
    let size = what
        .split(|c: char| !c.is_ascii_digit())
        .find_map(|word| word.parse().ok());
    (kind.unwrap_or_default(), size.unwrap_or_default())
}

fn row(verb: &str, size: usize, noun: &str) -> String {
    format!("{verb} ({size} {noun})")
}

fn curve(verb: &str, noun: &'static str, promise: Promise) -> Curve {
    Curve {
        title: verb.to_owned(),
        axis: noun,
        points: SIZES.map(|size| (size, row(verb, size, noun))).to_vec(),
        promise,
    }
}

/// What is measured with so many alive. The floor runs beside kan's: what grows in both is the
/// kernel's.
fn among(
    bench: &Bench<'_>,
    floor: &Runtime,
    runtime: &Runtime,
    size: usize,
    grown: &Result<(), String>,
) -> Vec<Figure> {
    let samples = SAMPLES.min(bench.samples);
    let one = |what: String, sample: &dyn Fn() -> Result<Duration, String>| {
        let sample = || grown.clone().and_then(|()| sample());
        interleave(&what, samples, vec![bench.contender(runtime, sample)])
    };
    let mut figures = one(row("list", size, "containers"), &|| {
        timed(&mut runtime.command(&[OsStr::new("list")]), bench.stderr)
    });
    let more = bench
        .workspace
        .variant(runtime, Payload::End, View::V2, |_| {});
    figures.extend(one(row("create+start", size, "alive"), &|| {
        create_and_start(bench, runtime, more.as_ref().map_err(Clone::clone)?)
    }));
    if runtime.name == "kan" && grown.is_ok() {
        figures.extend(runs(bench, floor, runtime, size, samples));
    }
    figures
}

fn runs(
    bench: &Bench<'_>,
    floor: &Runtime,
    kan: &Runtime,
    size: usize,
    samples: usize,
) -> Vec<Figure> {
    let contenders = [floor, kan].map(|runtime| {
        let bundle = bench.workspace.bundle(runtime, Payload::End, View::V2);
        bench.contender(runtime, move || {
            let bundle = bundle.clone()?;
            let mut run = runtime.run(&bundle, &cgroup2(View::V2));
            timed_payload(&mut run, bench.stderr)
        })
    });
    interleave(&row("run", size, "alive"), samples, contenders.into())
}

/// The two commands; the container's end and its deletion are not in the time.
fn create_and_start(
    bench: &Bench<'_>,
    runtime: &Runtime,
    bundle: &Path,
) -> Result<Duration, String> {
    let pid_file = bench.workspace.pid_file(runtime);
    let create = timed(&mut runtime.create(bundle, &pid_file), bench.stderr)?;
    let (process, _) = ContainerProcess::from_pid_file(&pid_file)?;
    let start = timed(&mut runtime.on_container("start", &[]), bench.stderr)?;
    process.wait()?;
    timed(&mut runtime.on_container("delete", &[]), bench.stderr)?;
    Ok(create + start)
}

/// The kernel goes on for a while with what making many containers has left to do, and takes network
/// namespaces down long after their last process has ended. A run that meets that is slower: waits
/// until runs of the floor are as quick as before, or ten seconds.
fn settle(bench: &Bench<'_>, floor: &Runtime) {
    let Ok(bundle) = bench.workspace.bundle(floor, Payload::End, View::V2) else {
        return;
    };
    let mut quickest = Duration::MAX;
    let begin = std::time::Instant::now();
    let mut calm = 0;
    while calm < 20 && begin.elapsed() < Duration::from_secs(10) {
        let mut run = floor.run(&bundle, &cgroup2(View::V2));
        let Ok(time) = timed_payload(&mut run, bench.stderr) else {
            return;
        };
        quickest = quickest.min(time);
        calm = if time < quickest * 3 / 2 { calm + 1 } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_by_kind_and_size() {
        let mut rows = [
            "list (10 containers)",
            "create+start (100 alive)",
            "create+start (10 alive)",
            "run (10 alive)",
        ];
        rows.sort_by_key(|row| order(row));
        assert_eq!(
            rows,
            [
                "create+start (10 alive)",
                "create+start (100 alive)",
                "run (10 alive)",
                "list (10 containers)"
            ]
        );
    }
}
