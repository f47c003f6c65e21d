//! The clone of init, and the namespaces that come before it.

use crate::error::{during, with};
use crate::files::c_path;
use crate::host::Host;
use crate::stage::Stage;
use crate::{Error, Result, between, net_devices, notify};
use kan_init::Init;
use kan_op::host::{Joined, StagedTree};
use kan_op::{NamespaceSlot, Slot};
use kan_sys::fd::{AsFd, BorrowedFd, OwnedFd};
use kan_sys::file::{self, O_RDONLY};
use kan_sys::process::Child;
use kan_sys::{memory, namespace, process};
use std::path::{Path, PathBuf};

const OWN_OOM_SCORE: &str = "/proc/self/oom_score_adj";

impl Host<'_> {
    pub(crate) fn open_namespace(&mut self, slot: Slot, path: &str, flag: u32) -> Result<()> {
        let opened = file::open(&c_path(Path::new(path))?, O_RDONLY, 0);
        let opened = opened.map_err(|error| Error::Step(format!("{path}: {error}")))?;
        match namespace::kind(&opened) {
            Ok(kind) if kind == flag => {}
            _ => return Err(Error::Step(format!("{path}: not a namespace of this type"))),
        }
        if flag == namespace::CLONE_NEWPID {
            let own = file::open(c"/proc/self/ns/pid", O_RDONLY, 0);
            let own = own.map_err(during("open kan's own pid namespace"))?;
            self.pid_namespace = Some((opened, own));
        } else {
            self.slots.fill(slot, opened);
        }
        Ok(())
    }

    /// A directory of the container's that nobody needs to see for a while.
    pub(crate) fn place_for_stage(&self) -> Result<PathBuf> {
        match self.made_directory() {
            Some(directory) => notify::besides(directory),
            None => Ok(self.store.find(&self.record.id)?.directory),
        }
    }

    /// The stage's user namespace, for ids that are mapped as there, is the one that is joined, or
    /// that of a container which is there.
    pub(crate) fn stage_tree(&mut self, tree: &StagedTree) -> Result<()> {
        let is_known = tree.ids.as_ref().is_none_or(|ids| ids.ranges.is_some());
        let own = match self
            .record
            .init
            .filter(|_| !is_known && self.child.is_none())
        {
            Some(init) => Some(users_of(init.pid)?),
            None => None,
        };
        let joined = self.slots.peek(Slot::Namespace(NamespaceSlot::User));
        let joined = joined.or(own.as_ref().map(AsFd::as_fd));
        match &mut self.stage {
            Some(stage) => stage.put(tree, joined),
            None => Err(Error::Step("there is no stage".into())),
        }
    }

    pub(crate) fn lock_stage(&self) -> Result<()> {
        match self.stage.as_ref().zip(self.slots.peek(Slot::Container)) {
            Some((stage, container)) => stage.lock(container),
            None => Err(Error::Step("there is no stage".into())),
        }
    }

    pub(crate) fn clone_init(
        &mut self,
        flags: u32,
        into_cgroup: bool,
        join: &[Joined],
        hidden: bool,
    ) -> Result<()> {
        let cgroup = if into_cgroup {
            self.record.cgroups.open()?
        } else {
            None
        };
        let join: Vec<_> = join
            .iter()
            .filter_map(|joined| Some((joined.flag, self.take_namespace(*joined)?)))
            .collect();
        let slots = std::mem::take(&mut self.slots);
        let mut init = Init::new(self.plan.init.steps(), self.board, slots);
        self.is_cloned = true;
        if self.board.is_traced() {
            self.cloned_at = memory::monotonic_ns();
        }
        self.cgroup = cgroup;
        let cgroup = self.cgroup.as_ref().map(AsFd::as_fd);
        // A child's memory is as hidden as its maker's.
        if hidden {
            process::set_dumpable(false).map_err(during("hide the memory"))?;
        }
        let child = match &join[..] {
            [] => self.fork(flags, cgroup, &mut init),
            _ => between::clone(&join, flags.into(), cgroup, &mut init),
        };
        // kan's own is only for that moment: to a user who is not root, what /proc has of him would
        // be closed.
        let shown = if hidden {
            process::set_dumpable(true).map_err(during("show the memory"))
        } else {
            Ok(())
        };
        // Without a child as well: hooks of poststop may follow, which the score is not meant for.
        let (left, scored) = (self.leave_stage(), self.take_back_oom_score_adj());
        // First of all the child is remembered: a failure from here on has to end it.
        self.child = Some(child?);
        left.and(shown)
            .and(scored)
            .and(self.enter_pid_namespace(false))
    }

    pub(crate) fn lend_oom_score_adj(&mut self, score: i32) -> Result<()> {
        let path = Path::new(OWN_OOM_SCORE);
        self.own_oom_score = Some(std::fs::read_to_string(path).map_err(with("read", path))?);
        std::fs::write(path, score.to_string()).map_err(with("write", path))
    }

    /// As low as it was is permitted to everybody, proc(5).
    fn take_back_oom_score_adj(&mut self) -> Result<()> {
        let path = Path::new(OWN_OOM_SCORE);
        let own = self.own_oom_score.take();
        own.map_or(Ok(()), |own| std::fs::write(path, own))
            .map_err(with("write", path))
    }

    pub(crate) fn move_net_device(
        &self,
        name: &str,
        new_name: &str,
        namespace: Option<&str>,
    ) -> Result<()> {
        let own = format!("/proc/{}/ns/net", self.child_pid());
        net_devices::move_device(name, new_name, namespace.unwrap_or(&own))
    }

    pub(crate) fn set_oom_score_adj(&self, score: i32) -> Result<()> {
        let path = PathBuf::from(format!("/proc/{}/oom_score_adj", self.child_pid()));
        std::fs::write(&path, score.to_string()).map_err(with("write", &path))
    }

    pub(crate) fn limit_child(&self, resource: u32, soft: u64, hard: u64) -> Result<()> {
        kan_sys::resource::set_limit_of(self.child_pid(), resource, soft, hard)
            .map_err(during("limit the child"))
    }

    fn take_namespace(&mut self, joined: Joined) -> Option<OwnedFd> {
        if joined.flag & namespace::CLONE_NEWPID != 0 {
            return self.pid_namespace.take().map(|(namespace, _)| namespace);
        }
        self.slots.withdraw(joined.slot)
    }

    fn fork(
        &self,
        flags: u32,
        cgroup: Option<BorrowedFd<'_>>,
        init: &mut Init<'_>,
    ) -> Result<Child> {
        self.enter_pid_namespace(true)?;
        let mut child = process::fork(flags.into(), cgroup, init, kan_init::run);
        if cgroup.is_some() && child.as_ref().is_err_and(is_inner_node) {
            let elsewhere = self.where_init_is()?;
            let cgroup = elsewhere.as_ref().map(AsFd::as_fd);
            child = process::fork(flags.into(), cgroup, init, kan_init::run);
        }
        if child.is_err() {
            self.enter_pid_namespace(false)?;
        }
        child.map_err(during("clone"))
    }

    pub(crate) fn leave_stage(&mut self) -> Result<()> {
        // One that could not be left is left when all is taken back: what there is to remove lies
        // below it.
        self.stage.as_ref().map_or(Ok(()), Stage::leave)?;
        self.stage = None;
        Ok(())
    }

    /// The cgroup into which the container's init has moved, where the container's own one holds
    /// others that have controllers.
    fn where_init_is(&self) -> Result<Option<OwnedFd>> {
        match self.record.init {
            Some(init) if !self.is_below => {
                Ok(self.record.cgroups.where_process_is(init.pid)?.open()?)
            }
            _ => Ok(self.record.cgroups.open()?),
        }
    }

    /// setns(2) of a pid namespace counts for children only; kan's later ones are its own again.
    fn enter_pid_namespace(&self, container: bool) -> Result<()> {
        let Some((joined, own)) = &self.pid_namespace else {
            return Ok(());
        };
        let target = if container { joined } else { own };
        namespace::setns(target, namespace::CLONE_NEWPID).map_err(during("join the pid namespace"))
    }
}

fn users_of(pid: i32) -> Result<OwnedFd> {
    let path = PathBuf::from(format!("/proc/{pid}/ns/user"));
    file::open(&c_path(&path)?, O_RDONLY, 0).map_err(during("open the user namespace"))
}

/// What clone3(2) answers for a cgroup that may hold no process: cgroup-v2.rst, No Internal Process
/// Constraint; EOPNOTSUPP for a threaded one.
fn is_inner_node(error: &kan_sys::Error) -> bool {
    matches!(
        error.errno,
        kan_sys::Errno::EBUSY | kan_sys::Errno::EOPNOTSUPP
    )
}
