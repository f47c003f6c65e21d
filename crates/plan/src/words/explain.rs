//! Why init failed, in one line: field, operation, call, reason.

use crate::process::labels;
use crate::words::mounts;
use crate::{Plan, words as text};
use kan_op::init::{
    FilterInstruction, InitHook, MountChange, Parameter, Program, RootPath, TreeSource,
};
use kan_op::{Failure, Flaw, HostStep, InitStep, Slot};
use kan_seccomp::SeccompData;
use std::ffi::CStr;
use syscalls::{Errno, Sysno};

/// The line for a failure that init reported of the step at `index`.
#[must_use]
pub fn explain_init(plan: &Plan, index: usize, failure: Failure) -> String {
    let Some(step) = plan.init.steps().get(index) else {
        return format!("init failed in an unknown step {index}");
    };
    let program = plan.init.steps().iter().find_map(|step| match step {
        InitStep::Execute(program) => Some(program),
        _ => None,
    });
    let text = match (step, program) {
        (InitStep::RunHook(hook), _) => hook_failed(hook, failure),
        (InitStep::FindProgram, Some(program)) => not_found(program, failure),
        (InitStep::Execute(program), _) => exec_failed(program, failure),
        (
            InitStep::CloneTree {
                out: Slot::Root,
                source,
                ..
            },
            _,
        ) if failure.flaw == Flaw::KindsDiffer => {
            let source = mounts::tree_source(source);
            format!(
                "root.path: {source}: not a directory: it has to be that of the root filesystem"
            )
        }
        (InitStep::MapIds { .. }, _) => {
            let field = field(plan, index, step, failure);
            let source = mounted(plan, index).unwrap_or_else(|| "the mount".into());
            format!("{field}map the ids of {source}: {}", reason(step, failure))
        }
        (InitStep::Attach { at, .. }, _) if failure.flaw == Flaw::KindsDiffer => {
            let field = field(plan, index, step, failure);
            format!("{field}{}", kinds_differ(plan, index, at, failure))
        }
        _ => {
            let field = field(plan, index, step, failure);
            format!(
                "{field}{}: {}",
                operation(step, failure),
                reason(step, failure)
            )
        }
    };
    text + &denied(plan, index, failure)
}

/// What to add where it was the container's own filter, loaded in an earlier step, that refused a call.
fn denied(plan: &Plan, index: usize, failure: Failure) -> String {
    const SECCOMP_RET_ACTION: u32 = 0xffff_0000;
    const SECCOMP_RET_ERRNO: u32 = 0x0005_0000;
    let answer = (failure.flaw == Flaw::Call)
        .then(|| answer(plan, index, failure.call))
        .flatten();
    match answer {
        Some(answer)
            if answer & SECCOMP_RET_ACTION == SECCOMP_RET_ERRNO
                && answer & !SECCOMP_RET_ACTION == u32::from(failure.errno) =>
        {
            let name = Sysno::new(failure.call.into()).map_or("this call", |call| call.name());
            format!(" (the profile in linux.seccomp denies {name})")
        }
        _ => String::new(),
    }
}

/// What the filter that was loaded before a step says to a call with arguments of zero.
fn answer(plan: &Plan, index: usize, call: u16) -> Option<u32> {
    let program = filter_before(plan, index)?;
    let program: Vec<_> = program
        .iter()
        .map(|i| kan_seccomp::Instruction {
            code: i.code,
            jt: i.jt,
            jf: i.jf,
            k: i.k,
        })
        .collect();
    let call = SeccompData::new(kan_seccomp::native()?, call.into(), [0; 6]);
    Some(kan_seccomp::run(&program, &call).ok()?.answer)
}

fn filter_before(plan: &Plan, index: usize) -> Option<&[FilterInstruction]> {
    let mut before = plan.init.steps().iter().take(index);
    before.find_map(|step| match step {
        InitStep::LoadFilter { program, .. } => Some(&program[..]),
        _ => None,
    })
}

/// The line for an init that ended in the step at `index` because its cgroup had no more memory.
#[must_use]
pub fn explain_oom(plan: &Plan, index: usize) -> String {
    let step = plan.init.steps().get(index).map(text::init);
    let step = step.map_or_else(String::new, |step| format!(" (in the step: {step})"));
    format!(
        "linux.resources.memory.limit: init was OOM-killed (memory limit too low?) before the program ran{step}"
    )
}

