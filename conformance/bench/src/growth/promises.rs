//! What kan promises of growth, checked.

use super::together::COUNT;
use super::{Curve, Promise, crowd, limit};
use crate::bars::{Bar, bar, missing};
use crate::samples::{Figure, Samples, median_of, samples_of};

/// Cost per item may exceed what the middle of a curve predicts by this factor, and by this share of
/// what it costs without any, which is more than the noise.
const LINEAR: f64 = 1.3;
const NOISE: f64 = 0.1;
/// Runs at once take at most so many times as long as the same in a row.
const AT_ONCE: f64 = 1.0;
/// The smallest memory limit, in KiB.
const LIMIT: f64 = 256.0;

/// A bar for each curve, and those of what is no curve but was measured.
pub fn check(figures: &[Figure], curves: &[Curve]) -> Vec<Bar> {
    let mut bars: Vec<Bar> = curves
        .iter()
        .map(|curve| of_curve(figures, curve))
        .collect();
    let measured = |what: &str| figures.iter().any(|figure| figure.what == what);
    if measured(&together("at once")) {
        bars.push(at_once(figures));
    }
    if measured(limit::WHAT) {
        bars.push(smallest_limit(figures));
    }
    if measured(&crowd::row()) {
        bars.push(crowd(figures));
    }
    bars
}

/// Which of the samples a bar looks at.
type Pick = fn(&Samples) -> f64;

/// Checks what is picked from kan's samples of these rows, if all were measured.
fn held_if(
    figures: &[Figure],
    promise: String,
    rows: &[&str],
    pick: Pick,
    test: impl Fn(&[f64]) -> bool,
) -> Bar {
    let mut picked = Vec::new();
    for row in rows {
        match samples_of(figures, row, "kan") {
            Some(samples) => picked.push(pick(samples)),
            None => return bar(promise, false, missing(figures, row, "kan")),
        }
    }
    let words: Vec<String> = picked.iter().map(|value| format!("{value:.2}")).collect();
    bar(promise, test(&picked), words.join(", "))
}

/// The shape of a curve is that of its smallest samples: noise only adds, and bends it.
fn of_curve(figures: &[Figure], curve: &Curve) -> Bar {
    let rows: Vec<&str> = curve.points.iter().map(|(_, row)| row.as_str()).collect();
    let counts: Vec<f64> = curve
        .points
        .iter()
        .map(|&(count, _)| count as f64)
        .collect();
    let name = format!("{} by {}", curve.title, curve.axis);
    let last = |medians: &[f64]| medians.last().copied().unwrap_or(f64::INFINITY);
    match curve.promise {
        Promise::Linear => held_if(
            figures,
            format!("{name}: linear"),
            &rows,
            Samples::min,
            |medians| is_linear(&counts, medians),
        ),
        Promise::Flat(times) => {
            let kernel = growth_of_floor(figures, curve);
            let promise =
                format!("{name}: the most at most {times} x the fewest, beside the floor's growth");
            held_if(figures, promise, &rows, Samples::min, |smallest| {
                last(smallest) <= times * kernel * smallest[0]
            })
        }
        Promise::Below(limit) => {
            let promise = format!("{name}: the most below {limit} ms");
            held_if(figures, promise, &rows, Samples::median, |medians| {
                last(medians) < limit
            })
        }
    }
}

/// By what factor the floor's `run` grows from the first point of a curve to the last. Where it was not
/// measured, nothing is allowed for it.
fn growth_of_floor(figures: &[Figure], curve: &Curve) -> f64 {
    let run = |(_, row): &(usize, String)| {
        let row = row.replacen(&curve.title, "run", 1);
        samples_of(figures, &row, "floor").map(Samples::min)
    };
    let ends = (
        curve.points.first().and_then(run),
        curve.points.last().and_then(run),
    );
    match ends {
        (Some(first), Some(last)) => (last / first).max(1.0),
        _ => 1.0,
    }
}

