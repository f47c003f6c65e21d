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
    never_after(
        plan,
        |step| matches!(step, I::SetCapabilities { .. }),
        |step| matches!(step, I::RaiseAmbient { .. }),
    );
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
            None => assert!(Some(filter) < place(&|step| matches!(step, I::DropBounding { .. }))),
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
