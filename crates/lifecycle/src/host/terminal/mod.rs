//! Terminals: the container's, and the one that kan was started on.

pub(crate) mod console;
pub(crate) mod foreground;
pub(crate) mod own_terminal;
pub(crate) mod stream;
