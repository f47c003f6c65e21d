//! What all cases of one run share: the runtime, the probe, a template of the rootfs.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use super::runtime::Runtime;

/// Applets of busybox that the rootfs offers beside the probe.
const APPLETS: [&str; 20] = [
    "sh", "ls", "ps", "cat", "echo", "whoami", "id", "hostname", "touch", "mount", "true", "false",
    "sleep", "env", "pwd", "test", "kill", "stty", "tty", "mkdir",
];

/// One run of the suite.
pub struct World {
    /// The runtime under test.
    pub runtime: Runtime,
    /// Holds every bundle and state directory; removed at the end.
    pub dir: TempDir,
    /// Whether this machine, or the view of it that the suite was given, has cgroup v2 only.
    pub unified: bool,
    /// Static busybox on the host, if it is installed.
    pub busybox: Option<PathBuf>,
    /// Whether every command gets `--systemd-cgroup` (`CGROUPS=systemd`).
    pub by_systemd: bool,
    /// Counts ids.
    next: AtomicU32,
}

impl World {
    /// Looks for what the cases need and prepares the rootfs.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub fn new(runtime: Runtime) -> Result<Self, String> {
        let told = |e: std::io::Error| format!("preparing the rootfs: {e}");
        let dir = TempDir::with_prefix("suite-").map_err(told)?;
        let busybox = find_busybox();
        let rootfs = dir.path().join("template");
        make_rootfs(&rootfs, &find_probe()?, busybox.as_deref()).map_err(told)?;
        Ok(Self {
            runtime,
            dir,
            unified: Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
            busybox,
            by_systemd: std::env::var("CGROUPS").is_ok_and(|driver| driver == "systemd"),
            next: AtomicU32::new(0),
        })
    }

    /// Keeps the directory if something is mounted in it: it would be removed with it.
    pub fn spare_mounts(&mut self) {
        let mounted = super::leftovers::has_mounts(self.dir.path());
        self.dir.disable_cleanup(mounted);
    }

    /// A new container id, unlike any other on this machine, and none a part of another: leftovers
    /// are looked for by it.
    pub fn new_id(&self) -> String {
        format!(
            "suite-{}-{:04}",
            std::process::id(),
            self.next.fetch_add(1, Ordering::Relaxed)
        )
    }

    /// Makes a rootfs in `target`: own directories, files shared with the template by hard link.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn copy_rootfs(&self, target: &Path) -> std::io::Result<()> {
        link_tree(&self.dir.path().join("template"), target)
    }
}

/// `PROBE`, or the binary beside the suite's own.
fn find_probe() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("PROBE") {
        return Ok(path.into());
    }
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let beside = own.parent().map(|dir| dir.join("kan-conformance-probe"));
    beside.filter(|p| p.is_file()).ok_or_else(|| {
        "no probe beside the suite: cargo build -p kan-conformance-probe, or set PROBE".into()
    })
}

/// busybox, if it is static: a rootfs has no libraries.
fn find_busybox() -> Option<PathBuf> {
    let path = super::runtime::find_in_path("busybox")?;
    let bytes = fs::read(&path).ok()?;
    // A dynamic program names its loader in PT_INTERP.
    let dynamic = bytes
        .windows(8)
        .take(4096)
        .any(|w| w == b"ld-linux" || w == b"/ld-musl");
    (!dynamic).then_some(path)
}

/// The template: the probe at `/probe`, busybox and its links in `/bin`, names of users.
fn make_rootfs(root: &Path, probe: &Path, busybox: Option<&Path>) -> std::io::Result<()> {
    for dir in ["bin", "etc", "tmp", "root", "proc", "sys", "dev"] {
        fs::create_dir_all(root.join(dir))?;
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    fs::copy(probe, root.join("probe"))?;
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    fs::write(root.join("etc/group"), "root:x:0:\ntty:x:5:\n")?;
    let Some(busybox) = busybox else {
        return Ok(());
    };
    fs::copy(busybox, root.join("bin/busybox"))?;
    APPLETS
        .iter()
        .try_for_each(|applet| symlink("busybox", root.join("bin").join(applet)))
}

/// Copies directories and symlinks, hard-links files.
fn link_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            link_tree(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path())?, target)?;
        } else {
            fs::hard_link(entry.path(), target)?;
        }
    }
    Ok(())
}
