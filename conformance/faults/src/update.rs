//! `update` under faults: all of it is done, or nothing.

use std::path::{Path, PathBuf};

use crate::outcome::{Outcome, check};
use crate::stage::Stage;

/// What is asked for: other devices, and where this view has the controllers of v1, other limits.
const DEVICES: &str = r#""devices": [{"allow": false}, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}]"#;
const LIMITS: &str = r#""pids": {"limit": 77}, "memory": {"limit": 100663296, "swap": 134217728}, "cpu": {"quota": 70000}"#;

/// The container's cgroup in a hierarchy of v1, if this view has it.
fn cgroup(stage: &Stage, controller: &str) -> Option<PathBuf> {
    let mount = Path::new("/sys/fs/cgroup").join(controller);
    let has = mount.join("cgroup.procs").exists();
    has.then(|| mount.join(&stage.parent).join(&stage.id))
}

/// The command line.
///
/// # Errors
/// The document cannot be written.
pub fn words(stage: &Stage) -> Outcome<Vec<String>> {
    let text = match cgroup(stage, "pids") {
        Some(_) => format!("{{{DEVICES}, {LIMITS}}}"),
        None => format!("{{{DEVICES}}}"),
    };
    let file = stage.outputs_dir().join("resources.json");
    std::fs::write(&file, text)?;
    let file = file.to_string_lossy();
    Ok(stage.words(&["update", "--resources", &file], Some(&stage.id)))
}

/// After a failure the limits are those that the container was made with: none.
///
/// # Errors
/// What has changed.
pub fn is_not_begun(stage: &Stage) -> Outcome {
    for (controller, file, new) in [
        ("pids", "pids.max", "77"),
        ("cpu", "cpu.cfs_quota_us", "70000"),
        ("devices", "devices.list", "c 10:229 rw"),
    ] {
        let Some(dir) = cgroup(stage, controller) else {
            continue;
        };
        let text = std::fs::read_to_string(dir.join(file))?;
        let has = text.lines().any(|line| line == new);
        check!(!has, "{file} has what the failed update asked for: {text}");
    }
    Ok(())
}
