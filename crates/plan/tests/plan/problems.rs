//! Every problem is told, with its field, before anything is done.

use crate::{config, request};
use kan_plan::{AppArmor, Attachment, Facts, Request, plan_create};
use kan_spec::config::{Config, DeviceRule};

fn problems(config: &Config) -> Vec<String> {
    problems_of(config, &request())
}

fn problems_of(config: &Config, request: &Request) -> Vec<String> {
    let problems = plan_create(config, &Facts::example("c"), request)
        .err()
        .unwrap_or_default();
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn the_default_config_has_none() {
    assert_eq!(problems(&config(|_| {})), Vec::<String>::new());
}

#[test]
fn all_are_told_at_once_in_the_order_of_the_plan() {
    let config = config(|config| {
        config.mounts[1].options.push("src-nofollow".into());
        config.hostname = Some("a\0b".into());
        config.process.as_mut().unwrap().cwd = "/\0".into();
    });
    let found = problems(&config);
    let starts = [
        "hostname: contains a NUL",
        "mounts[1].options[4]: is an option of bind mounts",
        "process.cwd: contains a NUL",
    ];
    for start in starts {
        assert!(
            found.iter().any(|problem| problem.starts_with(start)),
            "{start}: {found:?}"
        );
    }
}

/// Puts a value into a field.
type Change = fn(&mut Config, String);

#[test]
fn a_nul_is_its_fields_problem() {
    let nul = "x\0y".to_owned();
    let cases: [(&str, Change); 8] = [
        ("root.path", |config, nul| {
            config.root.as_mut().unwrap().path = nul
        }),
        ("hostname", |config, nul| config.hostname = Some(nul)),
        ("mounts[0].destination", |config, nul| {
            config.mounts[0].destination = nul
        }),
        ("mounts[0].type", |config, nul| {
            config.mounts[0].r#type = Some(nul)
        }),
        ("mounts[0].source", |config, nul| {
            config.mounts[0].source = Some(nul)
        }),
        ("process.args", |config, nul| {
            config.process.as_mut().unwrap().args.push(nul)
        }),
        ("process.env", |config, nul| {
            config.process.as_mut().unwrap().env.push(nul)
        }),
        ("linux.maskedPaths[0]", |config, nul| {
            config.linux.as_mut().unwrap().masked_paths[0] = nul
        }),
    ];
    for (field, change) in cases {
        let found = problems(&config(|config| change(config, nul.clone())));
        assert_eq!(found[0], format!("{field}: contains a NUL character"));
    }
}

#[test]
fn a_terminal_needs_a_taker_and_a_taker_a_terminal() {
    let with =
        |terminal| config(move |config| config.process.as_mut().unwrap().terminal = terminal);
    let nobody = Request {
        console_socket: None,
        ..request()
    };
    assert_eq!(
        problems_of(&with(true), &nobody),
        ["cannot allocate tty if kan will detach without setting console socket"]
    );
    assert_eq!(
        problems(&with(false)),
        ["cannot use console socket if kan will not detach or allocate tty"]
    );
    let foreground = Request {
        attachment: Attachment::Foreground,
        ..nobody
    };
    assert_eq!(problems_of(&with(true), &foreground), Vec::<String>::new());
}

#[test]
fn contradictory_capabilities_are_an_error() {
    let config = config(|config| {
        let capabilities = config
            .process
            .as_mut()
            .unwrap()
            .capabilities
            .as_mut()
            .unwrap();
        capabilities.inheritable = vec!["CAP_SYS_ADMIN".into()];
        capabilities.effective = vec!["CAP_CHOWN".into()];
    });
    let found = problems(&config);
    assert!(
        found
            .iter()
            .all(|problem| problem.contains("operation not permitted")),
        "{found:?}"
    );
    assert!(found[0].starts_with("process.capabilities.effective"));
    assert!(found[1].starts_with("process.capabilities.inheritable"));
}

#[test]
fn what_cannot_be_had_is_a_warning() {
    let config = config(|config| {
        let capabilities = config
            .process
            .as_mut()
            .unwrap()
            .capabilities
            .as_mut()
            .unwrap();
        capabilities.bounding.push("CAP_NONSENSE".into());
        capabilities.ambient.push("CAP_KILL".into());
    });
    let plan = plan_create(&config, &Facts::example("c"), &request()).unwrap();
    assert_eq!(
        plan.warnings[0],
        "ignoring unknown or unavailable capabilities: [CAP_NONSENSE]"
    );
    assert!(plan.warnings[1].contains("ambient"));
}

#[test]
fn device_numbers_are_checked() {
    let config = config(|config| {
        let resources = config.linux.as_mut().unwrap().resources.as_mut().unwrap();
        resources.devices.push(DeviceRule {
            major: Some(-7),
            ..DeviceRule::default()
        });
    });
    assert_eq!(
        problems(&config),
        ["linux.resources.devices[1].major: a device number is -1 (any) or not negative"]
    );
}

/// runc's words, which its suite looks for.
#[test]
fn labels_need_their_module() {
    let config = config(|config| {
        let process = config.process.as_mut().unwrap();
        process.apparmor_profile = Some("x".into());
        process.selinux_label = Some("y".into());
    });
    let facts = Facts {
        apparmor: AppArmor::Absent,
        selinux: false,
        ..Facts::example("c")
    };
    let found = plan_create(&config, &facts, &request()).unwrap_err();
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "process.selinuxLabel: selinux label is specified in config, but selinux is disabled or not supported",
            "process.apparmorProfile: unable to apply apparmor profile: AppArmor is not enabled on this host",
        ]
    );
}

