//! The figures as a table and as JSON.

use serde_json::{Value, json};

use crate::bars::{Bar, Verdict};
use crate::growth::Curve;
use crate::samples::{Figure, Unit, median_of};

/// The two that everything is held against.
const YARDSTICKS: [&str; 2] = ["floor", "crun"];

/// One line a figure, with its median as a multiple of the floor's and of crun's.
pub fn table(figures: &[Figure]) -> String {
    let mut lines = vec![line([
        "measured", "runtime", "unit", "median", "min", "p90", "n", "of floor", "of crun",
    ])];
    let mut last = "";
    for figure in figures {
        if figure.what != last {
            lines.push(String::new());
            last = &figure.what;
        }
        lines.push(row(figures, figure));
    }
    lines.join("\n") + "\n"
}

fn row(figures: &[Figure], figure: &Figure) -> String {
    let head = [figure.what.as_str(), &figure.runtime, figure.unit.name()];
    let samples = match &figure.samples {
        Ok(samples) => samples,
        Err(why) => return format!("{:<33} {:<9} not measured: {why}", head[0], head[1]),
    };
    let number = |value: f64| match figure.unit {
        Unit::Milliseconds => format!("{value:.2}"),
        _ => format!("{value:.0}"),
    };
    let [of_floor, of_crun] = YARDSTICKS.map(|yardstick| {
        ratio(figures, figure, yardstick)
            .map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
    });
    let [median, min, p90] = [samples.median(), samples.min(), samples.p90()].map(number);
    line([
        head[0],
        head[1],
        head[2],
        &median,
        &min,
        &p90,
        &samples.count().to_string(),
        &of_floor,
        &of_crun,
    ])
}

fn line(cells: [&str; 9]) -> String {
    let [what, runtime, unit, median, min, p90, count, floor, crun] = cells;
    format!(
        "{what:<33} {runtime:<9} {unit:<5} {median:>9} {min:>9} {p90:>9} {count:>5} {floor:>9} {crun:>8}"
    )
}

/// The figure's median as a multiple of the yardstick's.
fn ratio(figures: &[Figure], figure: &Figure, yardstick: &str) -> Option<f64> {
    let own = figure.samples.as_ref().ok()?.median();
    median_of(figures, &figure.what, yardstick).map(|other| own / other)
}

/// One line a bar: `bar held: run (v2): at most 2 x floor | 4.00 / 2.10 = 1.90`.
pub fn bars(bars: &[Bar]) -> String {
    bars.iter()
        .map(|bar| {
            format!(
                "bar {}: {} | {}\n",
                verdict(&bar.verdict),
                bar.promise,
                bar.detail
            )
        })
        .collect()
}

fn verdict(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "held",
        Verdict::Missed => "missed",
        Verdict::Skipped => "skipped",
    }
}

/// Everything, with what is needed to judge it later: when, where, and how busy the machine was.
pub fn json(figures: &[Figure], curves: &[Curve], bars: &[Bar]) -> Value {
    json!({
        "unix_time": std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs()),
        "machine": machine(),
        "figures": figures.iter().map(|figure| figure_json(figures, figure)).collect::<Vec<_>>(),
        "curves": curves.iter().map(|curve| json!({
            "title": curve.title, "axis": curve.axis, "points": curve.points,
        })).collect::<Vec<_>>(),
        "bars": bars.iter().map(|bar| json!({
            "promise": bar.promise, "verdict": verdict(&bar.verdict), "detail": bar.detail,
        })).collect::<Vec<_>>(),
    })
}

fn figure_json(figures: &[Figure], figure: &Figure) -> Value {
    let head =
        json!({ "what": figure.what, "runtime": figure.runtime, "unit": figure.unit.name() });
    let rest = match &figure.samples {
        Err(why) => json!({ "not_measured": why }),
        Ok(samples) => json!({
            "median": samples.median(), "min": samples.min(), "p90": samples.p90(), "n": samples.count(),
            "of_floor": ratio(figures, figure, "floor"), "of_crun": ratio(figures, figure, "crun"),
        }),
    };
    let pairs = [head, rest]
        .into_iter()
        .filter_map(|value| value.as_object().cloned())
        .flatten();
    Value::Object(pairs.collect())
}

/// Kernel, processors and load; empty strings where /proc does not tell.
fn machine() -> Value {
    let read = |path: &str| {
        std::fs::read_to_string(path)
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let processors = read("/proc/cpuinfo");
    let model = processors
        .lines()
        .find(|line| line.starts_with("model name"));
    json!({
        "kernel": read("/proc/sys/kernel/osrelease"),
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "model": model.and_then(|line| line.split(": ").nth(1)).unwrap_or_default(),
        "load": read("/proc/loadavg"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::Samples;

    fn figures() -> Vec<Figure> {
        let figure = |runtime: &str, samples| Figure {
            what: "run (v2)".to_owned(),
            runtime: runtime.to_owned(),
            unit: Unit::Milliseconds,
            samples,
        };
        let samples = |values: &[f64]| Ok(Samples::new(values.to_vec()).unwrap());
        vec![
            figure("floor", samples(&[2.0])),
            figure("crun", samples(&[8.0])),
            figure("kan", samples(&[3.0, 4.0, 5.0])),
            figure("runc", Err("no such file".to_owned())),
        ]
    }

    #[test]
    fn a_row_holds_each_figure_against_both_yardsticks() {
        let table = table(&figures());
        let rows: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            rows[4],
            [
                "run", "(v2)", "kan", "ms", "4.00", "3.00", "5.00", "3", "2.00", "0.50"
            ]
        );
        assert!(
            table.contains("runc      not measured: no such file"),
            "{table}"
        );
    }

    #[test]
    fn json_holds_what_the_table_holds() {
        let bar = Bar {
            promise: "p".to_owned(),
            verdict: Verdict::Missed,
            detail: "d".to_owned(),
        };
        let json = json(&figures(), &[], &[bar]);
        assert_eq!(json["figures"][2]["median"], 4.0);
        assert_eq!(json["figures"][2]["of_floor"], 2.0);
        assert_eq!(json["figures"][3]["not_measured"], "no such file");
        assert_eq!(
            json["bars"][0],
            json!({ "promise": "p", "verdict": "missed", "detail": "d" })
        );
    }

    #[test]
    fn a_bar_is_one_line() {
        let bar = Bar {
            promise: "p".to_owned(),
            verdict: Verdict::Held,
            detail: "d".to_owned(),
        };
        assert_eq!(bars(&[bar]), "bar held: p | d\n");
    }
}
