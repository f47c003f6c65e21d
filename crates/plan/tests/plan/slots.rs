//! A slot is filled before it is used and empty before exec: a full one is a leaked descriptor.

use crate::{shapes, shapes_with_exec};
use kan_op::{HostStep, InitStep, Slot, SlotUse};
use kan_plan::Plan;

/// The slots that the host half fills before the clone.
fn inherited(plan: &Plan) -> Vec<Slot> {
    let filled = plan.host.steps().iter().filter_map(|step| match step {
        HostStep::MakeFifo => Some(Slot::Fifo),
        HostStep::ConnectConsole { .. } => Some(Slot::ConsoleSocket),
        HostStep::OpenContainer { .. } => Some(Slot::Container),
        HostStep::OpenHookOutput { slot, .. } => Some(*slot),
        HostStep::MakeHookPipe => Some(Slot::HookErrors),
        HostStep::OpenNamespace { slot, .. } => Some(*slot),
        _ => None,
    });
    let mut full: Vec<_> = std::iter::once(Slot::Channel).chain(filled).collect();
    let opens_root = |step: &HostStep| {
        matches!(
            step,
            HostStep::OpenContainer {
                with_root: true,
                ..
            }
        )
    };
    full.extend(
        plan.host
            .steps()
            .iter()
            .any(opens_root)
            .then_some(Slot::Root),
    );
    for step in plan.host.steps() {
        if let HostStep::Clone { join, .. } = step {
            full.retain(|slot| !join.iter().any(|joined| joined.slot == *slot));
        }
    }
    full
}

/// The slots that are full after all steps, or the step that breaks the rule.
pub(crate) fn follow(plan: &Plan, steps: &[InitStep]) -> Result<Vec<Slot>, String> {
    let mut full = inherited(plan);
    for step in steps {
        for slot_use in step.slots().into_iter().flatten() {
            apply(&mut full, slot_use).map_err(|why| format!("{step:?}: {why}"))?;
        }
    }
    full.retain(|slot| !InitStep::CLOSED_BY_EXEC.contains(slot));
    Ok(full)
}

fn apply(full: &mut Vec<Slot>, slot_use: SlotUse) -> Result<(), String> {
    let (SlotUse::Fills(slot) | SlotUse::Reads(slot) | SlotUse::Empties(slot)) = slot_use;
    let is_full = full.contains(&slot);
    match slot_use {
        SlotUse::Fills(_) if is_full => return Err(format!("{slot:?} is full already")),
        SlotUse::Fills(_) => full.push(slot),
        SlotUse::Reads(_) | SlotUse::Empties(_) if !is_full => {
            return Err(format!("{slot:?} is empty"));
        }
        SlotUse::Empties(_) => full.retain(|other| *other != slot),
        SlotUse::Reads(_) => {}
    }
    Ok(())
}

#[test]
fn every_slot_is_filled_before_use_and_empty_before_exec() {
    for plan in shapes_with_exec() {
        assert_eq!(follow(&plan, plan.init.steps()), Ok(Vec::new()));
    }
}

/// The check itself: without the step that closes it, a slot is found full.
#[test]
fn a_forgotten_slot_is_found() {
    for plan in shapes() {
        let mut steps = plan.init.steps().to_vec();
        steps.retain(|step| !matches!(step, InitStep::Close(Slot::Null)));
        assert_eq!(follow(&plan, &steps), Ok(vec![Slot::Null]));
        steps.retain(|step| !matches!(step, InitStep::OpenNull));
        assert!(follow(&plan, &steps).is_err());
    }
}
