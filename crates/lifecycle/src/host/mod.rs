//! Performs the host half of a plan.

pub(crate) mod activation;
pub(crate) mod agent;
pub(crate) mod cgroups;
pub(crate) mod clone;
pub(crate) mod descriptors;
pub(crate) mod facts;
pub(crate) mod hooks;
pub(crate) mod labels;
pub(crate) mod namespaces;
pub(crate) mod notify;
pub(crate) mod pid_file;
pub mod seal;
pub(crate) mod stage;
mod sync;
pub(crate) mod terminal;
mod unit;

use crate::error::{during, in_field, with};
use crate::host::namespaces::existing;
use crate::host::stage::Stage;
use crate::host::terminal::console;
use crate::os::directory::Directory;
use crate::os::files::c_path;
use crate::os::waiting;
use crate::state::container::{FIFO, UNPUBLISHED_FIFO};
use crate::state::record::{InitProcess, Record};
use crate::state::store::{Locked, Store};
use crate::{Error, Result, Timeline, resctrl};
use kan_init::Slots;
use kan_op::{Board, HostStep, Slot};
use kan_plan::Plan;
use kan_spec::state::Status;
use kan_sys::fd::OwnedFd;
use kan_sys::file::{self, O_DIRECTORY, O_PATH, O_RDWR};
use kan_sys::process::Child;
use kan_sys::{io, memory, socket};
use notify::Relay;
use std::ffi::{CStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

/// The host half at work. Dropped before it is [`finished`](Host::finish), it takes back all that
/// it made.
pub(crate) struct Host<'p> {
    pub(crate) plan: &'p Plan,
    pub(crate) store: &'p Store,
    pub(crate) record: Record,
    config_text: &'p [u8],
    pub(crate) board: Board<'p>,
    pub(crate) channel: OwnedFd,
    /// What init starts with; gone once it has been cloned.
    pub(crate) slots: Slots,
    pub(crate) made: Made,
    /// Where trees for init's mounts lie, until the clone.
    pub(crate) stage: Option<Stage>,
    /// The words of the board.
    pub(crate) words: &'static [AtomicU64],
    /// Where init leaves the pid of the process that it clones; empty if it clones none.
    pub(crate) sibling: &'static [AtomicU64],
    /// What the user is to know although nothing failed.
    pub(crate) warnings: Vec<String>,
    /// kan's end of the console socket, where kan itself receives the terminal.
    pub(crate) console: Option<OwnedFd>,
    /// The cgroup that the child was cloned into.
    pub(crate) cgroup: Option<OwnedFd>,
    pub(crate) child: Option<Child>,
    /// The service manager that a container started here reports to.
    pub(crate) manager: Option<OsString>,
    /// What the container reports through.
    pub(crate) relay: Option<Relay>,
    /// Whether the child goes into a cgroup below the container's and nowhere else.
    pub(crate) is_below: bool,
    /// What init's hooks write to their stderr.
    pub(crate) hook_errors: Option<OwnedFd>,
    pub(crate) hooks_said: Vec<u8>,
    /// The seccomp listener, where init sent it.
    pub(crate) listener: Option<OwnedFd>,
    /// Whether the container may be frozen, so that kan waits for init without an end.
    pub(crate) may_be_frozen: bool,
    /// Whether init was cloned, or an attempt made.
    pub(crate) is_cloned: bool,
    /// When, if somebody wants to know: nanoseconds of CLOCK_MONOTONIC.
    pub(crate) cloned_at: u64,
    /// kan's own oom_score_adj, while it has the child's.
    pub(crate) own_oom_score: Option<String>,
}

/// What a failure has to take back.
#[derive(Default)]
pub(crate) struct Made {
    directory: Option<(Directory, Locked)>,
    cgroups: Option<kan_cgroup::Created>,
    /// Whether a unit may be there.
    pub(crate) unit: bool,
    resctrl: bool,
    finished: bool,
}

