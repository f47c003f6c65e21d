//! `pause` and `resume`.

use crate::os::waiting;
use crate::{Error, Result, Store};
use kan_spec::state::Status;

/// Freezes a running container.
///
/// # Errors
/// [`Error::Unknown`]; [`Error::Status`] if it does not run; the freezer's own.
pub fn pause(store: &Store, id: &str) -> Result<()> {
    change(
        store,
        id,
        &[Status::Running, Status::Created],
        "container not running",
        kan_cgroup::freeze,
    )
}

/// Thaws a paused container.
///
/// # Errors
/// [`Error::Unknown`]; [`Error::Status`] if it is not paused; the freezer's own.
pub fn resume(store: &Store, id: &str) -> Result<()> {
    change(
        store,
        id,
        &[Status::Paused],
        "container not paused",
        kan_cgroup::thaw,
    )
}

fn change(
    store: &Store,
    id: &str,
    from: &[Status],
    otherwise: &str,
    work: fn(&kan_cgroup::Placement) -> kan_cgroup::Result<()>,
) -> Result<()> {
    waiting::take_over()?;
    let _locked = store.lock(id)?;
    let container = store.find(id)?;
    let status = container.status()?;
    match &container.record {
        Some(record) if from.contains(&status) => Ok(work(&record.cgroups)?),
        _ => Err(Error::Status(otherwise.into())),
    }
}
