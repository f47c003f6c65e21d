//! Where a container's cgroup lies: `linux.cgroupsPath` (runtime-spec, config-linux.md "Cgroups
//! Path") resolved against what the host has. Pure.

use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Operation, Result};
use crate::locate::layout::{Hierarchy, Layout, Version};
use crate::locate::path::{CgroupsPath, descend};

/// What a directory of a placement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The container's only cgroup, on a host with cgroup v2 alone.
    Unified,
    /// A cgroup in a v1 hierarchy with controllers.
    V1,
    /// A cgroup in v1's `name=systemd`, which has no controllers: joined if that works.
    Named,
    /// The v2 cgroup of a hybrid host: joined if that works.
    Hybrid,
}

/// The container's cgroup in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Directory {
    /// Where the hierarchy is mounted.
    mount: PathBuf,
    /// The cgroup below the mount; neither empty nor climbing.
    path: PathBuf,
    kind: Kind,
    /// The v1 controllers, or `name=systemd`. Empty for v2.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    controllers: Vec<String>,
}

/// A [`Directory`] as read back, not yet believed.
#[derive(Deserialize)]
struct Stored {
    mount: PathBuf,
    path: PathBuf,
    kind: Kind,
    #[serde(default)]
    controllers: Vec<String>,
}

impl TryFrom<Stored> for Directory {
    type Error = Error;

    /// What is stored here is later killed and removed, so a damaged path must not become
    /// the hierarchy's root or leave the hierarchy.
    fn try_from(stored: Stored) -> Result<Self> {
        let error = |path: &Path, why| Error::Path {
            path: path.display().to_string(),
            why,
        };
        if !stored.mount.is_absolute() || climbs(&stored.mount) {
            return Err(error(&stored.mount, "is no mount point"));
        }
        if stored.path.is_absolute() || descend(&stored.path) != stored.path {
            return Err(error(&stored.path, "is no path below a mount point"));
        }
        if stored.path.as_os_str().is_empty() {
            return Err(error(
                &stored.mount,
                "names no cgroup of the container's own",
            ));
        }
        Ok(Self {
            mount: stored.mount,
            path: stored.path,
            kind: stored.kind,
            controllers: stored.controllers,
        })
    }
}

fn climbs(path: &Path) -> bool {
    path.components().any(|part| part == Component::ParentDir)
}

impl Directory {
    /// Where the hierarchy is mounted.
    #[must_use]
    pub fn mount(&self) -> &Path {
        &self.mount
    }

    /// The cgroup's path below the mount.
    #[must_use]
    pub fn below(&self) -> &Path {
        &self.path
    }

    /// The whole path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.mount.join(&self.path)
    }

    /// What the directory is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The v1 controllers of the hierarchy, or `name=systemd`; none for v2, whose controllers
    /// differ from cgroup to cgroup.
    #[must_use]
    pub fn controllers(&self) -> &[String] {
        &self.controllers
    }

    /// The same hierarchy, at another cgroup.
    pub(crate) fn at(&self, path: PathBuf) -> Self {
        Self {
            path,
            ..self.clone()
        }
    }

    pub(crate) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }

    /// Whether it is a v2 cgroup.
    #[must_use]
    pub fn is_v2(&self) -> bool {
        matches!(self.kind, Kind::Unified | Kind::Hybrid)
    }

    /// Whether the container does without it where it cannot be made or joined. No limit lives in
    /// these hierarchies; runc, too, passes over their errors.
    pub(crate) fn is_optional(&self) -> bool {
        matches!(self.kind, Kind::Named | Kind::Hybrid)
    }
}

/// A container's cgroup: one directory in each hierarchy.
///
/// Stored as JSON it is a list of `{"mount", "path", "kind", "controllers"}`. Reading it back
/// refuses a path that is empty or climbs. Empty on a host without cgroups; everything
/// in this crate then does nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Placement {
    directories: Vec<Directory>,
}

impl Placement {
    pub(crate) const fn of(directories: Vec<Directory>) -> Self {
        Self { directories }
    }

    /// The cgroups of this name above, such as the unit's, where there is one; else these.
    #[must_use]
    pub fn up_to(&self, name: &str) -> Self {
        let up = |dir: &Directory| {
            let above = dir.path.ancestors().find(|path| path.ends_with(name));
            above.map_or_else(|| dir.clone(), |path| dir.at(path.to_path_buf()))
        };
        Self::of(self.directories.iter().map(up).collect())
    }

