//! The only place that writes to stdout and stderr.

use kan_spec::{clipped, printable, printable_lines};
use std::io::{self, IsTerminal};

/// Writes to stdout, without control characters. A reader that went away is no error.
pub(crate) fn print(text: &str) {
    let _ = write(&printable_lines(text));
}

/// Writes a text with colours of kan's own, whose other parts were made [`printable`].
pub(crate) fn print_coloured(text: &str) {
    let _ = write(text);
}

/// Writes to stdout at once; whether there is still a reader.
pub(crate) fn tell(text: &str) -> bool {
    write(&printable_lines(text))
}

fn write(text: &str) -> bool {
    kan_sys::io::write_all(kan_sys::io::standard(1), text.as_bytes()).is_ok()
}

/// Whether stdout takes colours: on a terminal, unless its user says no (<https://no-color.org>).
pub(crate) fn has_colours() -> bool {
    let says_no = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    io::stdout().is_terminal() && !says_no && !is_dumb
}

/// How many characters fit in a line of stdout, if it is a terminal.
pub(crate) fn width() -> Option<usize> {
    let (width, _) = kan_sys::terminal::size(kan_sys::io::standard(1))?;
    Some(usize::from(width))
}

/// Writes lines to stderr, each with kan's name in front.
pub(crate) fn complain(text: &str) {
    let line = |line| format!("kan: {}\n", clipped(&printable(line)));
    let lines: Vec<_> = text.lines().map(line).collect();
    let _ = kan_sys::io::write_all(kan_sys::io::standard(2), lines.concat().as_bytes());
}

/// Columns as runc writes them: at least twelve characters wide, with three between them.
pub(crate) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(head: [&str; N]) -> Self {
        Self {
            rows: vec![head.map(str::to_owned)],
        }
    }

    pub(crate) fn add(&mut self, row: [String; N]) {
        self.rows
            .push(row.map(|cell| printable(&cell).into_owned()));
    }

    pub(crate) fn text(&self) -> String {
        const LEAST: usize = 12;
        const BETWEEN: usize = 3;
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            LEAST.max(cells.max().unwrap_or(0) + BETWEEN)
        };
        let widths: Vec<_> = (0..N).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            for (index, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let padding = if index + 1 == N { 0 } else { *width };
                text += &format!("{cell:<padding$}");
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(["ID", "PID"]);
        table.add(["a-rather-long-id".into(), "7".into()]);
        assert_eq!(
            table.text(),
            "ID                 PID\na-rather-long-id   7\n"
        );
    }

    #[test]
    fn a_cell_is_one_line_without_controls() {
        let mut table = Table::new(["ID", "BUNDLE"]);
        table.add(["a".into(), "/b\n\u{1b}[31m".into()]);
        assert_eq!(
            table.text(),
            "ID          BUNDLE\na           /b\\u000a\\u001b[31m\n"
        );
    }
}
