//! The kan command: flags, output, exit codes.
fn main() {}
