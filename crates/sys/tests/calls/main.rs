//! The system calls that no step of init reaches, against the real kernel.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test program")]

mod error;
mod file;
#[path = "../harness/mod.rs"]
mod harness;
mod io;
mod memory;
mod process;
mod socket;
mod start;

use std::process::ExitCode;

fn main() -> ExitCode {
    let tests = [
        error::TESTS,
        file::TESTS,
        io::TESTS,
        memory::TESTS,
        process::TESTS,
        socket::TESTS,
        start::TESTS,
    ];
    harness::main(tests.concat().leak())
}
