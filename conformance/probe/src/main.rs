//! The probe: the program that the conformance suite puts into its containers.
//!
//! `probe report` prints as one JSON object what a process can see of itself and of its
//! surroundings; the other commands are small behaviours (exit, die, wait for signals, write a
//! file) that the suite watches from outside. It is static and needs nothing from the rootfs,
//! not even /proc: what cannot be read is `null` in the report.
//!
//! There is no Rust `main`: the start-up code of std would ignore SIGPIPE and reopen closed
//! standard descriptors, which is exactly what the report has to show.
#![no_main]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program whose purpose is to print"
)]

use std::io::Write as _;

mod agent;
mod behaviour;
mod files;
mod foreign;
mod hunt;
mod kernel;
mod mounts;
mod reach;
mod report;
mod spy;
mod status;

/// Entry point called by the C runtime; std takes the arguments from `.init_array` by itself.
// SAFETY: the name is not defined anywhere else: `no_main` keeps rustc from making its own.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn main(_argc: i32, _argv: *const *const u8) -> i32 {
    let args: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = run(&words);
    // Without Rust's own main nobody flushes at the end.
    let _ = std::io::stdout().flush();
    match outcome {
        Ok(code) => code,
        Err(why) => {
            eprintln!("probe: {why}");
            99
        }
    }
}

/// Carries out one command line; the answer is the exit code.
///
/// # Errors
/// A sentence for stderr; the exit code is 99 then, which no test uses for anything else.
fn run(words: &[&str]) -> Result<i32, String> {
    match words {
        ["report"] => report::print().map(|()| 0),
        ["report-to", file, ..] => report::write(file).map(|()| 0),
        ["paths", paths @ ..] => report::print_paths(paths).map(|()| 0),
        ["exit", code] => code
            .parse()
            .map_err(|_| format!("exit: not a number: {code}")),
        ["signal", number] => behaviour::die_by(number),
        ["pause"] => behaviour::pause(),
        ["sleep"] => behaviour::until_term(0, false),
        ["listen", code] => {
            let code = code
                .parse()
                .map_err(|_| format!("listen: not a number: {code}"))?;
            behaviour::until_term(code, true)
        }
        ["write", file, text] => behaviour::write(file, text),
        ["touch", file] => behaviour::write(file, ""),
        ["cat", file] => behaviour::cat(file),
        ["echo", texts @ ..] => {
            println!("{}", texts.join(" "));
            Ok(0)
        }
        ["notify", texts @ ..] => behaviour::notify(texts),
        ["stdin"] => behaviour::copy_stdin(),
        ["after", milliseconds, program @ ..] => behaviour::with_alarm(milliseconds, program),
        ["slack", nanoseconds, program @ ..] => behaviour::with_timer_slack(nanoseconds, program),
        ["spawn-orphan"] => behaviour::spawn_orphan(),
        ["tty-size"] => behaviour::print_size(),
        ["watch-size"] => behaviour::watch_size(),
        ["agent", socket, file] => agent::serve(socket, file),
        ["spy"] => spy::until_term(),
        ["hunt"] => hunt::until_term(),
        ["reach", manner, words @ ..] => reach::until_term(manner, words),
        _ => Err(format!("unknown command: {}", words.join(" "))),
    }
}
