//! `process.apparmorProfile` and `process.selinuxLabel` as steps: which file, what, and when.

use crate::{config, plan, request};
use kan_op::InitStep;
use kan_op::init::Parameter;
use kan_plan::{AppArmor, Facts, Plan, Request, plan_create, plan_exec};
use kan_spec::config::{Config, Process};

fn labelled(change: impl FnOnce(&mut Process)) -> Config {
    config(|config| {
        let process = config.process.as_mut().unwrap();
        process.no_new_privileges = false;
        process.apparmor_profile = Some("box".into());
        change(process);
    })
}

fn with(apparmor: AppArmor) -> Facts {
    Facts {
        apparmor,
        ..Facts::example("c")
    }
}

/// What is written below /proc/self/attr, and where in the plan.
fn written(plan: &Plan) -> Vec<(usize, String, String)> {
    let steps = plan.init.steps().iter().enumerate();
    let attributes = steps.filter_map(|(place, step)| match step {
        InitStep::WriteProc { file, value } => {
            let file = file.to_str().unwrap().strip_prefix("self/attr/")?;
            Some((place, file.to_owned(), value.to_str().unwrap().to_owned()))
        }
        _ => None,
    });
    attributes.collect()
}

fn profile(config: &Config, facts: &Facts) -> String {
    let written = written(&plan(config, facts, &request()));
    let found = written.iter().find(|(_, file, _)| file == "apparmor/exec");
    found.unwrap().2.clone()
}

/// Under no_new_privs a confined process may only add to its confinement.
#[test]
fn a_profile_is_stacked_where_the_kernel_allows_nothing_else() {
    let (free, bound) = (
        labelled(|_| {}),
        labelled(|process| process.no_new_privileges = true),
    );
    assert_eq!(profile(&free, &with(AppArmor::Unconfined)), "exec box");
    assert_eq!(profile(&bound, &with(AppArmor::Unconfined)), "exec box");
    assert_eq!(profile(&free, &with(AppArmor::Confined)), "exec box");
    assert_eq!(profile(&bound, &with(AppArmor::Confined)), "stack box");
}

/// The container's /proc is not to be trusted (CVE-2019-16884): labels are written before it is in
/// sight, and after the hooks of createContainer, which are not the container's program.
#[test]
fn labels_are_written_while_the_hosts_proc_is_in_sight() {
    let config = labelled(|process| process.selinux_label = Some("u:r:t:s0".into()));
    let created = plan(&config, &Facts::example("c"), &request());
    let of_program: Vec<_> = written(&created).into_iter().rev().take(2).collect();
    let enters = |step: &InitStep| matches!(step, InitStep::EnterRoot(_) | InitStep::Join { .. });
    for (place, file, _) in &of_program {
        assert!(file.ends_with("exec"));
        assert!(created.init.steps()[*place..].iter().any(enters));
        assert!(!created.init.steps()[..*place].iter().any(enters));
    }
    let request = Request {
        wait_for_start: false,
        ..request()
    };
    let executed = plan_exec(&config, &Facts::example("c"), &request).unwrap();
    let joins = executed.init.steps().iter().position(enters).unwrap();
    let written = written(&executed);
    assert_eq!(written.len(), 4);
    assert!(written.iter().all(|(place, _, _)| *place < joins));
}

/// A keyring made under another label could not be used by the program.
#[test]
fn the_keyring_gets_the_label_and_nothing_else_does() {
    let config = labelled(|process| process.selinux_label = Some("u:r:t:s0".into()));
    let plan = plan(&config, &Facts::example("c"), &request());
    let keyring = plan
        .init
        .steps()
        .iter()
        .position(|step| matches!(step, InitStep::NewKeyring { .. }))
        .unwrap();
    let around: Vec<_> = written(&plan)
        .into_iter()
        .filter(|(_, file, _)| file == "keycreate")
        .collect();
    assert_eq!(
        around,
        [
            (keyring - 1, "keycreate".to_owned(), "u:r:t:s0".to_owned()),
            (keyring + 1, "keycreate".to_owned(), "\n".to_owned()),
        ]
    );
}

/// New file systems alone can be told a label, and not all of them.
#[test]
fn mounts_get_the_label_as_an_option() {
    let labelled = |kind: Option<&str>| {
        let config = config(|config| {
            config.linux.as_mut().unwrap().mount_label = Some("system_u:x:s0:c1,c2".into());
            if let Some(kind) = kind {
                let key = "run.oci.mount_context_type".to_owned();
                config.annotations.push((key, kind.to_owned()));
            }
        });
        plan_create(&config, &Facts::example("c"), &request())
    };
    let contexts = |key: &str, plan: &Plan| -> Vec<String> {
        let steps = plan.init.steps().iter();
        let new = steps.filter_map(|step| match step {
            InitStep::NewFilesystem(new) => Some(new),
            _ => None,
        });
        let has = |parameter: &Parameter| {
            let value = parameter
                .value
                .as_ref()
                .and_then(|value| value.to_str().ok());
            parameter.key.to_str() == Ok(key) && value == Some("system_u:x:s0:c1,c2")
        };
        let labelled = new.filter(|new| new.parameters.iter().any(has));
        labelled
            .map(|new| new.fstype.to_str().unwrap().to_owned())
            .collect()
    };
    // The last but one is /dev/shm, the one before all the one that masks directories.
    let wanted = ["tmpfs", "tmpfs", "devpts", "tmpfs"];
    assert_eq!(contexts("context", &labelled(None).unwrap()), wanted);
    assert_eq!(
        contexts("rootcontext", &labelled(Some("rootcontext")).unwrap()),
        wanted
    );
    let problems = labelled(Some("sideways")).unwrap_err();
    assert_eq!(
        problems[0].at,
        "annotations[\"run.oci.mount_context_type\"]"
    );
}

#[test]
fn a_label_of_mounts_needs_selinux() {
    let config = config(|config| {
        config.linux.as_mut().unwrap().mount_label = Some("x".into());
    });
    let facts = Facts {
        selinux: false,
        ..Facts::example("c")
    };
    let problems = plan_create(&config, &facts, &request()).unwrap_err();
    assert_eq!(problems[0].at, "linux.mountLabel");
}
