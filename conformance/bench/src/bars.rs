//! What kan promises, checked against what was measured.

use std::path::Path;

use crate::filter;
use crate::instructions::Room;
use crate::samples::{Figure, median_of};
use crate::{counts, footprint, instructions};

/// `run` takes at most this many times the floor.
const RUN_OF_FLOOR: f64 = 1.5;
/// And at most this many times crun. The goal is 0.4.
const RUN_OF_CRUN: f64 = 0.6;
/// `create`, `start` and `delete` together take at most this many times crun. The goal is 0.4.
const LIFE_OF_CRUN: f64 = 0.5;
/// A created container has less proportional memory than this, in KiB.
const CREATED_KIBIBYTES: f64 = 300.0;
/// And less that it shares with nobody: 0.2 MiB, in KiB.
const CREATED_PRIVATE_KIBIBYTES: f64 = 204.8;
/// The binary has fewer bytes than this.
const BINARY_BYTES: f64 = 4e6;

/// The commands that touch one container take at most this many times crun.
const COMMAND_OF_CRUN: f64 = 0.4;
/// `run` behind podman's default profile takes at most this many times crun.
const FILTERED_OF_CRUN: f64 = 0.5;
/// The program itself starts in at most this many times crun.
const START_OF_CRUN: f64 = 0.6;
/// And of a crun that is given the compiled profile, as from a warm cache. The goal is 0.5.
const FILTERED_OF_WARM_CRUN: f64 = 0.6;
/// What the binary is to have at most, in bytes.
const SMALL_BINARY_BYTES: f64 = 3e6;
/// The row of podman's config.
const PODMAN: &str = "run (podman's config)";
/// A count may exceed the committed one by this factor.
const COUNT_TOLERANCE: f64 = 1.05;

/// What a missing figure's reason ends in where there is none.
const NOT_MEASURED: &str = " not measured";

/// How a promise stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Held,
    /// It does not, or kan could not be measured.
    Missed,
    /// The other side of the comparison could not be measured.
    Skipped,
}

/// One promise.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// What is promised.
    pub promise: String,
    /// How it stands.
    pub verdict: Verdict,
    /// The figures behind the verdict, or what is missing.
    pub detail: String,
}

impl Bar {
    /// Whether a figure is missing that nobody tried to measure.
    pub fn is_of_what_was_left_out(&self) -> bool {
        self.detail.ends_with(NOT_MEASURED)
    }
}

/// All of them, but for those of growth; `kan` is its binary.
pub fn check(figures: &[Figure], kan: &Path) -> Vec<Bar> {
    check_within(figures, kan, instructions::committed().room(kan))
}

fn check_within(figures: &[Figure], kan: &Path, room: Room) -> Vec<Bar> {
    let run = "run (v2)";
    let life = "create+start+delete";
    let mut bars = vec![
        relative(figures, run, "floor", RUN_OF_FLOOR),
        relative(figures, run, "crun", RUN_OF_CRUN),
        relative(figures, life, "crun", LIFE_OF_CRUN),
        absolute(figures, "created: proportional", CREATED_KIBIBYTES),
        absolute(figures, "binary", BINARY_BYTES),
        static_binary(footprint::is_static(kan)),
        relative(figures, "state", "crun", COMMAND_OF_CRUN),
        relative(figures, "kill", "crun", COMMAND_OF_CRUN),
        relative(figures, "--version", "crun", START_OF_CRUN),
        absolute(figures, "binary", SMALL_BINARY_BYTES),
        relative(figures, "run (v2, seccomp)", "crun", FILTERED_OF_CRUN),
        relative(figures, PODMAN, "crun", FILTERED_OF_CRUN),
        relative(figures, PODMAN, filter::GIVEN, FILTERED_OF_WARM_CRUN),
        absolute(figures, "created: private", CREATED_PRIVATE_KIBIBYTES),
    ];
    let calls = counts::committed();
    bars.extend(calls.iter().map(|(what, count)| {
        let most = count.as_f64().map(|it| it * COUNT_TOLERANCE + room.calls);
        guarded(figures, what, count.as_f64(), most)
    }));
    let counted = instructions::committed().counts;
    bars.extend(counted.iter().map(|(what, count)| {
        let most = count
            .as_f64()
            .map(|it| it * room.factor + room.instructions);
        guarded(figures, what, count.as_f64(), most)
    }));
    bars
}

