//! The smallest memory limit under which `run` works.

use serde_json::json;

use crate::config::Payload;
use crate::footprint::figure;
use crate::leftovers;
use crate::process::timed_payload;
use crate::runtime::Runtime;
use crate::samples::{Figure, Unit};
use crate::scenarios::Bench;
use crate::view::{View, cgroup2};

/// A limit counts as working after so many successes in a row.
const TIMES: usize = 3;
/// The kernel counts in pages.
const PAGE: u32 = 4;
/// The largest limit that is tried, in KiB.
const MOST: u32 = 32 << 10;

/// The row's name.
pub const WHAT: &str = "run: smallest memory limit";

/// Of each runtime, in KiB, in this view.
pub fn measure(bench: &Bench<'_>, runtimes: &[&Runtime], view: View) -> Vec<Figure> {
    let figures = runtimes.iter().map(|runtime| {
        let kibibytes = works(bench, runtime, view, MOST).map(|()| {
            let works = |pages: u32| works(bench, runtime, view, pages * PAGE).is_ok();
            vec![f64::from(smallest(MOST / PAGE, works) * PAGE)]
        });
        figure(WHAT, runtime, Unit::Kibibytes, kibibytes)
    });
    figures.collect()
}

fn works(bench: &Bench<'_>, runtime: &Runtime, view: View, kibibytes: u32) -> Result<(), String> {
    let runtime = runtime.with_container("limit");
    let bundle = bench
        .workspace
        .variant(&runtime, Payload::End, view, |config| {
            config["linux"]["resources"]["memory"] = json!({ "limit": kibibytes << 10 });
        })?;
    for _ in 0..TIMES {
        let ran = timed_payload(&mut runtime.run(&bundle, &cgroup2(view)), bench.stderr);
        if ran.is_err() {
            leftovers::of_containers(&runtime.id, &runtime.root);
        }
        ran?;
    }
    Ok(())
}

/// The smallest number that works, given that `most` does, and all above one that does.
fn smallest(most: u32, works: impl Fn(u32) -> bool) -> u32 {
    let (mut too_small, mut enough) = (0, most);
    while enough - too_small > 1 {
        let middle = too_small.midpoint(enough);
        match works(middle) {
            true => enough = middle,
            false => too_small = middle,
        }
    }
    enough
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_is_found() {
        for border in [1, 2, 77, 99, 100] {
            assert_eq!(smallest(100, |number| number >= border), border);
        }
    }
}
