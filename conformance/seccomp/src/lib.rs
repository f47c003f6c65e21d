//! What the tests of kan-seccomp share.

pub mod calls;
#[cfg(feature = "libseccomp")]
pub mod libseccomp;
pub mod model;
pub mod profiles;
pub mod random;
