//! Measures kan, crun and runc side by side, and against the floor. See docs/performance.md.

mod bars;
mod config;
mod contest;
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
use crate::contest::Contest;
use crate::growth::Growth;
use crate::options::{Options, USAGE};
use crate::process::Stderr;
use crate::samples::Figure;
use crate::scenarios::Bench;
use crate::svg::Plot;
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
    if !options.only.is_empty() {
        bars.retain(|bar| !bar.is_of_what_was_left_out());
    }
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
        save_counts(directory, figures, &measured.kan)?;
    }
    Ok(exit_code(options.check, &bars))
}

/// With `--only` what was not measured stays as it is.
fn save_counts(directory: &Path, figures: &[Figure], kan: &Path) -> Result<(), String> {
    let calls = counts::of_kan(figures);
    if calls.as_object().is_some_and(|rows| !rows.is_empty()) {
        save(&directory.join("counts.json"), &calls)?;
    }
    let instructions = instructions::of_kan(figures, kan);
    let rows = instructions["counts"].as_object();
    if rows.is_some_and(|rows| !rows.is_empty()) {
        save(&directory.join("instructions.json"), &instructions)?;
    }
    Ok(())
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
    let growth = contest.measure(&bench, options)?;
    let plots = match options.svg {
        Some(_) => svg::of_phases(&bench, &contest.kan)?,
        None => Vec::new(),
    };
    Ok(Measured {
        growth,
        plots,
        kan: contest::program(options, "kan", beside),
    })
}
