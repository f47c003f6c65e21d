//! What commands that take steps have in common: the record of what happened when.

use crate::trace;
use crate::verb::{Call, Failure, failure};
use kan_lifecycle::{Span, Timeline};
use kan_op::Side;

/// A timeline that keeps as much as `--trace` and `--debug` want.
pub(super) fn timeline(call: &Call<'_>) -> Timeline {
    Timeline::new(call.log.wants_debug() || call.globals.trace.is_some())
}

/// Writes down when what happened, whether it went well or not.
pub(super) fn record(call: &Call<'_>, timeline: &Timeline) -> Result<(), Failure> {
    for span in timeline.spans().iter().filter(|_| call.log.wants_debug()) {
        call.log.debug(&line(span));
    }
    let Some(path) = &call.globals.trace else {
        return Ok(());
    };
    trace::write(path, timeline)
        .map_err(|error| failure(format!("--trace: {}: {error}", path.display())))
}

fn line(span: &Span) -> String {
    let side = if span.side == Side::Host {
        "host"
    } else {
        "init"
    };
    let micros = span.end.saturating_sub(span.start) / 1000;
    let field = if span.field.is_empty() {
        String::new()
    } else {
        format!(" [{}]", span.field)
    };
    format!("{side}: {}{field} ({micros} µs)", span.text)
}

/// Only after success: a failure is one record and no more, for those who parse the whole log.
pub(super) fn warn(call: &Call<'_>, timeline: &Timeline) {
    for warning in &timeline.warnings {
        call.log.warning(warning);
    }
    for note in &timeline.notes {
        call.log.debug(note);
    }
    for key in &timeline.ignored {
        call.log
            .debug(&format!("config.json: {key}: unknown key, ignored"));
    }
}

/// Before kan may enter any namespace of a container.
pub(super) fn seal(call: &Call<'_>) -> Result<(), Failure> {
    if cfg!(feature = "unsealed") {
        return Ok(());
    }
    Ok(kan_lifecycle::seal::ensure(call.words)?)
}
