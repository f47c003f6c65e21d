//! Who is measured, and what: all parts of the benchmark in their order.

use std::path::{Path, PathBuf};

use crate::growth::{Growth, alive, crowd, items, limit, together};
use crate::options::Options;
use crate::runtime::{Runtime, find_program};
use crate::samples::Figure;
use crate::scenarios::Bench;
use crate::view::{self, View};
use crate::workspace::Workspace;
use crate::{counts, filter, footprint, instructions, leftovers};

/// Who is measured.
pub struct Contest {
    floor: Runtime,
    crun: Runtime,
    /// crun that need not compile its filter.
    given: Runtime,
    /// Whose promises are checked.
    pub kan: Runtime,
    runc: Runtime,
    peers: Vec<Runtime>,
}

/// Something that can be measured by itself: the name that `--only` knows it by, and how.
type Part<'a> = (&'static str, Box<dyn Fn() -> Growth + 'a>);

/// Those that take minutes, which `--full` adds.
const LONG: [&str; 4] = ["limit", "items", "together", "alive"];

/// Whether the command line wants a part.
fn is_wanted(options: &Options, part: &str) -> bool {
    match options.only.is_empty() {
        true => options.full || !LONG.contains(&part),
        false => options.only.iter().any(|only| only == part),
    }
}

impl Contest {
    /// Programs are looked for as the command line says.
    pub fn new(workspace: &Workspace, options: &Options, beside: &Path) -> Self {
        let copied =
            |name: &str, program| workspace.runtime(name, workspace.installed(name, program));
        let runtime = |name: &str| copied(name, program(options, name, beside));
        let peers = options.peers.iter();
        Self {
            floor: copied("floor", beside.join("floor")),
            crun: runtime("crun"),
            given: copied(filter::GIVEN, program(options, "crun", beside)),
            kan: runtime("kan"),
            runc: runtime("runc"),
            peers: peers
                .map(|(name, file)| copied(name, file.clone()))
                .collect(),
        }
    }

    /// Measures what is wanted: first in the host's own view, and then, for good, in that of version
    /// 2 alone.
    pub fn measure(&self, bench: &Bench<'_>, options: &Options) -> Result<Growth, String> {
        let host = view::of_host(Path::new(view::CGROUP))?;
        let mut growth = Growth::default();
        measure(self.in_the_hosts_view(bench, host), options, &mut growth);
        if host == View::Hybrid {
            leftovers::of_this_benchmark();
            view::enter_v2()?;
        }
        measure(self.in_v2(bench), options, &mut growth);
        measure(self.of_growth(bench), options, &mut growth);
        Ok(growth)
    }

    /// All but the floor.
    fn all(&self) -> Vec<&Runtime> {
        [&self.crun, &self.kan, &self.runc]
            .into_iter()
            .chain(&self.peers)
            .collect()
    }

    fn after(&self, first: &'_ Runtime) -> Vec<Runtime> {
        [first].into_iter().chain(self.all()).cloned().collect()
    }