/// Whether the last point costs no more than the last but one predicts, both above the first.
fn is_linear(counts: &[f64], medians: &[f64]) -> bool {
    let ([base, .., middle, most], [free, .., half, all]) = (counts, medians) else {
        return false;
    };
    let predicted = (half - free).max(0.0) * (most - base) / (middle - base);
    all - free <= LINEAR * predicted + NOISE * free
}

fn together(how: &str) -> String {
    format!("{COUNT} runs {how}")
}

/// crun's where that was measured, which is where version 2 has a memory controller.
fn smallest_limit(figures: &[Figure]) -> Bar {
    let (most, whose) = match median_of(figures, limit::WHAT, "crun") {
        Some(crun) => (crun, "crun's".to_owned()),
        None => (LIMIT, format!("{LIMIT} KiB")),
    };
    let promise = format!("{}: at most {whose}", limit::WHAT);
    held_if(
        figures,
        promise,
        &[limit::WHAT],
        Samples::median,
        |limits| limits[0] <= most,
    )
}

fn at_once(figures: &[Figure]) -> Bar {
    let [row, once] = ["in a row", "at once"].map(together);
    let promise = format!("{once}: at most {AT_ONCE} x in a row");
    held_if(
        figures,
        promise,
        &[&once, &row],
        Samples::median,
        |medians| medians[0] <= AT_ONCE * medians[1],
    )
}

