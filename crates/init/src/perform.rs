//! One step of the plan: which function performs it.

use crate::interpreter::Init;
use crate::outcome::{Step, Stop};
use crate::rootpath::Make;
use crate::visible::Visible;
use crate::{
    copy_up, credentials, devices, hooks, mounts, root, rootpath, schedule, sync, terminal,
};
use core::ffi::CStr;
use kan_op::init::{FilterInstruction, InitHook, Listener};
use kan_op::{Flaw, HOOKS_RUN, InitStep, Slot, Sync};
use kan_sys::fd::AsRawFd;
use kan_sys::file::{self, O_DIRECTORY, O_PATH};
use kan_sys::{Errno, io, namespace, process, resource, signal, socket};

impl<'p> Init<'p> {
    #[expect(
        clippy::too_many_lines,
        reason = "one exhaustive match: a step that has no arm here must not compile"
    )]
    pub(crate) fn perform(&mut self, step: &'p InitStep) -> Step {
        if !matches!(step, InitStep::MakeNode { .. } | InitStep::MakeLink { .. }) {
            if !matches!(step, InitStep::NewFilesystem(_) | InitStep::Attach { .. }) {
                self.last_directory.forget(&self.slots);
            }
            self.sweep(may_keep_spent(step))?;
        }
        let slots = &mut self.slots;
        let directories = &mut self.last_directory;
        match step {
            InitStep::Wait(sync) => self.wait(*sync),
            InitStep::Tell(sync) => self.tell(*sync),
            InitStep::CloseInherited { preserved } => slots.own_all(preserved.saturating_add(3)),
            InitStep::ResetSignals { ignored } => reset_signals(*ignored),
            InitStep::NewSession => Ok(process::setsid()?),
            InitStep::NewKeyring { name } => credentials::new_keyring(name),
            InitStep::HideMemory => hide_memory(),
            InitStep::ShowMemory => show_memory(),
            InitStep::Join { slot, flags } => {
                let joined = slots.take(*slot)?;
                namespace::setns(&joined, *flags)?;
                slots.spend(joined);
                Ok(())
            }
            InitStep::EnterNetwork => self.enter_network(),
            InitStep::RaiseLoopback => Ok(kan_sys::socket::raise_loopback()?),
            InitStep::Unshare { flags } => Ok(namespace::unshare(*flags)?),
            InitStep::ChangeMount { target, change } => mounts::change(slots, target, *change),
            InitStep::NewFilesystem(new) => {
                let tree = mounts::new_filesystem(slots, new)?;
                slots.fill(new.out, tree);
                Ok(())
            }
            InitStep::CloneTree {
                out,
                source,
                recursive,
            } => {
                let tree = mounts::clone_tree(slots, source, *recursive)?;
                if *out == Slot::Root {
                    mounts::require_directory(&tree)?;
                }
                slots.fill(*out, tree);
                Ok(())
            }
            InitStep::MapIds {
                tree,
                namespace,
                recursive,
            } => mounts::map_ids(slots.get(*tree)?, namespace, *recursive),
            InitStep::Attach { tree, at, point } => {
                let tree = slots.take(*tree)?;
                mounts::attach(slots, directories, tree, at, *point)
            }
            InitStep::MountByPath {
                fstype,
                source,
                flags,
                data,
                at,
            } => mounts::by_path(slots, directories, (fstype, source), *flags, data, at),
            InitStep::CopyUp { tree, from } => {
                copy_up::perform(slots.get(Slot::Root)?, from, slots.get(*tree)?)
            }
            InitStep::AttachOnHost { tree, at } => mounts::attach_on_host(slots, *tree, at),
            InitStep::Unmount { directory, name } => mounts::unmount(slots, directory, name),
            InitStep::Close(slot) => {
                let closed = slots.take(*slot)?;
                slots.spend(closed);
                Ok(())
            }
            InitStep::OpenNull => {
                slots.fill(Slot::Null, mounts::open_null()?);
                Ok(())
            }
            InitStep::MakeDirectory { at } => {
                slots.spend(rootpath::look_up_or_make(
                    slots,
                    directories,
                    at,
                    Make::Directory,
                )?);
                Ok(())
            }
            InitStep::MakeNode {
                at,
                kind,
                mode,
                uid,
                gid,
            } => {
                let root = slots.get(Slot::Root)?;
                devices::make_node(directories, root, at, *kind, *mode, (*uid, *gid))
            }
            InitStep::MakeLink {
                at,
                target,
                replace,
            } => devices::make_link(directories, slots.get(Slot::Root)?, at, target, *replace),
            InitStep::MaskPath { path } => mounts::mask(slots, path),
            InitStep::LockPath { path } => mounts::lock(slots, path),
            InitStep::EnterRoot(entry) => root::enter_root(slots, *entry),
            InitStep::OpenRoot => {
                slots.fill(Slot::Root, file::open(c"/", O_PATH | O_DIRECTORY, 0)?);
                Ok(())
            }
            InitStep::SetHostname(name) => Ok(namespace::set_hostname(name)?),
            InitStep::SetDomainname(name) => Ok(namespace::set_domainname(name)?),
            InitStep::WriteProc { file, value } => devices::write_proc(file, value),
            InitStep::OpenTerminal {
                size,
                uid,
                newlines,
            } => terminal::open(slots, *size, *uid, *newlines),
            InitStep::BindConsole => terminal::bind_console(slots),
            InitStep::SendTerminal => terminal::send(slots),
            InitStep::UseTerminal => terminal::use_as_stdio(slots.take(Slot::Terminal)?),
            InitStep::ControlTerminal => Ok(kan_sys::terminal::control(io::standard(0))?),
            InitStep::EnterPidNamespace => self.enter_pid_namespace(),
            InitStep::TellHooksRun => self.tell_hooks_run(),
            InitStep::SetLimit {
                resource,
                soft,
                hard,
            } => Ok(resource::set_limit(*resource, *soft, *hard)?),
            InitStep::SetScheduler(wanted) => schedule::set_scheduler(*wanted),
            InitStep::SetIoPriority(value) => Ok(kan_sys::schedule::set_io_priority(*value)?),
            InitStep::SetAffinity(cpus) => Ok(kan_sys::schedule::set_affinity(cpus)?),
            InitStep::SetPersonality(domain) => Ok(kan_sys::schedule::set_personality(*domain)?),
            InitStep::SetMemoryPolicy { mode, nodes } => {
                Ok(kan_sys::schedule::set_memory_policy(*mode, nodes)?)
            }
            InitStep::EnterTimeNamespace => schedule::enter_time_namespace(),
            InitStep::SetUmask(mask) => {
                file::umask(*mask);
                Ok(())
            }
            InitStep::EnterDirectory(path) => self.enter_directory(path),
            InitStep::ConfirmDirectory(path) => self.confirm_directory(path),
            InitStep::DropBounding { drop } => credentials::drop_bounding(*drop),
            InitStep::SetIds(ids) => credentials::set_ids(ids),
            InitStep::SetCapabilities {
                effective,
                permitted,
                inheritable,
            } => credentials::set_capabilities(*effective, *permitted, *inheritable),
            InitStep::RaiseAmbient { capabilities } => credentials::raise_ambient(*capabilities),
            InitStep::NoNewPrivileges => Ok(kan_sys::credentials::set_no_new_privileges()?),
            InitStep::RunHook(hook) => self.run_hook(hook),
            InitStep::FindHome { uid } => self.strings.find_home(*uid),
            InitStep::FindProgram => self.strings.find_program(),
            InitStep::Execute(_) => self.strings.execute(),
            InitStep::LeaveMemory => self.leave_memory(),
            InitStep::LoadFilter {
                program,
                flags,
                listener,
            } => self.load_filter(program, *flags, *listener),
            InitStep::AwaitStart => self.await_start(),
        }
    }

    /// Does not come back but for a plan that must not be.
    fn enter_pid_namespace(&mut self) -> Step {
        let visible = self.take_visible()?;
        visible.clone_process(&self.slots, &self.strings)
    }

    /// Does not come back but for a plan that must not be.
    fn leave_memory(&mut self) -> Step {
        let visible = self.take_visible()?;
        visible.leave_memory(&self.slots, &self.strings)
    }

    /// The remaining steps, once every descriptor that is in no slot is closed.
    fn take_visible(&mut self) -> Result<&'static mut Visible, Stop> {
        self.last_directory.forget(&self.slots);
        self.slots.sweep()?;
        self.visible.take().ok_or(Flaw::OutOfStep.into())
    }

    /// Closes what was spent, if it is time, and the directory that was kept, which is in no slot.
    fn sweep(&mut self, more: bool) -> Step {
        if !self.slots.is_full(more) {
            return Ok(());
        }
        self.last_directory.forget(&self.slots);
        self.slots.sweep()
    }
}

