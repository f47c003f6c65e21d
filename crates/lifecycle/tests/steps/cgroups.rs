//! The container's cgroup, in the hierarchy of version 2, wherever that is mounted here; groups of
//! resctrl, in a directory that stands in for it.

use crate::harness::{Test, skip, tests};
use crate::scene::{Scene, clone, proc_file, with_scene};
use kan_op::host::{CgroupDirectory, DeviceKind, DeviceRule, ResctrlGroup};
use kan_op::{HostStep, Limits};
use kan_op::{IfMissing, Setting};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub const TESTS: [Test; 8] = tests![
    a_cgroup_is_made_and_taken_back,
    a_child_is_cloned_into_it_or_moved_there,
    a_cgroup_is_given_and_delegated,
    a_limit_is_written,
    devices_are_limited,
    what_a_unit_lacks_is_made,
    a_unit_needs_its_manager,
    groups_of_resctrl_are_made_and_joined,
];

struct Cgroup {
    path: PathBuf,
    directories: Vec<CgroupDirectory>,
    name: String,
}

/// The state of a container with a cgroup of version 2.
fn place(scene: &mut Scene) -> Cgroup {
    let (mount, kind) = if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        ("/sys/fs/cgroup", "unified")
    } else if Path::new("/sys/fs/cgroup/unified/cgroup.controllers").exists() {
        ("/sys/fs/cgroup/unified", "hybrid")
    } else {
        skip("no cgroup version 2 at its usual place")
    };
    let name = format!("kan-steps-{}", std::process::id());
    scene.cgroups = format!(r#"[{{"mount": "{mount}", "path": "{name}", "kind": "{kind}"}}]"#);
    let directory = CgroupDirectory {
        mount: mount.into(),
        path: name.clone(),
    };
    Cgroup {
        path: Path::new(mount).join(&name),
        directories: vec![directory],
        name,
    }
}

/// Moves the place to the hierarchy of devices, where version 1 has it.
fn in_v1_devices(scene: &mut Scene, cgroup: &mut Cgroup) -> bool {
    let v1 = Path::new("/sys/fs/cgroup/devices");
    if !v1.join("tasks").exists() {
        return false;
    }
    let name = &cgroup.name;
    scene.cgroups = format!(
        r#"[{{"mount": "/sys/fs/cgroup/devices", "path": "{name}", "kind": "v1",
            "controllers": ["devices"]}}]"#
    );
    cgroup.path = v1.join(name);
    true
}

/// The path of a process in version 2.
fn where_is(pid: i32) -> String {
    let text = proc_file(pid, "cgroup");
    let line = text.lines().find_map(|line| line.strip_prefix("0::"));
    line.unwrap().to_owned()
}

fn a_cgroup_is_made_and_taken_back() {
    with_scene(|scene| {
        let cgroup = place(scene);
        let make = HostStep::MakeCgroup(cgroup.directories);
        scene
            .perform([make], |_| assert!(cgroup.path.is_dir()))
            .unwrap();
        assert!(!cgroup.path.exists());
    });
}

fn a_child_is_cloned_into_it_or_moved_there() {
    with_scene(|scene| {
        let cgroup = place(scene);
        let make = || HostStep::MakeCgroup(cgroup.directories.clone());
        let into = HostStep::Clone {
            flags: 0,
            into_cgroup: true,
            join: Vec::new(),
            hidden: false,
        };
        let wanted = format!("/{}", cgroup.name);
        let cloned = scene.perform([make(), into], |seen| where_is(seen.child));
        assert_eq!(cloned.unwrap(), wanted);
        let steps = [make(), clone(0), HostStep::JoinCgroup];
        assert_eq!(
            scene.perform(steps, |seen| where_is(seen.child)).unwrap(),
            wanted
        );
        // Without the step it stays where kan is.
        let stays = scene.perform([make(), clone(0)], |seen| where_is(seen.child));
        assert_ne!(stays.unwrap(), wanted);
        assert!(!cgroup.path.exists());
    });
}

fn a_cgroup_is_given_and_delegated() {
    with_scene(|scene| {
        let cgroup = place(scene);
        let make = || HostStep::MakeCgroup(cgroup.directories.clone());
        let owner = |path: &Path| std::fs::metadata(path).unwrap().uid();
        let given = scene.perform([make(), HostStep::GiveCgroup { uid: 4242 }], |_| {
            (
                owner(&cgroup.path),
                owner(&cgroup.path.join("cgroup.procs")),
            )
        });
        assert_eq!(given.unwrap(), (4242, 4242));
        let delegate = HostStep::DelegateCgroup {
            name: "init".into(),
            uid: Some(4343),
        };
        let below = scene.perform([make(), clone(0), delegate], |seen| {
            (where_is(seen.child), owner(&cgroup.path.join("init")))
        });
        assert_eq!(below.unwrap(), (format!("/{}/init", cgroup.name), 4343));
        assert!(!cgroup.path.exists());
    });
}

