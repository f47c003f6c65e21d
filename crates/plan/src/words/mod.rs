//! A plan as text: a line a step, for `kan plan`, for golden files and for error messages.

pub(crate) mod explain;
pub(crate) mod format;
pub(crate) mod mounts;
pub(crate) mod names;

use crate::words::format::{path, ranges, text};
use crate::words::mounts::{
    by_path, mappings, mount_change, mount_point, mount_target, new_filesystem, node, staged_tree,
    tree_source,
};
use crate::words::names::{affinity, bits, caps, limit_text, namespaces, signals};
use crate::{Half, Plan};
use kan_op::host::{CgroupDirectory, Joined, ResctrlGroup};
use kan_op::init::{RootEntry, Scheduling};
use kan_op::{HostStep, InitStep, Side, Slot};
use std::fmt::Write as _;

/// A step in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The half it belongs to.
    pub side: Side,
    /// What it does, such as `mask /proc/kcore`.
    pub text: String,
    /// The field or flag that asked for it; empty where kan itself needs it.
    pub field: String,
}

/// The printed plan: a numbered line a step, with the field that asked for it in front.
#[must_use]
pub fn table(lines: &[Line]) -> String {
    let width = lines.iter().map(|line| line.field.len()).max().unwrap_or(0);
    let mut all = String::new();
    for (side, title) in [(Side::Host, "host"), (Side::Init, "init")] {
        let _ = writeln!(all, "{title}");
        let steps = lines.iter().filter(|line| line.side == side).enumerate();
        for (index, Line { text, field, .. }) in steps {
            let _ = writeln!(all, "{index:5}  {field:<width$}  {text}");
        }
    }
    all
}

/// All steps in words, the host half first.
#[must_use]
pub fn lines(plan: &Plan) -> Vec<Line> {
    let mut all = half(Side::Host, &plan.host, host);
    all.extend(half(Side::Init, &plan.init, init));
    all
}

/// Text and field of each step of the init half.
#[must_use]
pub fn init_texts(plan: &Plan) -> Vec<(String, String)> {
    half(Side::Init, &plan.init, init)
        .into_iter()
        .map(|line| (line.text, line.field))
        .collect()
}

fn half<S>(side: Side, half: &Half<S>, text: fn(&S) -> String) -> Vec<Line> {
    let steps = half.steps().iter().enumerate();
    steps
        .map(|(index, step)| Line {
            side,
            text: text(step),
            field: half.field(index).to_owned(),
        })
        .collect()
}

fn listed<T: ToString>(all: &[T]) -> String {
    let all: Vec<_> = all.iter().map(ToString::to_string).collect();
    all.join(", ")
}

