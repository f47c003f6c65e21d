//! Mounts: who makes which tree, and when it changes.

use crate::{config, request};
use kan_op::host::{IdRange, StagedTree};
use kan_op::init::{MountTarget, RootPath, TreeSource};
use kan_op::{HostStep, InitStep, Slot};
use kan_plan::{Facts, Plan};
use kan_spec::config::{Config, IdMapping, Mount, Namespace, NamespaceType, RootfsPropagation};
use linux_raw_sys::general::{
    MOUNT_ATTR__ATIME, MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_RDONLY, MS_I_VERSION, MS_PRIVATE, MS_RDONLY, MS_REMOUNT,
    MS_SHARED,
};

fn plan(change: impl FnOnce(&mut Config)) -> Plan {
    crate::plan(&config(change), &Facts::example("c"), &request())
}

fn mount(fstype: &str, source: &str, options: &[&str]) -> Mount {
    Mount {
        destination: "/point".into(),
        r#type: Some(fstype.into()),
        source: Some(source.into()),
        options: options.iter().map(|&option| option.to_owned()).collect(),
        ..Mount::default()
    }
}

fn add_users(config: &mut Config) {
    let linux = config.linux.as_mut().unwrap();
    linux.namespaces.push(Namespace {
        r#type: NamespaceType::User,
        path: None,
    });
    let all = IdMapping {
        container_id: 0,
        host_id: 100_000,
        size: 65_536,
    };
    linux.uid_mappings = vec![all];
    linux.gid_mappings = vec![all];
}

fn staged(plan: &Plan) -> Vec<&StagedTree> {
    let steps = plan.host.steps().iter();
    steps
        .filter_map(|step| match step {
            HostStep::StageTree(tree) => Some(tree),
            _ => None,
        })
        .collect()
}

fn position<S>(steps: &[S], wanted: impl Fn(&S) -> bool) -> usize {
    steps.iter().position(wanted).unwrap()
}

/// Attribute changes of the trees of init's, and of mounts in place.
fn changes(plan: &Plan) -> Vec<(&MountTarget, u32, u32)> {
    let steps = plan.init.steps().iter();
    steps
        .filter_map(|step| match step {
            InitStep::ChangeMount { target, change } => Some((target, change.set, change.clear)),
            _ => None,
        })
        .collect()
}

#[test]
fn without_a_user_namespace_init_clones_by_itself() {
    let plan = plan(|config| config.mounts.push(mount("bind", "/source", &["rbind"])));
    assert!(staged(&plan).is_empty());
    let source = TreeSource::Host(c"/source".into());
    assert!(plan.init.steps().iter().any(
        |step| matches!(step, InitStep::CloneTree { source: from, recursive: true, .. } if *from == source)
    ));
}

#[test]
fn trees_of_a_user_namespace_are_staged_before_the_clone() {
    let plan = plan(|config| {
        add_users(config);
        config
            .mounts
            .push(mount("bind", "/source", &["bind", "ro", "dev", "noatime"]));
        config
            .mounts
            .push(mount("bind", "rootfs/earlier", &["bind"]));
    });
    let steps = plan.host.steps();
    let opened = position(steps, |step| *step == HostStep::OpenStage);
    let put = position(steps, |step| matches!(step, HostStep::StageTree(_)));
    let cloned = position(steps, |step| matches!(step, HostStep::Clone { .. }));
    assert!(opened < put && put < cloned);
    // What is set is locked on the way; what is cleared the kernel has to judge.
    let trees = staged(&plan);
    let [tree] = trees[..] else {
        panic!("{trees:?}")
    };
    assert_eq!((&*tree.source, tree.recursive), ("/source", false));
    let [change] = tree.changes[..] else {
        panic!("{tree:?}")
    };
    assert_eq!(change.set, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME);
    assert_eq!(change.clear, MOUNT_ATTR__ATIME | MOUNT_ATTR_NOSYMFOLLOW);
    let tree = &MountTarget::Slot(Slot::Tree);
    assert!(changes(&plan).contains(&(tree, 0, MOUNT_ATTR_NODEV)));
    // What lies in the root may be covered by an earlier mount.
    let sources = plan.init.steps().iter().filter_map(|step| match step {
        InitStep::CloneTree { source, .. } => Some(source),
        _ => None,
    });
    let inside = TreeSource::Host(c"/bundle/rootfs/earlier".into());
    assert!(sources.clone().any(|source| *source == inside));
    assert!(
        sources
            .clone()
            .any(|source| matches!(source, TreeSource::Staged(_)))
    );
}

