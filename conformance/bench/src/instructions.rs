//! Instructions of commands that make no container, counted by callgrind, and what they were when
//! somebody last looked at them: instructions.json. valgrind can't follow the clone that makes a
//! container, nor does it know pidfds (3.19), and a virtual machine's processor seldom counts.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

use crate::config::Payload;
use crate::footprint::figure;
use crate::growth::crowd::{Crowd, Stage};
use crate::growth::items;
use crate::process::timed;
use crate::runtime::Runtime;
use crate::samples::{Figure, Unit, median_of};
use crate::scenarios::{Bench, Container};
use crate::view::View;

/// What every row's name ends in.
const INSTRUCTIONS: &str = ": instructions";
/// How many containers `list` lists.
pub const LISTED: usize = 20;
/// A count may exceed the committed one by this factor, and by the second where another compiler
/// made kan: it inlines otherwise, and that is nobody's fault.
const TOLERANCE: f64 = 1.05;
const OTHER_TOOLCHAIN: f64 = 1.25;

/// What a C library of another kind than the counted kan's may add: glibc's own start is some ten
/// system calls, and a hundred thousand instructions where it moves the program to its place.
const OTHER_LIBRARY: Room = Room {
    factor: 1.25,
    calls: 16.0,
    instructions: 250_000.0,
};

/// By how much counts may exceed the committed ones: by a factor, and by a number besides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Room {
    /// Of instructions.
    pub factor: f64,
    /// System calls besides.
    pub calls: f64,
    /// Instructions besides.
    pub instructions: f64,
}

impl Room {
    /// For a kan that was built as the counted one was.
    pub const SAME: Self = Self {
        factor: TOLERANCE,
        calls: 0.0,
        instructions: 0.0,
    };
}

/// The committed counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Committed {
    /// Whether the counted kan had glibc in it; else it was musl.
    glibc: bool,
    /// The commit of the compiler that made the counted kan.
    toolchain: String,
    /// By row.
    pub counts: Map<String, Value>,
}

/// Reads instructions.json.
pub fn committed() -> Committed {
    let file: Value =
        serde_json::from_str(include_str!("../instructions.json")).unwrap_or_default();
    Committed {
        glibc: file["glibc"].as_bool().unwrap_or_default(),
        toolchain: file["rustc"].as_str().unwrap_or_default().to_owned(),
        counts: file["counts"].as_object().cloned().unwrap_or_default(),
    }
}

impl Committed {
    /// By how much this kan's counts may exceed the committed ones.
    pub fn room(&self, kan: &Path) -> Room {
        if has_glibc(kan) != self.glibc {
            return OTHER_LIBRARY;
        }
        match toolchain(kan) == self.toolchain {
            true => Room::SAME,
            false => Room {
                factor: OTHER_TOOLCHAIN,
                ..Room::SAME
            },
        }
    }
}

/// What instructions.json would hold after these figures.
pub fn of_kan(figures: &[Figure], kan: &Path) -> Value {
    let rows = figures
        .iter()
        .filter(|figure| figure.what.ends_with(INSTRUCTIONS))
        .filter_map(|figure| {
            let median = median_of(figures, &figure.what, "kan")?;
            Some((figure.what.clone(), Value::from(median)))
        });
    json!({ "glibc": has_glibc(kan), "rustc": toolchain(kan), "counts": Value::Object(rows.collect()) })
}

/// Whether a static program has glibc in it, by the environment variable that its start looks for.
fn has_glibc(program: &Path) -> bool {
    const NAME: &[u8] = b"GLIBC_TUNABLES";
    let bytes = std::fs::read(program).unwrap_or_default();
    bytes.windows(NAME.len()).any(|window| window == NAME)
}

/// The commit of the compiler, which is in the paths of the standard library's panics:
/// `/rustc/COMMIT/library/…`. Empty where there is none.
fn toolchain(program: &Path) -> String {
    const BEFORE: &[u8] = b"/rustc/";
    let bytes = std::fs::read(program).unwrap_or_default();
    let found = bytes
        .windows(BEFORE.len() + 40)
        .filter_map(|window| window.strip_prefix(BEFORE))
        .find(|commit| commit.iter().all(u8::is_ascii_hexdigit));
    String::from_utf8_lossy(found.unwrap_or_default()).into_owned()
}

