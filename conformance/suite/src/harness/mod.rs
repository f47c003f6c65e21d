//! What the cases stand on: the runtime under test, commands with timeouts, bundles, terminals,
//! and the search for leftovers after each case.

pub mod bundle;
pub mod case;
pub mod command;
pub mod config;
pub mod container;
pub mod foresight;
pub mod leftovers;
pub mod outcome;
pub mod reaper;
pub mod report;
pub mod runtime;
pub mod terminal;
pub mod world;

/// What nearly every file of cases needs.
pub mod prelude {
    pub use serde_json::{Value, json};

    pub use super::bundle::Bundle;
    pub use super::case::Case;
    pub use super::container::Ctx;
    pub use super::outcome::{Fault, Outcome, equal};
    pub(crate) use super::outcome::{check, fail, skip};
}
