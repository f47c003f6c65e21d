//! The small files of statistics: a number, or lines of keys and numbers.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::fs::CWD;

use crate::file;
use crate::stats::report::{Pressure, Stall};

/// A file's text; empty where there is none or it cannot be read.
pub(super) fn text(dir: &Path, name: &str) -> String {
    file::whole(CWD, dir.join(name)).unwrap_or_default()
}

/// A file that holds a number. `max` is `unlimited`.
pub(super) fn number(dir: &Path, name: &str, unlimited: u64) -> u64 {
    match text(dir, name).trim() {
        "max" => unlimited,
        number => number.parse().unwrap_or(0),
    }
}

/// A file with a key and a number on each line.
pub(super) fn flat(text: &str) -> BTreeMap<String, u64> {
    let pairs = text.lines().filter_map(|line| {
        let (key, number) = line.split_once(' ')?;
        Some((key.to_owned(), number.trim().parse().ok()?))
    });
    pairs.collect()
}

/// A list of numbers and ranges, such as `0-3,7`.
pub(super) fn list(text: &str) -> Vec<u16> {
    let parts = text.trim().split(',').filter_map(|part| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some(from.parse::<u16>().ok()?..=to.parse::<u16>().ok()?)
    });
    parts.flatten().collect()
}

/// A device's numbers.
pub(super) fn device(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// accounting/psi.rst. `None` where the kernel has none, or has it switched off (EOPNOTSUPP).
pub(super) fn pressure(dir: &Path, name: &str) -> Option<Pressure> {
    parse_pressure(&text(dir, name))
}

pub(super) fn parse_pressure(text: &str) -> Option<Pressure> {
    let stall = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map(|line| {
            let value = |key: &str| line.split(' ').find_map(|word| word.strip_prefix(key));
            let share = |key: &str| value(key).and_then(|text| text.parse().ok()).unwrap_or(0.0);
            Stall {
                avg10: share("avg10="),
                avg60: share("avg60="),
                avg300: share("avg300="),
                total: value("total=")
                    .and_then(|text| text.parse().ok())
                    .unwrap_or(0),
            }
        })
    };
    let some = stall("some ")?;
    // Kernels before 5.13 have no `full` line for the CPU.
    let full = stall("full ").unwrap_or_default();
    Some(Pressure { some, full })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keys_and_pressure() {
        assert_eq!(list("0-2,7\n"), [0, 1, 2, 7]);
        assert_eq!(list("\n"), Vec::<u16>::new());
        assert_eq!(flat("a 1\nb 22\nbroken\n").get("b"), Some(&22));
        let pressure = parse_pressure(
            "some avg10=1.50 avg60=0.25 avg300=0.00 total=77\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5\n",
        );
        let pressure = pressure.unwrap();
        assert!((pressure.some.avg10 - 1.5).abs() < 1e-9 && pressure.some.total == 77);
        assert_eq!(pressure.full.total, 5);
        assert_eq!(parse_pressure(""), None);
    }
}
