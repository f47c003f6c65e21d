//! Both halves projected onto the points where they meet: a deadlock is a failing check.

use kan_op::{HostStep, InitStep, Side, Sync};
use kan_plan::Plan;

/// A point, and whether this half tells (or waits).
type Meeting = (Sync, bool);

fn host(plan: &Plan) -> Vec<Meeting> {
    let steps = plan.host.steps().iter();
    steps
        .filter_map(|step| match step {
            HostStep::Tell(sync) => Some((*sync, true)),
            HostStep::Wait(sync) => Some((*sync, false)),
            HostStep::MakeNetwork => Some((Sync::NetworkMade, true)),
            _ => None,
        })
        .collect()
}

fn init(plan: &Plan) -> Vec<Meeting> {
    let steps = plan.init.steps().iter();
    steps
        .filter_map(|step| match step {
            InitStep::Tell(sync) => Some((*sync, true)),
            InitStep::Wait(sync) => Some((*sync, false)),
            InitStep::EnterNetwork => Some((Sync::NetworkMade, false)),
            _ => None,
        })
        .collect()
}

/// The rules that hold for every plan.
pub fn check(plan: &Plan) {
    let (host, init) = (host(plan), init(plan));
    let answered: Vec<Meeting> = init.iter().map(|(sync, tells)| (*sync, !tells)).collect();
    assert_eq!(host, answered, "a wait without its tell");
    assert_eq!(host.last(), Some(&(Sync::Saved, true)));
    check_ready(plan);
    let sides = |all: &[Meeting], side| {
        all.iter()
            .all(|(sync, tells)| (sync.told_by() == side) == *tells)
    };
    assert!(
        sides(&host, Side::Host) && sides(&init, Side::Init),
        "told by the wrong half"
    );
    // Each point once: a second message of the same kind would be taken for the first.
    let points: Vec<_> = host.iter().map(|(sync, _)| *sync as u8).collect();
    assert!(
        points.is_sorted_by(|a, b| a < b),
        "points are numbered in their order"
    );
}

/// Init is only waited for where kan has something left to do then, which is reading what its hooks say
/// if nothing else; and where kan has something to do, init is waited for.
fn check_ready(plan: &Plan) {
    let steps = plan.host.steps();
    let place = |wanted: &HostStep| steps.iter().position(|step| step == wanted);
    let saved = place(&HostStep::Tell(Sync::Saved)).unwrap();
    let reads = place(&HostStep::MakeHookPipe).is_some();
    match place(&HostStep::Wait(Sync::Ready)) {
        Some(ready) => assert!(reads || saved > ready + 1, "waits for nothing"),
        None => {
            let late = |step: &HostStep| {
                matches!(
                    step,
                    HostStep::PublishFifo
                        | HostStep::WritePidFile { .. }
                        | HostStep::SendPidfd { .. }
                        | HostStep::DelegateCgroup { .. }
                        | HostStep::SetLimit { .. }
                )
            };
            // What comes before the clone of the container's process meets init elsewhere.
            let cloned = place(&HostStep::ReceiveProcess).unwrap_or(0);
            assert!(!reads && !steps[cloned..].iter().any(late), "does not wait");
        }
    }
}
