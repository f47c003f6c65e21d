//! What `kan check` says of every bundle that the suite creates a container from, and whether it was
//! right: with `SUITE_CHECKS=1` in the environment, for kan alone.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, Stdio};

use super::runtime::Runtime;

/// Failures that are outside of what `check` promises to foresee, each with the reason. At most ten.
const OUTSIDE: &[(&str, &str)] = &[
    ("already exists", "another container has the id"),
    ("container does not exist", "somebody deletes it meanwhile"),
    ("container id", "the id is not part of the bundle"),
    ("invalid container ID", "the id is not part of the bundle"),
    ("console", "the terminal's socket is a flag"),
    ("LISTEN_FDS", "what a service manager hands over"),
    ("error running", "what a hook does"),
    ("Container hook", "what a hook does"),
    (
        "stopped by SIG",
        "kan was told to stop, or its init stopped",
    ),
    ("has been frozen", "somebody froze the cgroup meanwhile"),
];

/// Cases in which others change the bundle all the time.
const RACES: &str = "attacks";

/// What `check` said before a command.
pub struct Foresight {
    fails: bool,
    said: String,
}

/// Whether the bundles of a case are checked.
pub fn is_wanted(runtime: &Runtime, case: &str) -> bool {
    std::env::var_os("SUITE_CHECKS").is_some() && runtime.name == "kan" && !case.starts_with(RACES)
}

impl Foresight {
    /// Runs `check` as a command line runs `create` or `run`; `None` if it is another one.
    pub fn of(argv: &[OsString], cwd: &Path, env: &[(String, String)]) -> Option<Self> {
        let words = words(argv)?;
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(cwd).env_clear();
        command
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(env.iter().map(|(key, value)| (key, value)));
        let output = command.stdin(Stdio::null()).output().ok()?;
        let said = [output.stdout, output.stderr].concat();
        Some(Self {
            fails: !output.status.success(),
            said: String::from_utf8_lossy(&said).into_owned(),
        })
    }

    /// What `check` should have said, if it said the opposite. `errors` is what the command wrote to
    /// stderr.
    pub fn was_wrong(&self, code: i32, errors: &str) -> Option<String> {
        let is_error = |line: &str| line.starts_with("kan: ") && !line.starts_with("kan: warning");
        let failed = code != 0 && errors.lines().any(is_error);
        if failed && OUTSIDE.iter().any(|(text, _)| errors.contains(text)) {
            return None;
        }
        // What fails in execve(2) fails after `create`.
        let is_of_start = self.said.contains("process.args: exec");
        if failed == self.fails || self.fails && is_of_start {
            return None;
        }
        let said = self.said.trim_end();
        Some(match failed {
            true => format!("check found nothing wrong with it: {said}"),
            false => format!("it works, and check said: {said}"),
        })
    }
}

/// The same command line for `check`: with the program in front, global options, bundle and config.
fn words(argv: &[OsString]) -> Option<Vec<OsString>> {
    let is_verb = |word: &OsString| word == "create" || word == "run";
    let is_kan = |word: &OsString| Path::new(word).file_name() == Some(OsStr::new("kan"));
    let kan = argv.iter().position(is_kan)?;
    let verb = kan + argv[kan..].iter().position(is_verb)?;
    // Wrappers that take the terminal, and the log of which a case counts the lines.
    let is_other =
        |word: &OsString| word == "setsid" || word == "--log" || word == "--help" || word == "-h";
    if argv.iter().any(is_other) {
        return None;
    }
    let mut words = argv[..verb].to_vec();
    words.push("check".into());
    let mut rest = argv[verb + 1..].iter();
    let kept = ["--bundle", "-bundle", "-b", "--config", "-f"];
    while let Some(word) = rest.next() {
        if kept.iter().any(|name| word == name) {
            words.extend([word.clone(), rest.next()?.clone()]);
        } else if kept
            .iter()
            .any(|name| starts_with(word, &format!("{name}=")))
        {
            words.push(word.clone());
        }
    }
    Some(words)
}

fn starts_with(word: &OsStr, text: &str) -> bool {
    word.to_str().is_some_and(|word| word.starts_with(text))
}
