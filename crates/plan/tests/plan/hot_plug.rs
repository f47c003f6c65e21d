//! Mounts for a container that is there: what is copied where, and what is joined.

use crate::{config, request};
use kan_op::{HostStep, InitStep, Slot, Sync};
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
    ]);
    let facts = Facts::example("c");
    let bind = plan_mount(&config, 0, &facts, &request()).unwrap();
    let fresh = plan_mount(&config, 1, &facts, &request()).unwrap();
    let join = |step: &InitStep| matches!(step, InitStep::Join { .. });
    let attach = |step: &InitStep| matches!(step, InitStep::Attach { .. });
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
    let joined = plan.init.steps().iter().find_map(|step| match step {
        InitStep::Join { flags, slot } => Some((*flags, *slot)),
        _ => None,
    });
    let (flags, slot) = joined.unwrap();
    assert_eq!(flags & (CLONE_NEWNS | CLONE_NEWUSER), CLONE_NEWNS);
    assert_eq!(slot, Slot::Container);
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
    let mut mapped = mount("/a", "bind", Some("/source"));
    mapped.options = vec!["idmap".into()];
    let config = with(vec![mapped, mount("/", "tmpfs", None)]);
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
