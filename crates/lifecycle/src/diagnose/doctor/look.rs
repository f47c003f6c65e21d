//! Findings, and looks at the host, that all parts of `doctor` share.

use crate::diagnose::finding::{Finding, Verdict};
use std::path::Path;

pub(super) fn works(about: &str, found: impl Into<String>) -> Finding {
    Finding::new(about, Verdict::Works, found)
}

pub(super) fn limited(about: &str, found: impl Into<String>) -> Finding {
    Finding::new(about, Verdict::Limited, found)
}

pub(super) fn fails(about: &str, found: impl Into<String>) -> Finding {
    Finding::new(about, Verdict::Fails, found)
}

pub(super) fn read(path: impl AsRef<Path>) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim_end().to_owned())
}

pub(super) fn in_path(name: &str) -> Option<String> {
    let path = std::env::var_os("PATH")?;
    let mut found = std::env::split_paths(&path).map(|dir| dir.join(name));
    let found = found.find(|file| file.is_file())?;
    Some(found.display().to_string())
}
