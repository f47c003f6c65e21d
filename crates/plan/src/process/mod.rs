//! `process`, without capabilities and the program: config.md, Process.

pub(crate) mod capabilities;
pub(crate) mod labels;
pub(crate) mod program;
pub(crate) mod schedule;
pub(crate) mod terminal;

use crate::annotations;
use crate::builder::Builder;
use crate::linux::user_namespace;
use kan_op::init::Ids;
use kan_op::{HostStep, InitStep};
use kan_spec::config::{Process, RlimitType};
use linux_raw_sys::general as raw;

/// Inside a user namespace init may not lower its score, nor raise a hard limit: kan does both.
fn from_outside(b: &Builder<'_>) -> bool {
    user_namespace::is_used(b)
}

/// A kan that is not root may not lower it either, nor look into an init that hides its memory.
fn scores_from_outside(b: &Builder<'_>) -> bool {
    from_outside(b) && !b.facts.is_rootless
}

/// Host: see [`from_outside`].
pub(crate) fn oom_score_adj_from_outside(b: &mut Builder<'_>) {
    let score = b.process().and_then(|process| process.oom_score_adj);
    if let Some(score) = score.filter(|_| scores_from_outside(b)) {
        b.host("process.oomScoreAdj", HostStep::SetOomScoreAdj(score));
    }
}

