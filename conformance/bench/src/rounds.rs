//! Takes samples in turn, so that whatever else the machine does meets all runtimes alike.

use std::time::Duration;

use crate::samples::{Figure, Samples, Unit};

/// Runs before the first sample, for caches to fill.
const WARM_UP: usize = 3;

/// One runtime in a comparison.
pub struct Contender<'a> {
    /// Its name.
    pub runtime: &'a str,
    /// Takes one sample.
    pub sample: Box<dyn FnMut() -> Result<Duration, String> + 'a>,
}

/// Takes `count` samples of each contender, one of each a round and in another order each round: the
/// kernel cleans up after a container while the next one starts, so nobody may always follow the
/// same predecessor. A contender that fails once is out, with the reason.
pub fn interleave(what: &str, count: usize, contenders: Vec<Contender<'_>>) -> Vec<Figure> {
    let mut shuffle = Shuffle(0x9e37_79b9_7f4a_7c15);
    let mut taken = vec![Ok(Vec::with_capacity(count)); contenders.len()];
    let mut contenders = contenders;
    for round in 0..WARM_UP + count {
        for index in shuffle.order(contenders.len()) {
            let Ok(samples) = &mut taken[index] else {
                continue;
            };
            match (contenders[index].sample)() {
                Ok(duration) if round >= WARM_UP => samples.push(duration),
                Ok(_) => {}
                Err(why) => taken[index] = Err(why),
            }
        }
    }
    contenders
        .iter()
        .zip(taken)
        .map(|(contender, taken)| figure(what, contender.runtime, taken))
        .collect()
}

fn figure(what: &str, runtime: &str, taken: Result<Vec<Duration>, String>) -> Figure {
    let samples =
        taken.and_then(|taken| Samples::of_durations(&taken).ok_or_else(|| "no sample".to_owned()));
    Figure {
        what: what.to_owned(),
        runtime: runtime.to_owned(),
        unit: Unit::Milliseconds,
        samples,
    }
}

/// Marsaglia's xorshift64 as a source of permutations: the same ones in each run.
struct Shuffle(u64);

impl Shuffle {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        let next = self.next() >> 32;
        usize::try_from(next).map_or(0, |next| next % bound)
    }

    /// The numbers below `length` in a random order (Fisher and Yates).
    fn order(&mut self, length: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..length).collect();
        for place in 1..length {
            order.swap(place, self.below(place + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn each_round_has_everybody_once_and_orders_differ() {
        let log = RefCell::new(Vec::new());
        let log = &log;
        let contender = |runtime: &'static str| Contender {
            runtime,
            sample: Box::new(move || {
                log.borrow_mut().push(runtime);
                Ok(Duration::from_millis(2))
            }),
        };
        let figures = interleave(
            "run",
            40,
            vec![contender("a"), contender("b"), contender("c")],
        );
        assert_eq!(figures[1].runtime, "b");
        let samples = figures[1].samples.as_ref().unwrap();
        assert_eq!((samples.count(), samples.median()), (40, 2.0));
        let log = log.borrow();
        let mut orders: Vec<&[&str]> = log.chunks(3).collect();
        assert_eq!(orders.len(), WARM_UP + 40);
        orders.sort_unstable();
        orders.dedup();
        assert_eq!(
            orders.len(),
            6,
            "all six orders of three occur, and nothing else"
        );
    }

    #[test]
    fn a_failure_takes_one_contender_out() {
        let mut left = 5;
        let failing = Contender {
            runtime: "bad",
            sample: Box::new(move || {
                left -= 1;
                (left > 0)
                    .then_some(Duration::ZERO)
                    .ok_or_else(|| "broken".to_owned())
            }),
        };
        let good = Contender {
            runtime: "good",
            sample: Box::new(|| Ok(Duration::ZERO)),
        };
        let figures = interleave("run", 10, vec![failing, good]);
        assert_eq!(figures[0].samples, Err("broken".to_owned()));
        assert_eq!(figures[1].samples.as_ref().unwrap().count(), 10);
    }
}
