//! The kan command.
#![no_main]

use std::ffi::{OsString, c_char, c_int};
use std::os::unix::ffi::OsStringExt;

/// What the C library calls. The standard library's own start is left out: it reads
/// `/proc/self/maps` and sets up handlers for a message about stack overflows, some twenty calls in
/// each of the many short lives of a runtime. What of it kan wants, [`kan::main`] sees to.
#[allow(
    unsafe_code,
    reason = "the C library knows this function by its name, and hands it pointers"
)]
#[unsafe(no_mangle)]
extern "C" fn main(_count: c_int, words: *const *const c_char) -> c_int {
    // SAFETY: the C library's promise, C11 5.1.2.2.1.
    let line = unsafe { kan_sys::start::command_line(words) };
    kan::main(line.into_iter().map(OsString::from_vec).collect()).number()
}

#[cfg(target_env = "musl")]
#[global_allocator]
static HEAP: kan_sys::heap::Heap = kan_sys::heap::Heap::new();
