//! Mounts for a container that is there: what is copied where, and what is joined.

use crate::{config, request};
use kan_op::{HostStep, InitStep, Sync};
use kan_plan::{Facts, Plan, plan_mount, plan_unmount};
use kan_spec::config::{Config, Mount, Namespace, NamespaceType};
use linux_raw_sys::general::{CLONE_NEWNS, CLONE_NEWUSER};

fn mount(destination: &str, fstype: &str, source: Option<&str>) -> Mount {
    Mount {
        destination: destination.into(),
        r#type: Some(fstype.into()),
        source: source.map(str::to_owned),
        ..Mount::default()
    }
}

fn with(mounts: Vec<Mount>) -> Config {
    config(|config| {
        config.mounts = mounts;
        let linux = config.linux.as_mut().unwrap();
        linux.namespaces.push(Namespace {
            r#type: NamespaceType::User,
            path: None,
        });
    })
}

fn place(plan: &Plan, what: impl Fn(&InitStep) -> bool) -> usize {
    plan.init.steps().iter().position(what).unwrap()
}

#[test]
fn a_source_is_the_hosts_and_a_new_file_system_the_containers() {
    let config = with(vec![
        mount("/a", "bind", Some("/source")),
        mount("/b", "tmpfs", Some("tmpfs")),
        mount("/c", "ext4", Some("/dev/disk")),
        mount("/d", "unheard-of", Some("/dev/disk")),
    ]);
    let facts = Facts::example("c");
    let bind = plan_mount(&config, 0, &facts, &request()).unwrap();
    let fresh = plan_mount(&config, 1, &facts, &request()).unwrap();
    let join = |step: &InitStep| matches!(step, InitStep::Join { .. });
    let attach = |step: &InitStep| matches!(step, InitStep::Attach { .. });
    let new = |step: &InitStep| matches!(step, InitStep::NewFilesystem(_));
    for index in [2, 3] {
        let disk = plan_mount(&config, index, &facts, &request()).unwrap();
        assert!(
            place(&disk, new) < place(&disk, join) && place(&disk, join) < place(&disk, attach)
        );
    }
    let copied = place(&bind, |step| matches!(step, InitStep::CloneTree { .. }));
    assert!(copied < place(&bind, join) && place(&bind, join) < place(&bind, attach));
    let made = place(&fresh, |step| matches!(step, InitStep::NewFilesystem(_)));
    assert!(place(&fresh, join) < made && made < place(&fresh, attach));
    assert_eq!(bind.init.field(copied), "mounts[0]");
    assert_eq!(fresh.init.field(made), "mounts[1]");
}

/// kan keeps its own user namespace, whose flags and owners it can see.
#[test]
fn the_mount_namespace_is_joined_and_the_user_namespace_is_not() {
    let config = with(vec![mount("/a", "tmpfs", None)]);
    let plan = plan_mount(&config, 0, &Facts::example("c"), &request()).unwrap();
    let joined = plan.init.steps().iter().filter_map(|step| match step {
        InitStep::Join { flags, .. } => Some(*flags),
        _ => None,
    });
    let flags = joined.fold(0, |all, flags| all | flags);
    assert_eq!(flags & (CLONE_NEWNS | CLONE_NEWUSER), CLONE_NEWNS);
    assert!(!plan.init.steps().contains(&InitStep::EnterPidNamespace));
}

/// The host half waits for the end of the work, and there is no program.
#[test]
fn the_work_ends_with_ready() {
    let config = with(vec![mount("/a/b", "tmpfs", None)]);
    for plan in [plan_mount, plan_unmount] {
        let plan = plan(&config, 0, &Facts::example("c"), &request()).unwrap();
        assert_eq!(plan.init.steps().last(), Some(&InitStep::Tell(Sync::Ready)));
        let waits = HostStep::Wait(Sync::Ready);
        assert_eq!(plan.host.steps().last(), Some(&waits));
    }
}

#[test]
fn every_problem_has_its_field() {
    let mut wrong = mount("/a", "bind", Some("/source"));
    wrong.options = vec!["size=1".into()];
    let config = with(vec![wrong, mount("/", "tmpfs", None)]);
    let facts = Facts::example("c");
    let problems = plan_mount(&config, 0, &facts, &request()).unwrap_err();
    assert!(
        problems.iter().all(|one| one.at.starts_with("mounts[0]")),
        "{problems:?}"
    );
    let problems = plan_unmount(&config, 1, &facts, &request()).unwrap_err();
    assert_eq!(
        problems[0].to_string(),
        "mounts[1].destination: names no mount point"
    );
}

/// mount(2) looks its source up where it mounts; a disk of that name may be the container's.
#[test]
fn nothing_but_namespaces_own_is_mounted_by_path() {
    let with_version = |fstype: &str| {
        let mut entry = mount("/a", fstype, Some("/source"));
        entry.options = vec!["iversion".into()];
        with(vec![entry])
    };
    let facts = Facts::example("c");
    let refused = plan_mount(&with_version("ext4"), 0, &facts, &request()).unwrap_err();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].at, "mounts[0]");
    assert!(plan_mount(&with_version("tmpfs"), 0, &facts, &request()).is_ok());
}

/// Flags are locked where mounts go into another user namespace with their mount namespace.
#[test]
fn a_bind_mount_for_a_user_namespace_is_locked() {
    let config = with(vec![mount("/a", "bind", Some("/source"))]);
    let facts = Facts::example("c");
    let host = |config: &Config| plan_mount(config, 0, &facts, &request()).unwrap().host;
    let locked = host(&config);
    let steps = locked.steps();
    let at = |what: fn(&HostStep) -> bool| steps.iter().position(what);
    let put = at(|step| matches!(step, HostStep::StageTree(_)));
    let lock = at(|step| *step == HostStep::LockStage);
    let clone = at(|step| matches!(step, HostStep::Clone { .. }));
    assert!(put.is_some() && put < lock && lock < clone, "{steps:?}");
    let plain = crate::config(|other| other.mounts.clone_from(&config.mounts));
    let plain = host(&plain);
    let stages = |step: &HostStep| matches!(step, HostStep::OpenStage | HostStep::LockStage);
    assert!(!plain.steps().iter().any(stages));
}
