//! Compiles OCI seccomp profiles to classic BPF. Pure.
