//! Annotations that change the plan.

use crate::{config, enrich, plan, request};
use kan_op::init::Stream;
use kan_op::{HostStep, InitStep, Slot};
use kan_plan::{Facts, Plan};

fn annotated(pairs: &[(&str, &str)]) -> Plan {
    let config = config(|config| {
        enrich(config);
        let owned = pairs
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()));
        config.annotations = owned.collect();
    });
    plan(&config, &Facts::example("c"), &request())
}

fn streams(plan: &Plan) -> Vec<(&'static str, Stream, Stream)> {
    let steps = plan.init.steps().iter();
    let hooks = steps.filter_map(|step| match step {
        InitStep::RunHook(hook) => Some((hook.kind, hook.stdout, hook.stderr)),
        _ => None,
    });
    hooks.collect()
}

#[test]
fn output_of_hooks_goes_to_files() {
    let (out, err) = (
        ("run.oci.hooks.stdout", "/out"),
        ("run.oci.hooks.stderr", "/err"),
    );
    let errors = Stream::Into(Slot::HookErrors);
    assert_eq!(
        streams(&annotated(&[])),
        [
            ("createContainer", Stream::Null, errors),
            ("startContainer", Stream::Inherited, Stream::Inherited)
        ]
    );
    let output = Stream::Into(Slot::HookOutput);
    let plan = annotated(&[out, err]);
    assert_eq!(
        streams(&plan),
        [
            ("createContainer", output, errors),
            ("startContainer", output, errors)
        ]
    );
    assert!(!plan.host.steps().contains(&HostStep::MakeHookPipe));
    assert!(plan.host.steps().iter().any(|step| matches!(
        step,
        HostStep::RunHook(hook) if hook.stdout.as_deref() == Some("/out") && hook.stderr.as_deref() == Some("/err")
    )));
    assert_eq!(
        streams(&annotated(&[err])),
        [
            ("createContainer", Stream::Null, errors),
            ("startContainer", Stream::Inherited, errors)
        ]
    );
}

#[test]
fn groups_of_the_caller_stay() {
    let kept = annotated(&[("run.oci.keep_original_groups", "1")]);
    let groups = |plan: &Plan| {
        let mut steps = plan.init.steps().iter().rev();
        steps.find_map(|step| match step {
            InitStep::SetIds(ids) => Some(ids.groups.clone()),
            _ => None,
        })
    };
    assert_eq!(groups(&kept), Some(None));
    assert_eq!(kept.warnings, Vec::<String>::new());
    assert_eq!(groups(&annotated(&[])), Some(Some(Vec::new())));
}

#[test]
fn the_pidfd_is_sent_where_it_is_wanted() {
    let sends =
        |step: &HostStep| matches!(step, HostStep::SendPidfd { path, .. } if path == "/receiver");
    let plan = annotated(&[("run.oci.pidfd_receiver", "/receiver")]);
    assert_eq!(
        plan.host.steps().iter().filter(|&step| sends(step)).count(),
        1
    );
    assert!(!annotated(&[]).host.steps().iter().any(sends));
}

/// A file of the host that is still open when the program runs would be a way out.
#[test]
fn files_for_hooks_are_closed_before_the_program() {
    let (out, err) = (
        ("run.oci.hooks.stdout", "/out"),
        ("run.oci.hooks.stderr", "/err"),
    );
    for pairs in [&[out][..], &[err], &[out, err]] {
        let plan = annotated(pairs);
        assert_eq!(
            crate::invariants::slots::follow(&plan, plan.init.steps()),
            Ok(Vec::new())
        );
    }
}
