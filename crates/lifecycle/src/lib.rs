//! create, start, state, kill, delete: the host half of a plan and the state directory.