#[test]
fn mapped_ids_are_those_of_the_entry_or_of_the_namespace() {
    let range = |outside, count| IdRange {
        inside: 0,
        outside,
        count,
    };
    let own = plan(|config| {
        let mut mapped = mount("bind", "/source", &["bind"]);
        let ids = IdMapping {
            container_id: 0,
            host_id: 1000,
            size: 10,
        };
        mapped.uid_mappings = vec![ids];
        mapped.gid_mappings = vec![ids];
        config.mounts.push(mapped);
    });
    let ids = staged(&own)[0].ids.clone().unwrap();
    let ranges = (vec![range(1000, 10)], vec![range(1000, 10)]);
    assert_eq!((ids.ranges, ids.recursive), (Some(ranges), false));
    let namespaces = plan(|config| {
        add_users(config);
        config
            .mounts
            .push(mount("bind", "/source", &["rbind", "ridmap"]));
    });
    let ids = staged(&namespaces)[0].ids.clone().unwrap();
    let ranges = (vec![range(100_000, 65_536)], vec![range(100_000, 65_536)]);
    assert_eq!((ids.ranges, ids.recursive), (Some(ranges), true));
}

fn mapped(source: &str, options: &[&str]) -> Mount {
    let ids = vec![IdMapping {
        container_id: 0,
        host_id: 1000,
        size: 10,
    }];
    Mount {
        uid_mappings: ids.clone(),
        gid_mappings: ids,
        ..mount("bind", source, options)
    }
}

/// What lies in the root may come with an earlier mount, which the stage does not have.
#[test]
fn init_maps_the_ids_of_what_lies_in_the_root() {
    let plan = plan(|config| {
        config.mounts.push(mount("bind", "/source", &["bind"]));
        let inner = mapped("rootfs/point/inner", &["rbind", "ridmap"]);
        config.mounts.push(inner);
    });
    assert_eq!(staged(&plan), Vec::<&StagedTree>::new());
    let steps = plan.host.steps();
    let opened = position(steps, |step| *step == HostStep::OpenStage);
    let put = position(steps, |step| matches!(step, HostStep::StageIds { .. }));
    let cloned = position(steps, |step| matches!(step, HostStep::Clone { .. }));
    assert!(opened < put && put < cloned);
    let HostStep::StageIds { name, .. } = &steps[put] else {
        unreachable!()
    };
    let steps = plan.init.steps();
    let source = TreeSource::Host(c"/bundle/rootfs/point/inner".into());
    let cloned = position(
        steps,
        |step| matches!(step, InitStep::CloneTree { source: from, .. } if *from == source),
    );
    let InitStep::MapIds {
        namespace,
        recursive: true,
        ..
    } = &steps[cloned + 1]
    else {
        panic!("{:?}", &steps[cloned + 1])
    };
    assert_eq!(namespace.to_str().unwrap(), name);
}

#[test]
fn the_stage_has_no_earlier_mounts() {
    let problems = |source: &str, options: &[&str]| {
        let config = config(|config| {
            add_users(config);
            config.mounts = vec![mount("bind", "/source", &["bind"]), mapped(source, options)];
        });
        let planned = kan_plan::plan_create(&config, &Facts::example("c"), &request());
        let problems = planned.err().unwrap_or_default();
        problems
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("; ")
    };
    for (source, options) in [
        ("rootfs/point", ["bind"]),
        ("rootfs//point/./inner", ["bind"]),
        ("/bundle/rootfs", ["rbind"]),
    ] {
        let found = problems(source, &options);
        let expected = "mounts[1].source: lies in mounts[0], ";
        assert!(found.starts_with(expected), "{source}: {found}");
    }
    // A single mount has none below it, and the others lie elsewhere.
    for source in ["rootfs", "rootfs/pointed", "/point"] {
        assert_eq!(problems(source, &["bind"]), "", "{source}");
    }
}