/// Host: see [`from_outside`].
pub(crate) fn limits_from_outside(b: &mut Builder<'_>) {
    let Some(process) = b.process().filter(|_| from_outside(b)) else {
        return;
    };
    for (index, limit) in process.rlimits.iter().enumerate() {
        let (resource, soft, hard) = (resource(limit.r#type), limit.soft, limit.hard);
        b.host(
            format!("process.rlimits[{index}]"),
            HostStep::SetLimit {
                resource,
                soft,
                hard,
            },
        );
    }
}

/// Whether kan's own score is the child's until that is cloned, for otherwise the child could not
/// write it any more: see [`HostStep::LendOomScoreAdj`].
fn scores_by_inheritance(b: &Builder<'_>) -> bool {
    b.hidden && b.facts.uid != 0 && !scores_from_outside(b)
}

/// Host: before the clone.
pub(crate) fn lend_oom_score_adj(b: &mut Builder<'_>) {
    let score = b.process().and_then(|process| process.oom_score_adj);
    if let Some(score) = score.filter(|_| scores_by_inheritance(b)) {
        b.host("process.oomScoreAdj", HostStep::LendOomScoreAdj(score));
    }
}

/// Init: written while the host's /proc is in sight and init may still be looked into.
pub(crate) fn oom_score_adj(b: &mut Builder<'_>) {
    let score = b.process().and_then(|process| process.oom_score_adj);
    let is_done = scores_from_outside(b) || scores_by_inheritance(b);
    let Some(score) = score.filter(|_| !is_done) else {
        return;
    };
    let value = b.c_string("process.oomScoreAdj", score.to_string());
    let file = c"self/oom_score_adj".into();
    b.init("process.oomScoreAdj", InitStep::WriteProc { file, value });
}

/// Init: the working directory is made if it is missing, as runc does.
pub(crate) fn make_directory(b: &mut Builder<'_>) {
    let Some(process) = b.process() else { return };
    if process.cwd != "/" {
        let at = b.root_path("process.cwd", &process.cwd);
        b.init("process.cwd", InitStep::MakeDirectory { at });
    }
}

/// Init: resource limits, while it still has the capability to raise them.
pub(crate) fn limits(b: &mut Builder<'_>) {
    let Some(process) = b.process().filter(|_| !from_outside(b)) else {
        return;
    };
    for (index, limit) in process.rlimits.iter().enumerate() {
        let step = InitStep::SetLimit {
            resource: resource(limit.r#type),
            soft: limit.soft,
            hard: limit.hard,
        };
        b.init(format!("process.rlimits[{index}]"), step);
    }
}

const fn resource(limit: RlimitType) -> u32 {
    match limit {
        RlimitType::As => raw::RLIMIT_AS,
        RlimitType::Core => raw::RLIMIT_CORE,
        RlimitType::Cpu => raw::RLIMIT_CPU,
        RlimitType::Data => raw::RLIMIT_DATA,
        RlimitType::Fsize => raw::RLIMIT_FSIZE,
        RlimitType::Locks => raw::RLIMIT_LOCKS,
        RlimitType::Memlock => raw::RLIMIT_MEMLOCK,
        RlimitType::Msgqueue => raw::RLIMIT_MSGQUEUE,
        RlimitType::Nice => raw::RLIMIT_NICE,
        RlimitType::Nofile => raw::RLIMIT_NOFILE,
        RlimitType::Nproc => raw::RLIMIT_NPROC,
        RlimitType::Rss => raw::RLIMIT_RSS,
        RlimitType::Rtprio => raw::RLIMIT_RTPRIO,
        RlimitType::Rttime => raw::RLIMIT_RTTIME,
        RlimitType::Sigpending => raw::RLIMIT_SIGPENDING,
        RlimitType::Stack => raw::RLIMIT_STACK,
    }
}

/// Init: for files that createContainer hooks create. What init creates after them has no mode that
/// this would change.
pub(crate) fn umask_of_hooks(b: &mut Builder<'_>) {
    let hooks = b.config.hooks.as_ref();
    if hooks.is_some_and(|hooks| !hooks.create_container.is_empty()) {
        b.init("hooks.createContainer", InitStep::SetUmask(0o022));
    }
}

/// Init: runc's and crun's default, 0022.
pub(crate) fn umask(b: &mut Builder<'_>) {
    let asked = b.process().and_then(|process| process.user.umask);
    let field = if asked.is_some() {
        "process.user.umask"
    } else {
        ""
    };
    b.init(field, InitStep::SetUmask(asked.unwrap_or(0o022)));
}

/// Init: as root first; a directory that only the user may enter is tried again later.
pub(crate) fn enter_directory(b: &mut Builder<'_>) {
    let Some(process) = b.process().filter(|process| !is_there(b, process)) else {
        return;
    };
    let path = b.process_string("process.cwd", &process.cwd);
    b.init("process.cwd", InitStep::EnterDirectory(path));
}

/// Init: see [`enter_directory`].
pub(crate) fn confirm_directory(b: &mut Builder<'_>) {
    let Some(process) = b.process().filter(|process| !is_there(b, process)) else {
        return;
    };
    let path = b.process_string("process.cwd", &process.cwd);
    b.init("process.cwd", InitStep::ConfirmDirectory(path));
}

/// Whether init is in the directory since it has entered the root.
fn is_there(b: &Builder<'_>, process: &Process) -> bool {
    let enters_root = |step: &InitStep| matches!(step, InitStep::EnterRoot(_));
    process.cwd == "/" && b.plan.init.steps().iter().any(enters_root)
}

/// Init: the user.
pub(crate) fn ids(b: &mut Builder<'_>) {
    let Some(process) = b.process() else { return };
    let user = &process.user;
    let keeps = annotations::value(b.config, annotations::KEEP_ORIGINAL_GROUPS).is_some();
    if keeps && !user.additional_gids.is_empty() {
        let key = annotations::KEEP_ORIGINAL_GROUPS;
        let warning = format!("process.user.additionalGids: passed over, as {key} is set");
        b.plan.warnings.push(warning);
    }
    user_namespace::check_ids(b);
    let keeps = keeps || user_namespace::denies_groups(b);
    let groups = (!keeps).then(|| user.additional_gids.clone());
    // Whether a joined namespace denies setgroups(2) shows there.
    let is_joined = user_namespace::is_used(b) && !user_namespace::is_new(b);
    b.init(
        "process.user",
        InitStep::SetIds(Ids {
            uid: user.uid,
            gid: user.gid,
            groups,
            groups_may_stay: is_joined && user.additional_gids.is_empty(),
        }),
    );
}

/// Init: after the capabilities are set, before anything of the container runs.
pub(crate) fn no_new_privileges(b: &mut Builder<'_>) {
    if b.process().is_some_and(|process| process.no_new_privileges) {
        b.init("process.noNewPrivileges", InitStep::NoNewPrivileges);
    }
}