/// A step of the host half in words.
#[must_use]
#[expect(
    clippy::too_many_lines,
    reason = "one exhaustive match without `..`: a new step or field must not compile until it has words"
)]
pub fn host(step: &HostStep) -> String {
    match step {
        HostStep::MakeContainer { id } => {
            format!("create and lock the directory of container {id}")
        }
        HostStep::SaveState => "save the state".into(),
        HostStep::SaveConfig => "keep a copy of config.json".into(),
        HostStep::MakeFifo => "create the FIFO that start opens".into(),
        HostStep::PublishFifo => "let start find the FIFO".into(),
        HostStep::OpenContainer {
            namespaces: flags,
            with_root,
        } => {
            let root = if *with_root { " and its root" } else { "" };
            format!(
                "open the container's namespaces{root}: {}",
                namespaces(*flags)
            )
        }
        HostStep::OpenNamespace {
            slot: _,
            path,
            flag,
        } => {
            format!("open {} namespace {path}", namespaces(*flag))
        }
        HostStep::ConnectConsole { path: Some(path) } => {
            format!("connect to console socket {path}")
        }
        HostStep::ConnectConsole { path: None } => "prepare to receive the terminal".into(),
        HostStep::MakeCgroup(directories) => format!("create cgroup {}", cgroups(directories)),
        HostStep::Limit(limits) => crate::linux::resources::limits_text(limits),
        HostStep::LimitDevices(rules) => format!("limit devices: {}", listed(rules)),
        HostStep::OpenStage => "open a stage, in a mount namespace of its own".into(),
        HostStep::StageTree(tree) => staged_tree(tree),
        HostStep::StageIds { name, ranges } => {
            format!(
                "stage a user namespace with {}, as {name}",
                mappings(ranges)
            )
        }
        HostStep::LockStage => "lock the mounts on the stage".into(),
        HostStep::Clone {
            flags,
            into_cgroup,
            join,
            hidden,
        } => {
            let hidden = if *hidden {
                ", with its memory hidden"
            } else {
                ""
            };
            clone(*flags, *into_cgroup, join) + hidden
        }
        HostStep::LendOomScoreAdj(score) => format!("set oom_score_adj to {score} for the clone"),
        HostStep::JoinCgroup => "move the child into the cgroup".into(),
        HostStep::StartUnit { unit, properties } => {
            let properties = listed(properties);
            format!("let systemd start {unit} for the child: {properties}")
        }
        HostStep::EnterUnit(directories) => {
            format!("move the child into cgroup {}", cgroups(directories))
        }
        HostStep::AttachToUnit { unit } => format!("let systemd move the child into {unit}"),
        HostStep::GiveCgroup { uid } => format!("give the cgroup to user {uid}"),
        HostStep::DelegateCgroup { name, uid } => {
            let whose = uid.map_or_else(String::new, |uid| format!(", which is user {uid}'s"));
            format!("move the child into cgroup {name} below{whose}")
        }
        HostStep::OpenHookOutput { slot, path } => {
            let what = if *slot == Slot::HookErrors {
                "errors"
            } else {
                "output"
            };
            format!("open {path} for the {what} of hooks")
        }
        HostStep::MakeHookPipe => "create a pipe for the errors of hooks".into(),
        HostStep::RunHook(hook) => format!("run {} hook {}", hook.kind, hook.path),
        HostStep::MakeNetwork => "new namespaces: network; notify network-made; bring lo up".into(),
        HostStep::ReceiveProcess => "wait for the process that the child clones".into(),
        HostStep::TakeListener => "take the seccomp listener".into(),
        HostStep::SetScheduler(wanted) => scheduling(*wanted),
        HostStep::ReceiveListener => "receive the seccomp listener".into(),
        HostStep::SendListener { path, metadata: _ } => {
            format!("send the seccomp listener to the agent at {path}")
        }
        HostStep::MakeResctrlGroup(group) => resctrl_group(group),
        HostStep::JoinResctrlGroups(groups) => {
            format!("move the child into {}", groups.join(", "))
        }
        HostStep::Tell(sync) => format!("notify {}", sync.name()),
        HostStep::Wait(sync) => format!("wait {}", sync.name()),
        HostStep::WritePidFile { path } => format!("write the pid to {path}"),
        HostStep::SendPidfd { path, what: _ } => format!("send a pidfd of the process to {path}"),
        HostStep::MakeNotifySocket { listen: _ } => "create the socket for sd_notify".into(),
        HostStep::MapIds {
            uids,
            gids,
            deny_groups,
        } => {
            let deny = if *deny_groups { "deny setgroups, " } else { "" };
            format!("{deny}map users {}, groups {}", ranges(uids), ranges(gids))
        }
        HostStep::MoveNetDevice {
            name,
            new_name,
            namespace: _,
        } => {
            format!("move network device {name} into the container, as {new_name}")
        }
        HostStep::SetOomScoreAdj(score) => format!("set the child's oom_score_adj to {score}"),

        HostStep::SetLimit {
            resource,
            soft,
            hard,
        } => limit_text(*resource, *soft, *hard),
    }
}

fn scheduling(wanted: Scheduling) -> String {
    format!(
        "schedule by policy {} with flags {:#x}, nice {}, priority {}, {}/{}/{} ns",
        wanted.policy,
        wanted.flags,
        wanted.nice,
        wanted.priority,
        wanted.runtime,
        wanted.deadline,
        wanted.period
    )
}

fn clone(flags: u32, into_cgroup: bool, join: &[Joined]) -> String {
    let into = if into_cgroup { " into the cgroup" } else { "" };
    let joined = join.iter().fold(0, |flags, joined| flags | joined.flag);
    let from = if joined == 0 {
        String::new()
    } else {
        format!(
            ", from a process that has joined namespaces: {}",
            namespaces(joined)
        )
    };
    let new = namespaces(flags);
    format!("clone{into}, with new namespaces: {new}{from}")
}

