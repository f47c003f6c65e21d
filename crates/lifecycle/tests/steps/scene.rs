//! A directory to work in, and plans put together by hand.

use crate::harness::{in_child, needs_root};
use kan_lifecycle::Store;
use kan_lifecycle::trial::{self, Seen};
use kan_op::{HostStep, InitStep, Sync};
use kan_plan::Plan;
use kan_sys::namespace;
use std::iter::once;
use std::path::{Path, PathBuf};

/// All but a pid namespace: the steps find the child in /proc.
const OWN: u32 = namespace::CLONE_NEWNS
    | namespace::CLONE_NEWUTS
    | namespace::CLONE_NEWIPC
    | namespace::CLONE_NEWNET;

/// Where a test works. Removed when this is dropped.
pub struct Scene {
    pub directory: PathBuf,
    /// `cgroups` of the state.
    pub cgroups: String,
    /// `unit` of the state.
    pub unit: String,
    /// `init` of the state.
    pub init: String,
    /// The steps of the init half.
    pub init_steps: Vec<InitStep>,
}

/// Runs a test as root, in namespaces of its own.
pub fn with_scene(body: impl FnOnce(&mut Scene)) {
    needs_root();
    in_child(OWN, || {
        let name = format!("kan-steps-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir(&directory).unwrap();
        let mut scene = Scene {
            directory,
            cgroups: "[]".into(),
            unit: "null".into(),
            init: "null".into(),
            init_steps: vec![InitStep::Wait(Sync::Saved)],
        };
        body(&mut scene);
    });
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Scene {
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Performs the steps of the host half.
    pub fn perform<T>(
        &self,
        host: impl IntoIterator<Item = HostStep>,
        look: impl FnOnce(&Seen) -> T,
    ) -> Result<T, String> {
        // Also kan's end of the channel: a child whose test is killed ends with it.
        let close = InitStep::CloseInherited { preserved: 0 };
        let plan = Plan {
            host: host.into_iter().collect(),
            init: once(close).chain(self.init_steps.iter().cloned()).collect(),
            ..Plan::default()
        };
        let store = Store::new(self.path("store"));
        let (cgroups, unit, init) = (&self.cgroups, &self.unit, &self.init);
        let bundle = self.directory.display();
        let state = format!(
            r#"{{"version": 1, "oci_version": "1.2.0", "id": "c", "bundle": "{bundle}", "rootfs": "{bundle}",
                "created": "", "owner": 0, "annotations": {{}}, "init": {init},
                "unit": {unit}, "cgroups": {cgroups}}}"#
        );
        trial::perform(&plan, &store, state.as_bytes(), b"{}", look)
    }
}

/// The step that every container begins with.
pub fn make_container() -> HostStep {
    HostStep::MakeContainer { id: "c".into() }
}

/// A clone with these CLONE_NEW*, and nothing else.
pub fn clone(flags: u32) -> HostStep {
    HostStep::Clone {
        flags,
        into_cgroup: false,
        join: Vec::new(),
        hidden: false,
    }
}

/// A file of a process in /proc.
pub fn proc_file(pid: i32, name: &str) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap()
}

/// What a namespace file of a process, or of the caller, leads to.
pub fn namespace_of(pid: Option<i32>, name: &str) -> PathBuf {
    let pid = pid.map_or("self".to_owned(), |pid| pid.to_string());
    std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap()
}

/// The permission bits of a file.
pub fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).unwrap().mode() & 0o7777
}
