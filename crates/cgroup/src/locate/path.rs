//! `linux.cgroupsPath` (runtime-spec, config-linux.md, Cgroups Path), before anything is known of the
//! host.

use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};

/// `linux.cgroupsPath`, cleaned: it cannot climb above where it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupsPath {
    pub(crate) relative: bool,
    pub(crate) inner: PathBuf,
}

impl CgroupsPath {
    /// Takes `linux.cgroupsPath` and the container's id, which is the name where the path is
    /// missing or empty.
    ///
    /// # Errors
    /// [`Error::Path`] where nothing is left of the path (`/`, `.`, `a/..`): it would name the root
    /// of a hierarchy or the caller's own cgroup, and `delete` would then remove what is not the
    /// container's. Also where the path holds a NUL.
    pub fn parse(cgroups_path: Option<&str>, id: &str) -> Result<Self> {
        let text = cgroups_path.filter(|path| !path.is_empty()).unwrap_or(id);
        let error = |why| Error::Path {
            path: text.to_owned(),
            why,
        };
        let inner = descend(text);
        if inner.as_os_str().is_empty() {
            return Err(error("names no cgroup of the container's own"));
        }
        if text.contains('\0') {
            return Err(error("holds a NUL"));
        }
        Ok(Self {
            relative: !text.starts_with('/'),
            inner,
        })
    }

    /// Whether the path starts at the caller's own cgroup rather than at the hierarchy's root.
    #[must_use]
    pub fn is_relative(&self) -> bool {
        self.relative
    }
}

/// A path's steps down, `..` taking back the step before it and nothing at the start, so that no
/// path climbs (runc's rule, the answer to `/../../../some/path`).
pub(crate) fn descend(path: impl AsRef<Path>) -> PathBuf {
    let mut down = PathBuf::new();
    for component in path.as_ref().components() {
        match component {
            Component::Normal(name) => down.push(name),
            Component::ParentDir => {
                down.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    down
}
