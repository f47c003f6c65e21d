//! The bugs of this field are bugs of order. Each test here names one.

use crate::{config, legacy, plan, request, shapes, shapes_with_exec};
use kan_op::init::RootPath;
use kan_op::{HostStep, InitStep, Slot, Sync};
use kan_plan::{Facts, Plan, Request};
use kan_spec::config::Config;
use linux_raw_sys::general::{CAP_SYS_ADMIN, CLONE_NEWCGROUP, CLONE_NEWNS, CLONE_NEWPID};

fn place(plan: &Plan, wanted: impl Fn(&InitStep) -> bool) -> Option<usize> {
    plan.init.steps().iter().position(wanted)
}

fn last_place(plan: &Plan, wanted: impl Fn(&InitStep) -> bool) -> Option<usize> {
    plan.init.steps().iter().rposition(wanted)
}

/// Every step of the first kind lies before every step of the second, and both exist somewhere.
fn before(first: impl Fn(&InitStep) -> bool, second: impl Fn(&InitStep) -> bool) {
    let mut seen = false;
    for plan in shapes() {
        if let Some((first, second)) = last_place(&plan, &first).zip(place(&plan, &second)) {
            assert!(first < second, "{:#?}", kan_plan::lines(&plan));
            seen = true;
        }
    }
    assert!(seen, "no plan has both");
}

fn is_in(path: &RootPath, directory: &str) -> bool {
    path.0.to_bytes().starts_with(directory.as_bytes())
}

macro_rules! is {
    ($pattern:pat $(if $guard:expr)?) => {
        |step: &InitStep| matches!(step, $pattern $(if $guard)?)
    };
}

#[test]
fn inherited_descriptors_are_closed_before_anything_of_the_container_is_touched() {
    before(
        is!(InitStep::CloseInherited { .. }),
        is!(InitStep::CloneTree { .. }),
    );
    before(is!(InitStep::CloseInherited { .. }), is!(InitStep::Wait(_)));
}

#[test]
fn memory_is_hidden_before_the_root_is_entered() {
    before(is!(InitStep::HideMemory), is!(InitStep::EnterRoot(_)));
}

/// CVE-2016-9962: others see init only in a pid namespace that it joins, and there it appears when
/// it is what it will be. What joins other namespaces hides its memory before.
#[test]
fn memory_is_hidden_before_anything_is_joined() {
    for plan in shapes_with_exec() {
        let clones = plan.init.steps().contains(&InitStep::EnterPidNamespace);
        let joins = |step: &HostStep| matches!(step, HostStep::OpenNamespace { .. });
        let joins = plan.host.steps().iter().any(joins);
        let mut steps = plan.host.steps().iter();
        let hidden = steps.find_map(|step| match step {
            HostStep::Clone { hidden, join, .. } => {
                assert!(*hidden || join.is_empty());
                Some(*hidden)
            }
            _ => None,
        });
        assert_eq!(
            hidden,
            Some(joins && !clones),
            "{:#?}",
            kan_plan::lines(&plan)
        );
        let by_itself = place(&plan, is!(InitStep::HideMemory));
        let joined = place(&plan, is!(InitStep::Join { .. }));
        assert!(clones || joins || joined.is_none() || by_itself < joined);
    }
}

