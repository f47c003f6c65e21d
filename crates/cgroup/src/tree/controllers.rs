//! Enabling controllers for a cgroup (v2): a controller's files appear in a cgroup if each of its
//! parents passes the controller on in `cgroup.subtree_control` (cgroups(7)).

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::file;
use crate::locate::place::Directory;

/// Enables every controller of the host for a cgroup that was just made or found.
///
/// What cannot be enabled is left out, as in runc: a parent may hold processes (EBUSY), be threaded
/// (EOPNOTSUPP), lack the controller (ENOENT) or belong to another user (EACCES). A limit that
/// then misses its file fails by itself.
///
/// # Errors
/// The read that failed, with the file.
pub(crate) fn enable(dir: &Directory) -> Result<()> {
    let available = file::read(&dir.mount().join("cgroup.controllers"))?;
    let usable = file::read(&dir.path().join("cgroup.controllers"))?;
    if !available.is_empty() && has_all(&usable, &available) {
        return Ok(());
    }
    let mut parent = dir.mount().to_path_buf();
    for name in dir.below() {
        pass_on(&parent, &available);
        parent.push(name);
        make_valid(&parent);
    }
    Ok(())
}

/// Enables one controller for a cgroup, as far as that works.
pub(crate) fn pass_down(mount: &Path, below: &Path, controller: &str) {
    let mut parent = mount.to_path_buf();
    for name in below {
        let _ = file::put(
            &parent.join("cgroup.subtree_control"),
            &format!("+{controller}"),
        );
        parent.push(name);
    }
}

fn has_all(usable: &str, available: &str) -> bool {
    available
        .split(' ')
        .all(|name| usable.split(' ').any(|other| other == name))
}

fn pass_on(parent: &Path, controllers: &str) {
    let file: PathBuf = parent.join("cgroup.subtree_control");
    let names = || controllers.split(' ').filter(|name| !name.is_empty());
    let all: Vec<String> = names().map(|name| format!("+{name}")).collect();
    // All or none: after a failure each alone.
    if !all.is_empty() && file::put(&file, &all.join(" ")).is_err() {
        for one in all {
            let _ = file::put(&file, &one);
        }
    }
}

/// A cgroup below a threaded one is "domain invalid" and takes no process until it is threaded,
/// too. It then has no controllers but the threaded ones.
fn make_valid(cgroup: &Path) {
    let kind = cgroup.join("cgroup.type");
    if file::value(&kind).is_ok_and(|value| value == "domain invalid") {
        let _ = file::put(&kind, "threaded");
    }
}

#[cfg(test)]
mod tests {
    use super::has_all;

    #[test]
    fn controllers_are_compared_as_words() {
        assert!(has_all("cpuset cpu io memory", "cpu memory"));
        assert!(!has_all("cpuset io memory", "cpu memory"));
        assert!(!has_all("", "cpu"));
    }
}
