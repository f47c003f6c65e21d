//! `events`: what a container uses, a line of JSON at a time, and when it was out of memory.

use crate::ExitCode;
use crate::args::shapes::{flag, has, id, id_arg, text};
use crate::output;
use crate::verb::{Call, Count, Outcome, Verb, failure};
use kan_lifecycle::{Event, Stats};
use serde::Serialize;
use std::time::Duration;

pub(super) const VERB: Verb = Verb {
    name: "events",
    about: "report a container's resource usage and out-of-memory events",
    examples: &["kan events --stats web", "kan events --interval 10s web"],
    count: Count::Exactly(1),
    args: |command| {
        command.args([
            text(
                "interval",
                "TIME",
                "interval between statistics, such as 500ms, 5s or 1m30s",
            )
            .default_value("5s")
            .allow_hyphen_values(true)
            .value_parser(interval),
            flag("stats", "print the current statistics and exit"),
            id_arg(),
        ])
    },
    run,
};

/// A line, in runc's shape.
#[derive(Serialize)]
struct Line<'a> {
    r#type: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Stats>,
}

fn line(id: &str, event: &Event) -> String {
    let (r#type, data) = match event {
        Event::Stats(stats) => ("stats", Some(&**stats)),
        Event::Oom => ("oom", None),
    };
    serde_json::to_string(&Line { r#type, id, data }).unwrap_or_default() + "\n"
}

fn run(call: &Call<'_>) -> Outcome {
    let id = id(call.matches);
    let interval = call.matches.get_one::<Duration>("interval").copied();
    let interval = interval.unwrap_or(Duration::from_secs(5));
    if interval.is_zero() {
        return Err(failure("duration interval must be greater than 0"));
    }
    if has(call.matches, "stats") {
        let stats = kan_lifecycle::stats(&call.store, id)?;
        output::print(&line(id, &Event::Stats(Box::new(stats))));
        return Ok(ExitCode::SUCCESS);
    }
    kan_lifecycle::watch(&call.store, id, interval, |event| {
        output::tell(&line(id, &event))
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A duration as Go programs write it, `1h2m3.5s`, or seconds as a whole number. What is not
/// positive becomes 0, for which there is a message of its own.
fn interval(text: &str) -> Result<Duration, String> {
    let wrong = || format!("invalid duration {text:?}");
    let (is_negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let duration = match text.parse::<u32>() {
        Ok(seconds) => Duration::from_secs(seconds.into()),
        Err(_) => parts(text).ok_or_else(wrong)?,
    };
    Ok(if is_negative {
        Duration::ZERO
    } else {
        duration
    })
}

fn parts(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let is_unit = |c: char| !c.is_ascii_digit() && c != '.';
        let unit = rest.find(is_unit)?;
        let (number, after) = rest.split_at(unit);
        let end = after.find(|c| !is_unit(c)).unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        let one = match unit {
            "ns" => Duration::from_nanos(1),
            "us" | "µs" | "μs" => Duration::from_micros(1),
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            _ => return None,
        };
        let times: f64 = number.parse().ok()?;
        let part = Duration::try_from_secs_f64(one.as_secs_f64() * times).ok()?;
        sum = sum.checked_add(part)?;
        rest = next;
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, milliseconds) in [
            ("5s", 5000),
            ("5", 5000),
            ("500ms", 500),
            ("1.5s", 1500),
            ("1m30s", 90_000),
            ("1h0m0.001s", 3_600_001),
            ("2000us", 2),
            ("2000µs", 2),
            ("+1s", 1000),
            ("0", 0),
            ("0s", 0),
            ("-5s", 0),
        ] {
            assert_eq!(
                interval(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for text in ["", "s", "5x", "1.2.3s", "5 s", "5s5", "ms5", "1e400s"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_event_has_no_data_and_statistics_do() {
        assert_eq!(line("c", &Event::Oom), "{\"type\":\"oom\",\"id\":\"c\"}\n");
        let stats = line("c", &Event::Stats(Box::default()));
        assert!(stats.starts_with(r#"{"type":"stats","id":"c","data":{"cpu":{"usage":{"kernel":0,"user":0},"throttling":{}},"#), "{stats}");
        assert!(stats.ends_with("\"pids\":{},\"blkio\":{},\"hugetlb\":{},\"intel_rdt\":{},\"network_interfaces\":null}}\n"), "{stats}");
    }
}
