//! The v1 cpuset (cgroup-v1/cpusets.rst): a new one is empty, and no process can join an empty one.

use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::error::{Error, Operation, Result};
use crate::file;
use crate::locate::place::Directory;

const FILES: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];

/// Gives a cgroup, and its parents up to the mount, the values of the parent where they are empty.
///
/// # Errors
/// The call that failed, with the file. A parent's value that the cgroup itself may not take
/// (EINVAL: a sibling is `cpuset.cpu_exclusive`) is left unset: the container's own limits may still
/// provide one, and otherwise joining fails with ENOSPC.
pub(crate) fn fill(dir: &Directory, new: bool) -> Result<()> {
    let parent = dir.below().parent().unwrap_or(Path::new(""));
    for name in FILES {
        let file = dir.path().join(name);
        if !new && !is_empty(&file)? {
            continue;
        }
        let inherited = value(dir.mount(), parent, name)?;
        match file::put(&file, &inherited) {
            Ok(()) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(Error::call(Operation::Write(inherited), &file, errno)),
        }
    }
    Ok(())
}

/// The value of a cgroup below the mount, after filling it from the nearest parent that has one.
fn value(mount: &Path, below: &Path, name: &str) -> Result<String> {
    let mut empty: Vec<PathBuf> = Vec::new();
    let mut found = String::new();
    for cgroup in below.ancestors() {
        let file = mount.join(cgroup).join(name);
        found = file::read(&file)?;
        if !found.is_empty() {
            break;
        }
        empty.push(file);
    }
    for file in empty.iter().rev() {
        file::write(file, &found)?;
    }
    Ok(found)
}

fn is_empty(file: &Path) -> Result<bool> {
    file::read(file).map(|value| value.is_empty())
}
