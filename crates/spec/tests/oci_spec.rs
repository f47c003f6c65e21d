//! oci-spec reads the same specification in its own way: what it takes, kan takes too, and both
//! find the same values in it.
#![allow(missing_docs, clippy::unwrap_used, deprecated)]

use std::collections::HashMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use kan_spec::config::*;
use kan_spec::json::Json;
use kan_spec::{default_config, parse_config, rootless_config};
use oci_spec::runtime as oci;
use serde::Serialize;

/// The maximal document in the words that oci-spec understands.
fn maximal() -> String {
    include_str!("data/maximal.json")
        // A capability that it has not heard of is an error for it.
        .replace(", \"CAP_FROM_THE_FUTURE\"", "")
        // It knows this flag by the name of runtime-spec 1.1 only.
        .replace("\"SCHED_FLAG_RESET_ON_FORK\"", "\"SCHED_RESET_ON_FORK\"")
        // It wants both numbers, even for a FIFO.
        .replace(
            "\"type\": \"p\" }",
            "\"type\": \"p\", \"major\": 0, \"minor\": 0 }",
        )
        // It spells them enableCmt and enableMbm.
        .replace("\"enableCMT\": true,", "")
        .replace("\"enableMBM\": true,", "")
}

fn agree(text: &str) {
    let theirs: oci::Spec = serde_json::from_str(text).unwrap();
    let ours = parse_config(text.as_bytes()).unwrap().value;
    assert_eq!(without_order(ours.clone()), without_order(convert(&theirs)));
    // What oci-spec writes of it means the same.
    let again = serde_json::to_string(&theirs).unwrap();
    let again = parse_config(again.as_bytes()).unwrap().value;
    assert_eq!(without_order(ours), without_order(again));
}

#[test]
fn both_read_the_maximal_document_alike() {
    agree(&maximal());
}

#[test]
fn both_read_the_default_documents_alike() {
    agree(&default_config());
    agree(&rootless_config(1000, 100));
}

#[test]
fn kan_reads_what_oci_spec_writes_by_default() {
    for spec in [oci::Spec::default(), oci::Spec::rootless(1000, 1000)] {
        agree(&serde_json::to_string(&spec).unwrap());
    }
}

/// One value after the other becomes something else. Where both still take the document, they must
/// still agree. (Where only one does, no promise is broken: kan checks more.)
#[test]
fn both_read_changed_documents_alike() {
    let texts = [
        "0", "1", "-1", "true", "false", "\"\"", "\"/x\"", "\"1\"", "[]", "{}",
    ];
    let maximal = maximal();
    let mut compared = 0;
    for number in 0..1000 {
        for text in texts {
            let mut document = Json::parse(maximal.as_bytes()).unwrap();
            if !replace(&mut document, &mut { number }, text) {
                assert!(
                    compared > 400,
                    "only {compared} documents could be compared"
                );
                return;
            }
            let changed = document.pretty("");
            let theirs: Result<oci::Spec, _> = serde_json::from_str(&changed);
            if let (Ok(theirs), Ok(ours)) = (theirs, parse_config(changed.as_bytes())) {
                compared += 1;
                let ours = format!("{:#?}", without_order(ours.value));
                let theirs = format!("{:#?}", without_order(convert(&theirs)));
                let differing = ours.lines().zip(theirs.lines()).find(|(a, b)| a != b);
                assert!(ours == theirs, "value {number} = {text}: {differing:?}");
            }
        }
    }
    panic!("the document has more values than this test expects");
}

/// Replaces the value with this number, counted in document order; false if there are fewer.
fn replace(json: &mut Json<'_>, number: &mut usize, with: &'static str) -> bool {
    if *number == 0 {
        *json = Json::parse(with.as_bytes()).unwrap();
        return true;
    }
    *number -= 1;
    match json {
        Json::List(items) => items.iter_mut().any(|item| replace(item, number, with)),
        Json::Object(entries) => entries
            .iter_mut()
            .any(|(_, value)| replace(value, number, with)),
        _ => false,
    }
}

