//! Whether a user who is not root may make a cgroup at some place and move processes there:
//! cgroups(7), Delegation Containment Rules.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};

use crate::error::Result;
use crate::locate::layout::{Hierarchy, Layout, Version};
use crate::locate::path::CgroupsPath;
use crate::locate::place::Placement;

/// What stands in the way of making these cgroups and moving a process from the caller's own into
/// them, as the end of a sentence; `None` if nothing does. `name=systemd`, and v2 on a hybrid
/// host, are not looked at.
///
/// # Errors
/// The caller's own cgroup cannot be read.
pub fn obstacle(placement: &Placement) -> Result<Option<String>> {
    let own = own()?;
    let dirs = placement.directories().iter();
    let found = dirs.filter(|dir| !dir.is_optional()).find_map(|dir| {
        let path = dir.path();
        let parent = path.ancestors().skip(1).find(|dir| dir.exists())?;
        if !is_writable(parent) {
            return Some(format!("{} is not writable", parent.display()));
        }
        // Processes move only within a tree that is the user's, v2 says.
        if !dir.is_v2() {
            return None;
        }
        let hierarchy = own.iter().find(|h| h.version == Version::V2)?;
        let from = hierarchy.mount.join(hierarchy.own.as_deref()?);
        let procs = common(&from, &path).join("cgroup.procs");
        let is_ours = is_writable(&procs);
        (!is_ours).then(|| format!("{} is not writable", procs.display()))
    });
    Ok(found)
}

/// The hierarchies of this host, each with the caller's own cgroup.
///
/// # Errors
/// As [`Layout::detect`].
pub fn own() -> Result<Vec<Hierarchy>> {
    let relative = CgroupsPath::parse(Some("any"), "any")?;
    Ok(match Layout::detect(&relative)? {
        Layout::Absent => Vec::new(),
        Layout::Unified(one) => vec![one],
        Layout::Legacy(all) => all,
    })
}

/// By the effective ids, access(2).
fn is_writable(path: &Path) -> bool {
    accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

/// The deepest directory above both.
fn common(one: &Path, other: &Path) -> PathBuf {
    let both = one.components().zip(other.components());
    both.take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_paths_have_a_common_part() {
        let common = |a: &str, b: &str| common(a.as_ref(), b.as_ref()).display().to_string();
        assert_eq!(common("/a/b/c", "/a/b/d/e"), "/a/b");
        assert_eq!(common("/a/b", "/a/bc"), "/a");
        assert_eq!(common("/a/b", "/a/b/c"), "/a/b");
    }
}
