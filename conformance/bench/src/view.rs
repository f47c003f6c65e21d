//! Which cgroup hierarchies the measured programs see.

use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Where every runtime looks for cgroups.
pub const CGROUP: &str = "/sys/fs/cgroup";

/// Where runtimes keep their state.
pub const RUN: &str = "/run";

/// A view of the cgroup hierarchies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The host's own: version 1 controllers, and version 2 under `unified`.
    Hybrid,
    /// Version 2 alone.
    V2,
}

impl View {
    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hybrid => "hybrid",
            Self::V2 => "v2",
        }
    }
}

/// What this host shows by itself. An error where it has no cgroup2 in either of the usual places.
pub fn of_host(cgroup: &Path) -> Result<View, String> {
    match (is_cgroup2(cgroup), is_cgroup2(&cgroup.join("unified"))) {
        (true, _) => Ok(View::V2),
        (false, true) => Ok(View::Hybrid),
        (false, false) => Err(format!(
            "no cgroup2 at {0} or {0}/unified",
            cgroup.display()
        )),
    }
}

/// Where cgroup2 is in this view.
pub fn cgroup2(view: View) -> PathBuf {
    match view {
        View::V2 => CGROUP.into(),
        View::Hybrid => Path::new(CGROUP).join("unified"),
    }
}

fn is_cgroup2(directory: &Path) -> bool {
    directory.join("cgroup.controllers").exists()
}

/// Moves this process into a mount namespace of its own, with a tmpfs on [`RUN`]: runtimes keep
/// their state there, and where it is on a disk a rename over a file waits for the disk.
#[allow(
    unsafe_code,
    reason = "rustix marks unshare unsafe for the flags that this call does not use"
)]
pub fn own_mounts() -> Result<(), String> {
    let name = |call: &'static str| move |error| format!("{call}: {error}");
    // SAFETY: only CLONE_FILES can break the promises of owned descriptors.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.map_err(name("unshare"))?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(name("mount"))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", RUN, "tmpfs", flags, c"mode=755").map_err(name("mount on /run"))
}

/// Covers a hybrid host's version 1 controllers with cgroup2, in the namespace of [`own_mounts`].
/// There is no way back.
pub fn enter_v2() -> Result<(), String> {
    mount_bind(cgroup2(View::Hybrid), CGROUP).map_err(|error| format!("mount: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_told_by_where_cgroup2_is() {
        let directory = std::env::temp_dir().join(format!("kan-bench-view-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("unified")).unwrap();
        assert!(
            of_host(&directory)
                .unwrap_err()
                .starts_with("no cgroup2 at ")
        );
        std::fs::write(directory.join("unified/cgroup.controllers"), "").unwrap();
        assert_eq!(of_host(&directory), Ok(View::Hybrid));
        std::fs::write(directory.join("cgroup.controllers"), "").unwrap();
        assert_eq!(of_host(&directory), Ok(View::V2));
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
