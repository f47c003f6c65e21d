//! The cases, a file for each section.

mod create;
mod delete;
mod ids;
mod kill;
mod logs;
mod run;
mod start;
mod state;
mod streams;
mod terminal;

use crate::harness::case::Case;

/// Every case, in the order in which they run.
pub fn all() -> Vec<Case> {
    [
        ids::cases(),
        create::cases(),
        start::cases(),
        state::cases(),
        kill::cases(),
        delete::cases(),
        run::cases(),
        streams::cases(),
        logs::cases(),
        terminal::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
