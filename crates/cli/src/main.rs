//! The kan command.

use std::process::ExitCode;

fn main() -> ExitCode {
    kan::main()
}