/// Whether what was spent may stay open: the step only joins namespaces, or puts the container's
/// filesystem together, of which there may be thousands, or waits for what that needs. No process
/// that could look at init's descriptors comes in between.
fn may_keep_spent(step: &InitStep) -> bool {
    matches!(
        step,
        InitStep::Join { .. }
            | InitStep::ChangeMount { .. }
            | InitStep::NewFilesystem(_)
            | InitStep::EnterNetwork
            | InitStep::CloneTree { .. }
            | InitStep::MapIds { .. }
            | InitStep::Attach { .. }
            | InitStep::AttachOnHost { .. }
            | InitStep::MountByPath { .. }
            | InitStep::CopyUp { .. }
            | InitStep::OpenNull
            | InitStep::MakeDirectory { .. }
            | InitStep::MakeNode { .. }
            | InitStep::MakeLink { .. }
            | InitStep::MaskPath { .. }
            | InitStep::LockPath { .. }
            | InitStep::WriteProc { .. }
            | InitStep::Close(_)
    )
}

/// What kan was started with is nobody's business who enters the container before it is started, or is
/// a hook in it: CAP_SYS_PTRACE sees what is hidden.
fn hide_memory() -> Step {
    // SAFETY: init has one thread, and reads no variable.
    unsafe { kan_sys::memory::forget_environment() };
    Ok(process::set_dumpable(false)?)
}

