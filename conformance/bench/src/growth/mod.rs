//! How cost grows: with what a config holds, with containers alive, with starts at once. And what
//! belongs to the same questions: the memory of many containers, and the least that one needs.

pub mod alive;
pub mod crowd;
pub mod items;
pub mod limit;
pub mod promises;
pub mod together;

use crate::samples::Figure;

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
    /// The last figure is at most so many times the first, beside what the floor's `run` grows by
    /// between the same points, which is the kernel's.
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
