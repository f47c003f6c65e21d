//! `list`: every container that a state directory remembers.

use crate::container::Owners;
use crate::error::with;
use crate::{Error, Result, Store};
use kan_spec::state::State;

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
    let mut owners = Owners::default();
    let mut all = Vec::new();
    for id in store.ids(must_exist)? {
        let found = store
            .find(&id)
            .and_then(|container| container.state_with(&mut owners));
        match found {
            Ok(state) => all.push(Found::Container(state)),
            Err(Error::Unknown(_)) => {}
            Err(why) => all.push(Found::Broken { id, why }),
        }
    }
    Ok(all)
}

impl Store {
    /// The ids of all containers, sorted.
    ///
    /// # Errors
    /// The state directory can't be read; with `must_exist` also if there is none.
    pub fn ids(&self, must_exist: bool) -> Result<Vec<String>> {
        let root = self.root();
        let entries = match std::fs::read_dir(root) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => {
                return Ok(Vec::new());
            }
            other => other.map_err(with("open", root))?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.map_err(with("read", root))?;
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let name = entry.file_name();
            if let Some(id) = name.to_str().filter(|id| crate::check_id(id).is_ok())
                && is_directory
            {
                ids.push(id.to_owned());
            }
        }
        ids.sort_unstable();
        Ok(ids)
    }
}
