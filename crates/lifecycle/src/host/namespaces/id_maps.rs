//! A user namespace's id mappings: user_namespaces(7), newuidmap(1).

use crate::error::with;
use crate::os::program::{self, Finished, Output, Program};
use crate::{Error, Result};
use kan_op::host::IdRange;
use kan_sys::process::{Ended, Orphan};
use std::io::ErrorKind;
use std::path::PathBuf;

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

fn map(pid: i32, file: &str, tool: &'static str, ranges: &[IdRange]) -> Result<()> {
    let path = PathBuf::from(format!("/proc/{pid}/{file}"));
    let line = |r: &IdRange| format!("{} {} {}\n", r.inside, r.outside, r.count);
    let text: String = ranges.iter().map(line).collect();
    match std::fs::write(&path, text) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => ask(pid, tool, ranges),
        other => other.map_err(with("write", &path)),
    }
}

fn ask(pid: i32, tool: &'static str, ranges: &[IdRange]) -> Result<()> {
    let numbers = ranges.iter().flat_map(|r| [r.inside, r.outside, r.count]);
    let program = Program {
        what: tool,
        path: tool,
        args: [tool.to_owned(), pid.to_string()]
            .into_iter()
            .chain(numbers.map(|number| number.to_string()))
            .collect(),
        env: None,
        directory: None,
        // One that is set-user-ID stays, prctl(2), but has nothing of kan's.
        orphan: Orphan::Dies,
        input: Vec::new(),
        output: Output::Discard,
        errors: Output::Keep(crate::host::hooks::KEPT),
    };
    let Some(Finished { ended, errors, .. }) = program.run(None)? else {
        return Err(Error::Step(format!("{tool}: timed out")));
    };
    if ended == Ended::Exited(0) {
        return Ok(());
    }
    let said = crate::host::hooks::said(&String::from_utf8_lossy(&errors));
    let granted = granted(if tool == "newuidmap" {
        "/etc/subuid"
    } else {
        "/etc/subgid"
    });
    Err(Error::Step(format!(
        "{tool}: {}{said} ({granted})",
        program::status(ended)
    )))
}

/// What the user is granted, subuid(5): by name or by number.
fn granted(file: &str) -> String {
    let uid = kan_sys::credentials::effective_uid().to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut users = passwd.lines().map(|line| line.split(':'));
    let name = users.find_map(|mut fields| {
        let name = fields.next()?;
        (fields.nth(1)? == uid).then_some(name)
    });
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let ranges: Vec<_> = text
        .lines()
        .filter_map(|line| {
            let (user, range) = line.split_once(':')?;
            let (first, count) = range.split_once(':')?;
            let (first, count): (u64, u64) = (first.parse().ok()?, count.parse().ok()?);
            let last = first + count.checked_sub(1)?;
            (Some(user) == name || user == uid).then(|| format!("{first} to {last}"))
        })
        .collect();
    let user = name.unwrap_or(&uid);
    if ranges.is_empty() {
        return format!("{file} grants {user} no ids");
    }
    format!("{file} grants {user} the ids {}", ranges.join(", "))
}
