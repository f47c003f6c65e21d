//! A kan whose user is not root.

use crate::{config, plan, request, without_own};
use kan_op::init::Ids;
use kan_op::{HostStep, InitStep};
use kan_plan::{Facts, host_text, plan_create, plan_exec};
use kan_spec::config::{Config, IdMapping, Mount, Namespace, NamespaceType};
use linux_raw_sys::general::{CLONE_NEWPID, CLONE_NEWUSER};

fn user() -> Facts {
    Facts {
        is_rootless: true,
        permitted: 0,
        uid: 1000,
        gid: 1000,
        ..without_own()
    }
}

/// One id each, or with some of the user's subordinate ones.
fn mapped(config: &mut Config, has_more: bool) {
    let mapping = |container_id, host_id, size| IdMapping {
        container_id,
        host_id,
        size,
    };
    let linux = config.linux.as_mut().unwrap();
    linux.resources = None;
    linux.namespaces.push(Namespace {
        r#type: NamespaceType::User,
        path: None,
    });
    let mut all = vec![mapping(0, 1000, 1)];
    if has_more {
        all.push(mapping(1, 100_000, 65_536));
    }
    linux.uid_mappings.clone_from(&all);
    linux.gid_mappings = all;
}

fn denies(config: &Config, facts: &Facts) -> bool {
    let plan = plan(config, facts, &request());
    let mut texts = plan.host.steps().iter().map(host_text);
    let denies = texts.any(|text| text.starts_with("deny setgroups, map users"));
    // What is denied is not tried.
    let mut sets = plan.init.steps().iter().filter_map(|step| match step {
        InitStep::SetIds(Ids { groups, .. }) => Some(groups.is_some()),
        _ => None,
    });
    assert_eq!(sets.next_back(), Some(!denies));
    denies
}

/// user_namespaces(7), Defining user and group ID mappings.
#[test]
fn groups_are_denied_where_one_is_mapped_without_privilege() {
    let one = config(|config| mapped(config, false));
    assert!(denies(&one, &user()));
    assert!(!denies(&one, &Facts { gid: 7, ..user() }));
    assert!(!denies(&config(|config| mapped(config, true)), &user()));
    let root = Facts {
        gid: 1000,
        ..Facts::example("c")
    };
    assert!(!denies(&one, &root));
    // Where kan's own namespace denies them nobody is asked again.
    let inner = Facts {
        denies_groups: true,
        ..Facts::example("c")
    };
    let plan = plan(&one, &inner, &request());
    let keeps = |step: &InitStep| matches!(step, InitStep::SetIds(Ids { groups: None, .. }));
    assert!(
        plan.init
            .steps()
            .iter()
            .rev()
            .find(|step| matches!(step, InitStep::SetIds(_)))
            .is_some_and(keeps)
    );
}

#[test]
fn groups_that_can_not_be_had_are_a_problem() {
    let grouped = |has_more| {
        config(|config| {
            mapped(config, has_more);
            config.process.as_mut().unwrap().user.additional_gids = vec![5];
        })
    };
    let problems = plan_create(&grouped(false), &user(), &request()).unwrap_err();
    assert!(
        problems[0]
            .to_string()
            .starts_with("process.user.additionalGids: ")
    );
    assert!(plan_create(&grouped(true), &user(), &request()).is_ok());
}

#[test]
fn mapped_ids_are_roots() {
    let config = config(|config| {
        mapped(config, true);
        config.mounts.push(Mount {
            destination: "/volume".into(),
            source: Some("/volume".into()),
            options: vec!["bind".into(), "idmap".into()],
            ..Mount::default()
        });
    });
    let problems = plan_create(&config, &user(), &request()).unwrap_err();
    let all: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let [only] = &all[..] else { panic!("{all:?}") };
    assert!(
        only.contains("uidMappings: only root can map the ids"),
        "{only}"
    );
    assert!(plan_create(&config, &Facts::example("c"), &request()).is_ok());
}

#[test]
fn a_user_namespace_is_needed() {
    let plain = config(|config| config.linux.as_mut().unwrap().resources = None);
    let problems = plan_create(&plain, &user(), &request()).unwrap_err();
    let wanted = "linux.namespaces: rootless container requires user namespaces";
    assert_eq!(problems[0].to_string(), wanted);
}

