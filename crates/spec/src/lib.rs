//! Reads an OCI bundle's config.json: every problem at once, each with its position.
//!
//! [`Bundle::open`] gives the typed [`config::Config`], or an [`Error`] that names every field
//! that is wrong, in document order. Only rules that need nothing but the document are checked
//! here; what depends on the host is the planner's.
//!
//! ```
//! let error = kan_spec::parse_config(br#"{"ociVersion": "2.0.0", "hostname": 7}"#).unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "config.json: ociVersion: unknown version \"2.0.0\": kan supports 1.x (1.0.0 to 1.3.0)\n\
//!      config.json: hostname: expected a string, found a number\n\
//!      config.json: root: is required, but missing"
//! );
//! ```

mod bundle;
pub mod bytes;
pub mod config;
mod default_config;
mod error;
pub mod features;
pub mod json;
pub mod mounts;
mod position;
mod printable;
mod problem;
pub mod process;
mod read;
pub use read::{check_environment, member};
pub mod resources;
pub mod state;
pub mod version;

pub use bundle::{Bundle, Document, LARGEST, parse_config, suggestions};
pub use default_config::{default_config, rootless_config, without_cgroup_namespace};
pub use error::Error;
pub use position::position;
pub use printable::{clipped, printable, printable_lines};
pub use problem::{Problem, Problems};
