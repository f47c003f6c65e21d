//! How `check` and `doctor` print what they found: for people, with colours on a terminal, or as
//! JSON.

use crate::output;
use kan_lifecycle::{Finding, Verdict};
use kan_spec::{printable, printable_lines};
use serde::Serialize;

/// A finding, and where it is in a document.
pub(super) struct Report<'f> {
    pub(super) file: Option<&'f str>,
    pub(super) position: Option<(usize, usize)>,
    pub(super) finding: &'f Finding,
}

#[derive(Serialize)]
struct Entry<'f> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'f str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    about: &'f str,
    verdict: &'static str,
    found: &'f str,
    #[serde(skip_serializing_if = "str::is_empty")]
    advice: &'f str,
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Works => "works",
        Verdict::Limited => "limited",
        Verdict::Fails => "fails",
    }
}

/// ECMA-48: green, yellow, red.
const fn colour(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Works => "32",
        Verdict::Limited => "33",
        Verdict::Fails => "31",
    }
}

fn coloured(text: &str, code: &str) -> String {
    let text = printable(text);
    if output::has_colours() {
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    } else {
        text.into_owned()
    }
}

pub(super) fn json(reports: &[Report<'_>]) -> String {
    let entries: Vec<_> = reports
        .iter()
        .map(|report| Entry {
            file: report.file,
            line: report.position.map(|(line, _)| line),
            column: report.position.map(|(_, column)| column),
            about: &report.finding.about,
            verdict: word(report.finding.verdict),
            found: &report.finding.found,
            advice: &report.finding.advice,
        })
        .collect();
    serde_json::to_string_pretty(&entries).unwrap_or_default() + "\n"
}

/// `config.json:3:17: mounts[0].source: …`, as compilers write it, and what to do below it.
pub(super) fn lines(reports: &[Report<'_>]) -> String {
    let mut text = String::new();
    for report in reports {
        let finding = report.finding;
        let mut place = printable(report.file.unwrap_or_default()).into_owned();
        if let Some((line, column)) = report.position {
            place += &format!(":{line}:{column}");
        }
        let about = if finding.about.is_empty() {
            String::new()
        } else {
            format!("{}: ", coloured(&finding.about, "1"))
        };
        let kind = match finding.verdict {
            Verdict::Fails => coloured("error", colour(finding.verdict)),
            _ => coloured("warning", colour(finding.verdict)),
        };
        let found = printable(&finding.found);
        text += &format!("{place}: {kind}: {about}{found}\n");
        if !finding.advice.is_empty() {
            text += &format!("    {}\n", printable_lines(&finding.advice));
        }
    }
    text
}

/// A line for each, aligned.
pub(super) fn table(reports: &[Report<'_>]) -> String {
    let widths = reports.iter().map(|report| report.finding.about.len());
    let width = widths.max().unwrap_or(0);
    let mut text = String::new();
    for report in reports {
        let finding = report.finding;
        let verdict = coloured(
            &format!("{:<7}", word(finding.verdict)),
            colour(finding.verdict),
        );
        let (about, found) = (printable(&finding.about), printable_lines(&finding.found));
        text += &format!("{verdict}  {about:<width$}  {found}\n");
        if !finding.advice.is_empty() {
            let advice = printable_lines(&finding.advice);
            text += &format!("{:<1$}{advice}\n", "", width + 11);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_place_field_and_advice() {
        let finding = Finding {
            about: "mounts[0].source".into(),
            verdict: Verdict::Fails,
            found: "/x: no such file or directory".into(),
            advice: "make it".into(),
            is_certain: false,
        };
        let report = || Report {
            file: Some("config.json"),
            position: Some((3, 17)),
            finding: &finding,
        };
        assert_eq!(
            lines(&[report()]),
            "config.json:3:17: error: mounts[0].source: /x: no such file or directory\n    make it\n"
        );
        assert_eq!(
            table(&[report()]),
            "fails    mounts[0].source  /x: no such file or directory\n\
             \x20                          make it\n"
        );
        let entries: serde_json::Value = serde_json::from_str(&json(&[report()])).unwrap();
        assert_eq!(entries[0]["line"], 3);
        assert_eq!(entries[0]["verdict"], "fails");
    }
}
