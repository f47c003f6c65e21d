//! `/proc/self/mountinfo` (proc_pid_mountinfo(5)): asked only where `/sys/fs/cgroup` itself does
//! not say what is mounted where.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;

use crate::error::{Error, Operation, Result};
use crate::file;

const FILE: &str = "/proc/self/mountinfo";

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// The cgroup that appears at the mount point, from the hierarchy's root.
    pub root: PathBuf,
    /// Where it is mounted.
    pub point: PathBuf,
    /// The superblock's options, controllers and `name=…` among them.
    pub options: Vec<String>,
}

/// Reads the cgroup mounts, in the order they were made.
pub(crate) fn read() -> Result<Vec<Mount>> {
    file::whole(CWD, FILE)
        .map(|text| parse(&text))
        .map_err(|errno| Error::call(Operation::Read, Path::new(FILE), errno))
}

/// Finds the mounts of both versions; no option of version 2 is the name of a controller.
pub(crate) fn parse(text: &str) -> Vec<Mount> {
    text.lines().filter_map(line).collect()
}

fn line(text: &str) -> Option<Mount> {
    // Optional fields end with a lone hyphen; type, source and superblock options follow.
    let (mount, filesystem) = text.split_once(" - ")?;
    let mut filesystem = filesystem.split(' ');
    if !matches!(filesystem.next()?, "cgroup" | "cgroup2") {
        return None;
    }
    let mut mount = mount.split(' ').skip(3);
    Some(Mount {
        root: unescape(mount.next()?),
        point: unescape(mount.next()?),
        options: filesystem.nth(1)?.split(',').map(str::to_owned).collect(),
    })
}

/// Where all filesystems are mounted that /proc/self/mountinfo lists, in the order they were mounted.
///
/// # Errors
/// It can't be read.
pub fn mount_points() -> Result<Vec<PathBuf>> {
    let text = file::whole(CWD, FILE);
    let text = text.map_err(|errno| Error::call(Operation::Read, Path::new(FILE), errno))?;
    let points = text.lines().filter_map(|line| line.split(' ').nth(4));
    Ok(points.map(unescape).collect())
}

/// Undoes the kernel's octal escapes of space, tab, newline and backslash (`\040`).
fn unescape(field: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code = tail.get(..3).filter(|_| first == b'\\').and_then(octal);
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &tail[3..] } else { tail };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

fn octal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
23 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
31 23 0:28 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs rw,mode=755
32 31 0:29 /docker/0123 /sys/fs/cgroup/cpu,cpuacct ro,nosuid master:12 - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 / /with\\040space\\134/x rw shared:9 master:1 - cgroup none rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

    #[test]
    fn hierarchies_have_a_root_and_options() {
        let mounts = parse(TEXT);
        assert_eq!(mounts.len(), 3);
        assert_eq!(mounts[0].root, Path::new("/docker/0123"));
        assert_eq!(mounts[0].point, Path::new("/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(mounts[0].options, ["rw", "cpu", "cpuacct"]);
        assert_eq!(mounts[1].options, ["rw", "xattr", "name=systemd"]);
        assert_eq!(mounts[2].point, Path::new("/sys/fs/cgroup/unified"));
    }

    #[test]
    fn escapes_are_undone_and_lone_backslashes_kept() {
        assert_eq!(parse(TEXT)[1].point, Path::new("/with space\\/x"));
        assert_eq!(unescape("a\\9zz\\04"), Path::new("a\\9zz\\04"));
    }
}
