//! `hooks`: config.md, POSIX-platform hooks; runtime.md, Lifecycle.

use crate::annotations;
use crate::builder::Builder;
use crate::process::program;
use kan_op::host::HostHook;
use kan_op::init::{InitHook, Stream};
use kan_op::{HostStep, InitStep, Slot, Sync};
use kan_spec::config::{Config, Hook};
use kan_spec::state::{State, Status};

/// The hooks of one kind, with what asked for them.
fn list<'a>(b: &Builder<'a>, kind: &str) -> &'a [Hook] {
    let Some(hooks) = &b.config.hooks else {
        return &[];
    };
    match kind {
        "prestart" => &hooks.prestart,
        "createRuntime" => &hooks.create_runtime,
        "createContainer" => &hooks.create_container,
        "startContainer" => &hooks.start_container,
        _ => &[],
    }
}

pub(crate) fn any_before_pivot(b: &Builder<'_>) -> bool {
    ["prestart", "createRuntime", "createContainer"]
        .iter()
        .any(|kind| !list(b, kind).is_empty())
}

/// The hooks that `start` (`poststart`) and `delete` (`poststop`) run later.
#[must_use]
pub fn later_hooks(config: &Config) -> (Vec<HostHook>, Vec<HostHook>) {
    let Some(hooks) = &config.hooks else {
        return Default::default();
    };
    let all = |kind, hooks: &[Hook]| -> Vec<HostHook> {
        hooks
            .iter()
            .enumerate()
            .map(|(index, hook)| host_hook(config, kind, index, hook))
            .collect()
    };
    (
        all("poststart", &hooks.poststart),
        all("poststop", &hooks.poststop),
    )
}

fn host_hook(config: &Config, kind: &'static str, index: usize, hook: &Hook) -> HostHook {
    let file = |key| annotations::value(config, key).map(str::to_owned);
    HostHook {
        kind,
        index,
        path: hook.path.clone(),
        args: hook.args.clone(),
        env: hook.env.clone(),
        timeout: hook.timeout,
        stdout: file(annotations::HOOKS_STDOUT),
        stderr: file(annotations::HOOKS_STDERR),
    }
}

/// Host: hooks that find the mounted root and change the container's namespaces from outside.
pub(crate) fn in_runtime(b: &mut Builder<'_>) {
    if !any_before_pivot(b) {
        return;
    }
    b.host("hooks", HostStep::Wait(Sync::RootMounted));
    for kind in ["prestart", "createRuntime"] {
        for (index, hook) in list(b, kind).iter().enumerate() {
            let step = HostStep::RunHook(host_hook(b.config, kind, index, hook));
            b.host(format!("hooks.{kind}[{index}]"), step);
        }
    }
    b.host("hooks", HostStep::Tell(Sync::HooksRun));
}

/// Host: where the output of init's hooks goes, which can't open the host's files themselves, nor
/// talk to kan but through a pipe.
pub(crate) fn open_outputs(b: &mut Builder<'_>) {
    if !has(b, "createContainer") && !has(b, "startContainer") {
        return;
    }
    let files = [
        (Slot::HookOutput, annotations::HOOKS_STDOUT),
        (Slot::HookErrors, annotations::HOOKS_STDERR),
    ];
    for (slot, key) in files {
        if let Some(path) = annotations::value(b.config, key) {
            let path = path.to_owned();
            b.host(
                annotations::field(key),
                HostStep::OpenHookOutput { slot, path },
            );
        }
    }
    if has(b, "createContainer") && !has_file(b, annotations::HOOKS_STDERR) {
        b.host("hooks.createContainer", HostStep::MakeHookPipe);
    }
}

fn has(b: &Builder<'_>, kind: &str) -> bool {
    !list(b, kind).is_empty()
}

fn has_file(b: &Builder<'_>, key: &str) -> bool {
    annotations::value(b.config, key).is_some()
}

