//! What is counted rather than timed: memory of a created container, the binary.

use std::path::Path;

use rustix::process::Pid;

use crate::runtime::Runtime;
use crate::samples::{Figure, Samples, Unit};
use crate::scenarios::{Bench, Container};

/// Containers per runtime whose memory is read.
const CONTAINERS: usize = 5;

/// Proportional and private memory of the process that waits for `start`.
pub fn memory(bench: &Bench<'_>, runtimes: &[&Runtime]) -> Vec<Figure> {
    type Read = Result<Vec<Memory>, String>;
    type Column = fn(&Memory) -> f64;
    let read_all = |runtime: &Runtime| {
        (0..CONTAINERS)
            .map(|_| memory_once(bench, runtime))
            .collect()
    };
    let all: Vec<Read> = runtimes.iter().map(|runtime| read_all(runtime)).collect();
    let columns: [(&str, Column); 2] = [
        ("created: proportional", |memory| memory.proportional),
        ("created: private", |memory| memory.private),
    ];
    let figures = columns.into_iter().flat_map(|(what, pick)| {
        runtimes.iter().zip(&all).map(move |(runtime, read)| {
            let column = read.clone().map(|read| read.iter().map(pick).collect());
            figure(what, runtime, Unit::Kibibytes, column)
        })
    });
    figures.collect()
}

/// In KiB, from smaps_rollup (proc_pid_smaps(5)).
#[derive(Debug, Clone, PartialEq)]
struct Memory {
    proportional: f64,
    private: f64,
}

fn memory_once(bench: &Bench<'_>, runtime: &Runtime) -> Result<Memory, String> {
    let container = Container::created(bench, runtime)?;
    memory_of(container.pid)
}

/// The proportional memory of a process, in KiB.
pub fn proportional(pid: Pid) -> Result<f64, String> {
    memory_of(pid).map(|memory| memory.proportional)
}

fn memory_of(pid: Pid) -> Result<Memory, String> {
    let path = format!("/proc/{}/smaps_rollup", pid.as_raw_nonzero());
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    rollup(&text).ok_or_else(|| format!("{path}: not understood"))
}

fn rollup(text: &str) -> Option<Memory> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse::<f64>().ok()
    };
    Some(Memory {
        proportional: field("Pss:")?,
        private: field("Private_Clean:")? + field("Private_Dirty:")?,
    })
}

/// The binary's size.
pub fn size(runtimes: &[&Runtime]) -> Vec<Figure> {
    let figures = runtimes.iter().map(|runtime| {
        let metadata = std::fs::metadata(&runtime.program).map_err(|error| error.to_string());
        figure(
            "binary",
            runtime,
            Unit::Bytes,
            metadata.map(|metadata| vec![metadata.len() as f64]),
        )
    });
    figures.collect()
}

/// What was counted, as a figure.
pub fn figure(
    what: &str,
    runtime: &Runtime,
    unit: Unit,
    samples: Result<Vec<f64>, String>,
) -> Figure {
    let samples =
        samples.and_then(|samples| Samples::new(samples).ok_or_else(|| "no sample".to_owned()));
    Figure {
        what: what.to_owned(),
        runtime: runtime.name.clone(),
        unit,
        samples,
    }
}

/// Whether the program needs no loader: it has no PT_INTERP segment (elf(5)). For 64-bit
/// little-endian programs; an error for anything else.
pub fn is_static(program: &Path) -> Result<bool, String> {
    let bytes =
        std::fs::read(program).map_err(|error| format!("{}: {error}", program.display()))?;
    has_loader(&bytes)
        .map(|loader| !loader)
        .ok_or_else(|| format!("{}: not a 64-bit ELF", program.display()))
}

fn has_loader(elf: &[u8]) -> Option<bool> {
    const PT_INTERP: u32 = 3;
    if elf.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = usize::try_from(u64::from_le_bytes(elf.get(32..40)?.try_into().ok()?)).ok()?;
    let length = usize::from(u16::from_le_bytes(elf.get(54..56)?.try_into().ok()?));
    let count = usize::from(u16::from_le_bytes(elf.get(56..58)?.try_into().ok()?));
    for index in 0..count {
        let start = table + index * length;
        let kind = elf.get(start..start + 4)?;
        if u32::from_le_bytes(kind.try_into().ok()?) == PT_INTERP {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollup_is_read() {
        let text = "Rss: 900 kB\nPss:                 612 kB\nPss_Dirty: 1 kB\nPrivate_Clean:  8 kB\nPrivate_Dirty:  100 kB\n";
        assert_eq!(
            rollup(text),
            Some(Memory {
                proportional: 612.0,
                private: 108.0
            })
        );
        assert_eq!(rollup("Pss: 1 kB\n"), None);
    }

    #[test]
    fn programs_with_and_without_a_loader_are_told_apart() {
        assert_eq!(is_static(Path::new("/bin/sh")), Ok(false));
        assert_eq!(is_static(&std::env::current_exe().unwrap()), Ok(true));
        assert!(
            is_static(Path::new("/etc/passwd"))
                .unwrap_err()
                .ends_with("not a 64-bit ELF")
        );
    }
}
