#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kan_conformance_fuzz::seccomp(data));