/// kan's count is not above the committed one, but for the tolerance. Skipped without the program
/// that counts.
fn guarded(figures: &[Figure], what: &str, committed: Option<f64>, most: Option<f64>) -> Bar {
    let promise = format!("{what}: no more than committed");
    match (median_of(figures, what, "kan"), committed.zip(most)) {
        (Some(kan), Some((committed, most))) => {
            let detail = format!("{kan}, committed {committed}");
            bar(promise, kan <= most, detail)
        }
        (Some(_), None) => bar(
            promise,
            false,
            "the committed count is not a number".to_owned(),
        ),
        (None, _) => Bar {
            verdict: match missing(figures, what, "kan") {
                reason if reason.contains("strace: No such file") => Verdict::Skipped,
                reason if reason.contains("valgrind: No such file") => Verdict::Skipped,
                _ => Verdict::Missed,
            },
            promise,
            detail: missing(figures, what, "kan"),
        },
    }
}

/// A bar that could be checked.
pub fn bar(promise: String, held: bool, detail: String) -> Bar {
    Bar {
        promise,
        verdict: if held { Verdict::Held } else { Verdict::Missed },
        detail,
    }
}

/// kan's median is at most `times` that of `other`.
fn relative(figures: &[Figure], what: &str, other: &str, times: f64) -> Bar {
    let promise = format!("{what}: at most {times} x {other}");
    match (
        median_of(figures, what, "kan"),
        median_of(figures, what, other),
    ) {
        (Some(kan), Some(other)) => {
            let detail = format!("{kan:.2} / {other:.2} = {:.2}", kan / other);
            bar(promise, kan <= times * other, detail)
        }
        (Some(_), None) => Bar {
            promise,
            verdict: Verdict::Skipped,
            detail: missing(figures, what, other),
        },
        (None, _) => bar(promise, false, missing(figures, what, "kan")),
    }
}

/// kan's median is below `limit`.
fn absolute(figures: &[Figure], what: &str, limit: f64) -> Bar {
    let promise = format!("{what}: below {limit}");
    match median_of(figures, what, "kan") {
        Some(kan) => bar(promise, kan < limit, format!("{kan}")),
        None => bar(promise, false, missing(figures, what, "kan")),
    }
}

fn static_binary(is_static: Result<bool, String>) -> Bar {
    let detail = match &is_static {
        Ok(true) => "no loader".to_owned(),
        Ok(false) => "has a loader".to_owned(),
        Err(why) => why.clone(),
    };
    bar("binary: static".to_owned(), is_static == Ok(true), detail)
}

