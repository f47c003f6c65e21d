//! Plots as plain SVG: what takes how long inside of kan, and how cost grows.

mod curves;
mod drawing;
mod phases;

use std::path::Path;

use crate::config::Payload;
use crate::growth::Growth;
use crate::runtime::Runtime;
use crate::scenarios::Bench;

/// A plot and the name of its file.
pub type Plot = (String, String);

/// Time per phase of two kinds of `run`.
pub fn of_phases(bench: &Bench<'_>, kan: &Runtime) -> Result<Vec<Plot>, String> {
    let kinds = [
        ("run", Payload::End, "kan run, default config"),
        (
            "run-podman",
            Payload::Podman,
            "kan run, podman's config and seccomp profile",
        ),
    ];
    let plots = kinds.map(|(name, payload, title)| {
        let spans = phases::record(bench, kan, payload)?;
        Ok((format!("phases-{name}.svg"), phases::plot(title, &spans)))
    });
    plots.into_iter().collect()
}

/// A plot for each curve; none where none was measured.
pub fn of_growth(growth: &Growth) -> Vec<Plot> {
    let plots = growth.curves.iter().map(|curve| {
        let name = format!("growth-{}-{}.svg", curve.title, curve.axis);
        let name = name.replace([' ', '+'], "-");
        (name, curves::plot(&growth.figures, curve))
    });
    plots.collect()
}

/// Writes them all, making the directory.
pub fn save(directory: &Path, plots: &[Plot]) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
    std::fs::create_dir_all(directory).map_err(failed)?;
    plots
        .iter()
        .try_for_each(|(name, text)| std::fs::write(directory.join(name), text).map_err(failed))
}
