//! The kernel: one function a system call, one error type, owned descriptors.
