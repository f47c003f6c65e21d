//! `state.json`: what a later command needs to know of a container.

use crate::error::{during, with};
use crate::os::directory::Directory;
use crate::os::files::c_path;
use crate::state::namespaces::JoinedNamespace;
use crate::state::unit::Unit;
use crate::{Error, Result};
use kan_cgroup::Placement;
use kan_op::host::HostHook;
use kan_spec::state::{State, Status};
use kan_sys::file::{self, O_PATH};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The version of the file's layout. A reader refuses any other.
const VERSION: u32 = 1;

/// Most states are smaller, bytes.
const USUAL: usize = 8192;

/// The file's name in a container's directory.
pub(crate) const FILE: &str = "state.json";

/// The process that is the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InitProcess {
    /// Its pid, in kan's pid namespace.
    pub(crate) pid: i32,
    /// When it started, clock ticks since boot: with it a pid is never taken for another's.
    pub(crate) start_time: u64,
}

/// What is known of a container. Written before anything is made that must be cleaned up, and
/// once more when its process is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) version: u32,
    pub(crate) oci_version: String,
    pub(crate) id: String,
    pub(crate) bundle: PathBuf,
    pub(crate) rootfs: PathBuf,
    /// RFC 3339, UTC, nanoseconds.
    pub(crate) created: String,
    /// The user who made it.
    pub(crate) owner: u32,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) cgroups: Placement,
    /// The systemd unit that holds the cgroup, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<Unit>,
    pub(crate) init: Option<InitProcess>,
    /// The name that its process has until it executes the program: another one tells that it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) init_name: Option<String>,
    /// Whether its processes have a session keyring of their own.
    #[serde(default)]
    pub(crate) own_keyring: bool,
    /// Groups of resctrl that go with the container, in the order in which they are removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) resctrl: Vec<String>,
    /// Whether config.json has no process, so that it can't be started.
    #[serde(default)]
    pub(crate) without_process: bool,
    /// Whether its processes outlive its init: the pid namespace is not its own.
    #[serde(default)]
    pub(crate) shares_pids: bool,
    /// Whether hooks of startContainer run before the program, whose failure `start` tells.
    #[serde(default)]
    pub(crate) has_start_hooks: bool,
    /// Without a mount namespace of its own the container's mounts lie on the host's, all in one
    /// tree at the root. This is the mount that lay there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) covered: Option<u64>,
    /// The inode of the user namespace that its first process was created in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user_namespace: Option<u64>,
    /// The namespaces that it joined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) joined: Vec<JoinedNamespace>,
    /// What `start` runs after the program, and `delete` at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) poststart: Vec<LaterHook>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) poststop: Vec<LaterHook>,
}

/// A hook that a later command runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LaterHook {
    path: String,
    args: Vec<String>,
    env: Vec<String>,
    timeout: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stdout: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stderr: Option<String>,
}

impl LaterHook {
    pub(crate) fn new(hook: HostHook) -> Self {
        let HostHook {
            path,
            args,
            env,
            timeout,
            stdout,
            stderr,
            ..
        } = hook;
        Self {
            path,
            args,
            env,
            timeout,
            stdout,
            stderr,
        }
    }

    pub(crate) fn at(&self, kind: &'static str, index: usize) -> HostHook {
        let Self {
            path,
            args,
            env,
            timeout,
            stdout,
            stderr,
        } = self.clone();
        HostHook {
            kind,
            index,
            path,
            args,
            env,
            timeout,
            stdout,
            stderr,
        }
    }
}

impl Record {
    /// The mount that lies at a path.
    pub(crate) fn mount_at(path: &Path) -> Result<u64> {
        let root = file::open(&c_path(path)?, O_PATH, 0).map_err(during("open the root"))?;
        file::mount_id(root).map_err(during("look at the root's mount"))
    }

    /// Takes the container's mounts off the host's, if it has no mount namespace of its own and
    /// they are still there.
    pub(crate) fn uncover(&self) -> Result<()> {
        let Some(covered) = self.covered else {
            return Ok(());
        };
        match Self::mount_at(&self.rootfs) {
            Ok(now) if now != covered => {
                let root = c_path(&self.rootfs)?;
                kan_sys::mount::detach(&root).map_err(during("unmount the root"))
            }
            // The bundle may be gone, and with it all that lay on it.
            _ => Ok(()),
        }
    }

    pub(crate) const VERSION: u32 = VERSION;

