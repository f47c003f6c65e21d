//! A user namespace's id mappings: user_namespaces(7), newuidmap(1).

use crate::error::with;
use crate::{Error, Result};
use kan_op::host::IdRange;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Maps the ids of the namespace that process `pid` is in. Who may not do so by himself asks
/// newuidmap(1) and newgidmap(1), which know what /etc/subuid grants.
pub(crate) fn write(pid: i32, uids: &[IdRange], gids: &[IdRange], deny_groups: bool) -> Result<()> {
    map(pid, "uid_map", "newuidmap", uids)?;
    if deny_groups {
        let path = PathBuf::from(format!("/proc/{pid}/setgroups"));
        std::fs::write(&path, "deny").map_err(with("write", &path))?;
    }
    map(pid, "gid_map", "newgidmap", gids)
}

fn map(pid: i32, file: &str, helper: &str, ranges: &[IdRange]) -> Result<()> {
    let path = PathBuf::from(format!("/proc/{pid}/{file}"));
    let line = |r: &IdRange| format!("{} {} {}\n", r.inside, r.outside, r.count);
    let text: String = ranges.iter().map(line).collect();
    match std::fs::write(&path, text) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => ask(pid, helper, ranges),
        other => other.map_err(with("write", &path)),
    }
}

fn ask(pid: i32, helper: &str, ranges: &[IdRange]) -> Result<()> {
    let numbers = ranges.iter().flat_map(|r| [r.inside, r.outside, r.count]);
    let mut command = Command::new(helper);
    command
        .arg(pid.to_string())
        .args(numbers.map(|number| number.to_string()));
    let ran = command.stdin(Stdio::null()).output();
    let output = ran.map_err(with("execute", helper.as_ref()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = crate::hooks::said(&String::from_utf8_lossy(&output.stderr));
    Err(Error::Step(format!("{helper}: {}{said}", output.status)))
}