#[test]
fn what_fsconfig_cannot_say_goes_by_path() {
    let long = format!("lowerdir={}", "/layer:".repeat(50));
    let plan = plan(|config| {
        config
            .mounts
            .push(mount("overlay", "overlay", &[&long, "nosuid"]));
        config
            .mounts
            .push(mount("ext4", "/dev/x", &["iversion", "errors=panic", "ro"]));
        config
            .mounts
            .push(mount("tmpfs", "tmpfs", &["remount", "ro", "size=1m"]));
    });
    let all = plan.init.steps().iter().filter_map(|step| match step {
        InitStep::MountByPath {
            fstype,
            flags,
            data,
            ..
        } => Some((fstype.to_str().unwrap(), *flags, data.to_str().unwrap())),
        _ => None,
    });
    let wanted = [
        ("overlay", MOUNT_ATTR_NOSUID, long.as_str()),
        ("ext4", MS_I_VERSION | MS_RDONLY, "errors=panic"),
        ("", MS_REMOUNT | MS_RDONLY, "size=1m"),
    ];
    assert!(all.eq(wanted));
}

#[test]
fn a_read_only_tmpfs_with_points_in_it_is_locked_late() {
    let plan = plan(|config| {
        config.mounts.push(mount("tmpfs", "tmpfs", &["ro"]));
        let mut inner = mount("tmpfs", "tmpfs", &["ro"]);
        inner.destination = "/point/inner".into();
        config.mounts.push(inner);
    });
    let steps = plan.init.steps();
    let attributes: Vec<_> = steps
        .iter()
        .filter_map(|step| match step {
            InitStep::NewFilesystem(new) if new.mode_of.is_some() => Some(new.attributes),
            _ => None,
        })
        .collect();
    assert_eq!(attributes, [0, MOUNT_ATTR_RDONLY]);
    let point = MountTarget::Container(RootPath(c"/point".into()));
    let locked = position(
        steps,
        |step| matches!(step, InitStep::ChangeMount { target, .. } if *target == point),
    );
    let inner = position(
        steps,
        |step| matches!(step, InitStep::Attach { at, .. } if at.0.as_c_str() == c"/point/inner"),
    );
    assert!(inner < locked);
}

/// pivot_root(2) refuses a shared root, and the host must not get the container's mounts.
#[test]
fn a_shared_root_is_shared_at_last() {
    let plan = plan(|config| {
        config.linux.as_mut().unwrap().rootfs_propagation = Some(RootfsPropagation::Shared);
    });
    let steps = plan.init.steps();
    let propagation = |wanted: &MountTarget| {
        let found = steps
            .iter()
            .enumerate()
            .filter_map(|(index, step)| match step {
                InitStep::ChangeMount { target, change } if target == wanted => {
                    Some((index, change.propagation, change.recursive))
                }
                _ => None,
            });
        found.max().unwrap()
    };
    let (private, kind, _) = propagation(&MountTarget::Holding(c"/bundle/rootfs".into()));
    assert_eq!(kind, MS_PRIVATE);
    let cloned = position(steps, |step| {
        matches!(
            step,
            InitStep::CloneTree {
                out: Slot::Root,
                ..
            }
        )
    });
    let entered = position(steps, |step| matches!(step, InitStep::EnterRoot(_)));
    let (shared, kind, recursive) = propagation(&MountTarget::EnteredRoot);
    assert_eq!((kind, recursive), (MS_SHARED, false));
    assert!(private < cloned && entered < shared);
}

/// As crun, which works in the bundle's directory, has it.
#[test]
fn directories_of_an_overlay_are_relative_to_the_bundle() {
    let options = [
        "lowerdir=one:/two:th\\:ree::data",
        "upperdir=up",
        "workdir=/work",
        "index=off",
    ];
    let plan = plan(|config| config.mounts.push(mount("overlay", "overlay", &options)));
    let steps = plan.init.steps().iter();
    let new = steps.filter_map(|step| match step {
        InitStep::NewFilesystem(new) if new.fstype.as_c_str() == c"overlay" => Some(new),
        _ => None,
    });
    let values: Vec<_> = new
        .flat_map(|new| &new.parameters)
        .filter_map(|parameter| parameter.value.as_ref()?.to_str().ok())
        .collect();
    let lower = "/bundle/one:/two:/bundle/th\\:ree::/bundle/data";
    assert_eq!(values, ["overlay", lower, "/bundle/up", "/work", "off"]);
}
