//! A procfs of a pid namespace that this process is not in.
//!
//! fsopen(2) takes the pid namespace of its caller, not the one that setns(2) chose for children. So
//! where Linux has no option for it (`pidns`, Linux 6.17) the call is made by a process in there.
//! Others can see that process, so it has nothing: no memory of kan's, an empty root in a mount
//! namespace of its own, one socket, and capabilities only over a user namespace of its own. What
//! it opens is worth nothing without the privileges that it does not have: this process goes on
//! with it.

use crate::credentials;
use crate::outcome::Stop;
use crate::pivot::pivot;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use core::time::Duration;
use kan_op::Flaw;
use kan_sys::capsule::{self, Capsule, Place};
use kan_sys::fd::{AsFd, BorrowedFd, OwnedFd};
use kan_sys::io::Standard;
use kan_sys::mount::{self, Change, Depth};
use kan_sys::namespace::{self, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER};
use kan_sys::waiting::{self, Watch};
use kan_sys::{Errno, Error, Sysno, file, io, memory, process, socket};

/// How long each process may take: others may stop the one in the pid namespace.
const PATIENCE: Duration = Duration::from_secs(5);

/// signal(7)
const SIGKILL: i32 = 9;

/// capabilities(7)
const CAP_SYS_ADMIN: u32 = 21;

/// A context of fsopen(2) for a procfs of a pid namespace. What comes of it has to be looked at
/// ([`check`]): others may have had a hand in it. `kan` is at its end when kan is, which ends the
/// waiting.
pub(crate) fn open(pids: BorrowedFd<'_>, kan: Option<BorrowedFd<'_>>) -> Result<OwnedFd, Stop> {
    let context = mount::fsopen(c"proc")?;
    match mount::fsconfig_descriptor(&context, c"pidns", pids) {
        Ok(()) => Ok(context),
        Err(error) if error.errno == Errno::EINVAL => make_and_await(pids, kan),
        Err(error) => Err(error.into()),
    }
}

/// The same without the option.
pub(crate) fn open_from_inside(pids: BorrowedFd<'_>) -> Result<OwnedFd, Stop> {
    make_and_await(pids, None)
}

fn make_and_await(pids: BorrowedFd<'_>, kan: Option<BorrowedFd<'_>>) -> Result<OwnedFd, Stop> {
    let (ours, theirs) = socket::pair()?;
    let mut capsule = Capsule::new(Capsule::room_for::<Opener>(1))?;
    let place = capsule.place();
    let sibling = memory::shared_words(1)?;
    let opener = Opener { place, sibling };
    let opener = capsule.put(&[opener]).and_then(<[_]>::first_mut);
    let mut maker = Maker {
        pids,
        socket: theirs,
        opener: Some(opener.ok_or(Stop::from(Flaw::OutOfStep))?),
    };
    let made = process::fork_plainly(crate::alone::alone(), &mut maker, make_opener)?;
    drop(maker);
    // Nobody sees this one, so that it can't be stopped. Killed, it could leave the other one behind.
    await_end(&made.pidfd, None)?;
    let number = sibling.first().map_or(0, |word| word.load(SeqCst));
    let number = i32::try_from(number).ok().filter(|number| *number > 0);
    let Some(number) = number else {
        return Err(Flaw::OutOfStep.into());
    };
    // A child of this process: its number is nobody else's until it is reaped. Left behind it would
    // keep the pid namespace from ending, pid_namespaces(7).
    let inside = process::pidfd_open(number)?;
    await_end(&inside, kan)?;
    Ok(socket::receive_descriptor(&ours)?)
}

/// Waits for a child and reaps it. One that takes too long, or that kan does not need any more, is
/// killed.
fn await_end(child: &OwnedFd, kan: Option<BorrowedFd<'_>>) -> Result<(), Stop> {
    let nothing = Watch::end(child.as_fd());
    let mut watched = [Watch::read(child.as_fd()), kan.map_or(nothing, Watch::end)];
    let waited = waiting::wait(&mut watched, Some(PATIENCE));
    if matches!(waited, Ok(true)) && watched[0].is_ready() {
        process::wait(child)?;
        return Ok(());
    }
    process::pidfd_send_signal(child, SIGKILL)?;
    Err(match waited? {
        true => Flaw::OutOfStep.into(),
        false => Error {
            call: Sysno::fsopen,
            errno: Errno::ETIMEDOUT,
        }
        .into(),
    })
}

