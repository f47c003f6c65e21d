//! Who joins which namespace, and when.

use crate::{config, legacy, request};
use kan_op::host::Joined;
use kan_op::{HostStep, InitStep, NamespaceSlot, Slot, Sync};
use kan_plan::{Facts, Plan};
use kan_spec::config::{
    Clock, Config, IdMapping, Memory, Mount, Namespace, NamespaceType, NetDevice, Resources,
    TimeOffset,
};
use linux_raw_sys::general::{
    CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER,
    CLONE_NEWUTS,
};

fn plan(facts: &Facts, joined: &[NamespaceType]) -> Plan {
    let config = config(|config| {
        let linux = config.linux.as_mut().unwrap();
        linux
            .namespaces
            .retain(|namespace| !joined.contains(&namespace.r#type));
        for kind in joined {
            linux.namespaces.push(Namespace {
                r#type: *kind,
                path: Some("/file".into()),
            });
        }
        if !joined.contains(&NamespaceType::User) {
            linux.namespaces.push(Namespace {
                r#type: NamespaceType::User,
                path: None,
            });
        }
        let all = IdMapping {
            container_id: 0,
            host_id: 100_000,
            size: 65_536,
        };
        linux.uid_mappings = vec![all];
        linux.gid_mappings = vec![all];
    });
    crate::plan(&config, facts, &request())
}

fn cloned(plan: &Plan) -> (u32, Vec<Joined>) {
    let mut steps = plan.host.steps().iter();
    let found = steps.find_map(|step| match step {
        HostStep::Clone { flags, join, .. } => Some((*flags, join.clone())),
        _ => None,
    });
    found.unwrap()
}

fn has(plan: &Plan, wanted: impl Fn(&InitStep) -> bool) -> bool {
    plan.init.steps().iter().any(wanted)
}

/// New namespaces have to belong to the joined user namespace, whose ids are there already.
#[test]
fn a_user_namespace_is_joined_before_the_clone() {
    for facts in [Facts::example("c"), legacy()] {
        let plan = plan(&facts, &[NamespaceType::User, NamespaceType::Network]);
        let (flags, join) = cloned(&plan);
        assert_eq!(
            flags & (CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS),
            CLONE_NEWNS
        );
        let slot = Slot::Namespace;
        let joined = |kind, flag| Joined {
            slot: slot(kind),
            flag,
        };
        let user = joined(NamespaceSlot::User, CLONE_NEWUSER);
        let network = joined(NamespaceSlot::Network, CLONE_NEWNET);
        assert_eq!(join, [user, network]);
        assert!(!has(&plan, |step| matches!(step, InitStep::Join { .. })));
        let maps = |step: &HostStep| matches!(step, HostStep::MapIds { .. });
        assert!(!plan.host.steps().iter().any(maps));
        assert!(has(
            &plan,
            |step| matches!(step, InitStep::SetIds(ids) if ids.uid == 0)
        ));
    }
}

/// An engine's network namespace does not belong to the user namespace that is made after it.
#[test]
fn others_are_joined_before_a_new_user_namespace() {
    let plan = plan(&Facts::example("c"), &[NamespaceType::Network]);
    let (flags, join) = cloned(&plan);
    assert_eq!(flags & (CLONE_NEWUSER | CLONE_NEWNET), CLONE_NEWUSER);
    assert_eq!(join.len(), 1);
    assert!(!has(&plan, |step| matches!(step, InitStep::Join { .. })));
    let alone = self::plan(&Facts::example("c"), &[]);
    assert!(cloned(&alone).1.is_empty());
}

#[test]
fn sysfs_of_a_foreign_network_is_the_hosts() {
    let instead = |joined: &[NamespaceType]| {
        let plan = plan(&Facts::example("c"), joined);
        let mut steps = plan.init.steps().iter();
        let found = steps.find_map(|step| match step {
            InitStep::NewFilesystem(new) if new.fstype.as_c_str() == c"sysfs" => {
                Some(new.instead.clone())
            }
            _ => None,
        });
        found.unwrap()
    };
    assert_eq!(instead(&[NamespaceType::Network]), Some(c"/sys".into()));
    assert_eq!(instead(&[NamespaceType::User]), None);
    assert_eq!(instead(&[]), None);
}

/// The steps that the network namespace has to do with, by their first words.
fn about_network(plan: &Plan) -> Vec<&'static str> {
    let steps = plan.init.steps().iter();
    let words = steps.filter_map(|step| match step {
        InitStep::EnterNetwork => Some("enter"),
        InitStep::NewFilesystem(new) if new.fstype.as_c_str() == c"sysfs" => Some("sysfs"),
        InitStep::NewFilesystem(new) if new.fstype.as_c_str() == c"cgroup2" => Some("cgroup2"),
        InitStep::NewFilesystem(new) if new.fstype.as_c_str() == c"mqueue" => Some("mqueue"),
        InitStep::MakeNode { at, .. } if at.0.as_c_str() == c"/dev/null" => Some("null"),
        InitStep::MaskPath { path } if path.0.as_c_str() == c"/proc/kcore" => Some("kcore"),
        InitStep::MaskPath { path } if path.0.as_c_str() == c"/sys/firmware" => Some("firmware"),
        _ => None,
    });
    words.collect()
}

/// While the kernel makes the namespace, init does what needs none.
#[test]
fn a_new_network_is_entered_as_late_as_possible() {
    let order = |change: &dyn Fn(&mut Config)| {
        let config = config(|config| change(config));
        about_network(&crate::plan(&config, &Facts::example("c"), &request()))
    };
    let late = [
        "mqueue", "null", "kcore", "enter", "sysfs", "cgroup2", "firmware",
    ];
    assert_eq!(order(&|_| {}), late);
    let sysfs_first = |config: &mut Config| {
        let is_sysfs = |mount: &Mount| mount.r#type.as_deref() == Some("sysfs");
        let at = config.mounts.iter().position(is_sysfs).unwrap();
        config.mounts[..=at].rotate_right(1);
    };
    assert_eq!(order(&sysfs_first), late);
    // Where one may lie across another, all are made in the order of config.json.
    let as_written = [
        "mqueue", "enter", "sysfs", "cgroup2", "null", "kcore", "firmware",
    ];
    for (destination, fstype, source) in [
        ("/", "tmpfs", "tmpfs"),
        ("/mnt/../sys", "tmpfs", "tmpfs"),
        ("/sys/x", "proc", "proc"),
        ("/mnt", "bind", "rootfs/sys/kernel"),
        ("/mnt", "bind", "../b/rootfs"),
    ] {
        let one_more = |config: &mut Config| {
            config.mounts.push(Mount {
                destination: destination.into(),
                r#type: Some(fstype.into()),
                source: Some(source.into()),
                ..Mount::default()
            });
        };
        assert_eq!(order(&one_more), as_written, "{destination}");
    }
}

/// A procfs that is bound might lie in what was bound before, and so anywhere.
#[test]
fn two_binds_in_sys_are_made_as_written() {
    let config = config(|config| {
        for destination in ["/sys/x", "/sys/x/y"] {
            config.mounts.push(Mount {
                destination: destination.into(),
                r#type: Some("bind".into()),
                source: Some("/proc".into()),
                ..Mount::default()
            });
        }
    });
    let plan = crate::plan(&config, &Facts::example("c"), &request());
    let order = about_network(&plan);
    assert!(order.ends_with(&["null", "kcore", "firmware"]), "{order:?}");
}

/// The namespaces that init begins with: those of the clone, and those that it makes right after it.
pub(crate) fn at_once(plan: &Plan) -> u32 {
    let rest = plan.init.steps().iter().find_map(|step| match step {
        InitStep::Unshare { flags } => Some(*flags),
        _ => None,
    });
    cloned(plan).0 | rest.unwrap_or(0)
}

/// The clone is over sooner, and kan begins with the network.
#[test]
fn init_makes_the_rest_while_kan_makes_the_network() {
    let plan = crate::plan(&config(|_| ()), &Facts::example("c"), &request());
    assert_eq!(cloned(&plan).0, CLONE_NEWPID);
    let rest = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
    assert_eq!(at_once(&plan), CLONE_NEWPID | rest);
    // A small limit would not hold a copy of the host's mounts, which is charged to its maker.
    let by_file = Resources {
        unified: vec![("memory.max".into(), "300K".into())],
        ..Resources::default()
    };
    let by_field = Resources {
        memory: Some(Memory {
            limit: Some(300 << 10),
            ..Memory::default()
        }),
        ..Resources::default()
    };
    for resources in [by_file, by_field] {
        let limited = config(|config| {
            config.linux.as_mut().unwrap().resources = Some(resources.clone());
        });
        let plan = crate::plan(&limited, &Facts::example("c"), &request());
        assert_eq!(cloned(&plan).0, CLONE_NEWPID | rest);
    }
    let joined = config(|config| {
        let mut all = config.linux.as_mut().unwrap().namespaces.iter_mut();
        let network = all.find(|namespace| namespace.r#type == NamespaceType::Network);
        network.unwrap().path = Some("/run/netns/n".into());
    });
    let plan = crate::plan(&joined, &Facts::example("c"), &request());
    assert_eq!(cloned(&plan).0, CLONE_NEWPID | rest);
}

/// /proc/PID/net shows the network of a process to whoever sees it, though it hides its memory. So do
/// others of its files with its other namespaces. In a joined pid namespace others see the
/// container's process, which init clones when all of that is behind it.
#[test]
fn a_process_that_others_see_is_never_in_the_hosts_namespaces() {
    for (path, is_apart) in [(None, true), (Some("/proc/1/ns/pid".to_owned()), false)] {
        let config = config(|config| {
            let mut all = config.linux.as_mut().unwrap().namespaces.iter_mut();
            let pid = all.find(|namespace| namespace.r#type == NamespaceType::Pid);
            pid.unwrap().path.clone_from(&path);
        });
        let plan = crate::plan(&config, &Facts::example("c"), &request());
        assert_eq!(
            has(&plan, |step| matches!(step, InitStep::EnterNetwork)),
            is_apart
        );
        assert_eq!(cloned(&plan).0 & (CLONE_NEWNET | CLONE_NEWNS), 0);
        let clones = has(&plan, |step| matches!(step, InitStep::EnterPidNamespace));
        assert_eq!(clones, !is_apart);
        let made = plan.init.steps().iter().find_map(|step| match step {
            InitStep::Unshare { flags } => Some(flags & (CLONE_NEWNET | CLONE_NEWNS)),
            _ => None,
        });
        let network = if is_apart { 0 } else { CLONE_NEWNET };
        assert_eq!(made, Some(CLONE_NEWNS | network));
    }
}

/// Who owns a user namespace owns the network namespaces that are made in it.
#[test]
fn a_network_of_a_user_namespace_comes_with_the_clone() {
    let plan = plan(&Facts::example("c"), &[]);
    assert!(!has(&plan, |step| matches!(step, InitStep::EnterNetwork)));
    assert!(!plan.host.steps().contains(&HostStep::MakeNetwork));
    assert_eq!(cloned(&plan).0 & CLONE_NEWNET, CLONE_NEWNET);
}

/// Sysctls may be about a device, under its new name.
#[test]
fn network_devices_are_there_before_the_sysctls() {
    let config = config(|config| {
        let linux = config.linux.as_mut().unwrap();
        linux.net_devices = vec![("left".into(), NetDevice { name: None })];
        linux.sysctl = vec![("net.ipv4.conf.left.forwarding".into(), "1".into())];
    });
    let plan = crate::plan(&config, &Facts::example("c"), &request());
    let host = plan.host.steps();
    let moved = HostStep::MoveNetDevice {
        name: "left".into(),
        new_name: "left".into(),
        namespace: None,
    };
    let at = |step: &HostStep| host.iter().position(|other| other == step).unwrap();
    assert!(at(&moved) < at(&HostStep::Tell(Sync::DevicesMoved)));
    assert_eq!(cloned(&plan).0 & CLONE_NEWNET, CLONE_NEWNET);
    let init = plan.init.steps().iter();
    let of_both = init.filter_map(|step| match step {
        InitStep::Wait(Sync::DevicesMoved) => Some("wait"),
        InitStep::WriteProc { file, .. } => file.to_str().ok().filter(|file| file.contains("left")),
        _ => None,
    });
    let wanted = ["wait", "sys/net/ipv4/conf/left/forwarding"];
    assert_eq!(of_both.collect::<Vec<_>>(), wanted);
}

/// Whoever changes his user loses his own files in /proc, proc(5).
#[test]
fn time_offsets_are_written_before_the_user_changes() {
    let config = config(|config| {
        let linux = config.linux.as_mut().unwrap();
        for kind in [NamespaceType::User, NamespaceType::Time] {
            let path = (kind == NamespaceType::User).then(|| "/file".to_owned());
            linux.namespaces.push(Namespace { r#type: kind, path });
        }
        let offset = TimeOffset {
            secs: 7,
            nanosecs: 0,
        };
        linux.time_offsets = vec![(Clock::Boottime, offset)];
    });
    let plan = crate::plan(&config, &Facts::example("c"), &request());
    let at = |wanted: fn(&InitStep) -> bool| plan.init.steps().iter().position(wanted).unwrap();
    let written = at(
        |step| matches!(step, InitStep::WriteProc { file, .. } if file.as_c_str() == c"self/timens_offsets"),
    );
    assert!(written < at(|step| matches!(step, InitStep::SetIds(_))));
}
