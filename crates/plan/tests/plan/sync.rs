//! Both halves projected onto the points where they meet: a deadlock is a failing test.

use crate::shapes_with_exec;
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
            _ => None,
        })
        .collect()
}

#[test]
fn every_wait_has_its_tell_in_the_same_order() {
    for plan in shapes_with_exec() {
        let (host, init) = (host(&plan), init(&plan));
        let answered: Vec<Meeting> = init.iter().map(|(sync, tells)| (*sync, !tells)).collect();
        assert_eq!(host, answered);
        assert!(host.contains(&(Sync::Ready, false)) && host.contains(&(Sync::Saved, true)));
    }
}

#[test]
fn each_point_is_told_by_its_own_side() {
    for plan in shapes_with_exec() {
        assert!(
            host(&plan)
                .iter()
                .all(|(sync, tells)| (sync.told_by() == Side::Host) == *tells)
        );
        assert!(
            init(&plan)
                .iter()
                .all(|(sync, tells)| (sync.told_by() == Side::Init) == *tells)
        );
    }
}

/// Each point once: a second message of the same kind would be taken for the first.
#[test]
fn no_point_is_passed_twice() {
    for plan in shapes_with_exec() {
        let mut points: Vec<_> = host(&plan)
            .into_iter()
            .map(|(sync, _)| sync as u8)
            .collect();
        let count = points.len();
        points.dedup();
        assert_eq!(points.len(), count);
        assert!(points.is_sorted(), "points are numbered in their order");
    }
}
