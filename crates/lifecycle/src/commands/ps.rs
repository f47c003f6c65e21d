//! `ps`: the processes of a container.

use crate::os::program::{self, Finished, Output, Program};
use crate::{Error, Result, Store};
use kan_sys::process::{Ended, Orphan};
use std::collections::BTreeSet;

/// The pids of a container's processes, as kan's pid namespace numbers them, in ascending order.
/// None of a container that has stopped.
///
/// # Errors
/// [`Error::Unknown`]; the cgroup's own.
pub fn processes(store: &Store, id: &str) -> Result<Vec<i32>> {
    let container = store.find(id)?;
    let Some(record) = &container.record else {
        return Ok(Vec::new());
    };
    if record.cgroups.directories().is_empty() {
        // Without a cgroup only the first of them is known.
        let init = record.init.filter(|init| init.is_alive().unwrap_or(false));
        return Ok(init.map(|init| init.pid).into_iter().collect());
    }
    let pids = kan_cgroup::processes(&record.cgroups)?;
    Ok(pids
        .into_iter()
        .map(|pid| pid.as_raw_nonzero().get())
        .collect())
}

/// What ps(1) of the host prints with these options.
///
/// # Errors
/// It can't be executed, or fails.
pub fn table(options: &[String]) -> Result<String> {
    let program = Program {
        what: "ps",
        path: "ps",
        args: ["ps".to_owned()]
            .into_iter()
            .chain(options.iter().cloned())
            .collect(),
        env: None,
        directory: None,
        orphan: Orphan::Dies,
        input: Vec::new(),
        output: Output::Keep(usize::MAX),
        errors: Output::Keep(crate::host::hooks::KEPT),
    };
    let failed = |why: String| Err(Error::Step(format!("ps: {why}")));
    match program.run(None)? {
        Some(Finished {
            ended: Ended::Exited(0),
            output,
            ..
        }) => Ok(String::from_utf8_lossy(&output).into_owned()),
        Some(Finished { ended, errors, .. }) => {
            let said = String::from_utf8_lossy(&errors);
            let said = said.lines().find(|line| !line.trim().is_empty());
            let said = said.unwrap_or_default().trim();
            failed(format!("{}: {said}", program::status(ended)))
        }
        None => failed("timed out".into()),
    }
}

/// The lines of ps(1) that are about these processes, and its head: the column that is called PID
/// tells.
///
/// # Errors
/// [`Error::Status`] if there is no such column.
pub fn filter(table: &str, pids: &[i32]) -> Result<String> {
    let wanted: BTreeSet<i32> = pids.iter().copied().collect();
    let mut lines = table.lines();
    let head = lines.next().unwrap_or_default();
    let column = head.split_whitespace().position(|name| name == "PID");
    let column =
        column.ok_or_else(|| Error::Status("couldn't find PID field in ps output".into()))?;
    let mut text = format!("{head}\n");
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let word = line.split_whitespace().nth(column);
        let pid = word.and_then(|word| word.parse().ok()).ok_or_else(|| {
            Error::Status(format!(
                "unexpected pid {:?} in ps output",
                word.unwrap_or("")
            ))
        })?;
        if wanted.contains(&pid) {
            text += line;
            text.push('\n');
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn lines_of_others_are_left_out() {
        let table = "UID        PID  PPID CMD\nroot         1     0 init\nroot        12     1 12 7\nroot         7     1 sh\n";
        let kept = filter(table, &[7]).unwrap();
        assert_eq!(kept, "UID        PID  PPID CMD\nroot         7     1 sh\n");
        let error = filter("COMMAND\nsh\n", &[7]).unwrap_err();
        assert_eq!(error.to_string(), "couldn't find PID field in ps output");
        assert!(filter("PID CMD\nx y\n", &[7]).is_err());
    }
}