/// Makes sure that a mount is a procfs.
pub(crate) fn check(made: &OwnedFd) -> Result<(), Stop> {
    if mount::filesystem_magic(made)? == crate::devices::PROC_SUPER_MAGIC {
        Ok(())
    } else {
        Err(Flaw::WrongKind.into())
    }
}

/// What the first process needs, which nobody in the pid namespace sees.
struct Maker<'a> {
    pids: BorrowedFd<'a>,
    socket: OwnedFd,
    opener: Option<&'static mut Opener>,
}

/// What the second one has, in its capsule. Its socket is its standard input.
#[derive(Clone, Copy)]
struct Opener {
    place: Place,
    /// Where its pid goes; not mapped in the process itself.
    sibling: &'static [AtomicU64],
}

fn make_opener(maker: &mut Maker<'_>) -> ! {
    if enter_nothing(maker).is_ok()
        && let Some(opener) = maker.opener.take()
    {
        opener.place.enter(opener, clone_opener)
    }
    process::exit(1)
}

/// Gives up all that the second process must not have but memory and capabilities.
fn enter_nothing(maker: &Maker<'_>) -> Result<(), Stop> {
    const MS_PRIVATE: u32 = 1 << 18;
    namespace::setns(maker.pids, CLONE_NEWPID)?;
    namespace::unshare(CLONE_NEWNS)?;
    let private = Change {
        propagation: MS_PRIVATE,
        ..Change::default()
    };
    mount::change_at_path(c"/", private, Depth::Recursive)?;
    let context = mount::fsopen(c"tmpfs")?;
    mount::fsconfig_create(&context)?;
    let empty = mount::fsmount(context, 0)?;
    let over = file::open(c"/", file::O_PATH | file::O_DIRECTORY, 0)?;
    mount::attach(&empty, over)?;
    file::fchdir(&empty)?;
    drop(empty);
    pivot(false)?;
    file::chdir(c"/")?;
    io::dup_onto(maker.socket.as_fd(), Standard::Input)?;
    // SAFETY: from here on this process uses the standard input alone.
    unsafe { io::close_range(1, u32::MAX) }?;
    Ok(process::set_dumpable(false)?)
}

/// On the capsule's stack. Where user namespaces are forbidden, the second process keeps the one
/// capability that fsopen(2) wants.
fn clone_opener(opener: &'static mut Opener) -> ! {
    let (place, sibling) = (opener.place, opener.sibling);
    // SAFETY: this runs on the capsule's stack, and from here on uses nothing else but the word.
    let is_alone = unsafe { place.leave_memory(&[sibling]) }
        .and_then(|()| capsule::keep_from_children(sibling));
    if is_alone.is_err() {
        process::exit(1)
    }
    let own = CLONE_NEWUSER | CLONE_NEWNS;
    let cloned = capsule::clone_sibling_in(own, opener, open_and_exit).or_else(|_| {
        let admin = 1 << CAP_SYS_ADMIN;
        let _ = credentials::set_capabilities(admin, admin, 0);
        let _ = process::set_dumpable(false);
        capsule::clone_sibling_in(0, opener, open_and_exit)
    });
    if let (Ok(pid), Some(word)) = (cloned, sibling.first()) {
        word.store(u64::from(pid.unsigned_abs()), SeqCst);
    }
    process::exit(i32::from(cloned.is_err()))
}

/// The process in the pid namespace. It ends with its parent, which is outside, so that getppid(2) does
/// not tell whether that is still there: the other end of the socket does.
fn open_and_exit(_: &mut Opener) -> ! {
    let dies = process::set_parent_death_signal(SIGKILL.unsigned_abs());
    if dies.is_err() || io::wait_readable(io::standard(0), Some(0)) != Ok(false) {
        process::exit(1)
    }
    let sent = mount::fsopen(c"proc")
        .and_then(|context| socket::send_descriptor(io::standard(0), c"procfs", &context));
    process::exit(i32::from(sent.is_err()))
}
