//! What a measured container runs, and what its hooks run.
//!
//! It has no Rust start-up, so that what is measured is the runtime and not its cargo.
#![no_main]
#![allow(unsafe_code, reason = "replaces Rust's start-up, and calls pause(2)")]

/// Entered by libc: `payload` returns 42, which no runtime returns of itself, so that a runtime that
/// does nothing is not taken for a fast one. `payload pause` never returns; with two arguments it
/// reads the state from its standard input to the end and ends well, as a hook should: crun 1.8 fails
/// where one does not read. With more arguments it returns 42 again.
// SAFETY: the one definition of `main` in this program, with the type that libc expects.
#[unsafe(no_mangle)]
pub extern "C" fn main(arguments: libc::c_int) -> libc::c_int {
    match arguments {
        2 => loop {
            // SAFETY: pause(2) touches no memory.
            unsafe { libc::pause() };
        },
        3 => {
            let mut state = [0_u8; 512];
            // SAFETY: the buffer is as long as is said, and lives until the call returns.
            while unsafe { libc::read(0, state.as_mut_ptr().cast(), state.len()) } > 0 {}
            0
        }
        _ => 42,
    }
}
