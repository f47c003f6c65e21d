//! A process on its own, as `exec --process FILE` gives it.

use crate::config::Process;
use crate::{Document, Error};

/// Reads a process object: `cwd` and `args` suffice. The same rules hold as for `process` in
/// config.json.
///
/// # Errors
/// If it is not JSON, or says something that the specification forbids; then with every problem.
pub fn parse(text: &[u8]) -> Result<Document<Process>, Error> {
    Document::parse("process", text)
}
