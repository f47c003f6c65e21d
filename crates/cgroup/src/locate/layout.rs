//! What cgroup hierarchies this host has, and where.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FsWord, stat, statfs};
use rustix::io::Errno;

use crate::error::{Error, Operation, Result};
use crate::file;
use crate::locate::mountinfo::{self, Mount};
use crate::locate::path::{CgroupsPath, descend};
use crate::locate::proc_cgroup::{self, Line};

/// Where every distribution mounts cgroups (file-hierarchy(7)).
const ROOT: &str = "/sys/fs/cgroup";

/// statfs(2) types, from `linux/magic.h`.
const CGROUP_SUPER_MAGIC: FsWord = 0x0027_e0eb;
const CGROUP2_SUPER_MAGIC: FsWord = 0x6367_7270;

/// The inode of a hierarchy's root: kernfs numbers its nodes from 1. A mount whose root has another
/// inode shows a part of the hierarchy.
const ROOT_INODE: u64 = 1;

/// The version of a hierarchy's interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// cgroup v1: one hierarchy for each set of controllers.
    V1,
    /// cgroup v2.
    V2,
}

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// The v1 controllers, or `name=…`. Empty for v2.
    pub controllers: Vec<String>,
    /// The version of its interface.
    pub version: Version,
    /// The caller's own cgroup as a path below the mount. `None` if it was not needed.
    pub own: Option<PathBuf>,
}

/// What this host has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// No cgroup filesystem.
    Absent,
    /// cgroup v2 alone.
    Unified(Hierarchy),
    /// cgroup v1, with v2 beside it on a hybrid host.
    Legacy(Vec<Hierarchy>),
}

impl Layout {
    /// Looks at `/sys/fs/cgroup`.
    ///
    /// For an absolute path on cgroup v2 this is a single statfs(2); `/proc/self/cgroup` is read
    /// for a relative path or for v1. `/proc/self/mountinfo` is read only where v1 is not mounted
    /// under its controllers' names, or a relative path meets a hierarchy that is mounted in part.
    ///
    /// # Errors
    /// The call that failed, with the path; [`Error::OwnUnknown`] if `/proc/self/cgroup` lacks
    /// the v2 hierarchy that a relative path needs.
    pub fn detect(wanted: &CgroupsPath) -> Result<Self> {
        let root = Path::new(ROOT);
        match magic(root)? {
            Some(CGROUP2_SUPER_MAGIC) => unified(root, wanted.is_relative()),
            _ => legacy(root, wanted.is_relative()),
        }
    }
}