/// oci-spec keeps maps and capabilities in hash tables.
fn without_order(mut config: Config) -> Config {
    config.annotations.sort();
    if let Some(sets) = config
        .process
        .as_mut()
        .and_then(|process| process.capabilities.as_mut())
    {
        for set in [
            &mut sets.bounding,
            &mut sets.effective,
            &mut sets.inheritable,
            &mut sets.permitted,
            &mut sets.ambient,
        ] {
            set.sort();
        }
    }
    if let Some(linux) = config.linux.as_mut() {
        linux.sysctl.sort();
        linux.time_offsets.sort_by_key(|(clock, _)| *clock);
        linux.net_devices.sort_by(|a, b| a.0.cmp(&b.0));
        if let Some(resources) = linux.resources.as_mut() {
            resources.unified.sort();
            // It has no word for an absent limit, which runtime-spec 1.3 allows.
            if let Some(pids) = resources.pids.as_mut() {
                pids.limit.get_or_insert(0);
            }
            resources.rdma.sort_by(|a, b| a.0.cmp(&b.0));
        }
    }
    config
}

fn convert(spec: &oci::Spec) -> Config {
    let root = spec.root().as_ref().map(|root| Root {
        path: path(root.path()),
        readonly: root.readonly().unwrap_or_default(),
    });
    Config {
        oci_version: spec.version().clone(),
        root,
        mounts: list(spec.mounts(), mount),
        process: spec.process().as_ref().map(process),
        hostname: text(spec.hostname()),
        domainname: text(spec.domainname()),
        hooks: spec.hooks().as_ref().map(hooks),
        annotations: map(spec.annotations(), Clone::clone),
        linux: spec.linux().as_ref().map(linux),
    }
}

fn list<T, U>(items: &Option<Vec<T>>, each: impl Fn(&T) -> U) -> Vec<U> {
    items.iter().flatten().map(each).collect()
}

fn map<T, U>(entries: &Option<HashMap<String, T>>, each: impl Fn(&T) -> U) -> Vec<(String, U)> {
    entries
        .iter()
        .flatten()
        .map(|(key, value)| (key.clone(), each(value)))
        .collect()
}

fn text(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}

fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn optional_path(given: &Option<PathBuf>) -> Option<String> {
    given.as_deref().map(path).filter(|text| !text.is_empty())
}

/// The name under which oci-spec writes a value of one of its enums.
fn same<S: ClosedSet>(theirs: &impl Serialize) -> S {
    let name = serde_json::to_value(theirs).unwrap();
    S::from_name(name.as_str().unwrap()).unwrap_or_else(|| panic!("{name}"))
}

fn mappings(given: &Option<Vec<oci::LinuxIdMapping>>) -> Vec<IdMapping> {
    list(given, |mapping| IdMapping {
        container_id: mapping.container_id(),
        host_id: mapping.host_id(),
        size: mapping.size(),
    })
}

fn mount(mount: &oci::Mount) -> Mount {
    Mount {
        destination: path(mount.destination()),
        r#type: text(mount.typ()),
        source: optional_path(mount.source()),
        options: list(mount.options(), Clone::clone),
        uid_mappings: mappings(mount.uid_mappings()),
        gid_mappings: mappings(mount.gid_mappings()),
    }
}

fn hooks(hooks: &oci::Hooks) -> Hooks {
    let hook = |hook: &oci::Hook| Hook {
        path: path(hook.path()),
        args: list(hook.args(), Clone::clone),
        env: list(hook.env(), Clone::clone),
        timeout: hook.timeout().map(|seconds| seconds.try_into().unwrap()),
    };
    Hooks {
        prestart: list(hooks.prestart(), hook),
        create_runtime: list(hooks.create_runtime(), hook),
        create_container: list(hooks.create_container(), hook),
        start_container: list(hooks.start_container(), hook),
        poststart: list(hooks.poststart(), hook),
        poststop: list(hooks.poststop(), hook),
    }
}