/// Why a figure is missing.
pub fn missing(figures: &[Figure], what: &str, runtime: &str) -> String {
    let figure = figures
        .iter()
        .find(|figure| figure.what == what && figure.runtime == runtime);
    match figure.map(|figure| &figure.samples) {
        Some(Err(why)) => format!("{runtime} not measured: {why}"),
        _ => format!("{runtime}{NOT_MEASURED}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counts;
    use crate::samples::{Samples, Unit};

    fn figure(what: &str, runtime: &str, value: Option<f64>) -> Figure {
        let samples = value
            .map(|value| Samples::new(vec![value]).unwrap())
            .ok_or_else(|| "broken".to_owned());
        Figure {
            what: what.to_owned(),
            runtime: runtime.to_owned(),
            unit: Unit::Milliseconds,
            samples,
        }
    }

    /// Verdicts where everything holds, but for one changed figure.
    fn verdicts(what: &str, runtime: &str, value: Option<f64>) -> Vec<Verdict> {
        let mut figures = vec![figure(what, runtime, value)];
        let good = [
            ("run (v2)", "floor", 3.0),
            ("run (v2)", "crun", 8.0),
            ("run (v2)", "kan", 4.5),
            ("create+start+delete", "crun", 18.0),
            ("create+start+delete", "kan", 9.0),
            ("created: proportional", "kan", 299.0),
            ("created: private", "kan", 204.0),
            ("binary", "kan", 2_999_999.0),
            ("state", "crun", 5.0),
            ("state", "kan", 2.0),
            ("kill", "crun", 5.0),
            ("kill", "kan", 2.0),
            ("run (v2, seccomp)", "crun", 10.0),
            ("run (v2, seccomp)", "kan", 5.0),
            ("run (podman's config)", "crun", 20.0),
            ("run (podman's config)", "crun+bpf", 10.0),
            ("run (podman's config)", "kan", 5.0),
            ("--version", "crun", 5.0),
            ("--version", "kan", 3.0),
        ];
        let counts = counts::committed().into_iter();
        let counts: Vec<_> = counts.chain(instructions::committed().counts).collect();
        figures.extend(
            counts
                .iter()
                .map(|(what, count)| figure(what, "kan", count.as_f64())),
        );
        figures.extend(good.map(|(what, runtime, value)| figure(what, runtime, Some(value))));
        check_within(&figures, &std::env::current_exe().unwrap(), Room::SAME)
            .into_iter()
            .map(|bar| bar.verdict)
            .collect()
    }

    fn missed(verdicts: &[Verdict]) -> Vec<usize> {
        (0..verdicts.len())
            .filter(|&index| verdicts[index] == Verdict::Missed)
            .collect()
    }

    #[test]
    fn each_bar_is_missed_by_its_own_figure() {
        assert_eq!(missed(&verdicts("-", "kan", None)), [0; 0]);
        assert_eq!(missed(&verdicts("run (v2)", "kan", Some(4.51))), [0]);
        assert_eq!(missed(&verdicts("run (v2)", "crun", Some(7.4))), [1]);
        assert_eq!(
            missed(&verdicts("create+start+delete", "kan", Some(9.1))),
            [2]
        );
        assert_eq!(
            missed(&verdicts("created: proportional", "kan", Some(300.0))),
            [3]
        );
        assert_eq!(
            missed(&verdicts("created: private", "kan", Some(205.0))),
            [13]
        );
        assert_eq!(missed(&verdicts("binary", "kan", Some(4e6))), [4, 9]);
        assert_eq!(missed(&verdicts("binary", "kan", Some(3e6))), [9]);
        assert_eq!(missed(&verdicts("state", "kan", Some(2.01))), [6]);
        assert_eq!(missed(&verdicts("kill", "kan", Some(2.01))), [7]);
        assert_eq!(missed(&verdicts("--version", "kan", Some(3.01))), [8]);
        let run = "run: system calls";
        let committed = counts::committed()[run].as_f64().unwrap();
        assert_eq!(
            missed(&verdicts(run, "kan", Some(committed * 1.04))),
            [0; 0]
        );
        assert_eq!(missed(&verdicts(run, "kan", Some(committed * 1.06))), [19]);
        let version = "--version: instructions";
        let committed = instructions::committed().counts[version].as_f64().unwrap();
        assert_eq!(
            missed(&verdicts(version, "kan", Some(committed * 1.04))),
            [0; 0]
        );
        assert_eq!(
            missed(&verdicts(version, "kan", Some(committed * 1.06))),
            [21]
        );
        assert_eq!(
            missed(&verdicts("run (v2, seccomp)", "kan", Some(5.01))),
            [10]
        );
        let podman = "run (podman's config)";
        assert_eq!(missed(&verdicts(podman, "kan", Some(10.1))), [11, 12]);
        assert_eq!(missed(&verdicts(podman, "crun+bpf", Some(8.3))), [12]);
        assert_eq!(check(&[], Path::new("/bin/sh"))[5].verdict, Verdict::Missed);
    }

    #[test]
    fn without_kan_a_bar_is_missed_and_without_crun_skipped() {
        assert_eq!(missed(&verdicts("run (v2)", "kan", None)), [0, 1]);
        let without_crun = verdicts("run (v2)", "crun", None);
        assert_eq!(
            (missed(&without_crun), &without_crun[1]),
            (vec![], &Verdict::Skipped)
        );
        let detail = &check(&[], Path::new("/nowhere/kan"))[5].detail;
        assert!(detail.starts_with("/nowhere/kan: No such file"), "{detail}");
        let left_out = check(&[], Path::new("/bin/sh"));
        let left_out = left_out.iter().filter(|bar| bar.is_of_what_was_left_out());
        assert_eq!(left_out.count(), check(&[], Path::new("/bin/sh")).len() - 1);
    }
}