fn crowd(figures: &[Figure]) -> Bar {
    let (row, count) = (crowd::row(), crowd::BLOCKED as f64);
    let promise = format!("{row}: at most {count} x one");
    held_if(
        figures,
        promise,
        &[&row, "created: proportional"],
        Samples::median,
        |medians| medians[0] <= count * medians[1],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bars::Verdict;
    use crate::samples::Unit;

    fn figure(what: &str, value: f64) -> Figure {
        Figure {
            what: what.to_owned(),
            runtime: "kan".to_owned(),
            unit: Unit::Milliseconds,
            samples: Ok(Samples::new(vec![value]).unwrap()),
        }
    }

    fn curve(promise: Promise, values: &[f64]) -> (Vec<Figure>, Curve) {
        let counts = [0, 10, 100, 300, 1000].into_iter();
        let points: Vec<(usize, String)> = counts
            .map(|count| (count, format!("run ({count} x)")))
            .collect();
        let rows = points.iter().zip(values);
        let figures = rows.map(|((_, row), &value)| figure(row, value)).collect();
        let curve = Curve {
            title: "run".to_owned(),
            axis: "x",
            points,
            promise,
        };
        (figures, curve)
    }

    fn verdict(promise: Promise, values: &[f64]) -> Verdict {
        let (figures, curve) = curve(promise, values);
        of_curve(&figures, &curve).verdict
    }

    #[test]
    fn a_straight_line_is_linear_and_a_parabola_is_not() {
        assert_eq!(
            verdict(Promise::Linear, &[3.0, 3.1, 4.0, 6.0, 13.0]),
            Verdict::Held
        );
        assert_eq!(
            verdict(Promise::Linear, &[3.0, 3.1, 4.0, 6.0, 16.2]),
            Verdict::Held
        );
        assert_eq!(
            verdict(Promise::Linear, &[3.0, 3.1, 4.0, 6.0, 16.4]),
            Verdict::Missed
        );
        assert_eq!(
            verdict(Promise::Linear, &[3.0, 3.0, 3.1, 3.9, 13.0]),
            Verdict::Missed
        );
    }

    #[test]
    fn what_costs_nothing_may_be_noisy() {
        assert_eq!(
            verdict(Promise::Linear, &[3.0, 2.9, 3.1, 2.8, 3.2]),
            Verdict::Held
        );
        assert_eq!(
            verdict(Promise::Linear, &[3.0, 2.9, 3.1, 2.8, 3.4]),
            Verdict::Missed
        );
    }

    #[test]
    fn the_last_point_is_held_against_the_first_or_a_limit() {
        assert_eq!(
            verdict(Promise::Flat(1.2), &[5.0, 9.0, 9.0, 9.0, 6.0]),
            Verdict::Held
        );
        assert_eq!(
            verdict(Promise::Flat(1.2), &[5.0, 5.0, 5.0, 5.0, 6.1]),
            Verdict::Missed
        );
        let (mut figures, curve) = curve(Promise::Flat(1.2), &[5.0, 5.0, 5.0, 5.0, 6.1]);
        for (end, cost) in [(0, 2.0), (4, 2.5)] {
            let row = curve.points[end].1.replacen(&curve.title, "run", 1);
            let samples = Ok(Samples::new(vec![cost]).unwrap());
            let (what, runtime) = (row, "floor".to_owned());
            figures.push(Figure {
                what,
                runtime,
                unit: Unit::Milliseconds,
                samples,
            });
        }
        assert_eq!(of_curve(&figures, &curve).verdict, Verdict::Held);
        assert_eq!(
            verdict(Promise::Below(20.0), &[1.0, 1.0, 1.0, 1.0, 19.9]),
            Verdict::Held
        );
        assert_eq!(
            verdict(Promise::Below(20.0), &[1.0, 1.0, 1.0, 1.0, 20.0]),
            Verdict::Missed
        );
    }

    #[test]
    fn noise_bends_no_curve_but_counts_against_a_limit() {
        let noisy = |promise: Promise| {
            let (mut figures, curve) = curve(promise, &[3.0, 3.1, 4.0, 6.0, 13.0]);
            figures[4].samples = Ok(Samples::new(vec![13.0, 90.0, 95.0]).unwrap());
            of_curve(&figures, &curve).verdict
        };
        assert_eq!(noisy(Promise::Linear), Verdict::Held);
        assert_eq!(noisy(Promise::Flat(5.0)), Verdict::Held);
        assert_eq!(noisy(Promise::Below(20.0)), Verdict::Missed);
    }

    #[test]
    fn a_point_that_was_not_measured_is_missed() {
        assert_eq!(
            verdict(Promise::Linear, &[3.0, 3.1, 4.0, 6.0]),
            Verdict::Missed
        );
    }

    #[test]
    fn what_is_no_curve_has_bars_where_it_was_measured() {
        let (figures, curve) = curve(Promise::Below(20.0), &[1.0; 5]);
        let others = [
            figure("32 runs in a row", 96.0),
            figure("32 runs at once", 97.0),
            figure(limit::WHAT, 260.0),
            figure(&crowd::row(), 40_100.0),
            figure("created: proportional", 400.0),
        ];
        let figures: Vec<Figure> = figures.into_iter().chain(others).collect();
        let verdicts = |figures: &[Figure], curves: &[Curve]| -> Vec<Verdict> {
            check(figures, curves)
                .into_iter()
                .map(|bar| bar.verdict)
                .collect()
        };
        assert_eq!(
            verdicts(&figures, &[curve]),
            [
                Verdict::Held,
                Verdict::Missed,
                Verdict::Missed,
                Verdict::Missed
            ]
        );
        let well = [
            figure(limit::WHAT, 256.0),
            figure(&crowd::row(), 40_000.0),
            figure("created: proportional", 400.0),
        ];
        assert_eq!(verdicts(&well, &[]), [Verdict::Held, Verdict::Held]);
        assert!(check(&[], &[]).is_empty());
        let mut crun = figure(limit::WHAT, 300.0);
        crun.runtime = "crun".to_owned();
        let against = |kan: f64| verdicts(&[figure(limit::WHAT, kan), crun.clone()], &[]);
        assert_eq!(against(300.0), [Verdict::Held]);
        assert_eq!(against(304.0), [Verdict::Missed]);
    }
}