fn process(process: &oci::Process) -> Process {
    Process {
        terminal: process.terminal().unwrap_or_default(),
        console_size: process.console_size().map(|size| ConsoleSize {
            height: size.height().try_into().unwrap(),
            width: size.width().try_into().unwrap(),
        }),
        user: User {
            uid: process.user().uid(),
            gid: process.user().gid(),
            umask: process.user().umask(),
            additional_gids: list(process.user().additional_gids(), |gid| *gid),
        },
        args: list(process.args(), Clone::clone),
        env: list(process.env(), Clone::clone),
        cwd: path(process.cwd()),
        capabilities: process.capabilities().as_ref().map(capabilities),
        rlimits: list(process.rlimits(), |limit| Rlimit {
            r#type: same(&limit.typ()),
            soft: limit.soft(),
            hard: limit.hard(),
        }),
        no_new_privileges: process.no_new_privileges().unwrap_or_default(),
        apparmor_profile: text(process.apparmor_profile()),
        oom_score_adj: process.oom_score_adj(),
        selinux_label: text(process.selinux_label()),
        scheduler: process.scheduler().as_ref().map(scheduler),
        io_priority: process.io_priority().as_ref().map(|priority| IoPriority {
            class: same(&priority.class()),
            priority: priority.priority().try_into().unwrap(),
        }),
        exec_cpu_affinity: process
            .exec_cpu_affinity()
            .as_ref()
            .map(|affinity| CpuAffinity {
                initial: text(affinity.initial()),
                r#final: text(affinity.cpu_affinity_final()),
            }),
    }
}

fn capabilities(sets: &oci::LinuxCapabilities) -> Capabilities {
    let names = |set: &Option<oci::Capabilities>| {
        let name = |capability: &dyn Display| format!("CAP_{capability}");
        let set = set.iter().flatten();
        set.map(|capability| name(capability))
            .map(|name| name.replace("CAP_CAP_", "CAP_"))
            .collect()
    };
    Capabilities {
        bounding: names(sets.bounding()),
        effective: names(sets.effective()),
        inheritable: names(sets.inheritable()),
        permitted: names(sets.permitted()),
        ambient: names(sets.ambient()),
    }
}

fn scheduler(scheduler: &oci::Scheduler) -> Scheduler {
    Scheduler {
        policy: same(scheduler.policy()),
        nice: scheduler.nice().unwrap_or_default(),
        priority: scheduler.priority().unwrap_or_default(),
        flags: list(scheduler.flags(), same),
        runtime: scheduler.runtime().unwrap_or_default(),
        deadline: scheduler.deadline().unwrap_or_default(),
        period: scheduler.period().unwrap_or_default(),
    }
}

fn linux(linux: &oci::Linux) -> Linux {
    Linux {
        namespaces: list(linux.namespaces(), |namespace| Namespace {
            r#type: same(&namespace.typ()),
            path: optional_path(namespace.path()),
        }),
        uid_mappings: mappings(linux.uid_mappings()),
        gid_mappings: mappings(linux.gid_mappings()),
        time_offsets: map(linux.time_offsets(), |offset| TimeOffset {
            secs: offset.secs().unwrap_or_default(),
            nanosecs: offset.nanosecs().unwrap_or_default(),
        })
        .into_iter()
        .map(|(clock, offset)| (same(&clock), offset))
        .collect(),
        devices: list(linux.devices(), device),
        net_devices: map(linux.net_devices(), |device| NetDevice {
            name: text(device.name()),
        }),
        cgroups_path: optional_path(linux.cgroups_path()),
        resources: linux.resources().as_ref().map(resources),
        rootfs_propagation: text(linux.rootfs_propagation()).as_ref().map(same),
        seccomp: linux.seccomp().as_ref().map(seccomp),
        sysctl: map(linux.sysctl(), Clone::clone),
        masked_paths: list(linux.masked_paths(), Clone::clone),
        readonly_paths: list(linux.readonly_paths(), Clone::clone),
        mount_label: text(linux.mount_label()),
        intel_rdt: linux.intel_rdt().as_ref().map(intel_rdt),
        personality: linux.personality().as_ref().map(|personality| Personality {
            domain: same(&personality.domain()),
            flags: list(personality.flags(), Clone::clone),
        }),
        memory_policy: linux.memory_policy().as_ref().map(|policy| MemoryPolicy {
            mode: same(&policy.mode()),
            nodes: text(policy.nodes()),
            flags: list(policy.flags(), same),
        }),
    }
}

fn device(device: &oci::LinuxDevice) -> Device {
    Device {
        path: path(device.path()),
        r#type: same(&device.typ()),
        major: device.major(),
        minor: device.minor(),
        file_mode: device.file_mode(),
        uid: device.uid(),
        gid: device.gid(),
    }
}

fn intel_rdt(rdt: &oci::LinuxIntelRdt) -> IntelRdt {
    IntelRdt {
        clos_id: text(rdt.clos_id()),
        schemata: list(rdt.schemata(), Clone::clone),
        l3_cache_schema: text(rdt.l3_cache_schema()),
        mem_bw_schema: text(rdt.mem_bw_schema()),
        enable_monitoring: rdt.enable_monitoring().unwrap_or_default(),
        enable_cmt: rdt.enable_cmt().unwrap_or_default(),
        enable_mbm: rdt.enable_mbm().unwrap_or_default(),
    }
}

