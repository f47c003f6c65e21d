//! Faults and attacks.
fn main() {}
