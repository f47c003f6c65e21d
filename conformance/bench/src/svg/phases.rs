//! Time per phase: kan's own `--trace`, one bar a phase, the host's half and init's in one picture.

use serde_json::Value;

use super::drawing::{Anchor, Drawing, number, ticks};
use crate::config::Payload;
use crate::process::timed_payload;
use crate::runtime::Runtime;
use crate::scenarios::Bench;
use crate::view::{View, cgroup2};

/// Runs, of which the one that takes the median time is shown.
const RUNS: usize = 15;

/// A phase, in microseconds from the first one's begin.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Whether it is the host's; else it is init's.
    host: bool,
    /// What is done.
    label: String,
    /// What joins it with its neighbours: the field that asked for it, without an index, or its
    /// own words.
    key: String,
    begin: f64,
    end: f64,
}

/// Traces of `run`; the one of median length.
pub fn record(bench: &Bench<'_>, kan: &Runtime, payload: Payload) -> Result<Vec<Span>, String> {
    let bundle = bench.workspace.bundle(kan, payload, View::V2)?;
    let file = bench.workspace.directory.join("trace.json");
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let mut run = kan.run(&bundle, &cgroup2(View::V2));
        let words: Vec<_> = run.get_args().map(std::ffi::OsStr::to_owned).collect();
        run = std::process::Command::new(&kan.program);
        run.arg("--trace").arg(&file).args(words);
        timed_payload(&mut run, bench.stderr)?;
        let text = std::fs::read_to_string(&file).map_err(|error| format!("trace: {error}"))?;
        runs.push(read(&text)?);
    }
    runs.sort_by(|one, other| length(one).total_cmp(&length(other)));
    Ok(joined(&runs.swap_remove(RUNS / 2)))
}

fn length(spans: &[Span]) -> f64 {
    spans.iter().map(|span| span.end).fold(0.0, f64::max)
}

/// A Chrome trace, as kan writes it.
fn read(text: &str) -> Result<Vec<Span>, String> {
    let events: Vec<Value> =
        serde_json::from_str(text).map_err(|error| format!("trace: {error}"))?;
    let spans = events.iter().filter_map(span);
    let mut spans: Vec<Span> = spans.collect();
    spans.sort_by(|one, other| one.begin.total_cmp(&other.begin));
    let first = spans.first().map_or(0.0, |span| span.begin);
    for span in &mut spans {
        span.begin -= first;
        span.end -= first;
    }
    Ok(spans)
}

fn span(event: &Value) -> Option<Span> {
    let label = event["name"].as_str()?.to_owned();
    let begin = event["ts"].as_f64()?;
    let field = event["args"]["field"].as_str().unwrap_or_default();
    let device =
        |label: &str| label.starts_with("create character device") || label.starts_with("link ");
    let key = match field.split('[').next() {
        None | Some("") if device(&label) => "default devices",
        None | Some("") => &label,
        Some(field) => field,
    };
    Some(Span {
        host: event["cat"] == "host",
        key: key.to_owned(),
        begin,
        end: begin + event["dur"].as_f64()?,
        label,
    })
}

/// Neighbours of one half with one key become one phase.
fn joined(spans: &[Span]) -> Vec<Span> {
    let (host, init): (Vec<Span>, Vec<Span>) = spans.iter().cloned().partition(|span| span.host);
    let mut joined: Vec<Span> = Vec::new();
    let mut steps = 1;
    for span in host.into_iter().chain(init) {
        match joined.last_mut() {
            Some(last) if (last.host, &last.key) == (span.host, &span.key) => {
                steps += 1;
                last.end = span.end;
                last.label = format!("{}: {steps} steps", last.key);
            }
            _ => {
                steps = 1;
                joined.push(span);
            }
        }
    }
    joined.sort_by(|one, other| one.begin.total_cmp(&other.begin));
    joined
}

const LEFT: f64 = 330.0;
const PLOT: f64 = 520.0;
const TOP: f64 = 62.0;
const ROW: f64 = 15.0;
const HOST: &str = "#3b6ea5";
const INIT: &str = "#c8682b";
/// Characters of a label.
const LABEL: usize = 46;