/// A stage is a mount namespace, which takes root to make.
#[test]
fn nothing_is_staged() {
    let bound = config(|config| {
        mapped(config, false);
        config.mounts.push(Mount {
            destination: "/data".into(),
            source: Some("/srv".into()),
            r#type: Some("bind".into()),
            options: vec!["rbind".into()],
            ..Mount::default()
        });
    });
    let stages = |facts: &Facts| {
        let plan = plan(&bound, facts, &request());
        let mut steps = plan.host.steps().iter();
        steps.any(|step| *step == HostStep::OpenStage)
    };
    assert!(stages(&Facts::example("c")));
    assert!(!stages(&user()));
}

/// Root of somebody's user namespace, in which an engine runs kan, makes no devices either.
#[test]
fn devices_are_bound_by_root_of_a_user_namespace() {
    let plain = config(|config| config.linux.as_mut().unwrap().resources = None);
    let nodes = |facts: &Facts| {
        let plan = plan(&plain, facts, &request());
        let node = |step: &&InitStep| matches!(step, InitStep::MakeNode { .. });
        plan.init.steps().iter().filter(node).count()
    };
    assert_eq!(nodes(&Facts::example("c")), 6);
    let inner = Facts {
        permitted: Facts::example("c").permitted,
        ..user()
    };
    assert_eq!(nodes(&inner), 0);
}

/// setns(2): a pid namespace is entered only with CAP_SYS_ADMIN in the user namespace that owns it,
/// which kan gets by entering that. Its own belongs to the host, so that nobody else comes back.
#[test]
fn exec_enters_the_user_namespace_before_the_pid_namespace() {
    let config = config(|config| mapped(config, false));
    let joined = |facts: &Facts| {
        let plan = plan_exec(&config, facts, &request()).unwrap();
        let steps = plan.init.steps().iter();
        let flags = steps.filter_map(|step| match step {
            InitStep::Join { flags, .. } => Some(*flags),
            _ => None,
        });
        flags.collect::<Vec<_>>()
    };
    assert_eq!(joined(&user()).first(), Some(&CLONE_NEWUSER));
    // Whoever has privileges uses them before it gives them up for those of the namespace.
    let inner = Facts {
        permitted: Facts::example("c").permitted,
        ..user()
    };
    for facts in [inner, Facts::example("c")] {
        assert_eq!(joined(&facts).last(), Some(&CLONE_NEWUSER));
        assert!(joined(&facts).contains(&CLONE_NEWPID));
    }
}

/// A process that hides its memory can't write its files unless it is root, so the score comes before.
#[test]
fn the_oom_score_is_there_before_a_user_hides_his_memory() {
    let scored = config(|config| {
        mapped(config, false);
        config.process.as_mut().unwrap().oom_score_adj = Some(7);
    });
    let plan = plan_exec(&scored, &user(), &request()).unwrap();
    let writes = |step: &InitStep| matches!(step, InitStep::WriteProc { .. });
    let steps = plan.init.steps();
    let place = |what: &dyn Fn(&InitStep) -> bool| steps.iter().position(what);
    let hides = |step: &InitStep| matches!(step, InitStep::HideMemory);
    assert!(place(&writes).unwrap() < place(&hides).unwrap());
    // Nobody else is in new namespaces, and their ids are still to be mapped from outside.
    let created = plan_create(&scored, &user(), &request()).unwrap();
    let clone = created.host.steps().iter().find_map(|step| match step {
        HostStep::Clone { hidden, .. } => Some(*hidden),
        _ => None,
    });
    assert_eq!(clone, Some(false));
    assert!(created.init.steps().iter().any(writes));
}

/// For him alone, and as late as a filter lets it.
#[test]
fn a_user_can_look_into_his_container_that_waits() {
    let own = config(|config| mapped(config, false));
    let shows = |facts: &Facts, config: &Config, waits: bool| {
        let request = kan_plan::Request {
            wait_for_start: waits,
            ..request()
        };
        let plan = plan_create(config, facts, &request).unwrap();
        let steps = plan.init.steps();
        let place = |what: fn(&InitStep) -> bool| steps.iter().position(what);
        let shown = place(|step| matches!(step, InitStep::ShowMemory));
        if shown.is_some() {
            assert!(place(|step| matches!(step, InitStep::SetCapabilities { .. })) < shown);
            assert!(shown < place(|step| matches!(step, InitStep::Tell(kan_op::Sync::Ready))));
        }
        shown.is_some()
    };
    assert!(shows(&user(), &own, true));
    assert!(!shows(&user(), &own, false));
    assert!(!shows(&Facts::example("c"), &own, true));
    let mut shared = own.clone();
    let namespaces = &mut shared.linux.as_mut().unwrap().namespaces;
    namespaces.retain(|one| one.r#type != NamespaceType::Pid);
    assert!(!shows(&user(), &shared, true));
}
