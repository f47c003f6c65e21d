//! A slot is filled before it is used and empty before exec: a full one is a leaked descriptor.

use kan_op::{HostStep, InitStep, NamespaceSlot, Slot, SlotUse};
use kan_plan::Plan;
use linux_raw_sys::general as raw;

/// The slot of each kind of namespace, by its CLONE_NEW* flag.
const NAMESPACES: [(u32, NamespaceSlot); 8] = [
    (raw::CLONE_NEWCGROUP, NamespaceSlot::Cgroup),
    (raw::CLONE_NEWIPC, NamespaceSlot::Ipc),
    (raw::CLONE_NEWNET, NamespaceSlot::Network),
    (raw::CLONE_NEWNS, NamespaceSlot::Mount),
    (raw::CLONE_NEWPID, NamespaceSlot::Pid),
    (raw::CLONE_NEWTIME, NamespaceSlot::Time),
    (raw::CLONE_NEWUSER, NamespaceSlot::User),
    (raw::CLONE_NEWUTS, NamespaceSlot::Uts),
];

/// The slots that the host half fills before the clone.
fn inherited(plan: &Plan) -> Vec<Slot> {
    let filled = plan.host.steps().iter().flat_map(filled_by);
    let mut full: Vec<_> = std::iter::once(Slot::Channel).chain(filled).collect();
    for step in plan.host.steps() {
        if let HostStep::Clone { join, .. } = step {
            full.retain(|slot| !join.iter().any(|joined| joined.slot == *slot));
        }
    }
    full
}

/// The slots that a step of the host half fills. Exhaustive: a new step must say here which.
fn filled_by(step: &HostStep) -> Vec<Slot> {
    match step {
        HostStep::MakeFifo => vec![Slot::Fifo],
        HostStep::ConnectConsole { .. } => vec![Slot::ConsoleSocket],
        HostStep::OpenContainer {
            namespaces,
            with_root,
        } => {
            let opened = NAMESPACES.iter().filter(|(flag, _)| namespaces & flag != 0);
            let opened = opened.map(|(_, slot)| Slot::Namespace(*slot));
            opened.chain(with_root.then_some(Slot::Root)).collect()
        }
        HostStep::OpenHookOutput { slot, .. } | HostStep::OpenNamespace { slot, .. } => {
            vec![*slot]
        }
        HostStep::MakeHookPipe => vec![Slot::HookErrors],
        HostStep::MakeContainer { .. }
        | HostStep::SaveState
        | HostStep::SaveConfig
        | HostStep::PublishFifo
        | HostStep::MakeCgroup(_)
        | HostStep::Limit(_)
        | HostStep::LimitDevices(_)
        | HostStep::OpenStage
        | HostStep::StageTree(_)
        | HostStep::StageIds { .. }
        | HostStep::LockStage
        | HostStep::Clone { .. }
        | HostStep::LendOomScoreAdj(_)
        | HostStep::JoinCgroup
        | HostStep::StartUnit { .. }
        | HostStep::EnterUnit(_)
        | HostStep::GiveCgroup { .. }
        | HostStep::DelegateCgroup { .. }
        | HostStep::AttachToUnit { .. }
        | HostStep::MapIds { .. }
        | HostStep::MakeNetwork
        | HostStep::MoveNetDevice { .. }
        | HostStep::SetOomScoreAdj(_)
        | HostStep::SetLimit { .. }
        | HostStep::SetScheduler(_)
        | HostStep::ReceiveProcess
        | HostStep::TakeListener
        | HostStep::ReceiveListener
        | HostStep::SendListener { .. }
        | HostStep::MakeResctrlGroup(_)
        | HostStep::JoinResctrlGroups(_)
        | HostStep::Tell(_)
        | HostStep::Wait(_)
        | HostStep::RunHook(_)
        | HostStep::WritePidFile { .. }
        | HostStep::SendPidfd { .. }
        | HostStep::MakeNotifySocket { .. } => Vec::new(),
    }
}

/// The slots that are full after all steps, or the step that breaks the rule.
pub fn follow(plan: &Plan, steps: &[InitStep]) -> Result<Vec<Slot>, String> {
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
