//! Creates a container as `create` does, up to the moment in which its program would run its first
//! instruction, and removes it again: what only trying can find out, for `check`.
//!
//! The host keeps nothing of it. The root filesystem lies under an overlay whose changes go to a tmpfs
//! in a mount namespace of kan's own, and so does the container's directory. The cgroup has a name of
//! its own beside the one that the config asks for. What would change something that others use is
//! left out: hooks, agents, network devices, resctrl groups, names and sysctls of joined namespaces.

use crate::commands::create::{example_options, record};
use crate::error::{during, in_field, with};
use crate::host::Host;
use crate::host::facts;
use crate::host::stage::Origin;
use crate::os::files::{as_path, c_path};
use crate::os::waiting;
use crate::{CgroupOptions, Error, Result, Store, Timeline};
use kan_op::init::TreeSource;
use kan_op::{HostStep, InitStep, Sync};
use kan_plan::{Plan, plan_create};
use kan_spec::Bundle;
use kan_spec::config::{Config, NamespaceType, SeccompAction};
use kan_sys::mount::{self, Change, Depth};
use kan_sys::namespace::{self, CLONE_NEWNS};
use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use std::ffi::CString;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What became of the attempt.
pub(crate) enum Attempt {
    /// Everything works, up to the program's first instruction.
    Works,
    /// What `create` or `start` would report.
    Fails(Error),
    /// This can't be tried here, and why.
    NotPossible(String),
}

/// Tries to create and start what a sound bundle asks for.
///
/// # Errors
/// kan was told to stop.
pub(crate) fn attempt(bundle: &Bundle, cgroups: CgroupOptions) -> Result<Attempt> {
    if let Some(why) = obstacle(bundle) {
        return Ok(Attempt::NotPossible(why));
    }
    waiting::take_over()?;
    let tried = Place::prepare(bundle).map(|place| {
        let tried = try_in(&place, bundle, cgroups);
        (place, tried)
    });
    let attempt = match tried {
        Err(error) => Attempt::NotPossible(error.to_string()),
        Ok((_, Ok(()))) => Attempt::Works,
        Ok((_, Err(error))) => Attempt::Fails(error),
    };
    waiting::go_on("the attempt")?;
    Ok(attempt)
}

fn obstacle(bundle: &Bundle) -> Option<String> {
    let joins_mounts = bundle
        .config
        .namespace(NamespaceType::Mount)
        .is_some_and(|namespace| namespace.path.is_some());
    if joins_mounts {
        return Some("the mount namespace is another container's".into());
    }
    None
}

/// A mount namespace of kan's own, in which the root filesystem can be changed without a trace. Dropped,
/// kan is back where it was.
struct Place {
    origin: Origin,
    /// An empty directory on the host, under a tmpfs.
    directory: PathBuf,
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.origin.enter();
        let _ = std::fs::remove_dir(&self.directory);
    }
}

