//! The stage: mount trees that the host half makes for init, in a mount namespace between the two.
//!
//! Init's mount namespace is a copy of the stage's. Where a user namespace is crossed in between,
//! the copy's flags are locked (mount_namespaces(7), Restrictions on mount namespaces), which no
//! tree is that enters a mount namespace as a descriptor.

use crate::error::during;
use crate::host::namespaces::id_maps;
use crate::os::helper;
use crate::{Error, Result};
use kan_op::host::{IdRange, IdRanges, MappedIds, StagedTree};
use kan_sys::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use kan_sys::file::{self, O_DIRECTORY, O_PATH, O_RDONLY, S_IFDIR};
use kan_sys::mount::{self, Change};
use kan_sys::namespace::{self, CLONE_NEWNS, CLONE_NEWUSER};
use kan_sys::process::Ended;
use kan_sys::{Errno, io, process, socket};
use std::ffi::{CStr, CString};
use std::path::Path;

/// kan in another mount namespace than its own, with the stage as its working directory. It goes
/// back when this is dropped.
pub(crate) struct Stage {
    origin: Origin,
    /// User namespaces by what they map.
    namespaces: Vec<(IdRanges, OwnedFd)>,
}

impl Stage {
    /// `over` is a directory that nobody needs to see for as long as the stage lies on it.
    pub(crate) fn open(over: &Path) -> Result<Self> {
        let stage = Self {
            origin: Origin::remember()?,
            namespaces: Vec::new(),
        };
        namespace::unshare(CLONE_NEWNS).map_err(during("create a mount namespace"))?;
        match enter_empty(over) {
            Ok(()) => Ok(stage),
            // What kan has to take back now lies below the stage.
            Err(error) => stage.leave().and(Err(error)),
        }
    }

    /// Puts a tree on the stage. `joined` is the user namespace that the container joins.
    pub(crate) fn put(&mut self, tree: &StagedTree, joined: Option<BorrowedFd<'_>>) -> Result<()> {
        let source = c_string(&tree.source)?;
        let depth = kan_init::depth(tree.recursive);
        let cloned = if tree.follow {
            mount::clone_tree_at_path(&source, depth)
        } else {
            mount::clone_link_at_path(&source, depth)
        };
        let cloned = cloned.map_err(in_step(&format!("clone the mount of {}", tree.source)))?;
        for change in &tree.changes {
            kan_init::change_mount(*change, |what, depth| mount::change(&cloned, what, depth))
                .map_err(in_step(&format!("change the mount of {}", tree.source)))?;
        }
        if let Some(ids) = &tree.ids {
            self.map_ids(&cloned, ids, joined)
                .map_err(|error| Error::Step(format!("map the ids of {}: {error}", tree.source)))?;
        }
        place(&cloned, &c_string(&tree.name)?)
    }

    /// Puts a user namespace on the stage. A file of nsfs can be mounted like any other, so that init
    /// needs no descriptor to find it.
    pub(crate) fn put_ids(&mut self, name: &str, ranges: &IdRanges) -> Result<()> {
        let namespace = self.namespace_of(ranges)?;
        let tree = mount::clone_tree(namespace, c"", mount::Depth::Single)
            .map_err(during("clone the mount of a user namespace"))?;
        place(&tree, &c_string(name)?)
    }

    fn map_ids(
        &mut self,
        tree: &OwnedFd,
        ids: &MappedIds,
        joined: Option<BorrowedFd<'_>>,
    ) -> Result<()> {
        let own;
        let namespace = match (&ids.ranges, joined) {
            (Some(ranges), _) => {
                own = self.namespace_of(ranges)?;
                own.as_fd()
            }
            (None, Some(joined)) => joined,
            (None, None) => return Err(Error::Step("there is no user namespace".into())),
        };
        let mapped = mount::map_ids(tree, namespace, kan_init::depth(ids.recursive));
        mapped.map_err(|error| match error.errno {
            // mount_setattr(2): FS_ALLOW_IDMAP is a property of the file system's type.
            Errno::EINVAL => Error::Step(format!(
                "{error} (the file system does not support mapped ids, or has them already)"
            )),
            _ => Error::Step(error.to_string()),
        })
    }

    fn namespace_of(&mut self, ranges: &IdRanges) -> Result<&OwnedFd> {
        let known = self
            .namespaces
            .iter()
            .position(|(known, _)| known == ranges);
        let at = match known {
            Some(at) => at,
            None => {
                let made = user_namespace(&ranges.0, &ranges.1)?;
                self.namespaces.push((ranges.clone(), made));
                self.namespaces.len() - 1
            }
        };
        Ok(&self.namespaces[at].1)
    }

    /// Goes on in a copy of the stage's mount namespace that belongs to the user namespace of a
    /// container which is there.
    pub(crate) fn lock(&self, container: BorrowedFd<'_>) -> Result<()> {
        let (copy, directory) = copy_into(container)?;
        namespace::setns(&copy, CLONE_NEWNS)
            .and_then(|()| file::fchdir(&directory))
            .map_err(during("enter the copy of the stage"))
    }

    /// Back to kan's own mount namespace, root and working directory.
    pub(crate) fn leave(&self) -> Result<()> {
        self.origin.enter()
    }
}

/// Where kan is, before it goes to another mount namespace.
pub(crate) struct Origin {
    mounts: OwnedFd,
    root: OwnedFd,
    directory: OwnedFd,
}

impl Origin {
    /// Opens kan's mount namespace, root and working directory.
    pub(crate) fn remember() -> Result<Self> {
        let open = |path: &CStr, flags| {
            file::open(path, flags, 0).map_err(during("remember where kan is"))
        };
        Ok(Self {
            mounts: open(c"/proc/self/ns/mnt", O_RDONLY)?,
            root: open(c"/", O_PATH | O_DIRECTORY)?,
            directory: open(c".", O_PATH | O_DIRECTORY)?,
        })
    }

