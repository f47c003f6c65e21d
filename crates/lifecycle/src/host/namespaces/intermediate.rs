//! The process between kan and init, where namespaces have to be joined before init is made:
//! kan could not come back from a user namespace.

use crate::error::during;
use crate::os::helper;
use crate::{Error, Result};
use kan_init::Init;
use kan_sys::fd::{AsRawFd, BorrowedFd, OwnedFd};
use kan_sys::namespace::{self, CLONE_NEWUSER};
use kan_sys::process::{self, Alone, Child};
use kan_sys::{Errno, io};

/// What it needs.
struct Intermediate<'b, 'p> {
    join: &'b [(u32, OwnedFd)],
    flags: u64,
    cgroup: Option<BorrowedFd<'b>>,
    init: &'b mut Init<'p>,
    tells: OwnedFd,
    alone: Alone,
}

/// Its answer: init's pid, or the call that failed, its errno, and what it was about.
const ANSWER: usize = 12;

/// Clones init from a process that has joined namespaces, each with its CLONE_NEW* flag.
pub(crate) fn clone(
    join: &[(u32, OwnedFd)],
    flags: u64,
    cgroup: Option<BorrowedFd<'_>>,
    init: &mut Init<'_>,
) -> Result<Child> {
    let (hears, tells) = io::pipe().map_err(during("create a pipe"))?;
    let mut intermediate = Intermediate {
        join,
        flags,
        cgroup,
        init,
        tells,
        alone: Alone::check().map_err(during("clone"))?,
    };
    let mut kept: Vec<_> = intermediate.init.descriptors().collect();
    let joined = join.iter().map(|(_, file)| file.as_raw_fd());
    kept.extend(joined.chain([intermediate.tells.as_raw_fd()]));
    kept.extend(cgroup.map(|directory| directory.as_raw_fd()));
    let helper = helper::start("clone init", 0, &kept, &mut intermediate, run)?;
    drop(intermediate.tells);
    let mut answer = [0; ANSWER];
    helper.hear(&hears)?;
    let heard = io::read(&hears, &mut answer).map_err(during("hear of init"))?;
    helper.finish()?;
    if heard != ANSWER {
        return Err(Error::Step("the process before init is gone".into()));
    }
    let word = |at: usize| i32::from_ne_bytes([0, 1, 2, 3].map(|byte| answer[at + byte]));
    match (word(0), word(4), word(8)) {
        // It is our own child, so that the number is nobody else's until we reap it.
        (pid, 0, 0) => Ok(Child {
            pid,
            pidfd: process::pidfd_open(pid).map_err(during("open init"))?,
        }),
        (_, errno, about) => Err(failed(errno, about)),
    }
}

fn failed(errno: i32, about: i32) -> Error {
    let reason = crate::error::errno_text(errno);
    match u32::try_from(about) {
        Ok(0) | Err(_) => Error::Step(format!("clone: clone3: {reason}")),
        Ok(flag) => {
            let name = kan_plan::namespace_names(flag);
            Error::Step(format!("join the {name} namespace: setns: {reason}"))
        }
    }
}

fn run(intermediate: &mut Intermediate<'_, '_>) -> ! {
    let answer = match join(intermediate.join) {
        Err((errno, flag)) => [-1, errno, flag],
        Ok(()) => {
            let (flags, cgroup) = (intermediate.flags, intermediate.cgroup);
            match process::fork_sibling(
                intermediate.alone,
                flags,
                cgroup,
                intermediate.init,
                kan_init::run,
            ) {
                Ok(pid) => [pid, 0, 0],
                Err(error) => [-1, error.errno.into_raw(), 0],
            }
        }
    };
    let bytes = answer.map(i32::to_ne_bytes);
    let told = io::write(&intermediate.tells, bytes.as_flattened());
    process::exit(i32::from(told.is_err()))
}

/// With the host's privileges first, for namespaces that are the host's; those of the user
/// namespace may want its own, as for somebody who has none on the host.
fn join(all: &[(u32, OwnedFd)]) -> std::result::Result<(), (i32, i32)> {
    let (user, others): (Vec<_>, Vec<_>) = all.iter().partition(|(flag, _)| *flag == CLONE_NEWUSER);
    let mut refused = Vec::new();
    for one in others {
        match enter(one) {
            Err((errno, _)) if errno == Errno::EPERM.into_raw() && !user.is_empty() => {
                refused.push(one);
            }
            other => other?,
        }
    }
    user.into_iter().chain(refused).try_for_each(enter)
}

fn enter((flag, namespace): &(u32, OwnedFd)) -> std::result::Result<(), (i32, i32)> {
    let entered = namespace::setns(namespace, *flag);
    entered.map_err(|error| (error.errno.into_raw(), i32::try_from(*flag).unwrap_or(0)))
}