impl<'p> Host<'p> {
    pub(crate) fn new(
        plan: &'p Plan,
        store: &'p Store,
        record: Record,
        config_text: &'p [u8],
        traced: bool,
    ) -> Result<Self> {
        let stamps = if traced { plan.init.steps().len() } else { 0 };
        let words = memory::shared_words(Board::WORDS + stamps).map_err(during("share memory"))?;
        let (channel, init_end) = socket::pair().map_err(during("create a socket pair"))?;
        let mut slots = Slots::default();
        slots.fill(Slot::Channel, init_end);
        Ok(Self {
            plan,
            store,
            record,
            config_text,
            board: Board::new(words),
            channel,
            slots,
            made: Made::default(),
            stage: None,
            words,
            sibling: &[],
            warnings: Vec::new(),
            console: None,
            cgroup: None,
            child: None,
            manager: None,
            relay: None,
            is_below: false,
            hook_errors: None,
            hooks_said: Vec::new(),
            listener: None,
            may_be_frozen: false,
            is_cloned: false,
            cloned_at: 0,
            own_oom_score: None,
        })
    }

    /// Performs every step of the host half.
    pub(crate) fn perform_all(&mut self, timeline: &mut Timeline) -> Result<()> {
        let plan = self.plan;
        for (index, step) in plan.host.steps().iter().enumerate() {
            let field = plan.host.field(index);
            let words = || (kan_plan::host_text(step), field.to_owned());
            let done = timeline.step(words, || self.perform(step));
            let done = done.and_then(|()| waiting::go_on("a step"));
            done.map_err(|error| in_field(field, error))?;
        }
        Ok(())
    }

