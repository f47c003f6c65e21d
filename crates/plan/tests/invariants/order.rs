//! What comes before what, whatever the config says.

use super::{slots, sync};
use kan_op::init::MountTarget;
use kan_op::{HostStep, InitStep, Slot, SlotUse};
use kan_plan::{Plan, lines, table};

/// Fails for a plan that breaks a rule.
pub fn check(plan: &Plan) {
    assert_eq!(slots::follow(plan, plan.init.steps()), Ok(Vec::new()));
    sync::check(plan);
    assert!(
        !table(&lines(plan)).contains("\n\n"),
        "a step without words"
    );
    let steps = plan.init.steps();
    let last = steps.last().map(|step| {
        matches!(
            step,
            InitStep::Execute(_) | InitStep::AwaitStart | InitStep::Wait(_)
        )
    });
    assert_ne!(last, Some(false), "{last:?}: init has nothing to become");
    order(plan);
}

/// No step of the first kind comes after one of the second.
fn never_after(plan: &Plan, first: fn(&InitStep) -> bool, second: fn(&InitStep) -> bool) {
    let steps = plan.init.steps();
    let late = steps.iter().rposition(first);
    let early = steps.iter().position(second);
    if let Some((late, early)) = late.zip(early) {
        assert!(late < early, "{}", table(&lines(plan)));
    }
}

fn order(plan: &Plan) {
    use InitStep as I;
    let is_filter = |step: &I| matches!(step, I::LoadFilter { .. });
    let enters = |step: &I| matches!(step, I::EnterRoot(_));
    // What the filter may forbid, or the bounding set and the user's ids.
    never_after(
        plan,
        |step| matches!(step, I::DropBounding { .. }),
        |step| matches!(step, I::SetCapabilities { .. }),
    );
    capabilities(plan);
    never_after(
        plan,
        |step| matches!(step, I::SetLimit { .. } | I::SetIoPriority(_)),
        |step| matches!(step, I::SetCapabilities { .. }),
    );
    never_after(
        plan,
        |step| matches!(step, I::CloseInherited { .. }),
        |step| matches!(step, I::CloneTree { .. } | I::NewFilesystem { .. }),
    );
    never_after(
        plan,
        |step| matches!(step, I::HideMemory),
        |step| matches!(step, I::EnterRoot(_) | I::RunHook(_)),
    );
    // The host's paths are gone after it.
    never_after(
        plan,
        |step| {
            matches!(
                step,
                I::WriteProc { .. } | I::Attach { .. } | I::MakeNode { .. }
            )
        },
        enters,
    );
    never_after(
        plan,
        |step| {
            matches!(
                step,
                I::ChangeMount {
                    target: MountTarget::HostRoot,
                    ..
                }
            )
        },
        |step| matches!(step, I::Attach { .. }),
    );
    // Without no_new_privs the filter needs a privilege; with it, it comes last.
    let steps = plan.init.steps();
    let place = |is: &dyn Fn(&I) -> bool| steps.iter().position(is);
    if let Some(filter) = place(&is_filter) {
        match place(&|step| matches!(step, I::NoNewPrivileges)) {
            Some(no_new) => assert!(no_new < filter),
            None => assert!(
                is_dropped_last(steps)
                    || Some(filter) < place(&|step| matches!(step, I::DropBounding { .. }))
            ),
        }
        let filters = steps.iter().filter(|step| is_filter(step)).count();
        assert_eq!(filters, 1);
    }
    let clones = plan
        .host
        .steps()
        .iter()
        .filter(|step| matches!(step, HostStep::Clone { .. }))
        .count();
    assert_eq!(clones, 1);
    // Nothing is left for a program that it could use to get out.
    let opens_late = steps.iter().rev().take(3).any(|step| {
        step.slots()
            .into_iter()
            .flatten()
            .any(|slot| matches!(slot, SlotUse::Fills(Slot::Root | Slot::Tree)))
    });
    assert!(!opens_late);
}

/// The capabilities are set before the ambient ones, which need them, are raised. They are set once
/// more, to fewer, where the filter is loaded last, which needs CAP_SYS_ADMIN.
fn capabilities(plan: &Plan) {
    let steps = plan.init.steps();
    let set = |step: &InitStep| matches!(step, InitStep::SetCapabilities { .. });
    let raised = |step: &InitStep| matches!(step, InitStep::RaiseAmbient { .. });
    if let Some((first, raised)) = (steps.iter().position(set)).zip(steps.iter().position(raised)) {
        assert!(first < raised, "{}", table(&lines(plan)));
    }
    let times = steps.iter().filter(|step| set(step)).count();
    assert!(
        times <= 1 || times == 2 && is_dropped_last(steps),
        "{}",
        table(&lines(plan))
    );
}

/// Whether a filter is loaded by the process that executes the program, once it has left kan's memory,
/// with a privilege that is given up after that.
fn is_dropped_last(steps: &[InitStep]) -> bool {
    const CAP_SYS_ADMIN: u32 = 21;
    let sets = steps
        .iter()
        .enumerate()
        .filter_map(|(at, step)| match step {
            InitStep::SetCapabilities {
                effective,
                permitted,
                inheritable,
            } => Some((at, [*effective, *permitted, *inheritable])),
            _ => None,
        });
    let sets: Vec<_> = sets.collect();
    let place = |is: fn(&InitStep) -> bool| steps.iter().position(is);
    let entered = place(|step| matches!(step, InitStep::EnterPidNamespace | InitStep::LeaveMemory));
    let filter = place(|step| matches!(step, InitStep::LoadFilter { .. }));
    match (&sets[..], entered, filter) {
        ([(first, before), (second, after)], Some(entered), Some(filter)) => {
            let is_less = before
                .iter()
                .zip(after)
                .all(|(more, less)| less & !more == 0);
            let can_load = before[0] >> CAP_SYS_ADMIN & 1 == 1;
            *first < entered && entered < filter && filter < *second && is_less && can_load
        }
        _ => false,
    }
}
