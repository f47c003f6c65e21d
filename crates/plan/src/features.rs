//! What this kan carries out, for `kan features`: features.md, features-linux.md.
//!
//! Asked of the planner itself, by its tables and by plans of small configs, so that the document
//! says what `create` does.

use crate::linux::systemd;
use crate::mounts::options as mount_options;
use crate::plan_create;
use crate::process::capabilities;
use crate::{Facts, Plan, Request, Unit, annotations};
use kan_op::HostStep;
use kan_spec::Problem;
use kan_spec::config::{
    Config, IdMapping, IntelRdt, Linux, Mount, Namespace, NamespaceType, NetDevice, Process, Rdma,
    Resources, Root,
};
use kan_spec::features::Implemented;

/// What the rest of kan can do, beside what its parser knows.
#[must_use]
pub fn implemented() -> Implemented<'static> {
    let process = |change: fn(&mut Process)| {
        carries_out(|config| change(config.process.get_or_insert_default()))
    };
    let linux =
        |change: fn(&mut Linux)| carries_out(|config| change(config.linux.get_or_insert_default()));
    Implemented {
        mount_options: mount_options::known(),
        capabilities: capabilities::names(),
        idmap: carries_out(|config| config.mounts.push(idmapped())),
        systemd: starts_unit(),
        rdma: linux(|linux| {
            let limits = vec![("mlx5_1".to_owned(), Rdma::default())];
            linux.resources.get_or_insert_default().rdma = limits;
        }),
        apparmor: process(|process| process.apparmor_profile = Some("profile".into())),
        selinux: process(|process| process.selinux_label = Some("label".into()))
            && linux(|linux| linux.mount_label = Some("label".into())),
        intel_rdt: linux(|linux| linux.intel_rdt = Some(IntelRdt::default())),
        net_devices: linux(|linux| {
            linux.net_devices = vec![("eth0".to_owned(), NetDevice::default())];
        }),
        unsafe_annotations: [&annotations::ALL[..], &[systemd::PROPERTY]].concat(),
        ..Implemented::default()
    }
}

fn idmapped() -> Mount {
    let mapping = vec![IdMapping {
        container_id: 0,
        host_id: 1000,
        size: 1,
    }];
    Mount {
        destination: "/data".into(),
        source: Some("/data".into()),
        options: vec!["bind".into(), "idmap".into()],
        uid_mappings: mapping.clone(),
        gid_mappings: mapping,
        ..Mount::default()
    }
}

/// Whether a small config with this change is planned rather than refused.
fn carries_out(change: impl FnOnce(&mut Config)) -> bool {
    let mut config = smallest();
    change(&mut config);
    plan(&config, &Facts::example("features")).is_ok()
}

/// Whether the cgroup of a host with systemd is a unit's.
fn starts_unit() -> bool {
    let facts = Facts {
        unit: Some(Unit {
            slice: "system.slice".into(),
            name: "kan-features.scope".into(),
            is_users: false,
        }),
        ..Facts::example("features")
    };
    let planned = plan(&smallest(), &facts);
    planned.is_ok_and(|plan| {
        let mut steps = plan.host.steps().iter();
        steps.any(|step| matches!(step, HostStep::StartUnit { .. }))
    })
}

fn plan(config: &Config, facts: &Facts) -> Result<Plan, Vec<Problem>> {
    let request = Request {
        wait_for_start: true,
        ..Request::bare("features", "/")
    };
    plan_create(config, facts, &request)
}

fn smallest() -> Config {
    let namespace = |r#type| Namespace { r#type, path: None };
    let namespaces = [
        NamespaceType::Mount,
        NamespaceType::Network,
        NamespaceType::Pid,
    ];
    Config {
        oci_version: kan_spec::version::NEWEST.into(),
        root: Some(Root {
            path: "rootfs".into(),
            ..Root::default()
        }),
        process: Some(Process {
            cwd: "/".into(),
            args: vec!["/true".into()],
            ..Process::default()
        }),
        linux: Some(Linux {
            namespaces: namespaces.map(namespace).into(),
            resources: Some(Resources::default()),
            ..Linux::default()
        }),
        ..Config::default()
    }
}
