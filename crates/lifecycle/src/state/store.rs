//! The state directory: one directory a container.

use crate::error::with;
use crate::os::directory::{Directory, Identity};
use crate::os::privilege::is_host_root;
use crate::os::waiting;
use crate::state::container::Container;
use crate::state::record::FILE;
use crate::state::trust::Trust;
use crate::{Error, Result, check_id};
use nix::libc::ENOENT;
use rustix::fs::{Access, AtFlags, CWD, accessat};
use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

/// Where containers are stored (`--root`). The path is resolved and checked once, when it is
/// first needed; from then on everything goes through the descriptor of the directory found.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
    trust: Trust,
    root: OnceLock<Directory>,
}

/// A container's directory, locked until it is dropped. A killed kan drops it too.
#[derive(Debug)]
pub(crate) struct Locked(#[expect(dead_code, reason = "held, not used")] File);

/// `/run/kan`, or `$XDG_RUNTIME_DIR/kan` for a user who is not root on the host.
#[must_use]
pub fn default_root() -> PathBuf {
    let uid = kan_sys::credentials::effective_uid();
    let owner = |dir: &OsString| std::fs::metadata(dir).ok().map(|found| found.uid());
    let runtime = std::env::var_os("XDG_RUNTIME_DIR")
        .filter(|dir| !dir.is_empty() && !is_host_root().unwrap_or(false))
        // Root, also of a user namespace, may have been given another user's by `sudo -E`.
        .filter(|dir| uid != 0 || owner(dir).is_none_or(|owner| owner == uid));
    match runtime {
        Some(dir) => PathBuf::from(dir).join("kan"),
        None => PathBuf::from("/run/kan"),
    }
}

/// Whether the default is root's, and kan's user is not root.
pub(crate) fn lacks_runtime_directory() -> bool {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR");
    runtime.is_none_or(|dir| dir.is_empty()) && !is_host_root().unwrap_or(true)
}

/// What to do about that.
pub(crate) const RUNTIME_DIRECTORY: &str =
    "set XDG_RUNTIME_DIR to a directory that is yours, such as /run/user/UID, or use --root";

/// The error, with what to do about a state directory that is not the user's.
pub(crate) fn with_advice(error: Error) -> Error {
    match &error {
        Error::File { source, .. }
            if source.kind() == ErrorKind::PermissionDenied && lacks_runtime_directory() =>
        {
            Error::Step(format!("{error} ({RUNTIME_DIRECTORY})"))
        }
        _ => error,
    }
}

impl Store {
    /// A store at `root`, which need not exist yet.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let path = root.into();
        Self {
            // Without a working directory it stays relative, and is reported so.
            path: std::path::absolute(&path).unwrap_or(path),
            trust: Trust::of_this_process(),
            root: OnceLock::new(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The root, if it exists.
    pub(crate) fn root(&self) -> Result<Option<&Directory>> {
        self.resolve(false)
    }

    fn resolve(&self, create: bool) -> Result<Option<&Directory>> {
        if let Some(known) = self.root.get() {
            return Ok(Some(known));
        }
        let found = self.trust.resolve(&self.path, create);
        let found = found.map_err(with_advice)?;
        Ok(found.map(|found| self.root.get_or_init(|| found)))
    }

    /// Why no container can be created in this store, for `check`, which changes nothing.
    pub(crate) fn obstacle(&self) -> Option<Error> {
        if let Err(error) = self.root() {
            return Some(error);
        }
        let exists = self.path.ancestors().find(|path| path.exists())?;
        let (access, effective) = (Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS);
        let errno = accessat(CWD, exists, access, effective).err()?;
        Some(with("create a directory in", exists)(errno.into()))
    }

    /// The path of a container's directory, whether it exists or not.
    pub(crate) fn path_of(&self, id: &str) -> PathBuf {
        let root = self.root.get().map_or(&*self.path, Directory::path);
        root.join(id)
    }

    /// Creates and locks a container's directory.
    pub(crate) fn make(&self, id: &str) -> Result<(Directory, Locked)> {
        check_id(id)?;
        let missing = || with("open", &self.path)(io::Error::from_raw_os_error(ENOENT));
        let root = self.resolve(true)?.ok_or_else(missing)?;
        let path = root.path_of(id);
        match root.make_directory(id, 0o711) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(Error::Exists(id.to_owned()));
            }
            other => other.map_err(with("create", &path))?,
        }
        match self
            .lock(id)
            .and_then(|locked| Ok((self.open(id)?, locked)))
        {
            // Another kan may have deleted the directory before it was locked, and a third have made
            // a container there.
            Ok((directory, _)) if directory.status_of(FILE).is_ok() => {
                Err(Error::Exists(id.to_owned()))
            }
            Ok(made) => Ok(made),
            Err(error) => {
                let _ = root.remove_directory(id);
                Err(error)
            }
        }
    }

    /// A container's directory.
    pub(crate) fn open(&self, id: &str) -> Result<Directory> {
        check_id(id)?;
        let unknown = || Error::Unknown(id.to_owned());
        let root = self.root()?.ok_or_else(unknown)?;
        let directory = match root.directory(id) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(unknown()),
            other => other
                .map_err(with("open", &root.path_of(id)))
                .map_err(with_advice)?,
        };
        self.trust.check_container(&directory)?;
        Ok(directory)
    }

    /// Locks an existing container's directory; waits while another kan works on it.
    pub(crate) fn lock(&self, id: &str) -> Result<Locked> {
        self.lock_after(id, || ())
    }

    /// The same. If another kan holds the lock, `if_held` is called before the wait.
    pub(crate) fn lock_after(&self, id: &str, if_held: impl FnOnce()) -> Result<Locked> {
        let mut if_held = Some(if_held);
        loop {
            let directory = self.open(id)?;
            let path = directory.path();
            let opened = directory.reopen().map_err(with("open", path))?;
            match opened.try_lock() {
                Err(TryLockError::WouldBlock) => {
                    if let Some(act) = if_held.take() {
                        act();
                    }
                    await_lock(&opened, path)?;
                }
                Err(TryLockError::Error(error)) => return Err(with("lock", path)(error)),
                Ok(()) => {}
            }
            // While kan waited, another one may have removed the directory, and a third created it
            // anew. One that was removed has no link left; a file system that does not count links
            // is asked again.
            let locked = opened.metadata().map_err(with("stat", path))?;
            if locked.nlink() > 0 || self.has(id, directory.identity().ok()) {
                return Ok(Locked(opened));
            }
        }
    }

    /// Whether a container's directory is still this one: it was neither removed nor replaced.
    pub(crate) fn has(&self, id: &str, known: Option<Identity>) -> bool {
        let now = self.root.get().map(|root| root.status_of(id));
        match now {
            Some(Ok(now)) => known == Some(Identity::of(now)),
            _ => false,
        }
    }

    /// Finds a container.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::BadId`], [`Error::Untrusted`] where others could have written
    /// its state, or [`Error::BadState`] if that can't be read.
    pub fn find(&self, id: &str) -> Result<Container> {
        Container::load(self.open(id)?, id)
    }

    /// Removes a container's directory. A kill in the middle leaves one that can still be deleted.
    pub(crate) fn forget(&self, id: &str) -> Result<()> {
        let Some(root) = self.root()? else {
            return Ok(());
        };
        let directory = match self.open(id) {
            Err(Error::Unknown(_)) => return Ok(()),
            other => other?,
        };
        // What lies in it is known; to look for it takes longer.
        for name in [FILE, "config.json"] {
            let _ = directory.remove(name);
        }
        if root.remove_directory(id).is_ok() {
            return Ok(());
        }
        directory.clear()?;
        match root.remove_directory(id) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other.map_err(with("remove", directory.path())),
        }
    }
}

