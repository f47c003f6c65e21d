//! `delete`: ends what is left of a container and forgets it.

use crate::commands::kill;
use crate::error::during;
use crate::host::cgroups::Home;
use crate::host::hooks;
use crate::os::directory::Directory;
use crate::os::waiting::{self, PATIENCE, Watched};
use crate::state::container::Container;
use crate::state::record::{FILE, InitProcess};
use crate::{CgroupManager, CgroupOptions, Error, Result, Store, resctrl};
use kan_spec::config::Config;
use kan_spec::state::Status;
use kan_sys::fd::AsFd;
use kan_sys::process::pidfd_send_signal;
use std::time::{Duration, Instant};

/// Deletes a container. One that waits for `start` is ended, as runc does it, though runtime.md
/// would have an error. With `force` a running one is ended too, and an unknown one is no error.
/// What poststop hooks failed with comes back for the log: it stops nothing (runtime.md).
///
/// # Errors
/// [`Error::Unknown`], or [`Error::Status`] if it runs.
pub fn delete(store: &Store, id: &str, force: bool) -> Result<Vec<Error>> {
    waiting::take_over()?;
    let interrupted = || {
        if force {
            interrupt(store, id);
        }
    };
    let _locked = match store.lock_after(id, interrupted) {
        Err(Error::Unknown(_)) if force => return Ok(Vec::new()),
        other => other?,
    };
    waiting::go_on("another kan")?;
    let delete = |container: Container| {
        let status = container.status()?;
        match status {
            Status::Stopped | Status::Created => {}
            // The lock is ours, so nobody is making it any more.
            Status::Creating => {}
            Status::Running | Status::Paused if force => {}
            status => return Err(Error::status("delete", id, status)),
        }
        remove(store, container, status)
    };
    let deleted = if force {
        by_force(store, id, delete)
    } else {
        let container = store.find(id)?;
        check_emptied(&container)?;
        delete(container)
    };
    // A hook of poststop may have been interrupted, which is no error of the deletion's.
    let deleted = deleted?;
    waiting::go_on("hooks")?;
    Ok(deleted)
}

/// Deletes what is found under an id, whose lock is held: nothing perhaps, or a state that can't be
/// read.
fn by_force(
    store: &Store,
    id: &str,
    delete: impl FnOnce(Container) -> Result<Vec<Error>>,
) -> Result<Vec<Error>> {
    match store.find(id) {
        Ok(container) if container.is_emptied() => delete_broken(store, id),
        Ok(container) => delete(container),
        Err(Error::Unknown(_)) => Ok(Vec::new()),
        Err(Error::BadState { .. } | Error::File { .. }) => delete_broken(store, id),
        Err(error) => Err(error),
    }
}

/// Ends a container that another kan, which holds its lock, still makes or starts: `run` holds the
/// lock until the program is executed, which a hook of startContainer may put off for ever, and
/// `create` until a hook of createContainer has run. That kan then takes back what it made.
fn interrupt(store: &Store, id: &str) {
    let status = store.find(id).and_then(|container| container.status());
    let is_hanging = match status {
        Ok(Status::Running | Status::Paused) => true,
        Ok(Status::Creating) => !is_made_soon(store, id),
        _ => false,
    };
    if is_hanging {
        // Whatever goes wrong is told by what follows.
        let _ = kill::kill(store, id, nix::libc::SIGKILL, false);
    }
}

/// Whether a container that is being made is done with, one way or the other, within two seconds.
fn is_made_soon(store: &Store, id: &str) -> bool {
    let end = Instant::now() + Duration::from_secs(2);
    while store.open(id).is_ok_and(|directory| directory.is_locked()) {
        if Instant::now() > end {
            return false;
        }
        // Told to stop, kan does not get the lock that is waited for next.
        if waiting::pause(Duration::from_millis(20), "another kan").is_err() {
            return true;
        }
    }
    true
}

/// Without a state that can be read, the cgroup follows from the copy of config.json, as it did
/// when the container was made; and whatever is in it ends. Without that either, it is looked for
/// where a container's lies that says nothing of it.
fn delete_broken(store: &Store, id: &str) -> Result<Vec<Error>> {
    for home in homes(&store.open(id)?, id) {
        kan_cgroup::kill_all(&home.placement)?;
        if let Some(unit) = home.unit {
            unit.stop()?;
        }
        kan_cgroup::remove(&home.placement)?;
    }
    store.forget(id)?;
    Ok(Vec::new())
}

