//! The programs that are measured, and their command lines.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A runtime with runc's command line, or the floor.
#[derive(Clone)]
pub struct Runtime {
    /// `floor`, `kan`, `crun`, `runc`, or another one's.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its state directory, of this benchmark's own.
    pub root: PathBuf,
    /// The name of its containers.
    pub id: String,
}

impl Runtime {
    /// Whether this is the floor, which knows only how to run.
    pub fn is_floor(&self) -> bool {
        self.name == "floor"
    }

    /// The same runtime with another container, for those that are many.
    pub fn with_container(&self, name: &str) -> Self {
        let id = format!("{}-{name}", self.id);
        Self { id, ..self.clone() }
    }

    /// `PROGRAM --root DIR ARGUMENT... `.
    pub fn command(&self, arguments: &[&OsStr]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.root).args(arguments);
        command
    }

    /// `PROGRAM VERB`, which touches no state.
    pub fn bare(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(verb);
        command
    }

    /// `PROGRAM --root DIR VERB ID ARGUMENT...`.
    pub fn on_container(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(&[OsStr::new(verb), OsStr::new(&self.id)]);
        command.args(arguments);
        command
    }

    /// `run` of the bundle; for the floor, its equivalent.
    pub fn run(&self, bundle: &Path, cgroup2: &Path) -> Command {
        if !self.is_floor() {
            return self.command(&[
                "run".as_ref(),
                "--bundle".as_ref(),
                bundle.as_ref(),
                self.id.as_ref(),
            ]);
        }
        let mut command = Command::new(&self.program);
        command
            .arg(bundle.join("rootfs"))
            .arg(cgroup2.join(&self.id))
            .arg("/payload");
        command
    }

    /// `create` of the bundle with a pid file.
    pub fn create(&self, bundle: &Path, pid_file: &Path) -> Command {
        let mut command = self.command(&["create".as_ref(), "--bundle".as_ref(), bundle.as_ref()]);
        command.arg("--pid-file").arg(pid_file).arg(&self.id);
        command
    }

    /// `delete --force`.
    pub fn delete_by_force(&self) -> Command {
        self.command(&["delete".as_ref(), "--force".as_ref(), self.id.as_ref()])
    }
}

/// The first file of this name in `path`, a list like `$PATH`.
pub fn find_program(name: &str, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &Command) -> String {
        let arguments = command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned());
        arguments.collect::<Vec<_>>().join(" ")
    }

    fn runtime(name: &str) -> Runtime {
        Runtime {
            name: name.to_owned(),
            program: "p".into(),
            root: "/r".into(),
            id: "i".into(),
        }
    }

    #[test]
    fn command_lines_are_runcs() {
        let runc = runtime("runc");
        assert_eq!(
            words(&runc.run("/b".as_ref(), "/c".as_ref())),
            "--root /r run --bundle /b i"
        );
        assert_eq!(
            words(&runc.create("/b".as_ref(), "/p".as_ref())),
            "--root /r create --bundle /b --pid-file /p i"
        );
        assert_eq!(
            words(&runc.on_container("kill", &["CONT"])),
            "--root /r kill i CONT"
        );
        assert_eq!(words(&runc.delete_by_force()), "--root /r delete --force i");
    }

    #[test]
    fn the_floor_gets_a_rootfs_and_a_cgroup() {
        assert_eq!(
            words(&runtime("floor").run("/b".as_ref(), "/c".as_ref())),
            "/b/rootfs /c/i /payload"
        );
    }

    #[test]
    fn programs_are_found_in_order() {
        assert_eq!(
            find_program("sh", OsStr::new("/nowhere:/bin")),
            Some("/bin/sh".into())
        );
        assert_eq!(find_program("sh", OsStr::new("/nowhere")), None);
    }
}
