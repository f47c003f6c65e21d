//! What a measured container runs: ends at once, or waits for ever when called with an argument.
//!
//! It has no Rust start-up, so that what is measured is the runtime and not its cargo.
#![no_main]
#![allow(unsafe_code, reason = "replaces Rust's start-up, and calls pause(2)")]

/// Entered by libc: `payload` returns 42, which no runtime returns of itself, so that a runtime that
/// does nothing is not taken for a fast one. `payload pause` never returns.
// SAFETY: the one definition of `main` in this program, with the type that libc expects.
#[unsafe(no_mangle)]
pub extern "C" fn main(arguments: libc::c_int) -> libc::c_int {
    if arguments > 1 {
        loop {
            // SAFETY: pause(2) touches no memory.
            unsafe { libc::pause() };
        }
    }
    42
}