/// Where the output of a hook that init runs goes. Those of createContainer run within `create`,
/// whose stdout is not theirs, and whose error has their words.
fn streams(b: &Builder<'_>, kind: &str) -> (Stream, Stream) {
    let is_early = kind == "createContainer";
    let stdout = match (has_file(b, annotations::HOOKS_STDOUT), is_early) {
        (true, _) => Stream::Into(Slot::HookOutput),
        (false, true) => Stream::Null,
        (false, false) => Stream::Inherited,
    };
    let stderr = if has_file(b, annotations::HOOKS_STDERR) || is_early {
        Stream::Into(Slot::HookErrors)
    } else {
        Stream::Inherited
    };
    (stdout, stderr)
}

/// Init: what hooks wrote to is not the program's, once the last of them has run.
fn close_outputs(b: &mut Builder<'_>, kind: &'static str) {
    let used = |kind: &str| {
        let (stdout, stderr) = streams(b, kind);
        [stdout.slot(), stderr.slot()].into_iter().flatten()
    };
    let later: Vec<_> = if kind == "createContainer" && has(b, "startContainer") {
        used("startContainer").collect()
    } else {
        Vec::new()
    };
    let done: Vec<_> = used(kind).filter(|slot| !later.contains(slot)).collect();
    for slot in done {
        b.init(format!("hooks.{kind}"), InitStep::Close(slot));
    }
}

/// Init: waits for the hooks outside, then runs those inside, before the pivot.
pub(crate) fn in_container(b: &mut Builder<'_>) {
    if !any_before_pivot(b) {
        return;
    }
    b.init("hooks", InitStep::Tell(Sync::RootMounted));
    b.init("hooks", InitStep::Wait(Sync::HooksRun));
    init_hooks(b, "createContainer", Status::Creating);
}

/// Init: the last thing before the program, in its place and as its user.
pub(crate) fn before_program(b: &mut Builder<'_>) {
    const KIND: &str = "startContainer";
    init_hooks(b, KIND, Status::Created);
    if b.request.wait_for_start && has(b, KIND) {
        b.init("hooks.startContainer", InitStep::TellHooksRun);
    }
}

fn init_hooks(b: &mut Builder<'_>, kind: &'static str, status: Status) {
    for (index, hook) in list(b, kind).iter().enumerate() {
        let at = format!("hooks.{kind}[{index}]");
        let step = init_hook(b, &at, kind, status, (index, hook));
        b.init(at, step);
    }
    if has(b, kind) {
        close_outputs(b, kind);
    }
}

fn init_hook(
    b: &mut Builder<'_>,
    at: &str,
    kind: &'static str,
    status: Status,
    (index, hook): (usize, &Hook),
) -> InitStep {
    let process_env = b.process().map_or(&[][..], |process| &process.env);
    let inherits = kind == "startContainer" && hook.env.is_empty();
    let env = if inherits {
        program::environment(process_env)
    } else {
        hook.env.clone()
    };
    let path_alone = std::slice::from_ref(&hook.path);
    let args = if hook.args.is_empty() {
        path_alone
    } else {
        &hook.args[..]
    };
    let (state_before, state_after) = state(b, status);
    let (stdout, stderr) = streams(b, kind);
    InitStep::RunHook(InitHook {
        kind,
        index,
        path: b.c_string(&format!("{at}.path"), hook.path.as_str()),
        args: args
            .iter()
            .map(|arg| b.c_string(&format!("{at}.args"), arg.as_str()))
            .collect(),
        env: env
            .iter()
            .map(|entry| b.c_string(&format!("{at}.env"), entry.as_str()))
            .collect(),
        with_home: inherits && program::finds_home(b),
        // As in runc.
        in_root: kind == "createContainer",
        state_before,
        state_after,
        timeout: hook.timeout,
        stdout,
        stderr,
    })
}

/// The state document, cut where the pid goes.
fn state(b: &Builder<'_>, status: Status) -> (Vec<u8>, Vec<u8>) {
    const PLACE: i32 = i32::MIN;
    let text = State {
        oci_version: b.config.oci_version.clone(),
        id: b.request.id.clone(),
        pid: PLACE,
        status,
        bundle: b.request.bundle.clone(),
        rootfs: None,
        created: None,
        annotations: b.config.annotations.clone(),
        owner: None,
    }
    .compact();
    let place = format!("\"pid\":{PLACE}");
    match text.split_once(&place) {
        Some((before, after)) => (format!("{before}\"pid\":").into(), after.into()),
        None => (text.into(), Vec::new()),
    }
}
