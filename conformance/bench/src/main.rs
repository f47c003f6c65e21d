//! Measures kan, crun and runc side by side, and against the floor. See docs/performance.md.

mod bars;
mod counts;
mod footprint;
mod leftovers;
mod options;
mod process;
mod report;
mod rounds;
mod runtime;
mod samples;
mod scenarios;
mod view;
mod workspace;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::bars::{Bar, Verdict};
use crate::options::{Options, USAGE};
use crate::process::Stderr;
use crate::runtime::{Runtime, find_program};
use crate::samples::Figure;
use crate::scenarios::Bench;
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
    let (figures, kan) = measure(options, beside)?;
    let bars = bars::check(&figures, footprint::is_static(&kan));
    print(
        &mut std::io::stdout(),
        &format!("{}\n{}", report::table(&figures), report::bars(&bars)),
    );
    let json = options
        .json
        .clone()
        .unwrap_or_else(|| beside.join("bench.json"));
    let text = format!("{:#}\n", report::json(&figures, &bars));
    std::fs::write(&json, text).map_err(|error| format!("{}: {error}", json.display()))?;
    if let Some(file) = &options.counts {
        let text = format!("{:#}\n", counts::of_kan(&figures));
        std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(exit_code(options.check, &bars))
}

fn exit_code(check: bool, bars: &[Bar]) -> ExitCode {
    let missed = bars.iter().any(|bar| bar.verdict == Verdict::Missed);
    if check && missed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// All figures, and where kan is.
fn measure(options: &Options, beside: &Path) -> Result<(Vec<Figure>, PathBuf), String> {
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
    let floor = workspace.runtime("floor", beside.join("floor"));
    let [crun, kan, runc] =
        ["crun", "kan", "runc"].map(|name| workspace.runtime(name, program(options, name, beside)));
    let hybrid = hybrid_figures(&bench, &[&kan, &runc])?;
    let v2 = v2_figures(&bench, &floor, &[&crun, &kan, &runc]);
    Ok((hybrid.into_iter().chain(v2).collect(), kan.program.clone()))
}

/// What the command line says, else kan beside this program and the others from PATH.
fn program(options: &Options, name: &'static str, beside: &Path) -> PathBuf {
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
fn hybrid_figures(bench: &Bench<'_>, runtimes: &[&Runtime]) -> Result<Vec<Figure>, String> {
    if view::of_host(Path::new(view::CGROUP))? == View::V2 {
        return Ok(Vec::new());
    }
    let figures = bench.run(runtimes, View::Hybrid);
    leftovers::of_this_benchmark();
    view::enter_v2()?;
    Ok(figures)
}

fn v2_figures(bench: &Bench<'_>, floor: &Runtime, runtimes: &[&Runtime]) -> Vec<Figure> {
    let with_floor: Vec<&Runtime> = [floor]
        .into_iter()
        .chain(runtimes.iter().copied())
        .collect();
    let parts = [
        bench.run(&with_floor, View::V2),
        bench.run_filtered(runtimes),
        bench.lifecycle(runtimes),
        bench.commands(runtimes),
        bench.version(runtimes),
        footprint::memory(bench, runtimes),
        counts::calls(bench, floor, runtimes),
        footprint::size(&with_floor),
    ];
    parts.into_iter().flatten().collect()
}