/// Where the cgroup may lie. Nothing says any more who made it: what one of them would have made is
/// looked for.
fn homes(directory: &Directory, id: &str) -> impl Iterator<Item = Home> {
    let text = directory.read("config.json", 0).unwrap_or_default();
    let config = kan_spec::parse_config(&text).map_or_else(|_| Config::default(), |it| it.value);
    let managers = [CgroupManager::Cgroupfs, CgroupManager::Systemd];
    managers.into_iter().filter_map(move |manager| {
        let options = CgroupOptions {
            manager,
            rootless: None,
        };
        Home::find(&config, id, options).ok()
    })
}

/// A state that was emptied is that of a container which no longer runs, if a power loss did it.
/// If processes of it live, something else did.
fn check_emptied(container: &Container) -> Result<()> {
    let directory = &container.directory;
    if !container.is_emptied() {
        return Ok(());
    }
    for home in homes(directory, &container.id) {
        if !kan_cgroup::processes(&home.placement)?.is_empty() {
            return Err(Error::BadState {
                path: directory.path_of(FILE),
                why: "empty, while processes of the container live; delete --force ends them"
                    .into(),
            });
        }
    }
    Ok(())
}

/// Deletes a container that this kan has run, unless somebody has done so, and perhaps made another of
/// that id since. `is_reaped`: its init is surely gone.
pub(crate) fn remove_stopped(
    store: &Store,
    id: &str,
    init: Option<InitProcess>,
    is_reaped: bool,
) -> Result<Vec<Error>> {
    let _locked = match store.lock(id) {
        Err(Error::Unknown(_)) => return Ok(Vec::new()),
        other => other?,
    };
    by_force(store, id, |container| {
        let record = container.record.as_ref();
        if record.is_some_and(|record| record.init != init) {
            return Ok(Vec::new());
        }
        let status = if is_reaped {
            Status::Stopped
        } else {
            container.status()?
        };
        remove(store, container, status)
    })
}

/// Whatever is left of one, in this status.
fn remove(store: &Store, container: Container, status: Status) -> Result<Vec<Error>> {
    end(&container, status)?;
    store.forget(&container.id)?;
    Ok(container
        .record
        .map_or_else(Vec::new, |record| hooks::run_poststop(&record)))
}

/// Ends every process and removes the cgroup. A container whose `create` was killed may have
/// processes that state.json does not know: the cgroup does.
fn end(container: &Container, status: Status) -> Result<()> {
    let Some(record) = &container.record else {
        return Ok(());
    };
    let living = record.init.filter(|_| status != Status::Stopped);
    let mut is_removed = false;
    if let Some(init) = living.map(InitProcess::open).transpose()?.flatten() {
        match pidfd_send_signal(&init, nix::libc::SIGKILL) {
            Err(error) if error.errno == kan_sys::Errno::ESRCH => {}
            other => other.map_err(during("kill the container"))?,
        }
        kan_cgroup::kill_all(&record.cgroups)?;
        // The first process of a pid namespace ends after all others, and those wait for parents
        // outside to reap them: that may be never.
        let mut watched = [Watched::read(init.as_fd())];
        if !waiting::wait(&mut watched, Some(PATIENCE), "the container's end")? {
            let pid = record.init.map_or(0, |init| init.pid);
            let why = format!("process {pid} of the container was killed and does not end");
            return Err(Error::Step(why));
        }
    } else {
        is_removed = record.unit.is_none() && kan_cgroup::remove_unused(&record.cgroups);
        if !is_removed {
            kan_cgroup::kill_all(&record.cgroups)?;
        }
    }
    record.uncover()?;
    resctrl::remove(&record.resctrl)?;
    if is_removed {
        return Ok(());
    }
    record.remove_cgroups()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `run` deletes its container when that has ended, which others may have done before.
    #[test]
    fn another_container_of_that_id_stays() {
        let root = crate::os::directory::scratch("another");
        let store = Store::new(root.clone());
        store.make("c").unwrap();
        let directory = root.join("c");
        let state = r#"{"version": 1, "oci_version": "1.0.0", "id": "c", "bundle": "/b", "rootfs": "/b/r",
            "created": "", "owner": 0, "annotations": {}, "cgroups": [],
            "init": {"pid": 1, "start_time": 5}}"#;
        std::fs::write(directory.join("state.json"), state).unwrap();
        let init = |start_time| Some(InitProcess { pid: 1, start_time });
        for other in [None, init(4)] {
            remove_stopped(&store, "c", other, true).unwrap();
            assert!(directory.exists());
        }
        remove_stopped(&store, "c", init(5), true).unwrap();
        assert!(!directory.exists());
        std::fs::remove_dir(root).unwrap();
    }
}
