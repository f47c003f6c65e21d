//! What was measured: samples, and the figures drawn from them.

use std::time::Duration;

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds of wall-clock time.
    Milliseconds,
    /// Kilobytes of 1,024 bytes, as the kernel counts memory.
    Kibibytes,
    /// Bytes.
    Bytes,
    /// System calls.
    Calls,
    /// Instructions.
    Instructions,
}

impl Unit {
    /// Its short name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Kibibytes => "KiB",
            Self::Bytes => "bytes",
            Self::Calls => "calls",
            Self::Instructions => "instr",
        }
    }
}

/// Samples in ascending order; never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// `None` without a sample.
    pub fn new(mut samples: Vec<f64>) -> Option<Self> {
        samples.sort_by(f64::total_cmp);
        (!samples.is_empty()).then_some(Self(samples))
    }

    /// Durations as milliseconds. `None` without a sample.
    pub fn of_durations(durations: &[Duration]) -> Option<Self> {
        Self::new(
            durations
                .iter()
                .map(|duration| duration.as_secs_f64() * 1e3)
                .collect(),
        )
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The smallest.
    pub fn min(&self) -> f64 {
        self.0[0]
    }

    /// The middle one, or the mean of the two in the middle.
    pub fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        match self.0.len() % 2 {
            1 => self.0[middle],
            _ => self.0[middle - 1].midpoint(self.0[middle]),
        }
    }

    /// The smallest sample that at least nine tenths of the samples do not exceed.
    pub fn p90(&self) -> f64 {
        self.0[(self.0.len() * 9).div_ceil(10) - 1]
    }
}

/// One figure of one runtime: what was measured, or why it was not.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What was measured: `run (v2)`.
    pub what: String,
    /// Whose figure it is: `crun`.
    pub runtime: String,
    /// What the samples count.
    pub unit: Unit,
    /// The samples, or one line that says why there are none.
    pub samples: Result<Samples, String>,
}

/// The median of `what` for `runtime`, where it was measured.
pub fn median_of(figures: &[Figure], what: &str, runtime: &str) -> Option<f64> {
    samples_of(figures, what, runtime).map(Samples::median)
}

/// The samples of `what` for `runtime`, where it was measured.
pub fn samples_of<'a>(figures: &'a [Figure], what: &str, runtime: &str) -> Option<&'a Samples> {
    let figure = figures
        .iter()
        .find(|figure| figure.what == what && figure.runtime == runtime)?;
    figure.samples.as_ref().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[f64]) -> Samples {
        Samples::new(values.to_vec()).unwrap()
    }

    #[test]
    fn figures_do_not_depend_on_the_order_of_samples() {
        let samples = samples(&[9.0, 1.0, 3.0, 2.0, 8.0, 4.0, 10.0, 5.0, 7.0, 6.0]);
        assert_eq!(
            (samples.min(), samples.median(), samples.p90()),
            (1.0, 5.5, 9.0)
        );
    }

    #[test]
    fn one_sample_is_every_figure() {
        let samples = samples(&[3.0]);
        assert_eq!(
            (
                samples.min(),
                samples.median(),
                samples.p90(),
                samples.count()
            ),
            (3.0, 3.0, 3.0, 1)
        );
    }

    #[test]
    fn an_odd_number_has_a_middle() {
        assert_eq!(samples(&[5.0, 1.0, 2.0]).median(), 2.0);
    }

    #[test]
    fn durations_become_milliseconds() {
        assert_eq!(
            Samples::of_durations(&[Duration::from_micros(1500)])
                .unwrap()
                .median(),
            1.5
        );
        assert_eq!(Samples::of_durations(&[]), None);
    }
}
