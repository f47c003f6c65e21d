//! `list`: every container that a state directory remembers.

use crate::error::with;
use crate::state::container::Owners;
use crate::state::store::with_advice;
use crate::{Error, Result, Store};
use kan_spec::state::State;
use kan_sys::file::S_IFDIR;
use nix::libc::ENOENT;
use std::io;
use std::num::NonZero;
use std::thread;

/// What was found under an id.
#[derive(Debug)]
pub enum Found {
    /// A container.
    Container(State),
    /// A directory that can't be understood: a broken state, or that of a newer kan.
    Broken {
        /// The id.
        id: String,
        /// What is wrong.
        why: Error,
    },
}

impl Found {
    /// The id.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Container(state) => &state.id,
            Self::Broken { id, .. } => id,
        }
    }
}

/// All containers, sorted by id. One that is deleted meanwhile is left out.
///
/// # Errors
/// The state directory can't be read; with `must_exist` also if there is none.
pub fn list(store: &Store, must_exist: bool) -> Result<Vec<Found>> {
    let ids = store.ids(must_exist)?;
    if ids.len() <= A_THREADS_WORTH {
        return Ok(find_all(store, &ids));
    }
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let share = ids.len().div_ceil(processors).max(A_THREADS_WORTH);
    Ok(find_in_threads(store, ids.chunks(share)))
}

/// A thread costs as much as looking at a few containers, which takes some thirty microseconds each:
/// most of it is the kernel's.
const A_THREADS_WORTH: usize = 64;

fn find_in_threads<'i>(store: &Store, shares: impl Iterator<Item = &'i [String]>) -> Vec<Found> {
    thread::scope(|scope| {
        let work = |share: &'i [String]| {
            let started = thread::Builder::new().spawn_scoped(scope, || find_all(store, share));
            // Where there may be no more threads, this one does it.
            started.map_err(|_| share)
        };
        let started: Vec<_> = shares.map(work).collect();
        let found = started.into_iter().map(|share| match share {
            Ok(thread) => thread.join().unwrap_or_default(),
            Err(share) => find_all(store, share),
        });
        found.flatten().collect()
    })
}

fn find_all(store: &Store, ids: &[String]) -> Vec<Found> {
    let mut owners = Owners::default();
    let mut all = Vec::with_capacity(ids.len());
    for id in ids {
        let found = store
            .find(id)
            .and_then(|container| container.state_with(&mut owners));
        match found {
            Ok(state) => all.push(Found::Container(state)),
            Err(Error::Unknown(_)) => {}
            Err(why) => all.push(Found::Broken {
                id: id.clone(),
                why,
            }),
        }
    }
    all
}

impl Store {
    /// The ids of all containers, sorted.
    ///
    /// # Errors
    /// The state directory can't be read; with `must_exist` also if there is none.
    pub fn ids(&self, must_exist: bool) -> Result<Vec<String>> {
        let Some(root) = self.root()? else {
            return match must_exist {
                true => Err(with("open", self.path())(io::Error::from_raw_os_error(
                    ENOENT,
                ))),
                false => Ok(Vec::new()),
            };
        };
        let mut ids = root.names().map_err(with_advice)?;
        ids.retain(|id| {
            let is_directory = || root.status_of(id).is_ok_and(|found| found.is(S_IFDIR));
            crate::check_id(id).is_ok() && is_directory()
        });
        ids.sort_unstable();
        Ok(ids)
    }
}