impl Place {
    fn prepare(bundle: &Bundle) -> Result<Self> {
        let origin = Origin::remember()?;
        let name = format!("kan-check-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .map_err(with("create", &directory))?;
        let place = Self { origin, directory };
        namespace::unshare(CLONE_NEWNS).map_err(during("create a mount namespace"))?;
        let private = Change {
            propagation: MS_PRIVATE,
            ..Change::default()
        };
        let changed = mount::change_at_path(c"/", private, Depth::Recursive);
        changed.map_err(during("make the mounts private"))?;
        new_filesystem("tmpfs", &[("mode", "0711")], &place.directory)?;
        if let Some(root) = &bundle.config.root {
            place.cover(&bundle.path.join(&root.path))?;
        }
        Ok(place)
    }

    /// Puts an overlay over the root filesystem, whose own changes stay on the tmpfs. A root that is
    /// missing or no directory is for `create` to report.
    fn cover(&self, root: &Path) -> Result<()> {
        if !root.is_dir() {
            return Ok(());
        }
        if self.directory.starts_with(root) {
            let why = format!("{} holds kan's own files", root.display());
            return Err(Error::Step(why));
        }
        let below = mounts_below(root)?;
        let at = |name: &str| self.directory.join(name);
        for name in ["lower", "upper", "work"] {
            DirBuilder::new()
                .mode(0o755)
                .create(at(name))
                .map_err(with("create", &at(name)))?;
        }
        copy_owner(root, &at("upper"))?;
        // A path of kan's own, without the characters that mean something to overlayfs.
        let lower = mount::clone_tree_at_path(&c_path(root)?, Depth::Single);
        let lower = lower.map_err(during("clone the root filesystem"))?;
        mount::attach_at_path(&lower, &c_path(&at("lower"))?)
            .map_err(during("attach the root filesystem"))?;
        let mut kept = Vec::new();
        for path in below {
            let tree = mount::clone_tree_at_path(&c_path(&path)?, Depth::Single);
            kept.push((tree.map_err(during("clone a mount in the root"))?, path));
        }
        let text = |name: &str| at(name).to_string_lossy().into_owned();
        let (lower, upper, work) = (text("lower"), text("upper"), text("work"));
        let options = [
            ("lowerdir", &lower[..]),
            ("upperdir", &upper),
            ("workdir", &work),
        ];
        new_filesystem("overlay", &options, root)?;
        for (tree, path) in kept {
            mount::attach_at_path(&tree, &c_path(&path)?)
                .map_err(during("attach a mount in the root"))?;
        }
        Ok(())
    }
}

/// mount(2)
const MS_PRIVATE: u32 = 1 << 18;

fn new_filesystem(fstype: &str, options: &[(&str, &str)], at: &Path) -> Result<()> {
    let failed = || during("mount a filesystem to try on");
    let text = |text: &str| CString::new(text).unwrap_or_default();
    let context = mount::fsopen(&text(fstype)).map_err(failed())?;
    for (key, value) in options {
        mount::fsconfig_string(&context, &text(key), &text(value)).map_err(failed())?;
    }
    mount::fsconfig_create(&context).map_err(failed())?;
    let tree = mount::fsmount(&context, 0).map_err(failed())?;
    mount::attach_at_path(&tree, &c_path(at)?).map_err(failed())
}

/// The overlay's root looks like the upper directory: mode and owner have to be the root's.
fn copy_owner(from: &Path, to: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let about = std::fs::metadata(from).map_err(with("look at", from))?;
    std::os::unix::fs::chown(to, Some(about.uid()), Some(about.gid()))
        .and_then(|()| std::fs::set_permissions(to, about.permissions()))
        .map_err(with("prepare", to))
}

/// The mounts below a directory, outer ones first.
fn mounts_below(root: &Path) -> Result<Vec<PathBuf>> {
    let root = std::fs::canonicalize(root).map_err(with("look at", root))?;
    let mut points = kan_cgroup::mount_points()?;
    points.retain(|point| point != &root && point.starts_with(&root));
    Ok(points)
}

fn try_in(place: &Place, bundle: &Bundle, cgroups: CgroupOptions) -> Result<()> {
    let mut bundle = bundle.clone();
    let id = format!("kan-check-{}", std::process::id());
    let hooks = bundle.config.hooks.take().unwrap_or_default();
    let joined = leave_out(&mut bundle.config, &id);
    let store = Store::new(place.directory.join("state"));
    let options = example_options(&bundle, &id, cgroups);
    let (facts, home) = facts::gather(&bundle.config, &id, cgroups)?;
    let mut request = options.request(&bundle.path, true);
    request.attachment = kan_plan::Attachment::Foreground;
    let mut plan = plan_create(&bundle.config, &facts, &request).map_err(Error::Plan)?;
    spare_joined(&mut plan, &joined);
    if let Some(root) = &bundle.config.root {
        spare_overlay(&mut plan, &bundle.path.join(&root.path));
    }
    // Until then init ends with kan, however that ends: nobody else would find this container.
    plan.host
        .retain(|step| *step != HostStep::Tell(Sync::Saved));
    let record = record(&options, &bundle, home, facts.uid)?;
    let mut host = Host::new(&plan, &store, record, &bundle.text, false)?;
    host.perform_all(&mut Timeline::default())?;
    for (index, hook) in hooks.start_container.iter().enumerate() {
        find_in_container(&host, &hook.path)
            .map_err(|error| in_field(&format!("hooks.startContainer[{index}]"), error))?;
    }
    if bundle.config.process.is_some() {
        start(&mut host)?;
    }
    Ok(())
}

/// Takes from the config what would be seen outside of the container: the types of the namespaces that
/// it joins.
fn leave_out(config: &mut Config, id: &str) -> Vec<NamespaceType> {
    let Some(linux) = &mut config.linux else {
        return Vec::new();
    };
    if !linux.net_devices.is_empty() {
        // They may be those of the devices.
        linux.sysctl.retain(|(key, _)| !key.starts_with("net"));
        linux.net_devices.clear();
    }
    linux.intel_rdt = None;
    if let Some(path) = linux.cgroups_path.as_mut().filter(|path| !path.is_empty()) {
        let end = path.rfind(['/', ':']).map_or(0, |at| at + 1);
        path.replace_range(end.., id);
    }
    if let Some(profile) = &mut linux.seccomp {
        profile.listener_path = None;
        profile.listener_metadata = None;
        let actions = profile.syscalls.iter_mut().map(|rule| &mut rule.action);
        for action in actions.chain([&mut profile.default_action]) {
            if *action == SeccompAction::Notify {
                *action = SeccompAction::Allow;
            }
        }
    }
    let joined = linux
        .namespaces
        .iter()
        .filter(|namespace| namespace.path.is_some());
    joined.map(|namespace| namespace.r#type).collect()
}

/// The steps that would change a namespace which others are in.
fn spare_joined(plan: &mut Plan, joined: &[NamespaceType]) {
    if joined.is_empty() {
        return;
    }
    plan.init.retain(|step| match step {
        InitStep::SetHostname(_) | InitStep::SetDomainname(_) => {
            !joined.contains(&NamespaceType::Uts)
        }
        InitStep::WriteProc { file, .. } => !joined.contains(&owner(file.to_bytes())),
        _ => true,
    });
}

/// An overlay has no mapped ids: where the root filesystem under it is the source of a mount, they are left
/// out. What a mount of the config's brings keeps them.
fn spare_overlay(plan: &mut Plan, root: &Path) {
    let is_covered = |source: &Path| source.starts_with(root);
    let mut points: Vec<PathBuf> = Vec::new();
    let (mut source, mut spared) = (PathBuf::new(), Vec::new());
    for step in plan.init.steps() {
        match step {
            InitStep::CloneTree {
                source: TreeSource::Host(path) | TreeSource::HostLink(path),
                ..
            } => source = as_path(path).to_owned(),
            InitStep::Attach { at, .. } => {
                let below = as_path(&at.0);
                points.push(root.join(below.strip_prefix("/").unwrap_or(below)));
            }
            InitStep::MapIds { namespace, .. }
                if is_covered(&source) && !points.iter().any(|point| source.starts_with(point)) =>
            {
                spared.push(namespace.clone());
            }
            _ => {}
        }
    }
    plan.init.retain(|step| match step {
        InitStep::MapIds { namespace, .. } => !spared.contains(namespace),
        _ => true,
    });
    plan.host.change(|step| match step {
        HostStep::StageTree(tree) if is_covered(Path::new(&tree.source)) => tree.ids = None,
        _ => {}
    });
}

/// The namespace that a file below /proc/sys belongs to, namespaces(7), of those that a config may name.
fn owner(file: &[u8]) -> NamespaceType {
    if file.starts_with(b"sys/net/") {
        NamespaceType::Network
    } else if file.ends_with(b"name") {
        NamespaceType::Uts
    } else {
        NamespaceType::Ipc
    }
}

/// A program that init would execute in the container's root.
fn find_in_container(host: &Host<'_>, path: &str) -> Result<()> {
    let root = PathBuf::from(format!("/proc/{}/root", host.child_pid()?));
    let failed = |errno: rustix::io::Errno| with("open", Path::new(path))(errno.into());
    let (flags, mode) = (OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let root = openat(CWD, &root, flags | OFlags::DIRECTORY, mode).map_err(failed)?;
    let found = openat2(&root, path, flags, mode, ResolveFlags::IN_ROOT);
    found.map(drop).map_err(failed)
}

/// Lets init execute the program, and kills it before that has run one instruction. The kernel has
/// then read the program, its interpreter and its loader.
fn start(host: &mut Host<'_>) -> Result<()> {
    let pid = Pid::from_raw(host.child_pid()?);
    let options = Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_EXITKILL;
    if ptrace::seize(pid, options).is_err() {
        // Somebody else traces it, or kan may not: `create` has worked, and the program was found.
        return Ok(());
    }
    host.tell(Sync::Saved)?;
    crate::commands::start::let_go(host.directory()?)?;
    let flags = WaitPidFlag::WNOHANG | WaitPidFlag::__WALL;
    loop {
        match waitpid(pid, Some(flags)) {
            Ok(WaitStatus::StillAlive) => {
                waiting::pause(Duration::from_millis(1), "the program to be executed")?;
            }
            Ok(WaitStatus::PtraceEvent(_, _, nix::libc::PTRACE_EVENT_EXEC)) => return Ok(()),
            Ok(WaitStatus::Stopped(_, signal)) => {
                let _ = ptrace::cont(pid, signal);
            }
            Ok(WaitStatus::PtraceEvent(..)) => {
                let _ = ptrace::cont(pid, None);
            }
            _ => return Err(host.init_error()),
        }
    }
}