/// A lock that is held can't be waited for by poll(2): it is tried again and again, in intervals that
/// grow.
fn await_lock(directory: &File, path: &Path) -> Result<()> {
    const LONGEST: Duration = Duration::from_millis(20);
    let mut interval = Duration::from_millis(1);
    loop {
        waiting::pause(interval, "the container's lock")?;
        match directory.try_lock() {
            Err(TryLockError::WouldBlock) => interval = LONGEST.min(interval * 2),
            Err(TryLockError::Error(error)) => return Err(with("lock", path)(error)),
            Ok(()) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    const STATE: &str = r#"{"version": 1, "oci_version": "1.0.0", "id": "c", "bundle": "/b",
        "rootfs": "/b/r", "created": "", "owner": 0, "annotations": {}, "cgroups": [],
        "init": null}"#;

    /// A root with a container `c`.
    fn scene(name: &str) -> (PathBuf, Store) {
        let root = crate::os::directory::scratch(&format!("store-{name}"));
        let store = Store::new(&root);
        let (directory, _) = store.make("c").unwrap();
        directory.write_private(FILE, STATE.as_bytes()).unwrap();
        store.find("c").unwrap();
        (root, store)
    }

    #[test]
    fn a_link_in_place_of_a_container_leads_nowhere() {
        let (root, store) = scene("link");
        symlink("c", root.join("link")).unwrap();
        assert!(store.find("link").is_err());
        assert!(store.lock("link").is_err());
        assert!(store.forget("link").is_err());
        assert!(matches!(store.make("link"), Err(Error::Exists(_))));
        assert_eq!(store.ids(true).unwrap(), ["c"]);
        assert!(crate::delete(&store, "link", true).is_err());
        assert!(root.join("c/state.json").exists());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn no_link_below_a_container_is_followed() {
        let (root, store) = scene("links");
        let decoy = root.join("decoy");
        for text in [STATE, "{}"] {
            fs::write(&decoy, text).unwrap();
            let _ = fs::remove_file(root.join("c/state.json"));
            symlink(&decoy, root.join("c/state.json")).unwrap();
            assert!(store.find("c").is_err());
            let directory = store.open("c").unwrap();
            assert!(directory.write_private(FILE, b"x").is_err());
            assert_eq!(fs::read_to_string(&decoy).unwrap(), text);
        }
        store.forget("c").unwrap();
        assert!(decoy.exists() && !root.join("c").exists());
        fs::remove_dir_all(root).unwrap();
    }

    /// The root was found once: what lies at its path later is another one.
    #[test]
    fn a_root_that_is_replaced_stays_what_it_was() {
        let (root, store) = scene("replaced");
        let moved = root.with_extension("moved");
        fs::rename(&root, &moved).unwrap();
        fs::create_dir(&root).unwrap();
        store.find("c").unwrap();
        store.make("d").unwrap();
        store.forget("c").unwrap();
        assert!(moved.join("d").exists() && !moved.join("c").exists());
        fs::remove_dir(root).unwrap();
        fs::remove_dir_all(moved).unwrap();
    }

    #[test]
    fn what_others_may_write_to_is_no_container() {
        let (root, store) = scene("mode");
        for (mode, is_trusted) in [(0o711, true), (0o731, false), (0o1777, false)] {
            fs::set_permissions(root.join("c"), fs::Permissions::from_mode(mode)).unwrap();
            let found = store.find("c");
            assert_eq!(found.is_ok(), is_trusted, "{mode:o}: {found:?}");
            assert_eq!(store.lock("c").is_ok(), is_trusted, "{mode:o}");
        }
        assert!(matches!(
            crate::delete(&store, "c", true),
            Err(Error::Untrusted { .. })
        ));
        assert!(root.join("c/state.json").exists());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    #[ignore = "needs root"]
    fn what_somebody_else_made_below_the_root_is_no_container() {
        let (root, store) = scene("owner");
        fs::set_permissions(&root, fs::Permissions::from_mode(0o1777)).unwrap();
        chown(root.join("c"), Some(4321), None).unwrap();
        let error = store.find("c").unwrap_err().to_string();
        assert!(
            error.ends_with("owned by uid 4321, expected root"),
            "{error}"
        );
        assert!(crate::delete(&store, "c", true).is_err());
        store.make("own").unwrap();
        fs::remove_dir_all(root).unwrap();
    }

    /// As a power loss leaves it.
    #[test]
    fn an_empty_state_is_listed_reported_and_deleted() {
        use kan_spec::state::Status;
        let (root, store) = scene("empty");
        for (force, text) in [(false, &b""[..]), (true, b""), (true, &[0; 4096])] {
            if !root.join("c").exists() {
                store.make("c").unwrap();
            }
            fs::write(root.join("c/state.json"), text).unwrap();
            fs::write(root.join("c/config.json"), text).unwrap();
            let state = store.find("c").unwrap().state().unwrap();
            assert_eq!((&*state.id, state.status), ("c", Status::Stopped));
            let found = crate::list(&store, true).unwrap();
            assert!(matches!(&found[..], [crate::Found::Container(state)] if state.id == "c"));
            assert!(crate::delete(&store, "c", force).unwrap().is_empty());
            assert!(!root.join("c").exists());
        }
        fs::remove_dir(root).unwrap();
    }

    /// A container may have put it there.
    #[test]
    fn a_tree_of_any_depth_is_removed() {
        let (root, store) = scene("deep");
        let container = store.open("c").unwrap();
        let mut below = container.clone();
        for _ in 0..3000 {
            below.make_directory("d", 0o700).unwrap();
            below.write_private("file", b"").unwrap();
            below = below.directory("d").unwrap();
        }
        container.make_directory(".moved-1", 0o700).unwrap();
        container.write_private(".moved-2", b"").unwrap();
        store.forget("c").unwrap();
        assert!(!root.join("c").exists());
        fs::remove_dir(root).unwrap();
    }
}