fn resctrl_group(group: &ResctrlGroup) -> String {
    let how = match (group.must_exist, group.is_shared) {
        (true, _) => "take class of service",
        (false, true) => "create or use class of service",
        (false, false) => "create class of service",
    };
    let lines = group.schemata.join(", ");
    let with = if lines.is_empty() { "" } else { " with " };
    let monitor = group.monitor.as_ref();
    let monitor = monitor.map_or_else(String::new, |path| format!(", monitored by {path}"));
    format!("{how} {}{with}{lines}{monitor}", group.path)
}

fn cgroups(directories: &[CgroupDirectory]) -> String {
    let all = directories.iter();
    let all: Vec<_> = all
        .map(|directory| format!("{}/{}", directory.mount, directory.path))
        .collect();
    all.join(" ")
}

/// A step of the init half in words.
#[expect(
    clippy::too_many_lines,
    reason = "one exhaustive match without `..`: a new step or field must not compile until it has words"
)]
pub(crate) fn init(step: &InitStep) -> String {
    match step {
        InitStep::Wait(sync) => format!("wait {}", sync.name()),
        InitStep::Tell(sync) => format!("notify {}", sync.name()),
        InitStep::CloseInherited { preserved: 0 } => "close inherited descriptors".into(),
        InitStep::CloseInherited { preserved } => {
            let first = preserved.saturating_add(3);
            format!("close inherited descriptors from {first} on")
        }
        InitStep::ResetSignals { ignored } => format!("reset signals{}", signals(*ignored)),
        InitStep::NewSession => "new session".into(),
        InitStep::NewKeyring { name } => format!("new session keyring {}", text(name)),
        InitStep::HideMemory => "hide memory from other processes".into(),
        InitStep::ShowMemory => "forget the environment, show memory to the user".into(),
        InitStep::Join { slot: _, flags } => format!("join namespaces: {}", namespaces(*flags)),
        InitStep::EnterNetwork => "wait network-made, join namespaces: network".into(),
        InitStep::RaiseLoopback => "bring lo up".into(),
        InitStep::Unshare { flags } => format!("new namespaces: {}", namespaces(*flags)),
        InitStep::SetHostname(name) => format!("set hostname {}", text(name)),
        InitStep::SetDomainname(name) => format!("set domainname {}", text(name)),
        InitStep::WriteProc { file, value } => {
            format!("write {} to /proc/{}", text(value), text(file))
        }
        InitStep::EnterRoot(RootEntry::Pivot { slave_first: _ }) => "pivot into the root".into(),
        InitStep::EnterRoot(RootEntry::Move) => "move the root over / and enter it".into(),
        InitStep::EnterRoot(RootEntry::Chroot) => "chroot into the root".into(),
        InitStep::OpenRoot => "open /".into(),
        InitStep::ChangeMount { target, change } => {
            format!("change {}: {}", mount_target(target), mount_change(*change))
        }
        InitStep::NewFilesystem(new) => new_filesystem(new),
        InitStep::MountByPath {
            fstype,
            source: _,
            flags,
            data,
            at,
        } => by_path(fstype, *flags, data, at),
        InitStep::CopyUp { tree: _, from } => format!("copy what lies in {} into it", path(from)),
        InitStep::CloneTree {
            out: _,
            source,
            recursive,
        } => {
            let below = if *recursive {
                ", with what is mounted below"
            } else {
                ""
            };
            format!("clone the mount of {}{below}", tree_source(source))
        }
        InitStep::MapIds {
            tree: _,
            namespace,
            recursive,
        } => {
            let below = if *recursive {
                ", and those of what is mounted below,"
            } else {
                ""
            };
            let namespace = text(namespace);
            format!("map its ids{below} as in user namespace {namespace} on the stage")
        }
        InitStep::Attach { tree: _, at, point } => {
            format!("attach it at {}{}", path(at), mount_point(*point))
        }
        InitStep::AttachOnHost {
            tree: Slot::Empty,
            at,
        } => {
            format!("attach it at {} below the root", text(at))
        }
        InitStep::AttachOnHost { tree: _, at } => format!("attach it at {} as the root", text(at)),
        InitStep::Unmount { directory, name } => {
            let name = text(name);
            format!("unmount {}{name}", path(directory))
        }
        InitStep::Close(slot) => format!("close {slot:?}").to_lowercase(),
        InitStep::OpenNull => "open the host's /dev/null".into(),
        InitStep::MakeDirectory { at } => format!("create directory {}", path(at)),
        InitStep::MakeNode {
            at,
            kind,
            mode,
            uid,
            gid,
        } => {
            format!(
                "create {} {} mode {mode:04o} owner {uid}:{gid}",
                node(*kind),
                path(at)
            )
        }
        InitStep::MakeLink {
            at,
            target,
            replace: _,
        } => format!("link {} to {}", path(at), text(target)),
        InitStep::MaskPath { path: masked } => format!("mask {}", path(masked)),
        InitStep::LockPath { path: locked } => format!("make {} read-only", path(locked)),
        InitStep::SetScheduler(wanted) => scheduling(*wanted),
        InitStep::SetIoPriority(value) => {
            format!(
                "set I/O priority class {} level {}",
                value >> 13,
                value & 0x1fff
            )
        }
        InitStep::SetAffinity(words) => format!("run on CPUs {}", affinity(words)),
        InitStep::SetPersonality(domain) => format!("set personality {domain}"),
        InitStep::SetMemoryPolicy { mode, nodes } => {
            format!("set memory policy {mode:#x} for nodes {}", bits(nodes))
        }
        InitStep::OpenTerminal {
            size,
            uid,
            newlines,
        } => {
            let size = size.map(|(width, height)| format!(" of {width}x{height}"));
            let newlines = if *newlines { "" } else { ", ONLCR off" };
            format!(
                "open a terminal{} for user {uid}{newlines}",
                size.unwrap_or_default()
            )
        }
        InitStep::BindConsole => "bind the terminal at /dev/console".into(),
        InitStep::SendTerminal => "send the terminal's master".into(),
        InitStep::ControlTerminal => "make stdin the controlling terminal".into(),
        InitStep::EnterPidNamespace => {
            "clone the container's process in its pid namespace, without kan's memory; it goes on"
                .into()
        }
        InitStep::UseTerminal => "use the terminal as stdin, stdout and stderr".into(),
        InitStep::SetLimit {
            resource,
            soft,
            hard,
        } => limit_text(*resource, *soft, *hard),
        InitStep::EnterTimeNamespace => "enter the time namespace".into(),
        InitStep::SetUmask(mask) => format!("set umask {mask:04o}"),
        InitStep::EnterDirectory(path) => format!("enter {}, which must lie inside", text(path)),
        InitStep::ConfirmDirectory(path) => {
            format!("enter {} as the user, if root was refused", text(path))
        }
        InitStep::DropBounding { drop } => format!("drop from the bounding set: {}", caps(*drop)),
        InitStep::SetIds(ids) => {
            let groups = match &ids.groups {
                // There may be 65536 of them.
                Some(groups) if groups.len() > 16 => {
                    format!("groups {:?} and {} more", &groups[..16], groups.len() - 16)
                }
                Some(groups) => format!("groups {groups:?}"),
                None => "with the groups as they are".into(),
            };
            format!("become user {} group {} {groups}", ids.uid, ids.gid)
        }
        InitStep::SetCapabilities {
            effective,
            permitted,
            inheritable,
        } => format!(
            "set capabilities: effective {}; permitted {}; inheritable {}",
            caps(*effective),
            caps(*permitted),
            caps(*inheritable)
        ),
        InitStep::RaiseAmbient { capabilities } => {
            format!("raise ambient capabilities: {}", caps(*capabilities))
        }
        InitStep::RunHook(hook) => format!("run {} hook {}", hook.kind, text(&hook.path)),
        InitStep::NoNewPrivileges => "allow no new privileges".into(),
        InitStep::FindHome { uid } => format!("look up the home of user {uid}"),
        InitStep::FindProgram => "find the program".into(),
        InitStep::LeaveMemory => "leave all memory but what the steps below need".into(),
        InitStep::LoadFilter {
            program,
            flags,
            listener,
        } => {
            let heard = if listener.is_some() {
                ", with a listener"
            } else {
                ""
            };
            format!(
                "load a system call filter of {} instructions, seccomp filter flags: {flags}{heard}",
                program.len()
            )
        }
        InitStep::AwaitStart => "wait for start".into(),
        InitStep::TellHooksRun => "notify start that the hooks have run".into(),
        InitStep::Execute(program) => format!("execute {}", arguments(&program.args)),
    }
}

fn arguments(args: &[std::ffi::CString]) -> String {
    let args: Vec<_> = args.iter().map(|arg| format!("{:?}", text(arg))).collect();
    args.join(" ")
}
