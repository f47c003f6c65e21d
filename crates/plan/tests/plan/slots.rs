//! A slot is filled before it is used and empty before exec: a full one is a leaked descriptor.

use crate::invariants::slots::follow;
use crate::{shapes, shapes_with_exec};
use kan_op::{InitStep, Slot};

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