/// The type of the filesystem at a path, if the path exists.
fn magic(path: &Path) -> Result<Option<FsWord>> {
    match statfs(path) {
        Ok(found) => Ok(Some(found.f_type)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(Error::call(Operation::Examine, path, errno)),
    }
}

/// Whether an open directory is in a cgroup filesystem of either version.
pub(crate) fn is_cgroup(dir: impl AsFd) -> bool {
    rustix::fs::fstatfs(dir)
        .is_ok_and(|found| matches!(found.f_type, CGROUP_SUPER_MAGIC | CGROUP2_SUPER_MAGIC))
}

fn unified(mount: &Path, need_own: bool) -> Result<Layout> {
    let mut hierarchy = Hierarchy {
        mount: mount.to_path_buf(),
        controllers: Vec::new(),
        version: Version::V2,
        own: None,
    };
    if need_own {
        let line = proc_cgroup::read()?.into_iter().find(Line::is_v2);
        let line = line.ok_or_else(|| Error::OwnUnknown {
            mount: mount.to_path_buf(),
        })?;
        hierarchy.own = Some(own_below(mount, &line, &mut Mounts::default())?);
    }
    Ok(Layout::Unified(hierarchy))
}

/// v1, in the order of `/proc/self/cgroup`.
fn legacy(root: &Path, need_own: bool) -> Result<Layout> {
    let names = names(root)?;
    let mut mounts = Mounts::default();
    let mut found = Vec::new();
    for line in proc_cgroup::read()? {
        let Some(mount) = locate(root, &names, &line, &mut mounts)? else {
            continue;
        };
        let own = match need_own {
            true => Some(own_below(&mount, &line, &mut mounts)?),
            false => None,
        };
        found.push(Hierarchy {
            version: if line.is_v2() {
                Version::V2
            } else {
                Version::V1
            },
            mount,
            controllers: line.controllers,
            own,
        });
    }
    Ok(match &found[..] {
        [] => Layout::Absent,
        [only] if only.version == Version::V2 => Layout::Unified(found.remove(0)),
        _ => Layout::Legacy(found),
    })
}

/// The directories of `/sys/fs/cgroup`. Symbolic links (`cpu` to `cpu,cpuacct`) are left out, so
/// that each hierarchy appears once.
fn names(root: &Path) -> Result<Vec<String>> {
    let dir = match file::open_dir(CWD, root) {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return Ok(Vec::new()),
        Err(errno) => return Err(Error::call(Operation::Open, root, errno)),
    };
    let names =
        file::directories(dir).map_err(|errno| Error::call(Operation::List, root, errno))?;
    Ok(names
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .collect())
}

/// Finds the mount of a hierarchy: by its name, and for v1 otherwise in mountinfo.
fn locate(
    root: &Path,
    names: &[String],
    line: &Line,
    mounts: &mut Mounts,
) -> Result<Option<PathBuf>> {
    let expected = if line.is_v2() {
        CGROUP2_SUPER_MAGIC
    } else {
        CGROUP_SUPER_MAGIC
    };
    if let Some(name) = names.iter().find(|name| is_for(name, line)) {
        let mount = root.join(name);
        if magic(&mount)? == Some(expected) {
            return Ok(Some(mount));
        }
    }
    if line.is_v2() {
        return Ok(None);
    }
    let mount = mounts.get()?.iter().find(|mount| shows(mount, line));
    Ok(mount.map(|mount| mount.point.clone()))
}

/// Whether a directory of `/sys/fs/cgroup` is named for this hierarchy. The order of comounted
/// controllers in the name is the distribution's, in `/proc/self/cgroup` the kernel's.
fn is_for(name: &str, line: &Line) -> bool {
    match &line.controllers[..] {
        [] => name == "unified",
        [named] if named.starts_with("name=") => named.strip_prefix("name=") == Some(name),
        controllers => {
            name.split(',').count() == controllers.len()
                && controllers
                    .iter()
                    .all(|controller| name.split(',').any(|part| part == controller))
        }
    }
}

fn shows(mount: &Mount, line: &Line) -> bool {
    line.controllers
        .iter()
        .all(|controller| mount.options.contains(controller))
}

/// The caller's own cgroup below a mount. Where the mount shows only a part of the hierarchy (a
/// container without a cgroup namespace), `/proc/self/cgroup` still names it from the root.
fn own_below(mount: &Path, line: &Line, mounts: &mut Mounts) -> Result<PathBuf> {
    let found = stat(mount).map_err(|errno| Error::call(Operation::Examine, mount, errno))?;
    if found.st_ino == ROOT_INODE {
        return Ok(line.path.clone());
    }
    // The last mount at a point is the one that is seen.
    let root = mounts
        .get()?
        .iter()
        .rfind(|candidate| candidate.point == mount)
        .map(|candidate| descend(&candidate.root))
        .unwrap_or_default();
    // Outside the part that is mounted nothing can be reached: start at the mount.
    Ok(line
        .path
        .strip_prefix(root)
        .map(Path::to_path_buf)
        .unwrap_or_default())
}

/// `/proc/self/mountinfo`, read once and only if asked for.
#[derive(Default)]
struct Mounts(Option<Vec<Mount>>);

impl Mounts {
    fn get(&mut self) -> Result<&[Mount]> {
        let mounts = match self.0.take() {
            Some(mounts) => mounts,
            None => mountinfo::read()?,
        };
        Ok(self.0.insert(mounts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        proc_cgroup::parse(text).remove(0)
    }

    #[test]
    fn directories_are_matched_by_their_controllers() {
        for (name, text, matches) in [
            ("memory", "4:memory:/", true),
            ("cpu,cpuacct", "4:cpu,cpuacct:/", true),
            ("cpu,cpuacct", "4:cpuacct,cpu:/", true),
            ("cpu", "4:cpu,cpuacct:/", false),
            ("cpu,cpuacct", "4:cpu:/", false),
            ("cpu,memory", "4:cpu,cpuacct:/", false),
            ("cpuacct", "4:cpu:/", false),
            ("systemd", "1:name=systemd:/", true),
            ("elogind", "1:name=elogind:/", true),
            ("systemd", "1:name=elogind:/", false),
            ("unified", "0::/", true),
            ("memory", "0::/", false),
            ("unified", "4:memory:/", false),
        ] {
            assert_eq!(is_for(name, &line(text)), matches, "{name} {text}");
        }
    }

    #[test]
    fn mounts_are_matched_by_their_options() {
        let mount = |options: &str| Mount {
            root: "/".into(),
            point: "/m".into(),
            options: options.split(',').map(str::to_owned).collect(),
        };
        let both = line("4:cpu,cpuacct:/");
        assert!(shows(&mount("rw,cpuacct,cpu"), &both));
        assert!(!shows(&mount("rw,cpu"), &both));
        assert!(shows(
            &mount("rw,xattr,name=systemd"),
            &line("1:name=systemd:/")
        ));
    }
}
