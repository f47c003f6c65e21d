//! The clone of init, and the namespaces that come before it.

use crate::error::{during, with};
use crate::host::Host;
use crate::host::namespaces::id_maps;
use crate::host::namespaces::intermediate;
use crate::host::namespaces::net_devices;
use crate::host::notify;
use crate::host::stage::Stage;
use crate::os::files::c_path;
use crate::state::namespaces::{JoinedNamespace, user_namespace_of};
use crate::{Error, Result};
use kan_cgroup::Pid;
use kan_init::Init;
use kan_op::host::{IdRange, IdRanges, Joined, StagedTree};
use kan_op::init::Scheduling;
use kan_op::{HostStep, NamespaceSlot, Slot};
use kan_sys::fd::{AsFd, BorrowedFd, OwnedFd};
use kan_sys::file::{self, O_RDONLY};
use kan_sys::process::{Alone, Child};
use kan_sys::{memory, namespace, process};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::SeqCst;

/// Where the user namespace is open that is joined.
const USERS: Slot = Slot::Namespace(NamespaceSlot::User);

const OWN_OOM_SCORE: &str = "/proc/self/oom_score_adj";

impl Host<'_> {
    pub(crate) fn open_namespace(&mut self, slot: Slot, path: &str, flag: u32) -> Result<()> {
        let opened = file::open(&c_path(Path::new(path))?, O_RDONLY, 0);
        let opened = opened.map_err(|error| Error::Step(format!("{path}: {error}")))?;
        match namespace::kind(&opened) {
            Ok(kind) if kind == flag => {}
            _ => return Err(Error::Step(format!("{path}: not a namespace of this type"))),
        }
        let joined = JoinedNamespace::of(&opened, flag)?;
        if flag == namespace::CLONE_NEWUSER {
            self.record.user_namespace = Some(joined.inode());
        }
        self.record.joined.push(joined);
        self.slots.fill(slot, opened);
        Ok(())
    }

    /// A directory of the container's that nobody needs to see for a while.
    pub(crate) fn place_for_stage(&self) -> Result<PathBuf> {
        match self.made_directory() {
            Some(directory) => notify::besides(directory),
            None => Ok(self.store.open(&self.record.id)?.path().to_owned()),
        }
    }

    /// The stage's user namespace, for ids that are mapped as there, is the one that is joined, or
    /// that of a container which is there.
    pub(crate) fn stage_tree(&mut self, tree: &StagedTree) -> Result<()> {
        let joined = self.slots.peek(USERS);
        match &mut self.stage {
            Some(stage) => stage.put(tree, joined),
            None => Err(Error::Step("there is no stage".into())),
        }
    }

    pub(crate) fn stage_ids(&mut self, name: &str, ranges: &IdRanges) -> Result<()> {
        match &mut self.stage {
            Some(stage) => stage.put_ids(name, ranges),
            None => Err(Error::Step("there is no stage".into())),
        }
    }

    pub(crate) fn lock_stage(&self) -> Result<()> {
        match self.stage.as_ref().zip(self.slots.peek(USERS)) {
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
        if self.record.user_namespace.is_none() {
            self.record.user_namespace = Some(user_namespace_of("self")?);
        }
        let mut init = Init::new(self.plan.init.steps(), self.board, slots);
        if self.clones() {
            self.sibling = memory::shared_words(1).map_err(during("share memory"))?;
        }
        let prepared = init.prepare(self.words, self.sibling);
        prepared.map_err(during("prepare the container's process"))?;
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
            _ => intermediate::clone(&join, flags.into(), cgroup, &mut init),
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
        left.and(shown).and(scored)
    }

    /// Whether init clones the container's process.
    fn clones(&self) -> bool {
        let steps = self.plan.host.steps();
        steps.contains(&HostStep::ReceiveProcess)
    }

    /// Waits until init has cloned the container's process and ended.
    pub(crate) fn receive_process(&mut self) -> Result<()> {
        let no_child = || Error::Step("init was not created".into());
        self.await_end("the container's process")?;
        let child = self.child.as_ref().ok_or_else(no_child)?;
        let pid = self.sibling.first().map_or(0, |word| word.load(SeqCst));
        let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0);
        let Some(pid) = pid else {
            return Err(self.init_error());
        };
        // Its exit code says the same, and could be lost to a reaper.
        let _ = process::wait(&child.pidfd);
        // It is kan's own child (CLONE_PARENT), so that the number is nobody else's until kan reaps
        // it.
        let pidfd = process::pidfd_open(pid).map_err(|error| {
            // Without a pidfd nothing that follows would end it.
            let pid = nix::unistd::Pid::from_raw(pid);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            during("open the container's process")(error)
        })?;
        self.child = Some(Child { pid, pidfd });
        Ok(())
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

    /// The child's pid, in kan's pid namespace. To calls such as prlimit(2) zero would mean kan.
    pub(crate) fn child(&self) -> Result<Pid> {
        let child = self.child.as_ref();
        let pid = child.and_then(|child| Pid::from_raw(child.pid));
        pid.ok_or_else(|| Error::Step("init was not created yet".into()))
    }

    pub(crate) fn child_pid(&self) -> Result<i32> {
        Ok(self.child()?.as_raw_nonzero().get())
    }

    pub(crate) fn move_net_device(
        &self,
        name: &str,
        new_name: &str,
        namespace: Option<&str>,
    ) -> Result<()> {
        let own = format!("/proc/{}/ns/net", self.child_pid()?);
        net_devices::move_device(name, new_name, namespace.unwrap_or(&own))
    }

    pub(crate) fn map_ids(
        &mut self,
        uids: &[IdRange],
        gids: &[IdRange],
        deny_groups: bool,
    ) -> Result<()> {
        id_maps::write(self.child_pid()?, uids, gids, deny_groups)?;
        let users = user_namespace_of(&self.child_pid()?.to_string())?;
        self.record.user_namespace = Some(users);
        Ok(())
    }

    pub(crate) fn set_scheduler(&self, wanted: Scheduling) -> Result<()> {
        kan_sys::schedule::set_scheduler_of(self.child_pid()?, kan_init::attributes(wanted))
            .map_err(during("schedule the child"))
    }

    pub(crate) fn set_oom_score_adj(&self, score: i32) -> Result<()> {
        let path = PathBuf::from(format!("/proc/{}/oom_score_adj", self.child_pid()?));
        std::fs::write(&path, score.to_string()).map_err(with("write", &path))
    }

    pub(crate) fn limit_child(&self, resource: u32, soft: u64, hard: u64) -> Result<()> {
        kan_sys::resource::set_limit_of(self.child()?.as_raw_nonzero(), resource, soft, hard)
            .map_err(during("limit the child"))
    }

    fn take_namespace(&mut self, joined: Joined) -> Option<OwnedFd> {
        self.slots.withdraw(joined.slot)
    }

    fn fork(
        &self,
        flags: u32,
        cgroup: Option<BorrowedFd<'_>>,
        init: &mut Init<'_>,
    ) -> Result<Child> {
        let alone = Alone::check().map_err(during("clone"))?;
        let mut child = process::fork(alone, flags.into(), cgroup, init, kan_init::run);
        if cgroup.is_some() && child.as_ref().is_err_and(is_inner_node) {
            let elsewhere = self.where_init_is()?;
            let cgroup = elsewhere.as_ref().map(AsFd::as_fd);
            child = process::fork(alone, flags.into(), cgroup, init, kan_init::run);
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
}

/// What clone3(2) answers for a cgroup that may hold no process: cgroup-v2.rst, No Internal Process
/// Constraint; EOPNOTSUPP for a threaded one.
fn is_inner_node(error: &kan_sys::Error) -> bool {
    matches!(
        error.errno,
        kan_sys::Errno::EBUSY | kan_sys::Errno::EOPNOTSUPP
    )
}