/// runtime.md, Start: without a process a container can be made, but not started.
#[test]
fn a_process_is_needed_to_run() {
    let without = config(|config| {
        config.process = None;
    });
    let create = Request {
        console_socket: None,
        ..request()
    };
    assert_eq!(problems_of(&without, &create), Vec::<String>::new());
    let run = Request {
        wait_for_start: false,
        ..create
    };
    assert_eq!(
        problems_of(&without, &run),
        ["process: process property must not be empty"]
    );
}

fn device_rules(listed: Vec<DeviceRule>) -> Vec<String> {
    let config = config(|config| {
        config
            .linux
            .as_mut()
            .unwrap()
            .resources
            .as_mut()
            .unwrap()
            .devices = listed;
    });
    let plan = plan_create(&config, &Facts::example("c"), &request()).unwrap();
    let rules = plan.host.steps().iter().find_map(|step| match step {
        kan_op::HostStep::LimitDevices(rules) => Some(rules),
        _ => None,
    });
    rules
        .into_iter()
        .flatten()
        .map(ToString::to_string)
        .collect()
}

/// An empty list, and a deny rule that says no access, must not leave every device open.
#[test]
fn devices_are_denied_unless_they_are_allowed() {
    let deny_all = DeviceRule::default();
    for listed in [
        vec![],
        vec![deny_all.clone()],
        vec![deny_all.clone(), deny_all.clone()],
    ] {
        let rules = device_rules(listed);
        assert_eq!(rules[0], "deny a *:* rwm");
        assert!(
            rules[1..].iter().all(|rule| rule.starts_with("allow ")),
            "{rules:?}"
        );
    }
    let allow_all = DeviceRule {
        allow: true,
        access: "rwm".into(),
        ..DeviceRule::default()
    };
    assert!(device_rules(vec![deny_all, allow_all]).is_empty());
}

/// The kernel would say EINVAL once everything is made.
#[test]
fn ids_without_a_mapping_are_an_error() {
    let config = config(|config| {
        let linux = config.linux.as_mut().unwrap();
        linux.namespaces.push(kan_spec::config::Namespace {
            r#type: kan_spec::config::NamespaceType::User,
            path: None,
        });
        let mapping = kan_spec::config::IdMapping {
            container_id: 10,
            host_id: 1000,
            size: 5,
        };
        linux.uid_mappings = vec![mapping];
        linux.gid_mappings = vec![mapping];
        let user = &mut config.process.as_mut().unwrap().user;
        (user.uid, user.gid, user.additional_gids) = (15, 14, vec![10, 9]);
    });
    let found = problems(&config);
    assert_eq!(
        found,
        [
            "process.user.uid: 15 is in none of linux.uidMappings",
            "process.user.additionalGids[1]: 9 is in none of linux.gidMappings",
        ]
    );
}