    #[expect(
        clippy::too_many_lines,
        reason = "one exhaustive match without `..`: a new step or field must not compile until it \
                  is performed here"
    )]
    fn perform(&mut self, step: &HostStep) -> Result<()> {
        match step {
            HostStep::MakeContainer { id } => self.make_container(id),
            HostStep::SaveState => self.save_state(),
            HostStep::SaveConfig => {
                let directory = self.directory()?;
                directory.write_private("config.json", self.config_text)
            }
            HostStep::MakeFifo => self.make_fifo(),
            HostStep::PublishFifo => self.publish_fifo(),
            HostStep::OpenContainer {
                namespaces,
                with_root,
            } => self.open_container(*namespaces, *with_root),
            HostStep::OpenNamespace { slot, path, flag } => self.open_namespace(*slot, path, *flag),
            HostStep::ConnectConsole { path } => self.connect_console(path.as_deref()),
            HostStep::MakeCgroup(_) => {
                self.made.cgroups = Some(kan_cgroup::create(&self.record.cgroups)?);
                Ok(())
            }
            HostStep::Limit(limits) => Ok(kan_cgroup::limit(limits)?),
            HostStep::LimitDevices(rules) => self.limit_devices(rules),
            HostStep::OpenStage => {
                self.stage = Some(Stage::open(&self.place_for_stage()?)?);
                Ok(())
            }
            HostStep::StageTree(tree) => self.stage_tree(tree),
            HostStep::StageIds { name, ranges } => self.stage_ids(name, ranges),
            HostStep::LockStage => self.lock_stage(),
            HostStep::Clone {
                flags,
                into_cgroup,
                join,
                hidden,
            } => self.clone_init(*flags, *into_cgroup, join, *hidden),
            HostStep::LendOomScoreAdj(score) => self.lend_oom_score_adj(*score),
            HostStep::JoinCgroup => self.join_cgroup(),
            HostStep::StartUnit {
                unit: _,
                properties,
            } => self.start_unit(properties),
            HostStep::EnterUnit(_) => self.enter_unit(),
            HostStep::GiveCgroup { uid } => Ok(kan_cgroup::give(&self.record.cgroups, *uid)?),
            HostStep::DelegateCgroup { name, uid } => self.delegate_cgroup(name, *uid),
            HostStep::AttachToUnit { unit: _ } => self.attach_to_unit(),
            HostStep::MapIds {
                uids,
                gids,
                deny_groups,
            } => self.map_ids(uids, gids, *deny_groups),
            HostStep::MoveNetDevice {
                name,
                new_name,
                namespace,
            } => self.move_net_device(name, new_name, namespace.as_deref()),
            HostStep::SetOomScoreAdj(score) => self.set_oom_score_adj(*score),
            HostStep::SetScheduler(wanted) => self.set_scheduler(*wanted),
            HostStep::SetLimit {
                resource,
                soft,
                hard,
            } => self.limit_child(*resource, *soft, *hard),
            HostStep::MakeHookPipe => {
                let (own, init_end) = io::pipe().map_err(during("create a pipe"))?;
                self.slots.fill(Slot::HookErrors, init_end);
                self.hook_errors = Some(own);
                Ok(())
            }
            HostStep::OpenHookOutput { slot, path } => {
                let file = hooks::open_output(Path::new(path))?;
                self.slots.fill(*slot, file.into());
                Ok(())
            }
            HostStep::RunHook(hook) => hooks::run(hook, &self.record.state(Status::Creating)),
            HostStep::MakeNetwork => self.make_network(),
            HostStep::ReceiveProcess => self.receive_process(),
            HostStep::TakeListener => self.take_listener(),
            HostStep::ReceiveListener => self.receive_listener(),
            HostStep::SendListener { path, metadata } => self.send_listener(path, metadata.clone()),
            HostStep::MakeResctrlGroup(group) => {
                self.made.resctrl = true;
                resctrl::make(group)
            }
            HostStep::JoinResctrlGroups(groups) => resctrl::join(groups, self.child_pid()?),
            HostStep::Tell(sync) => self.tell(*sync),
            HostStep::Wait(sync) => self.wait(*sync),
            HostStep::WritePidFile { path } => self.write_pid_file(Path::new(path)),
            HostStep::SendPidfd { path, what } => self.send_pidfd(Path::new(path), what),
            HostStep::MakeNotifySocket { listen } => {
                let manager = self.manager.as_deref().filter(|_| *listen);
                self.relay = notify::make(self.directory()?, manager)?;
                Ok(())
            }
        }
    }

    fn make_container(&mut self, id: &str) -> Result<()> {
        let (directory, locked) = self
            .store
            .make(id)
            .map_err(crate::state::store::with_advice)?;
        self.made.directory = Some((directory, locked));
        Ok(())
    }

    pub(crate) fn directory(&self) -> Result<&Directory> {
        let missing = || Error::Step("the container has no directory yet".into());
        self.made_directory().ok_or_else(missing)
    }

    /// The container's directory, if it is made here.
    pub(crate) fn made_directory(&self) -> Option<&Directory> {
        let made = self.made.directory.as_ref();
        made.map(|(directory, _)| directory)
    }

    fn save_state(&mut self) -> Result<()> {
        if let Some(child) = &self.child {
            let (init, name) = InitProcess::of(child.pid)?;
            (self.record.init, self.record.init_name) = (Some(init), Some(name));
        }
        self.record.save(self.directory()?)
    }

    /// Open for reading and writing, so that the opening never waits for the other end, fifo(7).
    fn make_fifo(&mut self) -> Result<()> {
        let directory = self.directory()?;
        directory.make_fifo(UNPUBLISHED_FIFO)?;
        let fifo = directory.open(UNPUBLISHED_FIFO, O_RDWR, 0);
        let path = directory.path_of(UNPUBLISHED_FIFO);
        let fifo = fifo.map_err(with("open", &path))?;
        self.slots.fill(Slot::Fifo, fifo.into());
        Ok(())
    }

    fn publish_fifo(&self) -> Result<()> {
        self.directory()?.rename(UNPUBLISHED_FIFO, FIFO)
    }

    fn open_container(&mut self, namespaces: u32, with_root: bool) -> Result<()> {
        let gone = || Error::Status("cannot exec in a stopped container".into());
        let init = self.record.init.ok_or_else(gone)?;
        let container = init.open()?.ok_or_else(gone)?;
        let opened = existing::open(init.pid, namespaces)?;
        let warning = existing::check(&self.record, init.pid, &opened)?;
        let root = if with_root {
            let path = PathBuf::from(format!("/proc/{}/root", init.pid));
            let root = file::open(&c_path(&path)?, O_PATH | O_DIRECTORY, 0);
            Some(root.map_err(during("open the container's root"))?)
        } else {
            None
        };
        // All this was that very process' only if it still lives.
        if io::wait_readable(&container, Some(0)).unwrap_or(true) {
            return Err(gone());
        }
        self.warnings.extend(warning);
        if let Some(root) = root {
            self.slots.fill(Slot::Root, root);
        }
        for one in opened {
            self.slots.fill(one.slot, one.file);
        }
        Ok(())
    }

    fn connect_console(&mut self, path: Option<&str>) -> Result<()> {
        let socket = match path {
            Some(path) => console::connect(Path::new(path))?,
            None => {
                let (own, init_end) =
                    socket::stream_pair().map_err(during("create a socket pair"))?;
                self.console = Some(own);
                init_end
            }
        };
        self.slots.fill(Slot::ConsoleSocket, socket);
        Ok(())
    }

    fn join_cgroup(&mut self) -> Result<()> {
        Ok(kan_cgroup::join(&self.record.cgroups, self.child()?)?)
    }

    fn take_listener(&mut self) -> Result<()> {
        let gone = || Error::Step("there is no listener".into());
        if self.listener.is_none() {
            let child = self.child.as_ref().ok_or_else(gone)?;
            let number = self.board.offered().ok_or_else(gone)?;
            self.listener = Some(agent::take_listener(child, number)?);
        }
        Ok(())
    }

    fn send_listener(&mut self, path: &str, metadata: Option<String>) -> Result<()> {
        let gone = || Error::Step("there is no listener".into());
        let child = self.child.as_ref().ok_or_else(gone)?;
        let listener = self.listener.take().ok_or_else(gone)?;
        let makes = self.made.directory.is_some();
        let status = if makes {
            Status::Creating
        } else {
            self.store.find(&self.record.id)?.status()?
        };
        agent::send(
            path,
            &listener,
            child.pid,
            self.record.state(status),
            metadata,
        )
    }

    fn write_pid_file(&self, path: &Path) -> Result<()> {
        let child = self.child.as_ref();
        child.map_or(Ok(()), |child| pid_file::write(path, child.pid))
    }

    fn send_pidfd(&self, path: &Path, what: &CStr) -> Result<()> {
        let Some(child) = &self.child else {
            return Ok(());
        };
        let to = console::connect(path)?;
        socket::send_descriptor(&to, what, &child.pidfd).map_err(during("send the pidfd"))
    }

    /// Adds what init did to the timeline, as far as it is known by now.
    pub(crate) fn add_init_to(&self, timeline: &mut Timeline) {
        if timeline.is_wanted() {
            timeline.add_init(kan_plan::init_texts(self.plan), self.board, self.cloned_at);
        }
    }

    /// The container stays; the lock is given back.
    pub(crate) fn finish(mut self) -> Option<Child> {
        self.made.finished = true;
        self.child.take()
    }
}

/// Takes everything back, in the reverse of the order in which it was made.
impl Drop for Host<'_> {
    fn drop(&mut self) {
        // Paths below are of kan's own mount namespace.
        let _ = self.leave_stage();
        if self.made.finished {
            return;
        }
        self.end_child();
        // The mounts of a container that was there before stay: `exec` has made none.
        if self.made.directory.is_some() {
            let _ = self.record.uncover();
        }
        if let Some(created) = self.made.cgroups.take() {
            let _ = kan_cgroup::kill_all(&self.record.cgroups);
            let _ = kan_cgroup::remove(&self.record.cgroups);
            created.undo();
        }
        if self.made.unit {
            let _ = kan_cgroup::kill_all(&self.record.cgroups);
            let _ = self.record.remove_cgroups();
        }
        if self.made.resctrl {
            let _ = resctrl::remove(&self.record.resctrl);
        }
        if let Some((_, _lock)) = self.made.directory.take() {
            let _ = self.store.forget(&self.record.id);
            // runtime.md, Lifecycle: a hook that fails leads on to the end of the container. What
            // goes wrong here as well would only hide why.
            if self.is_cloned {
                drop(hooks::run_poststop(&self.record));
            }
        }
    }
}
