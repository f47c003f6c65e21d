//! `check` and `doctor`: what would fail, and why.

pub(crate) mod check;
mod container_paths;
pub(crate) mod doctor;
mod dry_run;
pub(crate) mod finding;
