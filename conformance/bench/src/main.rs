//! Measures kan, crun and runc side by side, and against the floor. See docs/performance.md.

mod bars;
mod config;
mod counts;
mod filter;
mod footprint;
mod growth;
mod instructions;
mod leftovers;
mod options;
mod process;
mod report;
mod rounds;
mod runtime;
mod samples;
mod scenarios;
mod svg;
mod view;
mod workspace;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;

use crate::bars::{Bar, Verdict};
use crate::growth::Growth;
use crate::options::{Options, USAGE};
use crate::process::Stderr;
use crate::runtime::{Runtime, find_program};
use crate::samples::Figure;
use crate::scenarios::Bench;
use crate::svg::Plot;
use crate::view::View;
use crate::workspace::Workspace;

fn main() -> ExitCode {
    let outcome = Options::parse(std::env::args().skip(1)).and_then(|options| bench(&options));
    match outcome {
        Ok(code) => code,
        Err(why) => {
            print(&mut std::io::stderr(), &format!("bench: {why}\n"));
            ExitCode::from(2)
        }
    }
}

/// Where nobody listens any more, nothing is left to be done about it.
fn print(to: &mut impl Write, text: &str) {
    let _ = to.write_all(text.as_bytes());
}

/// Measures, prints and saves. The exit code is the bars'.
fn bench(options: &Options) -> Result<ExitCode, String> {
    if options.help {
        print(&mut std::io::stdout(), USAGE);
        return Ok(ExitCode::SUCCESS);
    }
    let own = std::env::current_exe().map_err(|error| format!("own path: {error}"))?;
    let beside = own.parent().unwrap_or(Path::new("."));
    let measured = measure(options, beside)?;
    let Growth { figures, curves } = &measured.growth;
    let mut bars = bars::check(figures, &measured.kan);
    bars.extend(growth::promises::check(figures, curves));
    print(
        &mut std::io::stdout(),
        &format!("{}\n{}", report::table(figures), report::bars(&bars)),
    );
    let json = options
        .json
        .clone()
        .unwrap_or_else(|| beside.join("bench.json"));
    save(&json, &report::json(figures, curves, &bars))?;
    if let Some(directory) = &options.svg {
        svg::save(directory, &svg::of_growth(&measured.growth))?;
        svg::save(directory, &measured.plots)?;
    }
    if let Some(directory) = &options.counts {
        save(&directory.join("counts.json"), &counts::of_kan(figures))?;
        let instructions = instructions::of_kan(figures, &measured.kan);
        save(&directory.join("instructions.json"), &instructions)?;
    }
    Ok(exit_code(options.check, &bars))
}

fn save(file: &Path, value: &Value) -> Result<(), String> {
    std::fs::write(file, format!("{value:#}\n"))
        .map_err(|error| format!("{}: {error}", file.display()))
}

fn exit_code(check: bool, bars: &[Bar]) -> ExitCode {
    let missed = bars.iter().any(|bar| bar.verdict == Verdict::Missed);
    if check && missed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// All figures, plots of single runs, and where kan is.
struct Measured {
    growth: Growth,
    plots: Vec<Plot>,
    kan: PathBuf,
}

fn measure(options: &Options, beside: &Path) -> Result<Measured, String> {
    if !rustix::process::geteuid().is_root() {
        return Err("containers with all namespaces and cgroups need root".to_owned());
    }
    view::own_mounts()?;
    let own = Some(rustix::process::getpid());
    rustix::process::set_child_subreaper(own).map_err(|error| format!("prctl: {error}"))?;
    let workspace = Workspace::new(beside.join("payload"))?;
    let stderr = Stderr::new(&workspace.directory)?;
    let bench = Bench {
        workspace: &workspace,
        stderr: &stderr,
        samples: options.samples,
    };
    let contest = Contest::new(&workspace, options, beside);
    let mut growth = Growth {
        figures: hybrid_figures(&bench, &contest, options.full)?,
        curves: Vec::new(),
    };
    growth.figures.extend(contest.v2_figures(&bench));
    if options.full {
        growth.add(growth::measure(&bench, &contest.floor, &contest.all()));
    }
    let plots = match options.svg {
        Some(_) => svg::of_phases(&bench, &contest.kan)?,
        None => Vec::new(),
    };
    Ok(Measured {
        growth,
        plots,
        kan: contest.kan.program,
    })
}

/// Who is measured.
struct Contest {
    floor: Runtime,
    crun: Runtime,
    /// crun that need not compile its filter.
    given: Runtime,
    kan: Runtime,
    runc: Runtime,
    peers: Vec<Runtime>,
}

impl Contest {
    fn new(workspace: &Workspace, options: &Options, beside: &Path) -> Self {
        let runtime = |name: &str| workspace.runtime(name, program(options, name, beside));
        let peers = options.peers.iter();
        Self {
            floor: workspace.runtime("floor", beside.join("floor")),
            crun: runtime("crun"),
            given: workspace.runtime(filter::GIVEN, program(options, "crun", beside)),
            kan: runtime("kan"),
            runc: runtime("runc"),
            peers: peers
                .map(|(name, file)| workspace.runtime(name, file.clone()))
                .collect(),
        }
    }

    /// All but the floor.
    fn all(&self) -> Vec<&Runtime> {
        [&self.crun, &self.kan, &self.runc]
            .into_iter()
            .chain(&self.peers)
            .collect()
    }

    fn v2_figures(&self, bench: &Bench<'_>) -> Vec<Figure> {
        let all = self.all();
        let before = |first| -> Vec<&Runtime> { [first].into_iter().chain(self.all()).collect() };
        let (with_floor, with_given) = (before(&self.floor), before(&self.given));
        let parts = [
            bench.run(&with_floor, View::V2),
            bench.run_filtered(&with_given),
            bench.run_as_podman(&with_given),
            bench.lifecycle(&all),
            bench.commands(&all),
            bench.version(&all),
            footprint::memory(bench, &all),
            growth::crowd::memory(bench, &[&self.crun, &self.kan]),
            counts::calls(bench, &self.floor, &all),
            instructions::measure(bench, &self.kan),
            footprint::size(&with_floor),
        ];
        parts.into_iter().flatten().collect()
    }
}

/// What the command line says, else kan beside this program and the others from PATH.
fn program(options: &Options, name: &str, beside: &Path) -> PathBuf {
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

/// The host's own view where it has version 1 controllers. Enters the v2 view for good.
fn hybrid_figures(bench: &Bench<'_>, contest: &Contest, full: bool) -> Result<Vec<Figure>, String> {
    if view::of_host(Path::new(view::CGROUP))? == View::V2 {
        return Ok(Vec::new());
    }
    let runtimes = [&contest.kan, &contest.runc];
    let mut figures = bench.run(&runtimes, View::Hybrid);
    if full {
        figures.extend(growth::limit::measure(bench, &runtimes, View::Hybrid));
    }
    leftovers::of_this_benchmark();
    view::enter_v2()?;
    Ok(figures)
}
