//! `/proc/self/cgroup`: the hierarchies of this host and the caller's place in each (cgroups(7)).

use std::path::Path;

use rustix::fs::CWD;
use rustix::io::Errno;

use crate::error::{Error, Operation, Result};
use crate::file;
use crate::locate::path::descend;

const FILE: &str = "/proc/self/cgroup";

/// One line: `hierarchy-id:controller-list:path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The controllers, or `name=…` of a named v1 hierarchy. Empty for v2.
    pub controllers: Vec<String>,
    /// The caller's cgroup, from the root of the caller's cgroup namespace, without a leading
    /// slash and without `..`.
    pub path: std::path::PathBuf,
}

impl Line {
    /// Whether this is the v2 hierarchy.
    pub(crate) fn is_v2(&self) -> bool {
        self.controllers.is_empty()
    }
}

/// Reads the caller's lines. A kernel without cgroups has none.
pub(crate) fn read() -> Result<Vec<Line>> {
    match file::at_once(CWD, FILE) {
        Ok(text) => Ok(parse(&text)),
        Err(Errno::NOENT) => Ok(Vec::new()),
        Err(errno) => Err(Error::call(Operation::Read, Path::new(FILE), errno)),
    }
}

/// Parses the file. A line of another form than the manual page's is passed over: nothing could
/// be done with it.
pub(crate) fn parse(text: &str) -> Vec<Line> {
    text.lines().filter_map(line).collect()
}

fn line(text: &str) -> Option<Line> {
    // The path comes last and may itself hold colons.
    let mut fields = text.splitn(3, ':');
    let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    Some(Line {
        controllers: controllers
            .split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
        // A process whose cgroup lies outside its cgroup namespace sees `/../…`
        // (cgroup_namespaces(7)). Nothing outside can be reached, so the namespace's root is it.
        path: descend(if path.starts_with("/..") { "/" } else { path }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(String, String)> {
        parse(text)
            .into_iter()
            .map(|line| {
                let path = line.path.to_str().unwrap().to_owned();
                (line.controllers.join("+"), path)
            })
            .collect()
    }

    fn expected(lines: &[(&str, &str)]) -> Vec<(String, String)> {
        lines
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    }

    #[test]
    fn v1_with_comounted_and_named_hierarchies() {
        let text = "12:cpuset:/\n11:net_cls,net_prio:/\n4:cpu,cpuacct:/user.slice\n\
                    1:name=systemd:/user.slice/user-0.slice/session-1.scope\n";
        assert_eq!(
            parsed(text),
            expected(&[
                ("cpuset", ""),
                ("net_cls+net_prio", ""),
                ("cpu+cpuacct", "user.slice"),
                ("name=systemd", "user.slice/user-0.slice/session-1.scope"),
            ])
        );
    }

    #[test]
    fn v2_alone_and_v2_last_in_hybrid() {
        assert_eq!(
            parsed("0::/user.slice/session-1.scope\n"),
            expected(&[("", "user.slice/session-1.scope")])
        );
        let hybrid = parse("4:memory:/pool/one\n1:name=systemd:/\n0::/\n");
        assert_eq!(hybrid.len(), 3);
        assert!(hybrid[2].is_v2() && !hybrid[0].is_v2() && !hybrid[1].is_v2());
    }

    #[test]
    fn paths_keep_colons() {
        assert_eq!(
            parsed("0::/system.slice:docker:abc\n"),
            expected(&[("", "system.slice:docker:abc")])
        );
    }

    #[test]
    fn a_container_without_cgroup_namespace_sees_the_hosts_paths() {
        assert_eq!(
            parsed("9:devices:/docker/0123abc\n0::/system.slice/docker-0123abc.scope\n"),
            expected(&[
                ("devices", "docker/0123abc"),
                ("", "system.slice/docker-0123abc.scope")
            ])
        );
    }

    #[test]
    fn a_cgroup_outside_the_namespace_is_its_root() {
        assert_eq!(parsed("0::/../other\n"), expected(&[("", "")]));
    }

    #[test]
    fn other_lines_are_passed_over() {
        assert_eq!(
            parsed("\nnonsense\n3:pids\n2:pids:/a\n"),
            expected(&[("pids", "a")])
        );
        assert_eq!(parsed(""), vec![]);
    }
}