/// One row a phase, from when it begins to when it ends.
pub fn plot(title: &str, spans: &[Span]) -> String {
    let rows: f64 = spans.iter().map(|_| ROW).sum();
    let most = length(spans);
    let title = format!("{title}: {most:.0} µs from reading the bundle to the program's start");
    let mut drawing = Drawing::new(LEFT + PLOT + 70.0, TOP + rows + 12.0, &title);
    let x = |time: f64| LEFT + time / most * PLOT;
    for tick in ticks(most) {
        drawing.line(
            &[(x(tick), TOP - 4.0), (x(tick), TOP + rows)],
            "#dddddd",
            1.0,
        );
        drawing.text(
            (x(tick), TOP - 8.0),
            Anchor::Middle,
            "#555555",
            &number(tick),
        );
    }
    for (words, colour, at) in [
        ("the host's half", HOST, 10.0),
        ("init, in the container", INIT, 120.0),
    ] {
        drawing.text((at, 40.0), Anchor::Start, colour, words);
    }
    let mut y = TOP;
    for span in spans {
        let colour = if span.host { HOST } else { INIT };
        let width = (x(span.end) - x(span.begin)).max(1.0);
        drawing.rectangle([x(span.begin), y + 2.0, width, ROW - 4.0], colour);
        let base = y + ROW - 4.0;
        drawing.text(
            (LEFT - 6.0, base),
            Anchor::End,
            colour,
            &shortened(&span.label),
        );
        let duration = format!("{:.0}", span.end - span.begin);
        drawing.text(
            (x(span.begin) + width + 3.0, base),
            Anchor::Start,
            "#555555",
            &duration,
        );
        y += ROW;
    }
    drawing.finish()
}

fn shortened(label: &str) -> String {
    match label.char_indices().nth(LABEL) {
        None => label.to_owned(),
        Some((end, _)) => format!("{}…", &label[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = r#"[
        {"name":"link /dev/fd to /proc/self/fd","cat":"init","ts":129.0,"dur":1.0,"args":{"field":""}},
        {"name":"plan","cat":"host","ts":110.0,"dur":5.0,"args":{"field":""}},
        {"name":"read the bundle","cat":"host","ts":100.0,"dur":10.0,"args":{"field":""}},
        {"name":"new file system proc","cat":"init","ts":120.0,"dur":2.0,"args":{"field":"mounts[0]"}},
        {"name":"wait ready","cat":"host","ts":116.0,"dur":14.0,"args":{"field":""}},
        {"name":"attach it at /proc","cat":"init","ts":122.0,"dur":3.0,"args":{"field":"mounts[0]"}},
        {"name":"attach it at /dev","cat":"init","ts":125.0,"dur":4.0,"args":{"field":"mounts[1]"}}
    ]"#;

    #[test]
    fn neighbours_of_one_field_are_one_phase() {
        let spans = joined(&read(TRACE).unwrap());
        let rows: Vec<(&str, f64, f64)> = spans
            .iter()
            .map(|span| (span.label.as_str(), span.begin, span.end))
            .collect();
        assert_eq!(
            rows,
            [
                ("read the bundle", 0.0, 10.0),
                ("plan", 10.0, 15.0),
                ("wait ready", 16.0, 30.0),
                ("mounts: 3 steps", 20.0, 29.0),
                ("link /dev/fd to /proc/self/fd", 29.0, 30.0),
            ]
        );
    }

    #[test]
    fn each_phase_is_a_bar_in_the_colour_of_its_half() {
        let file = plot("t", &joined(&read(TRACE).unwrap()));
        let bars = |colour: &str| file.matches(&format!(r#"fill="{colour}"/>"#)).count();
        assert_eq!((bars(HOST), bars(INIT)), (3, 2));
        assert!(file.contains("t: 30 µs"), "{file}");
    }

    #[test]
    fn long_labels_are_cut_between_characters() {
        assert_eq!(shortened("µs"), "µs");
        assert_eq!(shortened(&"µ".repeat(60)).chars().count(), LABEL + 1);
    }

    #[test]
    fn what_is_no_trace_is_an_error() {
        assert!(read("{").unwrap_err().starts_with("trace: "));
    }
}
