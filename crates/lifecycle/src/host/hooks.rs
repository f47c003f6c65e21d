//! Hooks in the runtime's namespaces: config.md, POSIX-platform hooks.

use crate::error::with;
use crate::os::files;
use crate::os::program::{self, Finished, Output, Program};
use crate::state::record::Record;
use crate::{Error, Result};
use kan_op::host::HostHook;
use kan_spec::state::{State, Status};
use kan_sys::file::{O_APPEND, O_CREAT, O_NONBLOCK, O_WRONLY};
use kan_sys::process::{Ended, Orphan};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

/// How much of what hooks say is kept for the error, bytes.
pub(crate) const KEPT: usize = 4096;

/// The poststart hooks of a container: runtime.md, Lifecycle, step 9.
///
/// # Errors
/// The first that fails; the others do not run.
pub(crate) fn run_poststart(record: &Record) -> Result<()> {
    let state = record.state(Status::Running);
    let mut hooks = record.poststart.iter().enumerate();
    hooks.try_for_each(|(index, hook)| run(&hook.at("poststart", index), &state))
}

/// The poststop hooks of a container: runtime.md, Lifecycle, step 12. One that fails does not keep
/// the others from running. The errors are returned.
pub(crate) fn run_poststop(record: &Record) -> Vec<Error> {
    let state = record.state(Status::Stopped);
    let hooks = record.poststop.iter().enumerate();
    let ended = hooks.map(|(index, hook)| run(&hook.at("poststop", index), &state));
    ended.filter_map(Result::err).collect()
}

/// Runs a hook with the state on its stdin. Its time counts from the start.
///
/// # Errors
/// The hook can't be executed, fails, or takes longer than its timeout; its stderr is in the text.
/// [`Error::Interrupted`] if kan is told to stop: the hook is killed then.
pub(crate) fn run(hook: &HostHook, state: &State) -> Result<()> {
    let failed = |why: String| {
        Error::Step(format!(
            "error running {} hook #{}: {why}",
            hook.kind, hook.index
        ))
    };
    // A time that the clock cannot express does not come.
    let end = hook
        .timeout
        .and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
    let ran = program(hook, state).and_then(|program| program.run(end));
    let Finished { ended, errors, .. } = match ran {
        Ok(Some(finished)) => finished,
        Ok(None) => {
            let seconds = hook.timeout.unwrap_or(0);
            let why = format!("hook ran past specified timeout of {seconds}s");
            return Err(failed(why));
        }
        Err(stopped @ Error::Interrupted { .. }) => return Err(stopped),
        Err(error) => return Err(failed(error.to_string())),
    };
    let said = said(&String::from_utf8_lossy(&errors));
    match ended {
        Ended::Exited(0) => Ok(()),
        _ => Err(failed(format!("{}{said}", program::status(ended)))),
    }
}

fn program<'h>(hook: &'h HostHook, state: &'h State) -> Result<Program<'h>> {
    let args = if hook.args.is_empty() {
        vec![hook.path.clone()]
    } else {
        hook.args.clone()
    };
    Ok(Program {
        what: "a hook",
        path: &hook.path,
        args,
        env: (!hook.env.is_empty()).then(|| environment(&hook.env)),
        // As in runc, which enters the bundle in `create`, where it runs poststart hooks as well.
        directory: (hook.kind != "poststop").then_some(state.bundle.as_ref()),
        // A hook may start what is to last.
        orphan: Orphan::Lives,
        input: state.compact().into_bytes(),
        output: output(hook.stdout.as_deref())?.unwrap_or(Output::Discard),
        errors: output(hook.stderr.as_deref())?.unwrap_or(Output::Keep(KEPT)),
    })
}

/// The last value of each name.
fn environment(entries: &[String]) -> Vec<String> {
    let entries = entries.iter().filter_map(|entry| entry.split_once('='));
    let values: BTreeMap<_, _> = entries.collect();
    let entry = |(name, value)| format!("{name}={value}");
    values.into_iter().map(entry).collect()
}

/// A file of `run.oci.hooks.stdout` or `run.oci.hooks.stderr`.
fn output(path: Option<&str>) -> Result<Option<Output>> {
    let file = path.map(|path| open_output(Path::new(path))).transpose()?;
    Ok(file.map(Output::To))
}

/// Opens a file that the output of hooks is added to; made if need be. A FIFO that nobody reads is an
/// error, since open(2) would wait for a reader.
pub(crate) fn open_output(path: &Path) -> Result<File> {
    let flags = O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK;
    let file = files::open(path, flags, 0o600).map_err(with("open", path))?;
    let blocking = kan_sys::io::set_blocking(&file);
    blocking.map_err(crate::error::during("open the output of hooks"))?;
    Ok(file)
}

/// What a hook wrote, in one line for the error.
pub(crate) fn said(errors: &str) -> String {
    let lines: Vec<_> = errors
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    if lines.is_empty() {
        String::new()
    } else {
        format!(", stderr: {}", lines.join(" | "))
    }
}
