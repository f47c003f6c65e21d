//! `state.json`: what a later command needs to know of a container.

use crate::error::with;
use crate::{Error, Result};
use kan_cgroup::Placement;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The version of the file's layout. A reader refuses any other.
const VERSION: u32 = 1;

/// The file's name in a container's directory.
pub(crate) const FILE: &str = "state.json";

/// The process that is the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InitProcess {
    /// Its pid, in kan's pid namespace.
    pub(crate) pid: i32,
    /// When it started, clock ticks since boot: with it a pid is never taken for another's.
    pub(crate) start_time: u64,
}

/// What is known of a container. Written before anything is made that must be cleaned up, and
/// once more when its process is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) version: u32,
    pub(crate) oci_version: String,
    pub(crate) id: String,
    pub(crate) bundle: PathBuf,
    pub(crate) rootfs: PathBuf,
    /// RFC 3339, UTC, nanoseconds.
    pub(crate) created: String,
    /// The user who made it.
    pub(crate) owner: u32,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) cgroups: Placement,
    pub(crate) init: Option<InitProcess>,
}

impl Record {
    pub(crate) const VERSION: u32 = VERSION;

    /// Writes the file as a whole, or not at all.
    pub(crate) fn save(&self, directory: &Path) -> Result<()> {
        let (path, fresh) = (directory.join(FILE), directory.join("state.json.new"));
        let text = serde_json::to_vec(self).map_err(|error| Error::BadState {
            path: path.clone(),
            why: error.to_string(),
        })?;
        write_private(&fresh, &text)?;
        std::fs::rename(&fresh, &path).map_err(with("rename", &fresh))
    }

    /// Reads the file; `None` if there is none, as when `create` was killed at its very start.
    pub(crate) fn load(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(FILE);
        let text = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(with("read", &path))?,
        };
        Self::parse(&text)
            .map(Some)
            .map_err(|why| Error::BadState { path, why })
    }

    fn parse(text: &[u8]) -> std::result::Result<Self, String> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let broken = |error: serde_json::Error| format!("broken state: {error}");
        let Versioned { version } = serde_json::from_slice(text).map_err(broken)?;
        if version != VERSION {
            return Err(format!(
                "state of version {version}, this kan reads version {VERSION}"
            ));
        }
        serde_json::from_slice(text).map_err(broken)
    }
}

/// Writes a file that only kan's user may read: a config's environment holds secrets.
pub(crate) fn write_private(path: &Path, text: &[u8]) -> Result<()> {
    let mut options = OpenOptions::new();
    let opened = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    opened
        .and_then(|mut file| file.write_all(text))
        .map_err(with("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_version_is_named() {
        let error = Record::parse(br#"{"version": 9, "anything": true}"#).unwrap_err();
        assert_eq!(error, "state of version 9, this kan reads version 1");
    }

    #[test]
    fn a_truncated_file_is_no_panic() {
        assert!(Record::parse(br#"{"version": 1, "id""#).is_err());
        assert!(Record::parse(b"").is_err());
    }
}
