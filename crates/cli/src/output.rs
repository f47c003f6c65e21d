//! The only place that writes to stdout and stderr.

use std::io::{self, Write};

/// Writes to stdout. A reader that went away is no error.
pub(crate) fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}

/// Writes lines to stderr, each with kan's name in front.
pub(crate) fn complain(text: &str) {
    let lines: Vec<_> = text.lines().map(|line| format!("kan: {line}\n")).collect();
    let _ = io::stderr().lock().write_all(lines.concat().as_bytes());
}
