//! Where relative paths lead on this machine.

use std::fs::read_to_string;
use std::path::Path;

use kan_cgroup::Kind;

use crate::scratch::{Scratch, placed};
use crate::view;

/// The caller's path in the line of `/proc/self/cgroup` with these controllers.
fn own(controllers: &[String]) -> String {
    let text = read_to_string("/proc/self/cgroup").unwrap();
    let mut lines = text.lines().map(|line| line.splitn(3, ':').skip(1));
    lines
        .find_map(|mut fields| {
            let names = fields.next()?;
            let path = fields.next()?;
            (names == controllers.join(",")).then(|| path.trim_matches('/').to_owned())
        })
        .unwrap()
}

#[test]
fn a_missing_path_is_the_id_in_the_own_cgroup() {
    if view::is("part") {
        return;
    }
    let placement = placed(None, "web");
    assert!(!placement.directories().is_empty());
    for dir in placement.directories() {
        let own = own(dir.controllers());
        let expected = match dir.kind() {
            Kind::Unified => Path::new(&own)
                .parent()
                .unwrap_or(Path::new(""))
                .join("web"),
            Kind::Hybrid => "web".into(),
            Kind::V1 | Kind::Named => Path::new(&own).join("web"),
        };
        assert_eq!(dir.below(), expected);
    }
}

#[test]
fn every_hierarchy_of_the_host_is_placed_in() {
    let listed = read_to_string("/proc/self/cgroup").unwrap().lines().count();
    let expected = match () {
        () if view::is("v2") => 1,
        () if view::is("v1") => listed - 1,
        () => listed,
    };
    assert_eq!(placed(Some("/x"), "web").directories().len(), expected);
}

/// A container without a cgroup namespace: `/proc/self/cgroup` shows the host's paths, while
/// `/sys/fs/cgroup/*` shows only the container's part.
#[test]
fn a_relative_path_where_hierarchies_are_mounted_in_part() {
    if view::is("part") {
        return in_part();
    }
    let Some(scratch) = Scratch::made("part") else {
        return;
    };
    if scratch.placement.v1("memory").is_none() || std::env::var_os(view::VIEW).is_some() {
        return;
    }
    let setup = format!(
        "for h in /sys/fs/cgroup/*/; do mount --bind $h{0} $h || exit 1; done",
        scratch.path
    );
    let name = "place::a_relative_path_where_hierarchies_are_mounted_in_part";
    let command = view::again("part", &setup, &["--exact", name]);
    view::passes(command, 1, |pid| {
        kan_cgroup::join(&scratch.placement, pid).unwrap();
    });
}

fn in_part() {
    assert!(own(&["memory".to_owned()]).contains("-part"));
    let placement = placed(Some("a/web"), "web");
    for dir in placement.directories() {
        assert_eq!(dir.below(), Path::new("a/web"), "{dir:?}");
    }
    let created = kan_cgroup::create(&placement).unwrap();
    assert!(placement.v1("memory").unwrap().path().exists());
    kan_cgroup::remove(&placement).unwrap();
    created.undo();
}