/// The line for an init that ended in the step at `index` without a word.
#[must_use]
pub fn explain_lost(plan: &Plan, index: usize, how: &str) -> String {
    let filter = filter_before(plan, index).map_or(
        "",
        |_| " (under the profile in linux.seccomp, which may have ended it)",
    );
    let text = match plan.init.steps().get(index) {
        Some(step) => {
            let field = plan.init.field(index);
            let field = if field.is_empty() {
                String::new()
            } else {
                format!("{field}: ")
            };
            format!("{field}{}: init {how}", text::init(step))
        }
        None => format!("init {how}"),
    };
    text + filter
}

fn field(plan: &Plan, index: usize, step: &InitStep, failure: Failure) -> String {
    let field = plan.init.field(index);
    if field.is_empty() {
        return String::new();
    }
    let parameter = match step {
        InitStep::NewFilesystem(new) => new.parameters.get(usize::from(failure.part)),
        _ => None,
    };
    match parameter {
        Some(Parameter {
            option: Some(option),
            ..
        }) => format!("{field}.options[{option}]: "),
        // No option of the mount: the label is every mount's.
        Some(Parameter { key, .. })
            if failure.call == call(Sysno::fsconfig) && labels::is_context(key) =>
        {
            "linux.mountLabel: ".into()
        }
        _ => format!("{field}: "),
    }
}

fn operation(step: &InitStep, failure: Failure) -> String {
    match step {
        InitStep::NewFilesystem(new) => {
            let fstype = text::text(&new.fstype);
            match new.parameters.get(usize::from(failure.part)) {
                Some(parameter) if failure.call == call(Sysno::fsconfig) => {
                    format!("set {} of {fstype}", mounts::parameter_text(parameter))
                }
                _ => format!("mount {fstype}"),
            }
        }
        InitStep::ChangeMount { change, .. } if is_locked(*change, failure) => {
            let asked = mounts::opposites(*change);
            format!("options {asked}: the source is locked against them by its user namespace")
        }
        // Its data may fill a page.
        InitStep::MountByPath {
            fstype, flags, at, ..
        } => mounts::by_path(fstype, *flags, c"", at),
        step => text::init(step),
    }
}

fn call(call: Sysno) -> u16 {
    u16::try_from(call.id()).unwrap_or(0)
}

fn reason(step: &InitStep, failure: Failure) -> String {
    match failure.flaw {
        Flaw::Call => format!("{}{}", system_call(failure), hint(step, failure)),
        Flaw::OutOfStep => "kan's other half is gone or out of step".into(),
        Flaw::NotOrdinaryDirectory => {
            "filesystem must be mounted on ordinary directory, not on a link".into()
        }
        Flaw::NotNull => "the host's /dev/null is not the null device".into(),
        Flaw::NotTerminal => {
            "/dev/pts/ptmx is not that of a devpts mount: does mounts have one on /dev/pts?".into()
        }
        Flaw::OutsideRoot => "the directory lies outside the container's root".into(),
        Flaw::PathTooLong => "the path has more than 4095 bytes or 40 links".into(),
        Flaw::WrongKind => wrong_kind(step).into(),
        Flaw::TooLarge => "/etc/passwd is larger than 16 MiB".into(),
        Flaw::TooSlow => "/etc/passwd took longer than 10 s to read".into(),
        Flaw::NotFound | Flaw::IsDirectory => "not found".into(),
        Flaw::HookExited | Flaw::HookSignalled | Flaw::HookTimedOut => "failed".into(),
        Flaw::KindsDiffer => "not a directory".into(),
    }
}

fn wrong_kind(step: &InitStep) -> &'static str {
    match step {
        InitStep::WriteProc { .. } => "/proc of the host is not a procfs",
        InitStep::BindConsole => "/dev/console in the container is a link or a directory",
        _ => "another file lies there",
    }
}

/// Whether the kernel refused to change what a user namespace locks, mount_namespaces(7).
fn is_locked(change: MountChange, failure: Failure) -> bool {
    let asked = !mounts::opposites(change).is_empty();
    asked && Errno::new(failure.errno.into()) == Errno::EPERM
}