/// ARCHITECTURE.md: what appears in a pid namespace that others can see into is already what it
/// will be. These are the only steps of a process that others see.
#[test]
fn what_others_see_has_nothing_left_to_give_up() {
    let mut seen = 0;
    for plan in shapes_with_exec() {
        let steps = plan.init.steps();
        let joins_pids = is!(InitStep::Join { flags, .. } if flags & CLONE_NEWPID != 0);
        let entry = place(&plan, is!(InitStep::EnterPidNamespace));
        assert_eq!(steps.iter().any(joins_pids), entry.is_some());
        let Some(entry) = entry else { continue };
        seen += 1;
        assert_eq!(steps[entry - 1], InitStep::HideMemory);
        let is_privileged = is!(InitStep::SetCapabilities { permitted, .. }
            if permitted & 1 << CAP_SYS_ADMIN != 0);
        for step in &steps[entry + 1..] {
            // The last capability is given up where the filter took it.
            if matches!(step, InitStep::SetCapabilities { .. }) {
                assert!(!is_privileged(step) && steps[..entry].iter().any(is_privileged));
                assert!(steps[entry..].iter().any(is!(InitStep::LoadFilter { .. })));
                continue;
            }
            assert!(
                matches!(
                    step,
                    InitStep::NewSession
                        | InitStep::ControlTerminal
                        | InitStep::LoadFilter { .. }
                        | InitStep::Tell(_)
                        | InitStep::Wait(_)
                        | InitStep::Close(Slot::Listener | Slot::HookErrors | Slot::HookOutput)
                        | InitStep::AwaitStart
                        | InitStep::RunHook(_)
                        | InitStep::TellHooksRun
                        | InitStep::Execute(_)
                ),
                "{step:?}"
            );
        }
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn the_hosts_mounts_are_cut_off_before_the_first_mount() {
    before(
        is!(InitStep::ChangeMount {
            target: kan_op::init::MountTarget::HostRoot,
            ..
        }),
        is!(InitStep::Attach { .. }),
    );
}

#[test]
fn nothing_is_mounted_or_made_after_the_root_is_entered() {
    before(is!(InitStep::Attach { .. }), is!(InitStep::EnterRoot(_)));
    before(is!(InitStep::MakeNode { .. }), is!(InitStep::EnterRoot(_)));
    before(
        is!(InitStep::MaskPath { .. } | InitStep::LockPath { .. }),
        is!(InitStep::EnterRoot(_)),
    );
}

/// But for those in /proc, which nothing that is mounted in /sys can uncover.
#[test]
fn paths_are_masked_after_all_mounts_lest_one_uncovers_them() {
    before(
        |step| match step {
            InitStep::Attach { at, .. } => !is_in(at, "/sys"),
            step => matches!(step, InitStep::MakeNode { .. }),
        },
        is!(InitStep::MaskPath { .. } | InitStep::LockPath { .. }),
    );
    before(
        is!(InitStep::Attach { .. }),
        |step| matches!(step, InitStep::MaskPath { path } | InitStep::LockPath { path } if !is_in(path, "/proc")),
    );
}

/// A sysfs shows the network namespace of who mounts it, and hooks look at it.
#[test]
fn what_is_of_the_network_comes_after_it() {
    let enters = is!(InitStep::EnterNetwork);
    before(
        enters,
        |step| matches!(step, InitStep::NewFilesystem(new) if new.fstype.as_c_str() == c"sysfs"),
    );
    before(
        enters,
        |step| matches!(step, InitStep::WriteProc { file, .. } if file.to_bytes().starts_with(b"sys/net/")),
    );
    before(enters, is!(InitStep::Tell(Sync::RootMounted)));
    before(enters, is!(InitStep::EnterRoot(_)));
}

#[test]
fn the_root_turns_read_only_after_everything_was_made_in_it() {
    let config = config(|_| {});
    let plan = plan(&config, &Facts::example("c"), &request());
    let locked = |step: &InitStep| {
        matches!(
            step,
            InitStep::ChangeMount {
                target: kan_op::init::MountTarget::Slot(kan_op::Slot::Root),
                ..
            }
        )
    };
    let made = last_place(
        &plan,
        is!(InitStep::MakeNode { .. }
            | InitStep::MakeLink { .. }
            | InitStep::Attach { .. }
            | InitStep::BindConsole),
    );
    assert!(made < place(&plan, locked));
    assert!(place(&plan, locked) < place(&plan, is!(InitStep::EnterRoot(_))));
}

#[test]
fn devices_lie_on_the_mount_that_holds_them() {
    before(
        |step| matches!(step, InitStep::Attach { at, .. } if is_in(at, "/dev")),
        is!(InitStep::MakeNode { .. }),
    );
}

#[test]
fn the_terminal_is_made_in_the_containers_own_devpts() {
    before(
        is!(InitStep::Attach { .. }),
        is!(InitStep::OpenTerminal { .. }),
    );
}

/// A directory that a mount would cover is no use.
#[test]
fn the_working_directory_is_made_on_top_of_the_mounts() {
    before(
        is!(InitStep::Attach { .. }),
        is!(InitStep::MakeDirectory { .. }),
    );
}

/// Otherwise the host's own would change.
#[test]
fn names_and_sysctls_are_set_in_the_containers_namespaces() {
    let joins = is!(InitStep::Join { .. });
    before(
        joins,
        is!(InitStep::SetHostname(_) | InitStep::SetDomainname(_)),
    );
    let is_sysctl = |step: &InitStep| matches!(step, InitStep::WriteProc { file, .. } if file.to_bytes().starts_with(b"sys/"));
    before(joins, is_sysctl);
    before(is_sysctl, is!(InitStep::EnterRoot(_)));
}

/// A process that hides its memory does not own its files in /proc any more, proc(5).
#[test]
fn the_oom_score_is_written_while_init_owns_its_files() {
    let is_oom = |step: &InitStep| matches!(step, InitStep::WriteProc { file, .. } if file.to_bytes().starts_with(b"self/"));
    before(is_oom, is!(InitStep::HideMemory));
}

#[test]
fn standard_streams_change_in_the_container() {
    before(is!(InitStep::EnterRoot(_)), is!(InitStep::UseTerminal));
}

/// As the user who will run it: one who may not see it must be told so by `create`.
#[test]
fn the_program_is_looked_for_as_the_user() {
    before(
        is!(InitStep::SetIds(_) | InitStep::SetCapabilities { .. }),
        is!(InitStep::FindProgram),
    );
    before(
        is!(InitStep::ConfirmDirectory(_)),
        is!(InitStep::FindProgram),
    );
}

/// Every call after the filter is one that a profile may forbid.
#[test]
fn the_filter_comes_as_late_as_the_kernel_lets_it() {
    let filter = is!(InitStep::LoadFilter { .. });
    before(
        is!(InitStep::FindProgram | InitStep::NoNewPrivileges | InitStep::LeaveMemory),
        filter,
    );
    before(filter, is!(InitStep::Tell(Sync::Ready)));
    before(filter, |step| is_hook(step, "startContainer"));
    let config = config(|config| {
        crate::enrich(config);
        config.process.as_mut().unwrap().no_new_privileges = false;
    });
    let plan = plan(&config, &Facts::example("c"), &request());
    let loaded = place(&plan, filter);
    assert!(loaded.is_some() && loaded < place(&plan, is!(InitStep::DropBounding { .. })));
    assert!(
        loaded < place(&plan, is!(InitStep::SetIds(_))),
        "it needs CAP_SYS_ADMIN"
    );
}

fn is_hook(step: &InitStep, wanted: &str) -> bool {
    matches!(step, InitStep::RunHook(hook) if hook.kind == wanted)
}

/// runtime.md, Lifecycle; NVIDIA's and others' hooks mount into the root from outside.
#[test]
fn hooks_find_the_mounted_root_and_run_before_the_pivot() {
    let outside = is!(InitStep::Tell(Sync::RootMounted));
    let inside = |step: &InitStep| is_hook(step, "createContainer");
    before(
        is!(InitStep::Attach { .. } | InitStep::MakeNode { .. }),
        outside,
    );
    before(outside, inside);
    before(inside, is!(InitStep::EnterRoot(_)));
}

#[test]
fn start_container_hooks_run_within_start() {
    let hook = |step: &InitStep| is_hook(step, "startContainer");
    before(
        is!(InitStep::AwaitStart | InitStep::Wait(_) | InitStep::SetIds(_)),
        hook,
    );
    before(hook, is!(InitStep::Execute(_)));
}

#[test]
fn the_bounding_set_shrinks_while_that_is_allowed() {
    before(is!(InitStep::DropBounding { .. }), is!(InitStep::SetIds(_)));
    before(
        is!(InitStep::DropBounding { .. }),
        is!(InitStep::SetCapabilities { .. }),
    );
}

#[test]
fn limits_are_raised_while_that_is_allowed() {
    before(is!(InitStep::SetLimit { .. }), is!(InitStep::SetIds(_)));
}

#[test]
fn capabilities_are_set_after_the_user() {
    before(
        is!(InitStep::SetIds(_)),
        is!(InitStep::SetCapabilities { .. }),
    );
}

#[test]
fn the_directory_is_confirmed_as_the_user_and_inside() {
    before(is!(InitStep::SetIds(_)), is!(InitStep::ConfirmDirectory(_)));
    before(
        is!(InitStep::EnterRoot(_)),
        is!(InitStep::EnterDirectory(_)),
    );
}

#[test]
fn no_new_privileges_comes_after_all_that_needs_some() {
    before(
        is!(InitStep::SetCapabilities { .. } | InitStep::SetIds(_)),
        is!(InitStep::NoNewPrivileges),
    );
}

#[test]
fn a_missing_program_is_an_error_of_create() {
    before(is!(InitStep::FindProgram), is!(InitStep::Tell(Sync::Ready)));
    before(is!(InitStep::Tell(Sync::Ready)), is!(InitStep::AwaitStart));
}

#[test]
fn the_last_step_executes() {
    for plan in shapes() {
        assert!(matches!(
            plan.init.steps().last(),
            Some(InitStep::Execute(_))
        ));
    }
}

/// setsid(2) first: TIOCSCTTY is for session leaders, ioctl_tty(2).
#[test]
fn the_terminal_becomes_the_sessions() {
    before(is!(InitStep::NewSession), is!(InitStep::UseTerminal));
}

/// A process is seen in the cgroup namespace's root only if it unshares inside its cgroup.
#[test]
fn the_cgroup_namespace_is_made_in_the_cgroup() {
    before(
        is!(InitStep::Wait(Sync::CgroupJoined)),
        |step| matches!(step, InitStep::Unshare { flags } if flags & CLONE_NEWCGROUP != 0),
    );
}

/// Whatever init does to the host's mounts, names or IPC objects, it does to its own.
#[test]
fn namespaces_are_made_before_anything_is_done_in_them() {
    let makes =
        |step: &InitStep| matches!(step, InitStep::Unshare { flags } if flags & CLONE_NEWNS != 0);
    before(makes, is!(InitStep::ChangeMount { .. }));
    before(makes, is!(InitStep::SetHostname(_)));
    before(makes, is!(InitStep::Join { .. }));
    before(makes, is!(InitStep::Tell(_)));
}

/// Version 1 takes rules one by one, the first of which denies everything: init would meet it.
#[test]
fn rules_that_are_not_taken_at_once_come_before_init() {
    let plan = plan(&config(|_| {}), &legacy(), &request());
    let first = |wanted: fn(&HostStep) -> bool| plan.host.steps().iter().position(wanted);
    let limited = first(|step| matches!(step, HostStep::LimitDevices(_)));
    assert!(limited.is_some() && limited < first(|step| matches!(step, HostStep::Clone { .. })));
}

#[test]
fn the_state_is_saved_before_what_must_be_cleaned_up_is_made() {
    for plan in shapes() {
        let steps = plan.host.steps();
        let first = |wanted: fn(&HostStep) -> bool| steps.iter().position(wanted);
        let saved = first(|step| matches!(step, HostStep::SaveState));
        assert!(saved.is_some());
        for made in [
            first(|step| matches!(step, HostStep::MakeCgroup(_))),
            first(|step| matches!(step, HostStep::Clone { .. })),
        ] {
            assert!(made.is_none() || saved < made);
        }
        let again = steps
            .iter()
            .rposition(|step| matches!(step, HostStep::SaveState));
        let go_on = steps
            .iter()
            .position(|step| matches!(step, HostStep::Tell(Sync::Saved)));
        assert!(
            again < go_on && saved < again,
            "init may go on without kan only when it can be found"
        );
    }
}

#[test]
fn mounts_keep_the_order_of_the_config() {
    let config = config(|_| {});
    let plan = plan(&config, &legacy(), &request());
    let fields = (0..plan.init.steps().len()).map(|index| plan.init.field(index));
    let indices: Vec<usize> = fields
        .filter_map(|field| {
            field
                .strip_prefix("mounts[")?
                .split(']')
                .next()?
                .parse()
                .ok()
        })
        .collect();
    assert!(indices.is_sorted());
    assert_eq!(indices.last(), Some(&(config.mounts.len() - 1)));
}

/// Nothing in a plan may depend on the order of a hash map, or on the machine.
#[test]
fn the_same_input_gives_the_same_plan() {
    let config: Config = config(|config| {
        config.process.as_mut().unwrap().env = (0..50).map(|n| format!("V{n}=x")).collect();
    });
    let request = Request { ..request() };
    let first = plan(&config, &legacy(), &request);
    for _ in 0..20 {
        assert_eq!(plan(&config, &legacy(), &request), first);
    }
}