    /// The directories, in the order of `/proc/self/cgroup` (v2 last).
    #[must_use]
    pub fn directories(&self) -> &[Directory] {
        &self.directories
    }

    /// The v2 cgroup, alone or beside v1.
    #[must_use]
    pub fn v2(&self) -> Option<&Directory> {
        self.directories.iter().find(|dir| dir.is_v2())
    }

    /// The directory with this v1 controller (`memory`, `devices`, …).
    #[must_use]
    pub fn v1(&self, controller: &str) -> Option<&Directory> {
        self.directories.iter().find(|dir| dir.has(controller))
    }

    /// The v1 directory whose processes stand for the container's: the devices one, as in runc.
    pub(crate) fn v1_holder(&self) -> Option<&Directory> {
        ["devices", "freezer", "pids"]
            .into_iter()
            .find_map(|name| self.v1(name))
            .or_else(|| self.directories.iter().find(|dir| dir.kind == Kind::V1))
    }

    /// Opens the v2 cgroup for `clone3(CLONE_INTO_CGROUP)`. `None` where there is no v2
    /// hierarchy. What is cloned into it on a hybrid host still needs [`crate::join_v1`].
    ///
    /// # Errors
    /// The call that failed, with the directory.
    pub fn open(&self) -> Result<Option<OwnedFd>> {
        let Some(dir) = self.v2() else {
            return Ok(None);
        };
        let path = dir.path();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(CWD, &path, flags, Mode::empty())
            .map(Some)
            .map_err(|errno| Error::call(Operation::Open, &path, errno))
    }
}

/// Decides where the container's cgroup lies. Pure.
///
/// An absolute path starts at each hierarchy's mount; a relative one at the caller's own cgroup
/// in v1, and in v2 at that cgroup's parent, because controllers cannot be enabled below a
/// cgroup that holds processes. In hybrid the v2 directory starts at the mount in both cases,
/// as in runc.
///
/// # Errors
/// [`Error::OwnUnknown`] if the path is relative and the layout was detected without need of the
/// caller's own cgroup.
pub fn place(layout: &Layout, wanted: &CgroupsPath) -> Result<Placement> {
    let directories = match layout {
        Layout::Absent => Vec::new(),
        Layout::Unified(hierarchy) => vec![unified(hierarchy, wanted)?],
        Layout::Legacy(hierarchies) => hierarchies
            .iter()
            .filter(|hierarchy| joined(hierarchy))
            .map(|hierarchy| legacy(hierarchy, wanted))
            .collect::<Result<_>>()?,
    };
    Ok(Placement { directories })
}

fn unified(hierarchy: &Hierarchy, wanted: &CgroupsPath) -> Result<Directory> {
    let start = match wanted.relative {
        true => own(hierarchy)?.parent().unwrap_or(Path::new("")),
        false => Path::new(""),
    };
    Ok(directory(hierarchy, start, wanted, Kind::Unified))
}

fn legacy(hierarchy: &Hierarchy, wanted: &CgroupsPath) -> Result<Directory> {
    let kind = match hierarchy.version {
        Version::V2 => Kind::Hybrid,
        Version::V1 if is_named(hierarchy) => Kind::Named,
        Version::V1 => Kind::V1,
    };
    let start = match wanted.relative && kind != Kind::Hybrid {
        true => own(hierarchy)?,
        false => Path::new(""),
    };
    Ok(directory(hierarchy, start, wanted, kind))
}

/// Of the named v1 hierarchies only systemd's is joined: others belong to someone else.
fn joined(hierarchy: &Hierarchy) -> bool {
    !is_named(hierarchy) || hierarchy.controllers[0] == "name=systemd"
}

fn is_named(hierarchy: &Hierarchy) -> bool {
    matches!(&hierarchy.controllers[..], [name] if name.starts_with("name="))
}

fn own(hierarchy: &Hierarchy) -> Result<&Path> {
    hierarchy.own.as_deref().ok_or_else(|| Error::OwnUnknown {
        mount: hierarchy.mount.clone(),
    })
}

fn directory(hierarchy: &Hierarchy, start: &Path, wanted: &CgroupsPath, kind: Kind) -> Directory {
    Directory {
        mount: hierarchy.mount.clone(),
        path: start.join(&wanted.inner),
        kind,
        controllers: hierarchy.controllers.clone(),
    }
}

#[cfg(test)]
mod tests;