    /// Removes the cgroup once nothing runs in it, the unit first: its manager removes what it has
    /// made.
    pub(crate) fn remove_cgroups(&self) -> Result<()> {
        let Some(unit) = &self.unit else {
            return Ok(kan_cgroup::remove(&self.cgroups)?);
        };
        unit.stop()?;
        // What kan made for a cgroup below it, in hierarchies that the manager does not know.
        Ok(kan_cgroup::remove(&self.cgroups.up_to(&unit.name))?)
    }

    /// The cgroup below the unit's own that the container's processes are in, as `/NAME`; empty
    /// for the unit's own.
    pub(crate) fn below_unit(&self) -> String {
        let path = self.cgroups.v2().map(kan_cgroup::Directory::below);
        let name = self.unit.as_ref().map_or("", |unit| &unit.name);
        let parts = path.into_iter().flatten();
        let after = parts.skip_while(|part| *part != name).skip(1);
        after.fold(String::new(), |below, part| {
            format!("{below}/{}", part.to_string_lossy())
        })
    }

    /// The state document, for hooks and for people.
    pub(crate) fn state(&self, status: Status) -> State {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let pid = self.init.map_or(0, |init| init.pid);
        State {
            oci_version: self.oci_version.clone(),
            id: self.id.clone(),
            pid: if status == Status::Stopped { 0 } else { pid },
            status,
            bundle: text(&self.bundle),
            rootfs: Some(text(&self.rootfs)),
            created: Some(self.created.clone()),
            annotations: self.annotations.clone().into_iter().collect(),
            owner: None,
        }
    }

    /// Writes the file as a whole, or not at all.
    pub(crate) fn save(&self, directory: &Directory) -> Result<()> {
        let text = serde_json::to_vec(self).map_err(|error| Error::BadState {
            path: directory.path_of(FILE),
            why: error.to_string(),
        })?;
        let fresh = "state.json.new";
        directory.write_private(fresh, &text)?;
        directory.rename(fresh, FILE)
    }

    /// Reads the file; `None` if there is none, as when `create` was killed at its very start, and
    /// if there is nothing in it: on a disk, a power loss leaves an empty file, or one of zeros,
    /// where the new name was written before the contents.
    pub(crate) fn load(directory: &Directory) -> Result<Option<Self>> {
        let path = || directory.path_of(FILE);
        let text = match directory.try_read(FILE, USUAL) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|error| with("read", &path())(error))?,
        };
        let is_file = || {
            directory
                .status_of(FILE)
                .is_ok_and(|it| it.is(file::S_IFREG))
        };
        if text.iter().all(|byte| *byte == 0) && is_file() {
            return Ok(None);
        }
        Self::parse(&text)
            .map(Some)
            .map_err(|why| Error::BadState { path: path(), why })
    }

    pub(crate) fn parse(text: &[u8]) -> std::result::Result<Self, String> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let read: serde_json::Result<Self> = serde_json::from_slice(text);
        // Another version may have anything in it: what it is says more than what can't be read.
        let version = match &read {
            Ok(record) => Some(record.version),
            Err(_) => serde_json::from_slice(text)
                .ok()
                .map(|it: Versioned| it.version),
        };
        match version {
            Some(version) if version != VERSION => Err(format!(
                "state of version {version}, this kan reads version {VERSION}"
            )),
            _ => read.map_err(|error| format!("broken state: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_version_is_named() {
        let error = Record::parse(br#"{"version": 9, "anything": true}"#).unwrap_err();
        assert_eq!(error, "state of version 9, this kan reads version 1");
    }

    #[test]
    fn a_truncated_file_is_no_panic() {
        assert!(Record::parse(br#"{"version": 1, "id""#).is_err());
        assert!(Record::parse(b"").is_err());
    }

    fn in_unit(path: &str) -> Record {
        let text = format!(
            r#"{{"version": 1, "oci_version": "1.0.0", "id": "c", "bundle": "/b", "rootfs": "/b/r",
                "created": "", "owner": 1000, "annotations": {{}}, "init": null,
                "unit": {{"name": "kan-c.scope", "user": 1000}},
                "cgroups": [{{"mount": "/sys/fs/cgroup", "path": "{path}", "kind": "unified"}}]}}"#
        );
        Record::parse(text.as_bytes()).unwrap()
    }

    /// As AttachProcessesToUnit wants it.
    #[test]
    fn what_is_below_the_unit_begins_with_a_slash() {
        assert_eq!(in_unit("user.slice/kan-c.scope").below_unit(), "");
        assert_eq!(in_unit("user.slice/kan-c.scope/a/b").below_unit(), "/a/b");
    }
}
