//! `exec --cgroup`: cgroups below the container's own.

use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, access};

use crate::error::{Error, Operation, Result};
use crate::file;
use crate::locate::place::{Directory, Placement};
use crate::locate::proc_cgroup;

/// Which cgroups below the container's a process goes into, by controller: runc's
/// `[CONTROLLER[,CONTROLLER]:]PATH`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Below {
    /// Without a controller: in every hierarchy.
    everywhere: Option<String>,
    by_controller: Vec<(String, String)>,
}

impl Below {
    /// Reads the values of the flag, which may be given more than once.
    ///
    /// # Errors
    /// [`Error::Below`] if they can't be read or contradict each other.
    pub fn parse(values: &[String]) -> Result<Self> {
        let mut below = Self::default();
        for value in values {
            let Some((controllers, path)) = value.split_once(':') else {
                if values.len() > 1 {
                    let why = "names no controller, and is not the only one";
                    return Err(bad(format!("--cgroup {value}: {why}")));
                }
                below.everywhere = Some(value.clone());
                continue;
            };
            for controller in controllers.split(',') {
                below.add(controller, path, value)?;
            }
        }
        Ok(below)
    }

    fn add(&mut self, controller: &str, path: &str, value: &str) -> Result<()> {
        if controller.is_empty() || path.contains(':') {
            return Err(bad(format!("--cgroup {value}: not [CONTROLLER:]PATH")));
        }
        if self
            .by_controller
            .iter()
            .any(|(name, _)| name == controller)
        {
            let why = format!("controller {controller} is named twice");
            return Err(bad(format!("--cgroup {value}: {why}")));
        }
        self.by_controller.push((controller.into(), path.into()));
        Ok(())
    }

    fn of(&self, directory: &Directory) -> Option<&str> {
        if let Some(path) = &self.everywhere {
            return Some(path);
        }
        let mut all = self.by_controller.iter();
        all.find(|(name, _)| directory.has(name))
            .map(|(_, path)| path.as_str())
    }
}

fn bad(text: String) -> Error {
    Error::Below { text }
}

impl Placement {
    /// The cgroups below this one that a process is to go into. They must exist.
    ///
    /// # Errors
    /// [`Error::Below`] for a path that leads out of the container's cgroup or a controller that
    /// has no hierarchy here; [`Error::Call`] if a cgroup is not there.
    pub fn below(&self, below: &Below) -> Result<Self> {
        for (name, _) in &below.by_controller {
            if self.v1(name).is_none() {
                return Err(bad(format!("--cgroup: unknown controller {name}")));
            }
        }
        let directories = self.directories().iter();
        let moved = directories.map(|directory| match below.of(directory) {
            Some(path) => descend(directory, path),
            None => Ok(directory.clone()),
        });
        Ok(Self::of(moved.collect::<Result<_>>()?))
    }

    /// With the v2 cgroup that a process is in now: that of a container's init, where the
    /// container has made cgroups of its own and moved there. A cgroup with controllers enabled
    /// for its children can hold no process (cgroup-v2.rst, No Internal Process Constraint).
    ///
    /// # Errors
    /// [`Error::Call`] if the process' file can't be read.
    pub fn where_process_is(&self, pid: i32) -> Result<Self> {
        let path = PathBuf::from(format!("/proc/{pid}/cgroup"));
        let text = file::whole(rustix::fs::CWD, path.as_path())
            .map_err(|errno| Error::call(Operation::Read, &path, errno))?;
        let lines = proc_cgroup::parse(&text);
        let unified = lines.into_iter().find(proc_cgroup::Line::is_v2);
        let moved = |directory: &Directory| match &unified {
            Some(line) if directory.is_v2() => directory.at(line.path.clone()),
            _ => directory.clone(),
        };
        Ok(Self::of(self.directories().iter().map(moved).collect()))
    }
}

fn descend(directory: &Directory, path: &str) -> Result<Directory> {
    let mut down: Vec<_> = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => down.push(name),
            Component::ParentDir if down.pop().is_none() => {
                return Err(bad(format!("--cgroup: bad sub cgroup path: {path}")));
            }
            _ => {}
        }
    }
    let below = directory.below().join(down.iter().collect::<PathBuf>());
    let moved = directory.at(below);
    match access(moved.path(), Access::EXISTS) {
        Err(errno) if !moved.is_optional() => {
            Err(Error::call(Operation::Open, &moved.path(), errno))
        }
        // What cannot be joined there is joined where the container is.
        Err(_) => Ok(directory.clone()),
        Ok(()) => Ok(moved),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(values: &[&str]) -> Result<Below> {
        let values: Vec<_> = values.iter().map(|&value| value.to_owned()).collect();
        Below::parse(&values)
    }

    #[test]
    fn one_path_or_one_for_each_controller() {
        assert_eq!(parse(&["/a"]).unwrap().everywhere.as_deref(), Some("/a"));
        let both = parse(&["cpu,cpuacct:a", "memory:b"]).unwrap();
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            both.by_controller,
            [pair("cpu", "a"), pair("cpuacct", "a"), pair("memory", "b")]
        );
        for wrong in [
            &["a", "b"][..],
            &["cpu:a", "b"],
            &["cpu:a", "cpu:b"],
            &[":a"],
            &["cpu:a:b"],
        ] {
            assert!(
                matches!(parse(wrong), Err(Error::Below { .. })),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn nothing_leads_out_of_the_containers_cgroup() {
        let placement: Placement = serde_json::from_str(
            r#"[{"mount": "/nowhere", "path": "a/b", "kind": "v1", "controllers": ["cpu"]}]"#,
        )
        .unwrap();
        let below = |path: &str| placement.below(&parse(&[path]).unwrap());
        for path in ["..", "../..", "/..", "x/../..", "/../b"] {
            let error = below(path).unwrap_err().to_string();
            assert!(error.contains("bad sub cgroup path"), "{path}: {error}");
        }
        let missing = below("x/../y").unwrap_err().to_string();
        assert!(missing.contains("/nowhere/a/b/y"), "{missing}");
        let unknown = placement.below(&parse(&["nope:a"]).unwrap()).unwrap_err();
        assert!(unknown.to_string().contains("unknown controller nope"));
    }
}
