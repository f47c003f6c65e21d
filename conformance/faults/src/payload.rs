//! The program inside the containers.

use std::process::ExitCode;

/// Does what the words say.
pub fn perform(words: &[String]) -> ExitCode {
    match words[0].as_str() {
        "wait" => loop {
            std::thread::park();
        },
        "exit" => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
