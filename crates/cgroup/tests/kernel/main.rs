//! Against the real kernel, in the layouts that one machine can show: its own, and from mount
//! namespaces a pure v2 view, a pure v1 view and a hierarchy that is mounted in part. Needs root;
//! says so and passes otherwise.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the functions here that are no tests are part of them"
)]

mod create;
mod freeze;
mod kill;
mod limits;
mod place;
mod remove;
mod scratch;
mod stats;
mod view;
