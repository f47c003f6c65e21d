//! Resources on their own, as `update --resources FILE` gives them.

use crate::config::Resources;
use crate::{Document, Error};

/// Reads a resources object. The same rules hold as for `linux.resources` in config.json.
///
/// # Errors
/// If it is not JSON, or says something that the specification forbids; then with every problem.
pub fn parse(text: &[u8]) -> Result<Document<Resources>, Error> {
    Document::parse("resources", text)
}
