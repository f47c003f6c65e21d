//! Placement as a table, and what storing it keeps and refuses.

use super::*;

fn hierarchy(mount: &str, controllers: &[&str], own: Option<&str>) -> Hierarchy {
    Hierarchy {
        mount: Path::new("/sys/fs/cgroup")
            .components()
            .chain(Path::new(mount).components())
            .collect(),
        controllers: controllers.iter().map(|c| (*c).to_owned()).collect(),
        version: match controllers.is_empty() {
            true => Version::V2,
            false => Version::V1,
        },
        own: own.map(descend),
    }
}

fn v2(own: &str) -> Layout {
    Layout::Unified(hierarchy("", &[], Some(own)))
}

fn hybrid() -> Layout {
    Layout::Legacy(vec![
        hierarchy("cpu,cpuacct", &["cpu", "cpuacct"], Some("/a")),
        hierarchy("memory", &["memory"], Some("/pool/one")),
        hierarchy("systemd", &["name=systemd"], Some("/user.slice/s.scope")),
        hierarchy("foreign", &["name=foreign"], Some("/")),
        hierarchy("unified", &[], Some("/user.slice/s.scope")),
    ])
}

fn placed(layout: &Layout, cgroups_path: Option<&str>) -> Vec<String> {
    let wanted = CgroupsPath::parse(cgroups_path, "web").unwrap();
    place(layout, &wanted)
        .unwrap()
        .directories()
        .iter()
        .map(|dir| dir.path().to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn v2_places_as_runc_does() {
    let scope = "/user.slice/s.scope";
    for (own, wanted, expected) in [
        (scope, Some("/foo/bar"), "/sys/fs/cgroup/foo/bar"),
        (scope, Some("foo/bar"), "/sys/fs/cgroup/user.slice/foo/bar"),
        (scope, None, "/sys/fs/cgroup/user.slice/web"),
        (scope, Some(""), "/sys/fs/cgroup/user.slice/web"),
        ("/top", Some("foo"), "/sys/fs/cgroup/foo"),
        ("/", None, "/sys/fs/cgroup/web"),
        // Nothing climbs.
        (
            scope,
            Some("/../../../some/path"),
            "/sys/fs/cgroup/some/path",
        ),
        (
            scope,
            Some("../../some/path"),
            "/sys/fs/cgroup/user.slice/some/path",
        ),
        (scope, Some("a/../../b"), "/sys/fs/cgroup/user.slice/b"),
        (scope, Some("/a/./b//c/"), "/sys/fs/cgroup/a/b/c"),
        // The systemd form is a plain name to the cgroupfs driver.
        (
            scope,
            Some("system.slice:kan:web"),
            "/sys/fs/cgroup/user.slice/system.slice:kan:web",
        ),
    ] {
        assert_eq!(placed(&v2(own), wanted), [expected], "{own} {wanted:?}");
    }
}

#[test]
fn hybrid_places_in_every_hierarchy_but_foreign_named_ones() {
    assert_eq!(
        placed(&hybrid(), Some("/foo")),
        [
            "/sys/fs/cgroup/cpu,cpuacct/foo",
            "/sys/fs/cgroup/memory/foo",
            "/sys/fs/cgroup/systemd/foo",
            "/sys/fs/cgroup/unified/foo",
        ]
    );
}

#[test]
fn v1_relative_starts_at_the_own_cgroup_and_hybrids_v2_at_the_mount() {
    let expected = [
        "/sys/fs/cgroup/cpu,cpuacct/a/web",
        "/sys/fs/cgroup/memory/pool/one/web",
        "/sys/fs/cgroup/systemd/user.slice/s.scope/web",
        "/sys/fs/cgroup/unified/web",
    ];
    assert_eq!(placed(&hybrid(), None), expected);
    assert_eq!(placed(&hybrid(), Some("../../web")), expected);
}

#[test]
fn kinds_and_lookups() {
    let wanted = CgroupsPath::parse(Some("/foo"), "web").unwrap();
    let placement = place(&hybrid(), &wanted).unwrap();
    let kinds: Vec<_> = placement
        .directories()
        .iter()
        .map(Directory::kind)
        .collect();
    assert_eq!(kinds, [Kind::V1, Kind::V1, Kind::Named, Kind::Hybrid]);
    assert!(
        placement
            .v1("cpuacct")
            .unwrap()
            .path()
            .ends_with("cpu,cpuacct/foo")
    );
    assert!(placement.v1("devices").is_none());
    assert!(placement.v2().unwrap().path().ends_with("unified/foo"));
    let alone = place(&v2("/"), &wanted).unwrap();
    assert_eq!(alone.v2().unwrap().kind(), Kind::Unified);
}

#[test]
fn a_host_without_cgroups_gives_an_empty_placement() {
    assert_eq!(placed(&Layout::Absent, None), Vec::<String>::new());
}

#[test]
fn a_path_that_leaves_no_name_is_refused() {
    for path in ["/", ".", "..", "/..", "a/..", "//", "../.."] {
        assert!(
            matches!(
                CgroupsPath::parse(Some(path), "web"),
                Err(Error::Path { .. })
            ),
            "{path}"
        );
    }
    assert!(CgroupsPath::parse(None, "..").is_err());
    assert!(CgroupsPath::parse(Some("/a\0b"), "web").is_err());
}

#[test]
fn a_relative_path_needs_the_own_cgroup() {
    let blind = Layout::Unified(hierarchy("", &[], None));
    let relative = CgroupsPath::parse(Some("foo"), "web").unwrap();
    assert!(matches!(
        place(&blind, &relative),
        Err(Error::OwnUnknown { .. })
    ));
    assert_eq!(placed(&blind, Some("/foo")), ["/sys/fs/cgroup/foo"]);
}

#[test]
fn storing_keeps_everything() {
    let wanted = CgroupsPath::parse(Some("foo/bar"), "web").unwrap();
    for layout in [hybrid(), v2("/x/y"), Layout::Absent] {
        let placement = place(&layout, &wanted).unwrap();
        let text = serde_json::to_string(&placement).unwrap();
        assert_eq!(serde_json::from_str::<Placement>(&text).unwrap(), placement);
    }
}

#[test]
fn the_stored_form_is_readable() {
    let wanted = CgroupsPath::parse(Some("/foo"), "web").unwrap();
    let text = serde_json::to_string(&place(&v2("/"), &wanted).unwrap()).unwrap();
    assert_eq!(
        text,
        r#"[{"mount":"/sys/fs/cgroup","path":"foo","kind":"unified"}]"#
    );
}

#[test]
fn a_damaged_stored_path_is_refused() {
    for (mount, path) in [
        ("/sys/fs/cgroup", ""),
        ("/sys/fs/cgroup", "."),
        ("/sys/fs/cgroup", "/etc"),
        ("/sys/fs/cgroup", "../x"),
        ("/sys/fs/cgroup", "a/../b"),
        ("sys", "a"),
        ("/sys/../etc", "a"),
    ] {
        let text = format!(r#"[{{"mount":"{mount}","path":"{path}","kind":"unified"}}]"#);
        assert!(serde_json::from_str::<Placement>(&text).is_err(), "{text}");
    }
}
