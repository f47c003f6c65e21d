//! How cost grows: with what a config holds, with containers alive, with starts at once. And what
//! belongs to the same questions: the memory of many containers, and the least that one needs.

mod alive;
pub mod crowd;
pub mod items;
pub mod limit;
pub mod promises;
mod together;

pub use together::COUNT as TOGETHER;

use crate::runtime::Runtime;
use crate::samples::Figure;
use crate::scenarios::Bench;

/// Figures along an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// What is measured: `run`.
    pub title: String,
    /// What there is more and more of: `mounts`.
    pub axis: &'static str,
    /// How many of them, and the row of the table that holds the figure, in ascending order.
    pub points: Vec<(usize, String)>,
    /// What kan promises of the curve.
    pub promise: Promise,
}

/// How a curve may grow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Promise {
    /// In proportion at most.
    Linear,
    /// The last figure is at most so many times the first.
    Flat(f64),
    /// The last figure is below so many milliseconds.
    Below(f64),
}

/// What growth is made of.
#[derive(Default)]
pub struct Growth {
    /// All that was measured.
    pub figures: Vec<Figure>,
    /// How it belongs together.
    pub curves: Vec<Curve>,
}

impl Growth {
    /// Takes in more.
    pub fn add(&mut self, other: Self) {
        self.figures.extend(other.figures);
        self.curves.extend(other.curves);
    }
}

/// Everything that takes minutes, in the view of version 2. `runtimes` are kan, crun, and peers
/// that are measured where that is quick.
pub fn measure(bench: &Bench<'_>, floor: &Runtime, runtimes: &[&Runtime]) -> Growth {
    let quick: Vec<&Runtime> = runtimes
        .iter()
        .copied()
        .filter(|runtime| runtime.name != "runc")
        .collect();
    let mut growth = items::measure(bench, &quick);
    growth.figures.extend(together::measure(bench, runtimes));
    growth.add(alive::measure(bench, floor, runtimes));
    growth
}