fn resources(resources: &oci::LinuxResources) -> Resources {
    Resources {
        devices: list(resources.devices(), |rule| DeviceRule {
            allow: rule.allow(),
            r#type: rule.typ().as_ref().map(same).unwrap_or_default(),
            major: rule.major(),
            minor: rule.minor(),
            access: rule.access().clone().unwrap_or_default(),
        }),
        memory: resources.memory().as_ref().map(memory),
        cpu: resources.cpu().as_ref().map(cpu),
        pids: resources.pids().as_ref().map(|pids| Pids {
            limit: Some(pids.limit()),
        }),
        block_io: resources.block_io().as_ref().map(block_io),
        hugepage_limits: list(resources.hugepage_limits(), |limit| HugepageLimit {
            page_size: limit.page_size().clone(),
            limit: limit.limit().try_into().unwrap(),
        }),
        network: resources.network().as_ref().map(|network| Network {
            class_id: network.class_id(),
            priorities: list(network.priorities(), |priority| InterfacePriority {
                name: priority.name().clone(),
                priority: priority.priority(),
            }),
        }),
        rdma: map(resources.rdma(), |rdma| Rdma {
            hca_handles: rdma.hca_handles(),
            hca_objects: rdma.hca_objects(),
        }),
        unified: map(resources.unified(), Clone::clone),
    }
}

fn memory(memory: &oci::LinuxMemory) -> Memory {
    Memory {
        limit: memory.limit(),
        reservation: memory.reservation(),
        swap: memory.swap(),
        kernel: memory.kernel(),
        kernel_tcp: memory.kernel_tcp(),
        swappiness: memory.swappiness(),
        disable_oom_killer: memory.disable_oom_killer(),
        use_hierarchy: memory.use_hierarchy(),
        check_before_update: memory.check_before_update(),
    }
}

fn cpu(cpu: &oci::LinuxCpu) -> Cpu {
    Cpu {
        shares: cpu.shares(),
        quota: cpu.quota(),
        burst: cpu.burst(),
        period: cpu.period(),
        realtime_runtime: cpu.realtime_runtime(),
        realtime_period: cpu.realtime_period(),
        cpus: text(cpu.cpus()),
        mems: text(cpu.mems()),
        idle: cpu.idle(),
    }
}

fn block_io(io: &oci::LinuxBlockIo) -> BlockIo {
    let throttle = |device: &oci::LinuxThrottleDevice| ThrottleDevice {
        major: device.major(),
        minor: device.minor(),
        rate: device.rate(),
    };
    BlockIo {
        weight: io.weight(),
        leaf_weight: io.leaf_weight(),
        weight_device: list(io.weight_device(), |device| WeightDevice {
            major: device.major(),
            minor: device.minor(),
            weight: device.weight(),
            leaf_weight: device.leaf_weight(),
        }),
        throttle_read_bps_device: list(io.throttle_read_bps_device(), throttle),
        throttle_write_bps_device: list(io.throttle_write_bps_device(), throttle),
        throttle_read_iops_device: list(io.throttle_read_iops_device(), throttle),
        throttle_write_iops_device: list(io.throttle_write_iops_device(), throttle),
    }
}

fn seccomp(profile: &oci::LinuxSeccomp) -> SeccompProfile {
    SeccompProfile {
        default_action: same(&profile.default_action()),
        default_errno_ret: profile.default_errno_ret(),
        architectures: list(profile.architectures(), same),
        flags: profile
            .flags()
            .as_ref()
            .map(|flags| flags.iter().map(same).collect()),
        listener_path: optional_path(profile.listener_path()),
        listener_metadata: text(profile.listener_metadata()),
        syscalls: list(profile.syscalls(), |rule| SyscallRule {
            names: rule.names().clone(),
            action: same(&rule.action()),
            errno_ret: rule.errno_ret(),
            args: list(rule.args(), |arg| SeccompArg {
                index: arg.index().try_into().unwrap(),
                value: arg.value(),
                value_two: arg.value_two().unwrap_or_default(),
                op: same(&arg.op()),
            }),
        }),
    }
}
