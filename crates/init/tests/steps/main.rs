//! Each kind of step against the real kernel: in a child, as kan makes it, in namespaces and a
//! root file system that go with it.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test program")]

mod attach;
mod copy_up;
mod credentials;
mod devices;
mod directory;
mod exec;
mod filter;
#[path = "../../../sys/tests/harness/mod.rs"]
mod harness;
mod home;
mod hooks;
#[path = "../host/mod.rs"]
mod host;
mod kinds;
mod masks;
mod mounts;
mod path_mounts;
mod process;
mod procfs;
mod race;
mod root;
mod scene;
mod schedule;
mod sync;
mod terminal;
mod visible;

use std::process::ExitCode;

fn main() -> ExitCode {
    kinds::prepare();
    let tests = [
        attach::TESTS,
        procfs::TESTS,
        visible::TESTS,
        race::TESTS,
        mounts::TESTS,
        path_mounts::TESTS,
        copy_up::TESTS,
        masks::TESTS,
        root::TESTS,
        devices::TESTS,
        terminal::TESTS,
        process::TESTS,
        credentials::TESTS,
        directory::TESTS,
        schedule::TESTS,
        filter::TESTS,
        hooks::TESTS,
        home::TESTS,
        exec::TESTS,
        sync::TESTS,
        // Last, as it looks at what the others did.
        kinds::TESTS,
    ];
    harness::main(tests.concat().leak())
}
