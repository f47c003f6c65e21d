//! A small D-Bus client, and what kan asks systemd over it.
//!
//! One connection, one call at a time, no thread and no event loop: a container runtime that
//! clones may have none of these ([decision 4](../../../docs/design/0004-dbus.md)). What the
//! protocol has beyond that, such as descriptors and introspection, is left out.
//!
//! [`Manager`] is the only user of the rest: it starts a scope, changes it, puts processes into
//! it and stops it, and waits each time for the job that systemd makes of it.

mod address;
mod connection;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod manager;
mod message;
mod wire;

pub use error::{Error, Result};
pub use manager::{Manager, Whose, is_running};