/// Docker adds advice of its own where it reads `not a directory`.
fn kinds_differ(plan: &Plan, index: usize, at: &RootPath, failure: Failure) -> String {
    let source = mounted(plan, index).unwrap_or_else(|| "what is mounted".into());
    let at = text::path(at);
    let (source_is, at_is) = match failure.part {
        0 => ("is not a directory", "is one"),
        _ => ("is a directory", "is not"),
    };
    format!(
        "mount {source} at {at}: not a directory: {source} {source_is}, but {at} in the container {at_is}"
    )
}

/// What the step at `index` attaches, in the words of config.json: it was put into the slot before.
fn mounted(plan: &Plan, index: usize) -> Option<String> {
    let before = plan.init.steps().get(..index)?;
    before.iter().rev().find_map(|step| match step {
        InitStep::NewFilesystem(new) if new.out == Slot::Tree => Some(text::text(&new.fstype)),
        InitStep::CloneTree {
            out: Slot::Tree,
            source,
            ..
        } => Some(match source {
            TreeSource::Staged(name) => staged_source(plan, name)?,
            source => mounts::tree_source(source),
        }),
        _ => None,
    })
}

fn staged_source(plan: &Plan, name: &CStr) -> Option<String> {
    plan.host.steps().iter().find_map(|step| match step {
        HostStep::StageTree(tree) if tree.name.as_bytes() == name.to_bytes() => {
            Some(tree.source.clone())
        }
        _ => None,
    })
}

/// What stands behind an answer that says little.
fn hint(step: &InitStep, failure: Failure) -> &'static str {
    let errno = Errno::new(failure.errno.into());
    match step {
        InitStep::CloneTree {
            out: Slot::Root, ..
        } if errno == Errno::EACCES => {
            " (the container's root has to be able to enter every directory above it)"
        }
        // mount_setattr(2): FS_ALLOW_IDMAP is a property of the file system's type.
        InitStep::MapIds { .. } if errno == Errno::EINVAL => {
            " (the file system does not support mapped ids)"
        }
        InitStep::MapIds { .. } if errno == Errno::EPERM => {
            " (the source lies in a mount whose ids are mapped already)"
        }
        _ => "",
    }
}

fn system_call(failure: Failure) -> String {
    let name = Sysno::new(usize::from(failure.call)).map_or("unknown call", |call| call.name());
    format!("{name}: {}", errno(failure))
}

/// In lower case: engines match Go's spelling.
fn errno(failure: Failure) -> String {
    let errno = Errno::new(failure.errno.into());
    let text = errno.description().unwrap_or("unknown error");
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_lowercase);
    first.chain(letters).collect()
}

/// The texts that engines turn into exit codes 126 and 127, as Go's os/exec has them.
fn not_found(program: &Program, failure: Failure) -> String {
    let name = program
        .args
        .first()
        .map_or(String::new(), |name| text::text(name));
    match failure.flaw {
        Flaw::IsDirectory => format!("exec: {name:?}: is a directory"),
        Flaw::NotFound if name.contains('/') => {
            format!("exec: {name:?}: stat {name}: no such file or directory")
        }
        Flaw::NotFound => format!("exec: {name:?}: executable file not found in $PATH"),
        _ => format!("exec: {name:?}: {}", errno(failure)),
    }
}

/// As runc words it, which people match; what the hook wrote follows.
fn hook_failed(hook: &InitHook, failure: Failure) -> String {
    let how = match failure.flaw {
        Flaw::HookExited => format!("exit status {}", failure.part),
        Flaw::HookSignalled => format!("ended by signal {}", failure.part),
        Flaw::HookTimedOut => {
            format!(
                "hook ran past specified timeout of {}s",
                hook.timeout.unwrap_or(0)
            )
        }
        _ => system_call(failure),
    };
    format!("error running {} hook #{}: {how}", hook.kind, hook.index)
}

fn exec_failed(program: &Program, failure: Failure) -> String {
    let name = program
        .args
        .first()
        .map_or(String::new(), |name| text::text(name));
    format!("exec {name}: {}", errno(failure))
}
