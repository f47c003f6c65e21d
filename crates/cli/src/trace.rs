//! `--trace FILE`: a Chrome trace, which Perfetto and chrome://tracing open.

use kan_lifecycle::{Span, Timeline};
use kan_op::Side;
use serde::Serialize;
use std::path::Path;

/// One complete event of the Trace Event Format ("ph": "X"), times in microseconds.
#[derive(Serialize)]
struct Event<'a> {
    name: &'a str,
    cat: &'static str,
    ph: &'static str,
    ts: f64,
    dur: f64,
    pid: u32,
    tid: u32,
    args: Field<'a>,
}

#[derive(Serialize)]
struct Field<'a> {
    field: &'a str,
}

/// Writes the trace of a command.
pub(crate) fn write(path: &Path, timeline: &Timeline) -> std::io::Result<()> {
    let events: Vec<_> = timeline.spans().iter().map(event).collect();
    let text = serde_json::to_string(&events).unwrap_or_default();
    kan_sys::start::with_callers_umask(|| std::fs::write(path, text + "\n"))
}

fn event(span: &Span) -> Event<'_> {
    let (cat, tid) = match span.side {
        Side::Host => ("host", 1),
        Side::Init => ("init", 2),
    };
    Event {
        name: &span.text,
        cat,
        ph: "X",
        ts: microseconds(span.start),
        dur: microseconds(span.end.saturating_sub(span.start)),
        pid: 1,
        tid,
        args: Field { field: &span.field },
    }
}

/// f64 holds a day of nanoseconds exactly, and years of uptime to the microsecond.
fn microseconds(nanoseconds: u64) -> f64 {
    let whole = u32::try_from(nanoseconds / 1_000_000_000).unwrap_or(u32::MAX);
    let rest = u32::try_from(nanoseconds % 1_000_000_000).unwrap_or(0);
    f64::from(whole) * 1e6 + f64::from(rest) / 1e3
}
