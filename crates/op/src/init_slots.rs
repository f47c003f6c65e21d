//! Which slots each step of the init half uses.

use crate::init::{InitStep, Listener, MountTarget, TreeSource};
use crate::{Slot, SlotUse};

impl InitStep {
    /// The slots that are full to the end on purpose: that exec closes them tells the other half.
    pub const CLOSED_BY_EXEC: [Slot; 2] = [Slot::Channel, Slot::Fifo];

    /// The slots this step uses, in order.
    #[must_use]
    pub fn slots(&self) -> [Option<SlotUse>; 2] {
        use SlotUse::{Empties, Fills, Reads};
        match self {
            Self::Wait(_) | Self::Tell(_) | Self::EnterNetwork => {
                [Some(Reads(Slot::Channel)), None]
            }
            Self::Join { slot, .. } => [Some(Empties(*slot)), None],
            Self::NewFilesystem(_)
            | Self::CloneTree { .. }
            | Self::ChangeMount { .. }
            | Self::CopyUp { .. }
            | Self::Attach { .. } => self.slots_of_trees(),
            Self::AttachOnHost { tree, .. } => [Some(Reads(*tree)), None],
            Self::OpenNull => [Some(Fills(Slot::Null)), None],
            Self::MaskPath { .. } => [Some(Reads(Slot::Null)), Some(Reads(Slot::Empty))],
            Self::MakeDirectory { .. }
            | Self::Unmount { .. }
            | Self::MountByPath { .. }
            | Self::MakeNode { .. }
            | Self::MakeLink { .. }
            | Self::LockPath { .. } => [Some(Reads(Slot::Root)), None],
            Self::EnterRoot(_) => [Some(Empties(Slot::Root)), None],
            Self::OpenRoot => [Some(Fills(Slot::Root)), None],
            Self::OpenTerminal { .. }
            | Self::BindConsole
            | Self::SendTerminal
            | Self::UseTerminal => self.slots_of_terminal(),
            Self::RunHook(hook) => [hook.stdout.slot().map(Reads), hook.stderr.slot().map(Reads)],
            Self::LoadFilter {
                listener: Some(Listener::Offered),
                ..
            } => [Some(Fills(Slot::Listener)), None],
            Self::LoadFilter {
                listener: Some(Listener::Sent),
                ..
            } => [Some(Fills(Slot::Listener)), Some(Reads(Slot::Channel))],
            Self::Close(slot) => [Some(Empties(*slot)), None],
            Self::AwaitStart | Self::TellHooksRun => [Some(Reads(Slot::Fifo)), None],
            Self::CloseInherited { .. }
            | Self::ResetSignals { .. }
            | Self::NewSession
            | Self::NewKeyring { .. }
            | Self::HideMemory
            | Self::ShowMemory
            | Self::Unshare { .. }
            | Self::SetHostname(_)
            | Self::SetDomainname(_)
            | Self::WriteProc { .. }
            | Self::SetLimit { .. }
            | Self::SetScheduler(_)
            | Self::SetIoPriority(_)
            | Self::SetAffinity(_)
            | Self::SetPersonality(_)
            | Self::SetMemoryPolicy { .. }
            | Self::EnterTimeNamespace
            | Self::SetUmask(_)
            | Self::DropPages
            | Self::LoadFilter { .. }
            | Self::EnterDirectory(_)
            | Self::ConfirmDirectory(_)
            | Self::DropBounding { .. }
            | Self::SetIds(_)
            | Self::SetCapabilities { .. }
            | Self::RaiseAmbient { .. }
            | Self::NoNewPrivileges
            | Self::FindHome { .. }
            | Self::FindProgram
            | Self::Execute(_) => [None, None],
        }
    }

    /// The same for the steps that make and attach mount trees.
    fn slots_of_trees(&self) -> [Option<SlotUse>; 2] {
        use SlotUse::{Empties, Fills, Reads};
        match self {
            Self::NewFilesystem(new) if new.mode_of.is_some() => {
                [Some(Reads(Slot::Root)), Some(Fills(new.out))]
            }
            Self::NewFilesystem(new) => [Some(Fills(new.out)), None],
            Self::CloneTree { out, source, .. } => match source {
                TreeSource::Host(_) | TreeSource::HostLink(_) | TreeSource::Staged(_) => {
                    [Some(Fills(*out)), None]
                }
                TreeSource::Container(_) => [Some(Reads(Slot::Root)), Some(Fills(*out))],
                TreeSource::Slot(from) => [Some(Reads(*from)), Some(Fills(*out))],
            },
            Self::ChangeMount { target, .. } => match target {
                MountTarget::Slot(slot) => [Some(Reads(*slot)), None],
                MountTarget::Container(_) => [Some(Reads(Slot::Root)), None],
                MountTarget::HostRoot | MountTarget::Holding(_) | MountTarget::EnteredRoot => {
                    [None, None]
                }
            },
            Self::CopyUp { tree, .. } => [Some(Reads(Slot::Root)), Some(Reads(*tree))],
            Self::Attach { tree, .. } => [Some(Reads(Slot::Root)), Some(Empties(*tree))],
            _ => [None, None],
        }
    }

    fn slots_of_terminal(&self) -> [Option<SlotUse>; 2] {
        use SlotUse::{Empties, Fills, Reads};
        match self {
            Self::OpenTerminal { .. } => [Some(Fills(Slot::Master)), Some(Fills(Slot::Terminal))],
            Self::BindConsole => [Some(Reads(Slot::Root)), Some(Reads(Slot::Terminal))],
            Self::SendTerminal => [
                Some(Empties(Slot::Master)),
                Some(Empties(Slot::ConsoleSocket)),
            ],
            Self::UseTerminal => [Some(Empties(Slot::Terminal)), None],
            _ => [None, None],
        }
    }
}
