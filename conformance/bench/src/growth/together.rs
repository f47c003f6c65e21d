//! Many runs, in a row and at once.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::config::Payload;
use crate::process::{timed_payload, timed_together};
use crate::rounds::interleave;
use crate::runtime::Runtime;
use crate::samples::Figure;
use crate::scenarios::Bench;
use crate::view::{View, cgroup2};

/// How many.
pub const COUNT: usize = 32;
/// Samples of each.
const SAMPLES: usize = 7;

/// `32 runs in a row` and `32 runs at once`, one after the other in each round.
pub fn measure(bench: &Bench<'_>, runtimes: &[&Runtime]) -> Vec<Figure> {
    let contenders = runtimes.iter().flat_map(|runtime| {
        let many = Many::new(bench, runtime);
        let again = many.clone();
        [
            bench.contender(runtime, move || many.clone()?.in_a_row(bench)),
            bench.contender(runtime, move || again.clone()?.at_once(bench)),
        ]
    });
    let figures = interleave("", SAMPLES.min(bench.samples), contenders.collect());
    let named = figures.into_iter().enumerate().map(|(index, figure)| {
        let how = ["in a row", "at once"][index % 2];
        Figure {
            what: format!("{COUNT} runs {how}"),
            ..figure
        }
    });
    let (row, once): (Vec<_>, Vec<_>) = named.partition(|figure| figure.what.ends_with("row"));
    row.into_iter().chain(once).collect()
}

/// Containers of one runtime with a bundle each.
#[derive(Clone)]
struct Many(Vec<(Runtime, PathBuf)>);

impl Many {
    fn new(bench: &Bench<'_>, runtime: &Runtime) -> Result<Self, String> {
        let all = (0..COUNT).map(|index| {
            let runtime = runtime.with_container(&format!("together-{index}"));
            let bundle = bench
                .workspace
                .variant(&runtime, Payload::End, View::V2, |_| {})?;
            Ok((runtime, bundle))
        });
        all.collect::<Result<_, String>>().map(Self)
    }

    fn commands(&self) -> Vec<Command> {
        let run = |(runtime, bundle): &(Runtime, PathBuf)| runtime.run(bundle, &cgroup2(View::V2));
        self.0.iter().map(run).collect()
    }

    fn in_a_row(&self, bench: &Bench<'_>) -> Result<Duration, String> {
        let mut commands = self.commands();
        commands
            .iter_mut()
            .map(|command| timed_payload(command, bench.stderr))
            .sum()
    }

    fn at_once(&self, bench: &Bench<'_>) -> Result<Duration, String> {
        timed_together(&mut self.commands(), bench.stderr)
    }
}
