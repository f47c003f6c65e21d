//! `kan features` says what the planner does, no more and no less.

use crate::{config, request};
use kan_plan::{Facts, implemented, plan_create};
use kan_spec::config::{Config, Mount};

fn complaint(config: &Config, of: &str) -> bool {
    let problems = plan_create(config, &Facts::example("c"), &request()).err();
    let mut all = problems.unwrap_or_default().into_iter();
    all.any(|problem| problem.at.starts_with(of))
}

/// An option that is listed is planned; one that is refused is not listed; and what nobody knows,
/// and so goes to the file system as data, is not listed either.
#[test]
fn mount_options_are_those_that_are_planned() {
    let listed = implemented().mount_options;
    assert!(listed.is_sorted() && listed.iter().any(|option| option == "rro"));
    let candidates = [
        "iversion",
        "remount",
        "idmap",
        "ridmap",
        "tmpcopyup",
        "copy-symlink",
        "src-nofollow",
        "dest-nofollow",
    ];
    let all = listed.iter().map(String::as_str).chain(candidates);
    for option in all {
        let refused = |fstype: &str| {
            let with_option = config(|config| {
                let mount = Mount {
                    destination: "/data".into(),
                    r#type: Some(fstype.into()),
                    source: Some("/data".into()),
                    options: vec!["nosuid".into(), option.into()],
                    ..Mount::default()
                };
                config.mounts = vec![mount];
            });
            complaint(&with_option, "mounts[0].options[1]")
        };
        let is_listed = listed.iter().any(|other| other == option);
        assert_eq!(refused("bind") && refused("tmpfs"), !is_listed, "{option}");
    }
}

/// Each is in the maximal document, which is planned as a whole (`mutation.rs`).
#[test]
fn sections_are_those_that_are_planned() {
    let said = implemented();
    assert!(said.apparmor && said.selinux && said.intel_rdt && said.net_devices);
    assert!(said.idmap && said.rdma && said.systemd);
    assert!(said.unsafe_annotations.contains(&"org.systemd.property."));
}

#[test]
fn capabilities_are_in_the_order_of_their_numbers() {
    let names = implemented().capabilities;
    assert_eq!(
        (names.len(), names[0].as_str(), names[40].as_str()),
        (41, "CAP_CHOWN", "CAP_CHECKPOINT_RESTORE")
    );
}