/// The rest of the memory is about this container.
fn show_memory() -> Step {
    Ok(process::set_dumpable(true)?)
}

/// SIGHUP, SIGINT, SIGQUIT, SIGTERM and, for systemd, SIGRTMIN+3.
const ENDING: [u32; 5] = [1, 2, 3, 15, 37];

/// Until the program is executed the signals that usually stop a container end it: its first process
/// would not get them otherwise. Those that came meanwhile wait for the new mask.
fn reset_signals(ignored: u64) -> Step {
    let is_first = process::own_pid() == 1;
    for signal in 1..=64 {
        if is_first && ENDING.contains(&signal) {
            signal::end_at(signal)?;
        } else if ignored >> (signal - 1) & 1 == 1 {
            signal::set_default(signal)?;
        }
    }
    Ok(signal::set_mask(0)?)
}

/// Steps that need more of init than its slots.
impl Init<'_> {
    /// Root may enter what the user may not, and on network file systems the other way round.
    pub(crate) fn enter_directory(&mut self, path: &CStr) -> Step {
        match file::chdir(path) {
            Ok(()) => credentials::lies_inside(),
            Err(error) if error.errno == Errno::EACCES => {
                self.directory_refused = true;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// From here on a call may be forbidden, or wait for the agent: nothing is called but what the
    /// plan says.
    pub(crate) fn load_filter(
        &mut self,
        program: &[FilterInstruction],
        flags: u32,
        handed: Option<Listener>,
    ) -> Step {
        self.slots.sweep_no_more();
        let listener = credentials::load(program, flags)?;
        let (Some(handed), Some(listener)) = (handed, listener) else {
            return Ok(());
        };
        match handed {
            Listener::Offered => self.board.offer(listener.as_raw_fd()),
            Listener::Sent => {
                let channel = self.slots.get(Slot::Channel)?;
                kan_sys::socket::send_descriptor(channel, c"listener", &listener)?;
            }
        }
        self.slots.fill(Slot::Listener, listener);
        Ok(())
    }

    /// Where root could enter, nothing is called: a filter may be loaded that forbids it.
    pub(crate) fn confirm_directory(&mut self, path: &CStr) -> Step {
        if !self.directory_refused {
            return Ok(());
        }
        file::chdir(path)?;
        credentials::lies_inside()
    }

    pub(crate) fn run_hook(&mut self, hook: &InitHook) -> Step {
        let (args, env) = self
            .hooks
            .0
            .get(self.hooks_run)
            .ok_or(Stop::from(Flaw::OutOfStep))?;
        let hook = hooks::HookRun {
            kind: hook.kind,
            index: hook.index,
            path: &hook.path,
            args,
            env,
            state_before: &hook.state_before,
            state_after: &hook.state_after,
            timeout: hook.timeout,
            stdout: hook.stdout,
            stderr: hook.stderr,
            in_root: hook.in_root,
        };
        self.hooks_run += 1;
        // While kan is still at work on the container, nobody would find it if kan ended now.
        let kan = if hook.kind == "startContainer" {
            None
        } else {
            self.slots.get(Slot::Channel).ok()
        };
        hooks::run(&hook, |slot| self.slots.get(slot), kan)
    }

    /// Reads one byte, the point that the host has reached. An end of file means that the host died
    /// before it had saved the state: init must die as well, for nobody would ever find it.
    pub(crate) fn wait(&self, sync: Sync) -> Step {
        sync::wait(self.slots.get(Slot::Channel)?, sync)
    }

    /// The namespace comes with the message; if it does not, the host could not make one for init.
    pub(crate) fn enter_network(&self) -> Step {
        match socket::receive(self.slots.get(Slot::Channel)?)? {
            (0, _) => Err(Flaw::OutOfStep.into()),
            (_, Some(made)) => {
                namespace::setns(&made, namespace::CLONE_NEWNET)?;
                self.slots.spend(made);
                Ok(())
            }
            (_, None) => {
                namespace::unshare(namespace::CLONE_NEWNET)?;
                Ok(kan_sys::socket::raise_loopback()?)
            }
        }
    }

    pub(crate) fn tell(&self, sync: Sync) -> Step {
        sync::tell(self.slots.get(Slot::Channel)?, sync)
    }

    /// The FIFO is open for reading and writing here, so that opening it never blocked and its
    /// end of file never comes: only a byte ends the wait.
    pub(crate) fn await_start(&self) -> Step {
        sync::await_start(self.slots.get(Slot::Fifo)?)
    }

    pub(crate) fn tell_hooks_run(&self) -> Step {
        io::write(self.slots.get(Slot::Fifo)?, &[HOOKS_RUN])?;
        Ok(())
    }
}
