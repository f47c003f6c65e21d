//! `process.args` and `process.env`: config.md, Process; execvp(3).

use crate::builder::Builder;
use kan_op::InitStep;
use kan_op::init::Program;
use std::collections::HashMap;
use std::ffi::CString;

/// A container may be made without a process, but never started (runtime.md, Start); runc's words.
pub(crate) fn require(b: &mut Builder<'_>) {
    if b.process().is_none() && !b.request.wait_for_start {
        b.problem("process", "process property must not be empty");
    }
}

/// Whether HOME is what the container's /etc/passwd says.
pub(crate) fn finds_home(b: &Builder<'_>) -> bool {
    b.process()
        .is_some_and(|process| home(&process.env).is_none())
}

/// Init: looks the home directory up while it is root, since the user may not be able to read
/// /etc/passwd.
pub(crate) fn find_home(b: &mut Builder<'_>) {
    let Some(process) = b.process() else { return };
    if finds_home(b) {
        let uid = process.user.uid;
        b.init("process.user.uid", InitStep::FindHome { uid });
    }
}

/// Init: looks the executable up, so that a missing one fails `create`.
pub(crate) fn find(b: &mut Builder<'_>) {
    if b.process().is_some() {
        b.init("process.args[0]", InitStep::FindProgram);
    }
}

/// Init: the end of init.
pub(crate) fn execute(b: &mut Builder<'_>) {
    let Some(process) = b.process() else { return };
    let env = environment(&process.env);
    let name = process.args.first().map_or("", String::as_str);
    let candidates = candidates(name, path(&env));
    let program = Program {
        candidates: strings(b, "process.args[0]", candidates),
        args: strings(b, "process.args", process.args.clone()),
        with_home: home(&process.env).is_none(),
        env: strings(b, "process.env", env),
    };
    b.init("process.args", InitStep::Execute(program));
}

fn strings(b: &mut Builder<'_>, at: &str, values: Vec<String>) -> Vec<CString> {
    values
        .into_iter()
        .map(|value| b.process_string(at, &value))
        .collect()
}

fn key(entry: &str) -> &str {
    entry.split('=').next().unwrap_or_default()
}

/// The last value of HOME, unless it is empty.
fn home(env: &[String]) -> Option<&str> {
    let entry = env.iter().rfind(|entry| key(entry) == "HOME")?;
    entry
        .split_once('=')
        .map(|(_, value)| value)
        .filter(|value| !value.is_empty())
}

fn path(env: &[String]) -> &str {
    let entry = env.iter().find_map(|entry| entry.strip_prefix("PATH="));
    entry.unwrap_or_default()
}

/// Each variable once, where it stood last; without an empty HOME, which is looked up.
pub(crate) fn environment(env: &[String]) -> Vec<String> {
    let mut last = HashMap::with_capacity(env.len());
    for (index, entry) in env.iter().enumerate() {
        last.insert(key(entry), index);
    }
    let without_home = home(env).is_none();
    let entries = env.iter().enumerate();
    entries
        .filter(|(index, entry)| last.get(key(entry)) == Some(index))
        .filter(|(_, entry)| !(without_home && key(entry) == "HOME"))
        .map(|(_, entry)| entry.clone())
        .collect()
}

/// The paths at which a program of this name may lie, in order. An empty directory of PATH is the
/// working directory, as in execvp(3), and others may be relative to it. An empty name is no file's.
fn candidates(name: &str, path: &str) -> Vec<String> {
    if name.contains('/') {
        return vec![name.to_owned()];
    }
    if name.is_empty() || path.is_empty() {
        return Vec::new();
    }
    let in_directory = |directory| match directory {
        "" => format!("./{name}"),
        directory => format!("{directory}/{name}"),
    };
    path.split(':').map(in_directory).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(entries: &[&str]) -> Vec<String> {
        entries.iter().map(|&entry| entry.to_owned()).collect()
    }

    #[test]
    fn the_last_of_two_values_wins() {
        assert_eq!(
            environment(&owned(&["A=1", "HOME=/x", "A=2"])),
            owned(&["HOME=/x", "A=2"])
        );
    }

    #[test]
    fn an_empty_home_is_looked_up() {
        assert_eq!(environment(&owned(&["HOME=", "A=1"])), owned(&["A=1"]));
        assert_eq!(home(&owned(&["HOME=/root", "HOME="])), None);
    }

    #[test]
    fn a_name_is_searched_in_path_and_a_path_is_not() {
        assert_eq!(
            candidates("sh", "/bin:/usr/bin"),
            ["/bin/sh", "/usr/bin/sh"]
        );
        assert_eq!(candidates("./sh", "/bin"), ["./sh"]);
        assert_eq!(
            candidates("sh", ".::bin:/bin"),
            ["./sh", "./sh", "bin/sh", "/bin/sh"]
        );
        assert!(candidates("", "/bin").is_empty() && candidates("sh", "").is_empty());
    }
}