fn a_limit_is_written() {
    with_scene(|scene| {
        let cgroup = place(scene);
        let limit = |file: &'static str| {
            let setting = Setting {
                field: "linux.resources.unified".into(),
                file: file.into(),
                value: "7".into(),
                if_missing: IfMissing::Fail,
                above: None,
            };
            HostStep::Limit(Limits {
                controller: "cgroup".into(),
                directory: cgroup.directories[0].clone(),
                is_v2: true,
                settings: vec![setting],
            })
        };
        let make = || HostStep::MakeCgroup(cgroup.directories.clone());
        let read = || std::fs::read_to_string(cgroup.path.join("cgroup.max.depth")).unwrap();
        let written = scene.perform([make(), limit("cgroup.max.depth")], |_| read());
        assert_eq!(written.unwrap(), "7\n");
        let error = scene
            .perform([make(), limit("cgroup.none")], |_| ())
            .unwrap_err();
        assert!(error.contains("linux.resources.unified"), "{error}");
    });
}

fn devices_are_limited() {
    with_scene(|scene| {
        let mut cgroup = place(scene);
        let is_v1 = in_v1_devices(scene, &mut cgroup);
        let deny = DeviceRule {
            allow: false,
            kind: DeviceKind::All,
            major: None,
            minor: None,
            read: true,
            write: true,
            mknod: true,
        };
        let steps = [
            HostStep::MakeCgroup(cgroup.directories.clone()),
            HostStep::LimitDevices(vec![deny]),
            clone(0),
            HostStep::JoinCgroup,
        ];
        let list = scene.perform(steps, |_| {
            is_v1.then(|| std::fs::read_to_string(cgroup.path.join("devices.list")).unwrap())
        });
        // What version 2 has is a program, which conformance/suite sees from inside a container.
        assert!(list.unwrap().is_none_or(|list| list.is_empty()));
    });
}

fn what_a_unit_lacks_is_made() {
    with_scene(|scene| {
        let mut cgroup = place(scene);
        let enter = HostStep::EnterUnit(cgroup.directories.clone());
        // A manager that leaves a hierarchy of version 1 to others.
        let steps = if in_v1_devices(scene, &mut cgroup) {
            vec![clone(0), enter]
        } else {
            let make = HostStep::MakeCgroup(cgroup.directories.clone());
            vec![make, clone(0), enter]
        };
        let entered = scene.perform(steps, |seen| {
            let line = format!(":/{}", cgroup.name);
            proc_file(seen.child, "cgroup")
                .lines()
                .any(|at| at.ends_with(&line))
        });
        let _ = std::fs::remove_dir(&cgroup.path);
        assert!(entered.unwrap());
    });
}

/// Of a user who has no manager here, so that no unit of the machine is touched.
fn a_unit_needs_its_manager() {
    with_scene(|scene| {
        scene.unit = r#"{"name": "kan-steps.scope", "user": 4242}"#.into();
        let (unit, properties) = (String::from("kan-steps.scope"), Vec::new());
        let attach = HostStep::AttachToUnit { unit: unit.clone() };
        for step in [HostStep::StartUnit { unit, properties }, attach] {
            let error = scene.perform([clone(0), step], |_| ()).unwrap_err();
            assert!(error.contains("bus"), "{error}");
        }
    });
}

fn groups_of_resctrl_are_made_and_joined() {
    with_scene(|scene| {
        let group = |must_exist| ResctrlGroup {
            path: scene.text("group"),
            must_exist,
            is_shared: true,
            schemata: Vec::new(),
            monitor: None,
        };
        let make = |must_exist| HostStep::MakeResctrlGroup(group(must_exist));
        let error = scene.perform([make(true)], |_| ()).unwrap_err();
        assert!(error.contains("no such class of service"), "{error}");
        std::fs::create_dir(scene.path("group")).unwrap();
        std::fs::write(scene.path("group/tasks"), "").unwrap();
        std::fs::write(scene.path("group/schemata"), "").unwrap();
        let join = HostStep::JoinResctrlGroups(vec![scene.text("group")]);
        let steps = [make(true), clone(0), join];
        let done = scene.perform(steps, |seen| {
            let tasks = std::fs::read_to_string(scene.path("group/tasks")).unwrap();
            assert_eq!(tasks.trim(), seen.child.to_string());
        });
        done.unwrap();
    });
}
