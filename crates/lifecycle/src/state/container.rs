//! A container as it is found in the state directory, and its status.

use crate::Result;
use crate::error::with;
use crate::os::directory::Directory;
use crate::state::record::{FILE, Record};
use kan_spec::config::Config;
use kan_spec::state::{State, Status};
use kan_sys::file::{O_NONBLOCK, O_WRONLY};

/// The FIFO's name in a container's directory.
pub(crate) const FIFO: &str = "exec.fifo";

/// Its name until init is ready for `start`.
pub(crate) const UNPUBLISHED_FIFO: &str = "exec.fifo.new";

/// A container.
#[derive(Debug)]
pub struct Container {
    pub(crate) directory: Directory,
    pub(crate) id: String,
    /// `None` if kan was killed before it wrote anything.
    pub(crate) record: Option<Record>,
}

impl Container {
    pub(crate) fn load(directory: Directory, id: &str) -> Result<Self> {
        let record = Record::load(&directory)?;
        Ok(Self {
            directory,
            id: id.to_owned(),
            record,
        })
    }

    /// Whether its state.json is there, with nothing in it.
    pub(crate) fn is_emptied(&self) -> bool {
        self.record.is_none() && self.directory.status_of(FILE).is_ok()
    }

    /// Where in its life the container is, from its process, its FIFO and the freezer.
    ///
    /// # Errors
    /// The freezer can't be read.
    pub fn status(&self) -> Result<Status> {
        Ok(self.status_and_name()?.0)
    }

    /// The status, and of one that runs whether `run`, which gives the lock back when its program is
    /// executed, is still at work on it: the namespaces that init is in may be those of the host then.
    pub(crate) fn status_for_entering(&self) -> Result<(Status, bool)> {
        let (status, is_named_as_init) = self.status_and_name()?;
        let is_being_run = is_named_as_init && self.directory.is_locked();
        Ok((status, is_being_run))
    }

    /// The status, and whether it is [`Status::Running`] by a process with the name that init had.
    fn status_and_name(&self) -> Result<(Status, bool)> {
        let certain = |status| Ok((status, false));
        let Some(record) = &self.record else {
            return certain(Status::Stopped);
        };
        let Some(init) = record.init else {
            return certain(self.unfinished());
        };
        let Some(now) = init.look()? else {
            return certain(Status::Stopped);
        };
        if kan_cgroup::frozen(&record.cgroups)? {
            return certain(Status::Paused);
        }
        // A program may take the name that kan's init had, and is looked at as if it were init.
        let was = record.init_name.as_deref().map(str::as_bytes);
        if was.is_some_and(|name| name != now.name()) {
            return certain(Status::Running);
        }
        if has_reader(&self.directory, FIFO)? {
            certain(Status::Created)
        } else if has_reader(&self.directory, UNPUBLISHED_FIFO)? {
            certain(Status::Creating)
        } else {
            Ok((Status::Running, was.is_some()))
        }
    }

    /// The copy of config.json as it is written.
    pub(crate) fn config_text(&self) -> Result<Vec<u8>> {
        /// Most are smaller, bytes.
        const USUAL: usize = 16 << 10;
        self.directory.read("config.json", USUAL)
    }

    /// The copy of config.json, with what `update` has changed since.
    pub(crate) fn config(&self) -> Result<Config> {
        let text = self.config_text()?;
        Ok(kan_spec::parse_config(&text)?.value)
    }

    /// Without a process, it is being made for as long as somebody holds the lock.
    fn unfinished(&self) -> Status {
        if self.directory.is_locked() {
            Status::Creating
        } else {
            Status::Stopped
        }
    }

    /// The state document, runtime.md.
    ///
    /// # Errors
    /// As [`Self::status`].
    pub fn state(&self) -> Result<State> {
        self.state_with(&mut Owners::default())
    }

    /// The same, with the names of users that were looked up already.
    pub(crate) fn state_with(&self, owners: &mut Owners) -> Result<State> {
        let status = self.status()?;
        let Some(record) = &self.record else {
            return Ok(State {
                id: self.id.clone(),
                ..empty_state(status)
            });
        };
        Ok(State {
            owner: Some(owners.name(record.owner)),
            ..record.state(status)
        })
    }
}

/// What is known of a container whose `create` was killed at its very start.
fn empty_state(status: Status) -> State {
    State {
        oci_version: kan_spec::version::NEWEST.into(),
        id: String::new(),
        pid: 0,
        status,
        bundle: String::new(),
        rootfs: None,
        created: None,
        annotations: Vec::new(),
        owner: None,
    }
}

/// Whether init still has the FIFO open for reading: fifo(7), ENXIO without a reader.
fn has_reader(directory: &Directory, fifo: &str) -> Result<bool> {
    match directory.open(fifo, O_WRONLY | O_NONBLOCK, 0) {
        Ok(_) => Ok(true),
        Err(error) => match error.raw_os_error() {
            Some(nix::libc::ENXIO | nix::libc::ENOENT) => Ok(false),
            _ => Err(with("open", &directory.path_of(fifo))(error)),
        },
    }
}

/// The names of users, from the host's /etc/passwd. Read by hand, because a static binary can't
/// load the C library's name services.
#[derive(Default)]
pub(crate) struct Owners {
    passwd: Option<String>,
}

impl Owners {
    /// A user's name, or the number.
    fn name(&mut self, uid: u32) -> String {
        let read = || std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let passwd = self.passwd.get_or_insert_with(read);
        name_in(passwd, uid).unwrap_or_else(|| uid.to_string())
    }
}

/// passwd(5)
pub(crate) fn name_in(passwd: &str, uid: u32) -> Option<String> {
    let number = uid.to_string();
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use crate::state::record::InitProcess;
    use kan_spec::state::Status;

    /// This process stands for init, and its lock for that of the kan which runs it.
    #[test]
    fn a_container_is_being_run_until_its_init_has_another_name_or_nobody_holds_the_lock() {
        let root = crate::os::directory::scratch("being-run");
        let store = crate::Store::new(root.clone());
        let (directory, locked) = store.make("c").unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let (init, name) = InitProcess::of(pid).unwrap();
        let save = |name: &str| {
            let init = format!(r#"{{"pid": {pid}, "start_time": {}}}"#, init.start_time);
            let state = format!(
                r#"{{"version": 1, "oci_version": "1.0.0", "id": "c", "bundle": "/b",
                "rootfs": "/b/r", "created": "", "owner": 0, "annotations": {{}}, "cgroups": [],
                "init": {init}, "init_name": {name:?}}}"#
            );
            directory
                .write_private("state.json", state.as_bytes())
                .unwrap();
        };
        let is_being_run = || {
            let (status, is_being_run) = store.find("c").unwrap().status_for_entering().unwrap();
            assert_eq!(status, Status::Running);
            is_being_run
        };
        save(&name);
        assert!(is_being_run());
        save("another");
        assert!(!is_being_run());
        save(&name);
        drop(locked);
        assert!(!is_being_run());
        std::fs::remove_dir_all(root).unwrap();
    }
}
