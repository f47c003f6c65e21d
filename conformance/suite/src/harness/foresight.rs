//! What `kan check` says of every bundle that the suite creates a container from, and whether it was
//! right: with `SUITE_CHECKS=1` in the environment, for kan alone.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, Stdio};

use super::runtime::Runtime;

/// Cases in which `check` cannot be right, each with the reason. At most ten.
const OUTSIDE: &[(&str, &str)] = &[];

/// What `check` said before a command.
pub struct Foresight {
    fails: bool,
    said: String,
}

/// Whether the bundles of a case are checked.
pub fn is_wanted(runtime: &Runtime, case: &str) -> bool {
    std::env::var_os("SUITE_CHECKS").is_some()
        && runtime.name == "kan"
        && !OUTSIDE.iter().any(|(name, _)| case.starts_with(name))
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

    /// What `check` should have said, if it said the opposite. `failed` is whether kan itself failed.
    pub fn was_wrong(&self, failed: bool) -> Option<String> {
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
    let mut words = argv[..verb].to_vec();
    words.push("check".into());
    let mut rest = argv[verb + 1..].iter();
    let kept = ["--bundle", "-b", "--config", "-f"];
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
