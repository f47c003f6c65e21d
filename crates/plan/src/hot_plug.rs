//! `mounts add` and `mounts remove`: entries of `mounts` for a container that is there already.

use crate::builder::Builder;
use crate::linux::namespaces;
use crate::linux::user_namespace;
use crate::{Facts, Plan, Request, mounts};
use kan_op::init::RootPath;
use kan_op::{HostStep, InitStep, Sync};
use kan_spec::Problem;
use kan_spec::config::{Config, NamespaceType};
use linux_raw_sys::general::MS_REMOUNT;
use std::ffi::CStr;

/// Plans the mount of one entry of `mounts` in a running container; the other entries are passed
/// over. A bind mount's source is a path of the host.
///
/// # Errors
/// Every field that cannot be honoured, all at once.
pub fn plan_mount(
    config: &Config,
    index: usize,
    facts: &Facts,
    request: &Request,
) -> Result<Plan, Vec<Problem>> {
    let bind = mounts::is_bind(&Builder::new(config, facts, request), index);
    let seen = if bind {
        to_bind_in(config)
    } else {
        joined(config)
    };
    let mut b = Builder::new(&seen, facts, request);
    host_half(&mut b, Some(index));
    begin(&mut b);
    let before = b.plan.init.steps().len();
    mounts::one(&mut b, index);
    let mut entry = b.plan.init.split_off(before).into_iter().peekable();
    if let Some((step, field)) = entry.next_if(|(step, _)| is_the_hosts(step)) {
        b.init(field, step);
    }
    if entry.peek().is_some_and(|(step, _)| looks_up_inside(step)) {
        let why = "mount(2) would look the source up in the container; give options that \
                   fsconfig(2) takes: shorter ones, without iversion";
        b.problem(format!("mounts[{index}]"), why);
    }
    join(&mut b);
    for (step, field) in entry {
        b.init(field, step);
    }
    b.init("", InitStep::Tell(Sync::Ready));
    let Builder { plan, problems, .. } = b;
    problems.finish(plan)
}

/// Plans that what is mounted at the destination of one entry of `mounts` goes away.
///
/// # Errors
/// Every field that cannot be honoured, all at once.
pub fn plan_unmount(
    config: &Config,
    index: usize,
    facts: &Facts,
    request: &Request,
) -> Result<Plan, Vec<Problem>> {
    let joined = joined(config);
    let mut b = Builder::new(&joined, facts, request);
    host_half(&mut b, None);
    begin(&mut b);
    join(&mut b);
    let at = format!("mounts[{index}].destination");
    let path = config.mounts[index].destination.trim_end_matches('/');
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    if matches!(name, "" | "." | "..") {
        b.problem(at.clone(), "names no mount point");
    }
    let directory = RootPath(b.c_string(&at, format!("{directory}/")));
    let name = b.c_string(&at, name);
    b.init(at, InitStep::Unmount { directory, name });
    b.init("", InitStep::Tell(Sync::Ready));
    let Builder { plan, problems, .. } = b;
    problems.finish(plan)
}

/// The container's config as it is for one who comes later: its mount namespace is joined, and
/// nothing is locked, for kan stays in its own user namespace.
fn joined(config: &Config) -> Config {
    let mut config = config.clone();
    if let Some(linux) = &mut config.linux {
        linux
            .namespaces
            .retain(|one| one.r#type != NamespaceType::User);
        for namespace in &mut linux.namespaces {
            namespace.path.get_or_insert_default();
        }
    }
    config
}

/// The same for a bind mount, whose flags the container's root is not to change: it is planned as
/// for a container that is made with these namespaces.
fn to_bind_in(config: &Config) -> Config {
    let mut seen = joined(config);
    if let Some(linux) = &mut seen.linux {
        for namespace in &mut linux.namespaces {
            if namespace.r#type == NamespaceType::Mount {
                namespace.path = None;
            }
        }
        let user = config.namespace(NamespaceType::User).cloned();
        linux.namespaces.extend(user);
    }
    seen
}

/// What comes from the host is opened before kan leaves the host's mounts: what the container has
/// under that name is another matter, such as a device node of its own.
fn is_the_hosts(step: &InitStep) -> bool {
    match step {
        InitStep::CloneTree { .. } => true,
        InitStep::NewFilesystem(new) => !belongs_to_namespaces(&new.fstype),
        _ => false,
    }
}

fn looks_up_inside(step: &InitStep) -> bool {
    match step {
        InitStep::MountByPath { fstype, flags, .. } => {
            flags & MS_REMOUNT == 0 && !belongs_to_namespaces(fstype)
        }
        _ => false,
    }
}

/// File systems that show namespaces, or reach others through a network; their sources are no
/// paths.
fn belongs_to_namespaces(fstype: &CStr) -> bool {
    let inside = [
        c"proc",
        c"sysfs",
        c"tmpfs",
        c"ramfs",
        c"devpts",
        c"mqueue",
        c"cgroup",
        c"cgroup2",
        c"binfmt_misc",
        c"nfs",
        c"nfs4",
        c"cifs",
        c"smb3",
        c"ceph",
    ];
    inside.contains(&fstype)
}

fn host_half(b: &mut Builder<'_>, mount: Option<usize>) {
    if !b.has_namespace(NamespaceType::Mount) {
        let why = "nothing can be mounted later in a container without a mount namespace";
        b.problem("linux.namespaces", why);
    }
    b.host(
        "",
        HostStep::OpenContainer {
            namespaces: namespaces::of_container(b),
            with_root: false,
        },
    );
    let is_staged = mount.is_some_and(|index| mounts::stage_one(b, index));
    if is_staged && user_namespace::is_used(b) {
        b.host("linux.namespaces", HostStep::LockStage);
    }
    let clone = HostStep::Clone {
        flags: 0,
        join: Vec::new(),
        into_cgroup: false,
        hidden: false,
    };
    b.host("", clone);
    b.host("", HostStep::Wait(Sync::Ready));
}

fn begin(b: &mut Builder<'_>) {
    let ignored = b.facts.ignored_signals;
    b.init("", InitStep::ResetSignals { ignored });
    b.init("", InitStep::CloseInherited { preserved: 0 });
    b.init("", InitStep::HideMemory);
    b.init("", InitStep::SetUmask(0));
}

/// A new file system shows the namespaces that it is made in.
fn join(b: &mut Builder<'_>) {
    namespaces::join_container_as_host(b);
    b.init("", InitStep::OpenRoot);
}
