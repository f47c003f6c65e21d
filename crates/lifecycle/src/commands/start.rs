//! `start`.

use crate::error::with;
use crate::host::hooks;
use crate::host::notify::{self, Relay};
use crate::os::directory::Directory;
use crate::os::waiting::{self, Watched};
use crate::state::container::FIFO;
use crate::state::record::{InitProcess, Record};
use crate::{Error, Result, Store, Timeline};
use kan_op::HOOKS_RUN;
use kan_spec::state::Status;
use kan_sys::file::{O_NONBLOCK, O_RDONLY, O_WRONLY};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;

/// Lets a created container's init go on.
///
/// # Errors
/// [`Error::Unknown`]; [`Error::Status`] for a container that is not waiting; that of a poststart
/// hook, or of the service manager of `NOTIFY_SOCKET`.
pub fn start(store: &Store, id: &str, timeline: &mut Timeline) -> Result<()> {
    waiting::take_over()?;
    let locked = timeline.phase("lock the container", || store.lock(id))?;
    let container = timeline.phase("find the container", || store.find(id))?;
    let status = timeline.phase("look at its status", || container.status())?;
    if status != Status::Created {
        return Err(Error::status("start", id, status));
    }
    if container
        .record
        .as_ref()
        .is_some_and(|record| record.without_process)
    {
        let why = "cannot start a container without a process: process property must not be empty";
        return Err(Error::Status(why.into()));
    }
    let directory = &container.directory;
    let relay = notify::for_start(directory)?;
    timeline
        .warnings
        .extend(relay.as_ref().and_then(Relay::warning));
    let init = container.record.as_ref().and_then(|record| record.init);
    let held = match &relay {
        Some(_) => init.map(InitProcess::open).transpose()?.flatten(),
        None => None,
    };
    let waits = container
        .record
        .as_ref()
        .filter(|record| record.has_start_hooks || !record.poststart.is_empty());
    let said = waits.map(|_| Said::listen(directory)).transpose()?;
    timeline.phase("let init go on", || let_go(directory))?;
    // The container and its hooks may take their time, without end where it is frozen, and others
    // want to work on it meanwhile: to resume it, or to delete it.
    drop(locked);
    if let Some((record, said)) = waits.zip(said) {
        let mut started = timeline.phase("wait for the program", || said.until_exec(record));
        if started.is_ok() {
            started = timeline.phase("run poststart hooks", || hooks::run_poststart(record));
        } else if !started.as_ref().is_err_and(is_of_a_hook) {
            return started;
        }
        if let Err(error) = started {
            return Err(destroy(store, record, error));
        }
    }
    match (relay, init, held) {
        (Some(relay), Some(init), Some(held)) => {
            timeline.phase("wait for READY=1", || relay.until_ready(init.pid, &held))
        }
        _ => Ok(()),
    }
}

/// What init says through the FIFO once `start` has let it go on: nothing, or why it ends.
struct Said(File);

impl Said {
    fn listen(directory: &Directory) -> Result<Self> {
        let opened = directory.open(FIFO, O_RDONLY | O_NONBLOCK, 0);
        opened
            .map(Self)
            .map_err(with("open", &directory.path_of(FIFO)))
    }

    /// Init closes the FIFO when it executes the program, or dies: then it has no writer any more,
    /// which poll(2) tells by POLLHUP. Until then nothing is read, for the byte that lets init go
    /// on is init's.
    fn until_exec(mut self, record: &Record) -> Result<()> {
        let mut watched = [Watched::end(self.0.as_fd())];
        waiting::wait(&mut watched, None, "the program to be executed")
            .inspect_err(|_| kill(record))?;
        let mut said = String::new();
        // A FIFO without a writer has an end.
        let _ = self.0.read_to_string(&mut said);
        let said = said.trim_end();
        let rest = said.strip_prefix(char::from(HOOKS_RUN));
        match rest.unwrap_or(said) {
            // Killed, for a hook that fails is told of.
            "" if record.has_start_hooks && rest.is_none() => {
                let why = "the container was ended while its startContainer hooks ran";
                Err(Error::Step(why.into()))
            }
            "" => Ok(()),
            BYTE => Err(Error::Step("init ended before it could start".into())),
            why => Err(Error::Step(why.to_owned())),
        }
    }
}

fn kill(record: &Record) {
    if let Some(Ok(Some(init))) = record.init.map(InitProcess::open) {
        let _ = kan_sys::process::pidfd_send_signal(&init, nix::libc::SIGKILL);
    }
}

/// Whether init ended because a startContainer hook failed, rather than for want of its program.
fn is_of_a_hook(error: &Error) -> bool {
    error.to_string().starts_with("error running ")
}

/// "If any `poststart` hook fails, the runtime MUST generate an error, stop the container, and continue
/// the lifecycle at step 12", which destroys the container and runs its poststop hooks (runtime.md of
/// 1.3, Lifecycle, 9; before 1.3 a failure was a warning). Of startContainer hooks every version says so.
/// Answers the error, with what could not be taken back.
fn destroy(store: &Store, record: &Record, error: Error) -> Error {
    match crate::commands::delete::remove_stopped(store, &record.id, record.init, false) {
        Ok(_) => error,
        Err(other) => Error::Step(format!("{error} (and then: {other})")),
    }
}

/// What init waits for.
const BYTE: &str = "0";

/// Not blocking: without a reader, init being dead, the opening fails (fifo(7), ENXIO).
pub(crate) fn let_go(directory: &Directory) -> Result<()> {
    let path = directory.path_of(FIFO);
    let opened = directory.open(FIFO, O_WRONLY | O_NONBLOCK, 0);
    let mut fifo = opened.map_err(with("open", &path))?;
    fifo.write_all(BYTE.as_bytes())
        .map_err(with("write", &path))?;
    directory.remove(FIFO).map_err(with("remove", &path))
}
