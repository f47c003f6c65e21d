//! Growth: medians of each runtime along an axis. Both axes are linear, so that what is
//! proportional is straight.

use super::drawing::{Anchor, Drawing, number, ticks};
use crate::growth::Curve;
use crate::samples::{Figure, median_of};

const LEFT: f64 = 60.0;
const TOP: f64 = 40.0;
const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 240.0;
const LEGEND: f64 = 110.0;
const COLOURS: [&str; 6] = [
    "#c8682b", "#3b6ea5", "#6a8f3c", "#8a5a9e", "#777777", "#b09020",
];

/// The curve of each runtime that was measured at all of its points.
pub fn plot(figures: &[Figure], curve: &Curve) -> String {
    let title = format!("{} by {}, in ms", curve.title, curve.axis);
    let mut drawing = Drawing::new(LEFT + WIDTH + LEGEND, TOP + HEIGHT + 46.0, &title);
    let lines = lines(figures, curve);
    let all = || lines.iter().flat_map(|(_, line)| line);
    let most_x = all().map(|point| point.0).fold(0.0, f64::max);
    let most_y = all().map(|point| point.1).fold(0.0, f64::max);
    let x = |items: f64| LEFT + items / most_x.max(1.0) * WIDTH;
    let y = |time: f64| TOP + HEIGHT - time / most_y.max(f64::MIN_POSITIVE) * HEIGHT;
    for tick in ticks(most_y) {
        drawing.line(&[(LEFT, y(tick)), (LEFT + WIDTH, y(tick))], "#dddddd", 1.0);
        drawing.text(
            (LEFT - 6.0, y(tick) + 4.0),
            Anchor::End,
            "#555555",
            &number(tick),
        );
    }
    for tick in ticks(most_x) {
        drawing.line(
            &[(x(tick), TOP + HEIGHT), (x(tick), TOP + HEIGHT + 4.0)],
            "#555555",
            1.0,
        );
        let at = (x(tick), TOP + HEIGHT + 17.0);
        drawing.text(at, Anchor::Middle, "#555555", &number(tick));
    }
    let below = (LEFT + WIDTH / 2.0, TOP + HEIGHT + 36.0);
    drawing.text(below, Anchor::Middle, "#555555", curve.axis);
    let mut legend = TOP + 10.0;
    for ((runtime, line), colour) in lines.iter().zip(COLOURS.into_iter().cycle()) {
        let points: Vec<(f64, f64)> = line
            .iter()
            .map(|&(items, time)| (x(items), y(time)))
            .collect();
        drawing.line(&points, colour, 2.0);
        for &point in &points {
            drawing.dot(point, colour);
        }
        drawing.text(
            (LEFT + WIDTH + 12.0, legend),
            Anchor::Start,
            colour,
            runtime,
        );
        legend += 16.0;
    }
    drawing.finish()
}

/// Items and milliseconds, by runtime; kan first.
fn lines<'a>(figures: &'a [Figure], curve: &Curve) -> Vec<(&'a str, Vec<(f64, f64)>)> {
    let first = curve.points.first().map(|(_, row)| row.as_str());
    let rows = figures
        .iter()
        .filter(|figure| Some(figure.what.as_str()) == first);
    let mut runtimes: Vec<&str> = rows.map(|figure| figure.runtime.as_str()).collect();
    runtimes.sort_by_key(|runtime| *runtime != "kan");
    let line = |runtime: &str| -> Option<Vec<(f64, f64)>> {
        let points = curve.points.iter();
        points
            .map(|(items, row)| Some((*items as f64, median_of(figures, row, runtime)?)))
            .collect()
    };
    runtimes
        .into_iter()
        .filter_map(|runtime| Some((runtime, line(runtime)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::growth::Promise;
    use crate::samples::{Samples, Unit};

    fn figure(what: &str, runtime: &str, value: Option<f64>) -> Figure {
        let samples = value.map(|value| Samples::new(vec![value]).unwrap());
        Figure {
            what: what.to_owned(),
            runtime: runtime.to_owned(),
            unit: Unit::Milliseconds,
            samples: samples.ok_or_else(|| "broken".to_owned()),
        }
    }

    #[test]
    fn each_runtime_that_was_measured_everywhere_has_a_line() {
        let figures = [
            figure("a", "crun", Some(4.0)),
            figure("a", "kan", Some(2.0)),
            figure("a", "runc", Some(9.0)),
            figure("b", "crun", Some(8.0)),
            figure("b", "kan", Some(5.0)),
            figure("b", "runc", None),
        ];
        let curve = Curve {
            title: "run".to_owned(),
            axis: "mounts",
            points: vec![(10, "a".to_owned()), (100, "b".to_owned())],
            promise: Promise::Linear,
        };
        let lines = lines(&figures, &curve);
        assert_eq!(
            lines,
            [
                ("kan", vec![(10.0, 2.0), (100.0, 5.0)]),
                ("crun", vec![(10.0, 4.0), (100.0, 8.0)]),
            ]
        );
        let file = plot(&figures, &curve);
        assert_eq!(file.matches("stroke-width=\"2\"").count(), 2);
        assert!(
            file.contains("run by mounts, in ms") && !file.contains("runc"),
            "{file}"
        );
        // The highest point is at the top of the plot, at its right end.
        assert!(
            file.contains(&format!(r#"cx="{:.1}" cy="{TOP:.1}""#, LEFT + WIDTH)),
            "{file}"
        );
    }
}
