//! `linux.intelRdt`: which group, with which lines, made and joined when.

use crate::{config, plan, request};
use kan_op::HostStep;
use kan_op::host::ResctrlGroup;
use kan_plan::{Facts, Resctrl, plan_create, plan_exec, resctrl_own_groups};
use kan_spec::config::{Config, IntelRdt};

fn with(change: impl FnOnce(&mut IntelRdt)) -> Config {
    config(|config| {
        let mut rdt = IntelRdt::default();
        change(&mut rdt);
        config.linux.as_mut().unwrap().intel_rdt = Some(rdt);
    })
}

fn group(config: &Config) -> ResctrlGroup {
    let plan = plan(config, &Facts::example("c"), &request());
    let mut steps = plan.host.steps().iter();
    let found = steps.find_map(|step| match step {
        HostStep::MakeResctrlGroup(group) => Some(group.clone()),
        _ => None,
    });
    found.unwrap()
}

fn own(config: &Config) -> Vec<String> {
    resctrl_own_groups(config, Facts::example("c").resctrl.as_ref().unwrap(), "c")
}

/// Without a name it is the container's, and goes with it; with one it is somebody else's too.
#[test]
fn a_class_has_a_name_or_the_containers() {
    let unnamed = with(|rdt| rdt.l3_cache_schema = Some("L3:0=f".into()));
    let made = group(&unnamed);
    assert_eq!(made.path, "/sys/fs/resctrl/c");
    assert!(!made.must_exist && !made.is_shared);
    assert_eq!(own(&unnamed), ["/sys/fs/resctrl/c"]);
    let named = with(|rdt| rdt.clos_id = Some("gold".into()));
    let made = group(&named);
    assert_eq!(made.path, "/sys/fs/resctrl/gold");
    assert!(made.must_exist && made.is_shared);
    assert_eq!(own(&named), Vec::<String>::new());
    assert_eq!(
        group(&with(|rdt| rdt.clos_id = Some("/".into()))).path,
        "/sys/fs/resctrl"
    );
}

#[test]
fn a_monitoring_group_is_the_containers_in_any_class() {
    let config = with(|rdt| {
        rdt.clos_id = Some("gold".into());
        rdt.enable_monitoring = true;
    });
    let monitor = "/sys/fs/resctrl/gold/mon_groups/c";
    assert_eq!(group(&config).monitor.as_deref(), Some(monitor));
    assert_eq!(own(&config), [monitor]);
    let plan = plan(&config, &Facts::example("c"), &request());
    let joins = HostStep::JoinResctrlGroups(vec!["/sys/fs/resctrl/gold".into(), monitor.into()]);
    let place =
        |wanted: &dyn Fn(&HostStep) -> bool| plan.host.steps().iter().position(wanted).unwrap();
    let clone = place(&|step| matches!(step, HostStep::Clone { .. }));
    assert!(place(&|step| matches!(step, HostStep::MakeResctrlGroup(_))) < clone);
    assert!(place(&|step| *step == joins) > clone);
}

/// "If memBwSchema is set as well, lines of l3CacheSchema that begin with MB: are ignored."
#[test]
fn lines_come_in_the_order_of_the_specification() {
    let config = with(|rdt| {
        rdt.l3_cache_schema = Some("L3:0=f\nMB:0=1\nL3:1=f0".into());
        rdt.mem_bw_schema = Some("MB:0=50".into());
        rdt.schemata = vec!["L2:0=1".into()];
    });
    assert_eq!(
        group(&config).schemata,
        ["L3:0=f", "L3:1=f0", "MB:0=50", "L2:0=1"]
    );
    let alone = with(|rdt| rdt.l3_cache_schema = Some("MB:0=1".into()));
    assert_eq!(group(&alone).schemata, ["MB:0=1"]);
}

/// A process of `exec` is no child of the container's, and so has to be moved.
#[test]
fn processes_of_exec_join_and_make_nothing() {
    let config = with(|rdt| rdt.clos_id = Some("gold".into()));
    let request = kan_plan::Request {
        wait_for_start: false,
        ..request()
    };
    let plan = plan_exec(&config, &Facts::example("c"), &request).unwrap();
    let steps = plan.host.steps();
    assert!(steps.contains(&HostStep::JoinResctrlGroups(vec![
        "/sys/fs/resctrl/gold".into()
    ])));
    assert!(
        !steps
            .iter()
            .any(|step| matches!(step, HostStep::MakeResctrlGroup(_)))
    );
}

fn problems(config: &Config, resctrl: Option<Resctrl>) -> Vec<String> {
    let facts = Facts {
        resctrl,
        ..Facts::example("c")
    };
    let problems = plan_create(config, &facts, &request()).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

/// runc's words.
#[test]
fn what_the_host_lacks_is_named() {
    let config = with(|rdt| {
        rdt.l3_cache_schema = Some("L3:0=f".into());
        rdt.mem_bw_schema = Some("MB:0=50".into());
        rdt.enable_cmt = true;
    });
    let nothing = Resctrl {
        root: "/sys/fs/resctrl".into(),
        allocates_cache: false,
        allocates_bandwidth: false,
        monitors: false,
    };
    assert_eq!(
        problems(&config, Some(nothing)),
        [
            "linux.intelRdt.l3CacheSchema: intelRdt.l3CacheSchema is specified in config, but Intel RDT/CAT is not enabled",
            "linux.intelRdt.memBwSchema: intelRdt.memBwSchema is specified in config, but Intel RDT/MBA is not enabled",
            "linux.intelRdt.enableMonitoring: monitoring is specified in config, but Intel RDT/CMT and MBM are not enabled",
        ]
    );
    assert_eq!(
        problems(&config, None),
        ["linux.intelRdt: intelRdt is specified in config, but Intel RDT is not enabled"]
    );
}