/// Of kan alone.
pub fn measure(bench: &Bench<'_>, kan: &Runtime) -> Vec<Figure> {
    let rows = [
        ("--version", count(bench, &kan.bare("--version"))),
        ("features", count(bench, &kan.bare("features"))),
        ("plan (podman's config)", plan_as_podman(bench, kan)),
        ("plan (300 mounts)", plan_with(bench, kan, "mounts", 300)),
        (
            "plan (300 seccomp rules)",
            plan_with(bench, kan, "seccomp rules", 300),
        ),
        (
            "plan (1000 variables)",
            plan_with(bench, kan, "variables", 1000),
        ),
        ("state", state(bench, kan)),
        ("list of 20", list(bench, kan)),
    ];
    let figures = rows.into_iter().map(|(row, counted)| {
        let counted = counted.map(|count| vec![count]);
        figure(
            &format!("{row}{INSTRUCTIONS}"),
            kan,
            Unit::Instructions,
            counted,
        )
    });
    figures.collect()
}

fn plan_as_podman(bench: &Bench<'_>, kan: &Runtime) -> Result<f64, String> {
    let bundle = bench.workspace.bundle(kan, Payload::Podman, View::V2)?;
    plan(bench, kan, &bundle)
}

fn plan_with(bench: &Bench<'_>, kan: &Runtime, axis: &str, number: usize) -> Result<f64, String> {
    let bundle = items::bundle_with(bench, kan, axis, number)?;
    plan(bench, kan, &bundle)
}

fn plan(bench: &Bench<'_>, kan: &Runtime, bundle: &Path) -> Result<f64, String> {
    let words = ["plan".as_ref(), "--bundle".as_ref(), bundle.as_os_str()];
    count(bench, &kan.command(&words))
}

fn state(bench: &Bench<'_>, kan: &Runtime) -> Result<f64, String> {
    let _container = Container::running(bench, kan)?;
    count(bench, &kan.on_container("state", &[]))
}

fn list(bench: &Bench<'_>, kan: &Runtime) -> Result<f64, String> {
    let mut crowd = Crowd::new(bench, kan, Stage::Running);
    crowd.grow_to(LISTED)?;
    count(bench, &kan.command(&[OsStr::new("list")]))
}

fn count(bench: &Bench<'_>, inner: &Command) -> Result<f64, String> {
    let log = bench.workspace.directory.join("callgrind");
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--log-file={}", log.display()))
        .arg(inner.get_program())
        .args(inner.get_args());
    timed(&mut command, bench.stderr)?;
    let text = std::fs::read_to_string(&log).map_err(|error| format!("callgrind: {error}"))?;
    collected(&text).ok_or_else(|| "callgrind: no count".to_owned())
}

/// The number in `==17== Collected : 86780`.
fn collected(text: &str) -> Option<f64> {
    let (_, number) = text.rsplit_once("Collected : ")?;
    number.lines().next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read() {
        let text = "==17== Events    : Ir\n==17== Collected : 86780\n==17== \n";
        assert_eq!(collected(text), Some(86780.0));
        assert_eq!(collected("==17== Events    : Ir\n"), None);
    }

    #[test]
    fn every_counted_row_is_committed() {
        let rows: Vec<String> = committed().counts.keys().cloned().collect();
        let due = [
            "--version",
            "features",
            "list of 20",
            "plan (1000 variables)",
            "plan (300 mounts)",
            "plan (300 seccomp rules)",
            "plan (podman's config)",
            "state",
        ];
        assert_eq!(rows, due.map(|row| format!("{row}{INSTRUCTIONS}")));
        assert_eq!(committed().toolchain.len(), 40);
    }

    #[test]
    fn another_compiler_has_more_room() {
        let own = std::env::current_exe().unwrap();
        let toolchain = toolchain(&own);
        assert_eq!(toolchain.len(), 40, "{toolchain}");
        let committed = |toolchain: &str| Committed {
            glibc: true,
            toolchain: toolchain.to_owned(),
            counts: Map::new(),
        };
        assert_eq!(committed(&toolchain).room(&own).factor, TOLERANCE);
        assert_eq!(committed("x").room(&own).factor, OTHER_TOOLCHAIN);
        let musl = Committed {
            glibc: false,
            ..committed(&toolchain)
        };
        assert_eq!(musl.room(&own), OTHER_LIBRARY);
    }
}
