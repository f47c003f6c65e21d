//! `mounts add` and `mounts remove`: entries of `mounts` for a container that is there already.

use crate::builder::Builder;
use crate::{Facts, Plan, Request, mounts, namespaces};
use kan_op::init::RootPath;
use kan_op::{HostStep, InitStep, Slot, Sync};
use kan_spec::Problem;
use kan_spec::config::{Config, NamespaceType};
use linux_raw_sys::general::CLONE_NEWUSER;

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
    let joined = joined(config);
    let mut b = Builder::new(&joined, facts, request);
    host_half(&mut b);
    begin(&mut b);
    let before = b.plan.init.steps().len();
    mounts::one(&mut b, index);
    let mut entry = b.plan.init.split_off(before).into_iter().peekable();
    // What is copied from the host comes before kan leaves the host's mounts.
    let copies = |(step, _): &(InitStep, _)| matches!(step, InitStep::CloneTree { .. });
    if let Some((step, field)) = entry.next_if(copies) {
        b.init(field, step);
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
    host_half(&mut b);
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

fn host_half(b: &mut Builder<'_>) {
    let join_pid = b.has_namespace(NamespaceType::Pid);
    if !b.has_namespace(NamespaceType::Mount) {
        let why = "nothing can be mounted later in a container without a mount namespace";
        b.problem("linux.namespaces", why);
    }
    b.host(
        "",
        HostStep::OpenContainer {
            join_pid,
            with_root: false,
        },
    );
    let clone = HostStep::Clone {
        flags: 0,
        join: Vec::new(),
        into_cgroup: false,
        hidden: join_pid,
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
    let flags = namespaces::of_container(b) & !CLONE_NEWUSER;
    let slot = Slot::Container;
    b.init("linux.namespaces", InitStep::Join { slot, flags });
    b.init("", InitStep::OpenRoot);
}