    /// Returns to them.
    pub(crate) fn enter(&self) -> Result<()> {
        let back = namespace::setns(&self.mounts, CLONE_NEWNS)
            .and_then(|()| file::fchdir(&self.root))
            .and_then(|()| file::chroot(c"."))
            .and_then(|()| file::fchdir(&self.directory));
        back.map_err(during("go back to kan's own mount namespace"))
    }
}

/// A new, empty file system as the working directory. What it lies on becomes a slave, lest the
/// host sees it; all else stays as it was.
fn enter_empty(over: &Path) -> Result<()> {
    const MS_SLAVE: u32 = 1 << 19;
    let failed = || during("open the stage");
    let path = c_string(&over.to_string_lossy())?;
    let over = file::open(&path, O_PATH | O_DIRECTORY, 0).map_err(failed())?;
    let slave = Change {
        propagation: MS_SLAVE,
        ..Change::default()
    };
    mount::change_holding(&over, slave).map_err(failed())?;
    let context = mount::fsopen(c"tmpfs").map_err(failed())?;
    // The container's root has to pass through.
    mount::fsconfig_string(&context, c"mode", c"0711").map_err(failed())?;
    mount::fsconfig_create(&context).map_err(failed())?;
    let stage = mount::fsmount(&context, 0).map_err(failed())?;
    mount::attach(&stage, &over).map_err(failed())?;
    file::fchdir(&stage).map_err(failed())
}

/// A mount point as the tree needs it, and the tree on it.
fn place(tree: &OwnedFd, name: &CStr) -> Result<()> {
    let failed = || during("put a tree on the stage");
    let here = file::open(c".", O_PATH | O_DIRECTORY, 0).map_err(failed())?;
    let is_directory = file::status(tree, c"").map_err(failed())?.is(S_IFDIR);
    let made = if is_directory {
        file::mkdirat(&here, name, 0o700)
    } else {
        file::mknodat(&here, name, file::S_IFREG | 0o600, 0)
    };
    made.map_err(failed())?;
    let point = file::open(name, O_PATH, 0).map_err(failed())?;
    mount::attach(tree, &point).map_err(failed())
}

/// A user namespace with these mappings, held by its descriptor alone: the process that it is
/// made with ends at once.
fn user_namespace(uids: &[IdRange], gids: &[IdRange]) -> Result<OwnedFd> {
    let (mut waits, tells) = io::pipe().map_err(during("create a pipe"))?;
    let kept = [waits.as_raw_fd()];
    let what = "create a user namespace";
    let holder = helper::start(what, CLONE_NEWUSER, &kept, &mut waits, |waits| {
        let _ = io::read(&*waits, &mut [0]);
        process::exit(0)
    })?;
    let mapped = id_maps::write(holder.pid(), uids, gids, false);
    let path = c_string(&format!("/proc/{}/ns/user", holder.pid()))?;
    let opened = file::open(&path, O_RDONLY, 0).map_err(during("open the user namespace"));
    // It ends with the pipe, or is killed.
    drop((tells, holder));
    mapped.and(opened)
}

/// Who makes a copy of the mount namespace that he is in.
struct Copier<'c> {
    container: BorrowedFd<'c>,
    tells: OwnedFd,
    parent: i32,
}

/// The copy and, in it, the directory that kan is in. It takes a process that joins the user
/// namespace, for nobody comes back from there; that can't be looked into meanwhile, and hands
/// over what it has made.
fn copy_into(container: BorrowedFd<'_>) -> Result<(OwnedFd, OwnedFd)> {
    let (hears, tells) = socket::pair().map_err(during("create a socket pair"))?;
    let parent = process::own_pid();
    let mut copier = Copier {
        container,
        tells,
        parent,
    };
    let kept = [container.as_raw_fd(), copier.tells.as_raw_fd()];
    let helper = helper::start("lock the mounts", 0, &kept, &mut copier, |copier| {
        let told = copier.copy().map_err(|error| error.errno.into_raw());
        process::exit(told.err().unwrap_or(0))
    })?;
    drop(copier);
    helper.hear(&hears)?;
    let heard = socket::receive_descriptor(&hears)
        .and_then(|copy| Ok((copy, socket::receive_descriptor(&hears)?)));
    match helper.finish()? {
        Ended::Exited(0) => heard.map_err(during("lock the mounts")),
        Ended::Exited(errno) => {
            let why = crate::error::errno_text(errno);
            Err(Error::Step(format!("lock the mounts: {why}")))
        }
        Ended::Signalled(_) => Err(Error::Step("who locks the mounts is gone".into())),
    }
}

impl Copier<'_> {
    fn copy(&self) -> kan_sys::Result<()> {
        process::set_dumpable(false)?;
        namespace::setns(self.container, CLONE_NEWUSER)?;
        // With the new credentials it is as if nothing had been said.
        if !process::die_with(self.parent) {
            process::exit(0);
        }
        namespace::unshare(CLONE_NEWNS)?;
        let copy = file::open(c"/proc/self/ns/mnt", O_RDONLY, 0)?;
        let directory = file::open(c".", O_PATH | O_DIRECTORY, 0)?;
        socket::send_descriptor(&self.tells, c"copy", &copy)?;
        socket::send_descriptor(&self.tells, c"directory", &directory)
    }
}

fn in_step(what: &str) -> impl FnOnce(kan_sys::Error) -> Error {
    move |error| Error::Step(format!("{what}: {error}"))
}

fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::Step(format!("{text}: contains a NUL character")))
}
