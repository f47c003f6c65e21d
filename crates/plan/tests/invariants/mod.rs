//! Rules that hold for every plan, and what is needed to make plans of every kind: for the tests of this
//! crate, and for the fuzzing of conformance/fuzz.

pub mod changes;
pub mod document;
pub mod hosts;
pub mod order;
pub mod slots;
pub mod sync;