    /// Memory can only be limited here: a hybrid host's version 2 has no controllers. crun 1.8
    /// refuses hybrid hosts.
    fn in_the_hosts_view<'a>(&'a self, bench: &'a Bench<'a>, host: View) -> Vec<Part<'a>> {
        let runtimes = match host {
            View::Hybrid => vec![&self.kan, &self.runc],
            View::V2 => self.all(),
        };
        let limited = runtimes.clone();
        let hybrid = move || match host {
            View::Hybrid => bench.run(&runtimes, host),
            View::V2 => Vec::new(),
        };
        vec![
            ("hybrid", figures(hybrid)),
            (
                "limit",
                figures(move || limit::measure(bench, &limited, host)),
            ),
        ]
    }

    fn in_v2<'a>(&'a self, bench: &'a Bench<'a>) -> Vec<Part<'a>> {
        let (with_floor, with_given) = (self.after(&self.floor), self.after(&self.given));
        let floor_too = with_floor.clone();
        let given_too = with_given.clone();
        let memory = || {
            let mut memory = footprint::memory(bench, &self.all());
            memory.extend(crowd::memory(bench, &[&self.crun, &self.kan]));
            memory
        };
        vec![
            (
                "run",
                figures(move || bench.run(&borrowed(&with_floor), View::V2)),
            ),
            (
                "seccomp",
                figures(move || bench.run_filtered(&borrowed(&with_given))),
            ),
            (
                "podman",
                figures(move || bench.run_as_podman(&borrowed(&given_too))),
            ),
            ("life", figures(|| bench.lifecycle(&self.all()))),
            ("commands", figures(|| bench.commands(&self.all()))),
            ("version", figures(|| bench.version(&self.all()))),
            ("memory", figures(memory)),
            (
                "calls",
                figures(|| counts::calls(bench, &self.floor, &self.all())),
            ),
            (
                "instructions",
                figures(|| instructions::measure(bench, &self.kan)),
            ),
            (
                "size",
                figures(move || footprint::size(&borrowed(&floor_too))),
            ),
        ]
    }

    /// runc is left out where it would take the most of the time.
    fn of_growth<'a>(&'a self, bench: &'a Bench<'a>) -> Vec<Part<'a>> {
        let quick = || {
            let all = self.all().into_iter();
            all.filter(|runtime| runtime.name != "runc")
                .collect::<Vec<_>>()
        };
        vec![
            ("items", Box::new(move || items::measure(bench, &quick()))),
            (
                "together",
                figures(|| together::measure(bench, &self.all())),
            ),
            (
                "alive",
                Box::new(|| alive::measure(bench, &self.floor, &self.all())),
            ),
        ]
    }
}

fn measure(parts: Vec<Part<'_>>, options: &Options, growth: &mut Growth) {
    for (name, part) in parts {
        if is_wanted(options, name) {
            growth.add(part());
        }
    }
}

/// A part without a curve.
fn figures<'a>(part: impl Fn() -> Vec<Figure> + 'a) -> Box<dyn Fn() -> Growth + 'a> {
    Box::new(move || Growth {
        figures: part(),
        curves: Vec::new(),
    })
}

fn borrowed(runtimes: &[Runtime]) -> Vec<&Runtime> {
    runtimes.iter().collect()
}

/// What the command line says, else kan beside this program and the others from PATH.
pub fn program(options: &Options, name: &str, beside: &Path) -> PathBuf {
    let named = options
        .programs
        .iter()
        .rfind(|(runtime, _)| *runtime == name);
    let found = || match name {
        "kan" => beside.join(name),
        _ => find_program(name, &std::env::var_os("PATH").unwrap_or_default())
            .unwrap_or_else(|| name.into()),
    };
    named.map_or_else(found, |(_, file)| file.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::PARTS;

    fn wanted(words: &[&str]) -> Vec<&'static str> {
        let words = words.iter().map(|word| (*word).to_owned());
        let options = Options::parse(words).unwrap();
        let parts = PARTS.into_iter();
        parts.filter(|part| is_wanted(&options, part)).collect()
    }

    #[test]
    fn parts_are_chosen_by_name_and_by_length() {
        assert_eq!(wanted(&["--full"]), PARTS);
        assert_eq!(wanted(&[]).len(), PARTS.len() - LONG.len());
        assert_eq!(wanted(&["--only", "alive,run"]), ["run", "alive"]);
    }

    #[test]
    fn every_part_has_its_name_in_the_list() {
        let options = Options::parse(std::iter::empty()).unwrap();
        let workspace = Workspace::new("/bin/sh".into()).unwrap();
        let contest = Contest::new(&workspace, &options, Path::new("/nowhere"));
        let stderr = crate::process::Stderr::new(&workspace.directory).unwrap();
        let bench = Bench {
            workspace: &workspace,
            stderr: &stderr,
            samples: 10,
        };
        let parts = [
            contest.in_the_hosts_view(&bench, View::V2),
            contest.in_v2(&bench),
            contest.of_growth(&bench),
        ];
        let names: Vec<&str> = parts.iter().flatten().map(|(name, _)| *name).collect();
        assert_eq!(names, PARTS);
    }
}
