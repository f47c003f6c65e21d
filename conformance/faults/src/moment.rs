//! The moments at which a traced process is looked at.

use nix::unistd::Pid;

/// Where a process stands while a [`Watch`] looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before its first instruction.
    Begin,
    /// At the entry of a call, by number.
    Call(u64),
    /// After its execve(2), before the program's first instruction.
    Executed,
}

/// Looks at every process but the command itself, whenever one stands still.
pub type Watch<'a> = &'a mut dyn FnMut(Pid, Moment);
