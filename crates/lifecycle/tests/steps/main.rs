//! Each kind of step of the host half against the real kernel: performed as `create` does, in
//! namespaces that go with the test.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test program")]

mod cgroups;
mod child;
mod container;
mod devices;
#[path = "../../../sys/tests/harness/mod.rs"]
mod harness;
mod hooks;
mod mounts;
mod namespaces;
mod scene;
mod sockets;

use std::process::ExitCode;

fn main() -> ExitCode {
    let tests = [
        &container::TESTS[..],
        &child::TESTS,
        &namespaces::TESTS,
        &mounts::TESTS,
        &cgroups::TESTS,
        &devices::TESTS,
        &hooks::TESTS,
        &sockets::TESTS,
    ];
    harness::main(tests.concat().leak())
}
