//! For the tests of this crate, which need a program of one thread: a plan that was put together by
//! hand, performed as `create` performs one, and a look at what it did before that is taken back.

use crate::host::Host;
use crate::state::record::Record;
use crate::{Store, Timeline};
use kan_plan::Plan;
use std::path::PathBuf;

/// What the steps left behind.
#[derive(Debug)]
pub struct Seen {
    /// The container's directory, if one was created.
    pub directory: Option<PathBuf>,
    /// The child's pid; 0 before the clone.
    pub child: i32,
    /// Whether kan itself holds the other end of the console socket.
    pub has_console: bool,
}

/// Performs the steps; `state` is a state.json, `config` the text that is kept as config.json. The
/// child is killed and everything is removed once `look` has seen it.
///
/// # Errors
/// That of the step that failed, as it would be printed.
pub fn perform<T>(
    plan: &Plan,
    store: &Store,
    state: &[u8],
    config: &[u8],
    look: impl FnOnce(&Seen) -> T,
) -> Result<T, String> {
    let record = Record::parse(state)?;
    let host = Host::new(plan, store, record, config, false);
    let mut host = host.map_err(|error| error.to_string())?;
    let performed = host.perform_all(&mut Timeline::default());
    performed.map_err(|error| error.to_string())?;
    Ok(look(&Seen {
        directory: host.made_directory().map(|it| it.path().to_owned()),
        child: host.child_pid().unwrap_or(0),
        has_console: host.console.is_some(),
    }))
}
