//! Which slots each step of the init half uses.

use crate::init::{InitStep, Listener, MountTarget, TreeSource};
use crate::{Slot, SlotUse};

impl InitStep {
    /// The slots that are full to the end on purpose: that exec closes them tells the other half.
    pub const CLOSED_BY_EXEC: [Slot; 2] = [Slot::Channel, Slot::Fifo];

    /// The slots this step uses, in order.
    #[must_use]
    #[expect(
        clippy::too_many_lines,
        reason = "one exhaustive match without `..`: a new step or field, which may hold a slot, \
                  must not compile until it is considered here"
    )]
    pub fn slots(&self) -> [Option<SlotUse>; 2] {
        use SlotUse::{Empties, Fills, Reads};
        match self {
            Self::Wait(_) | Self::Tell(_) | Self::EnterNetwork => {
                [Some(Reads(Slot::Channel)), None]
            }
            Self::Join { slot, flags: _ } => [Some(Empties(*slot)), None],
            Self::NewFilesystem(new) => match (new.mode_of.is_some(), new.pids) {
                (_, Some(pids)) => [Some(Reads(pids)), Some(Fills(new.out))],
                (true, None) => [Some(Reads(Slot::Root)), Some(Fills(new.out))],
                (false, None) => [Some(Fills(new.out)), None],
            },
            Self::CloneTree {
                out,
                source,
                recursive: _,
            } => [slot_of_source(source).map(Reads), Some(Fills(*out))],
            Self::ChangeMount { target, change: _ } => [slot_of_target(target).map(Reads), None],
            Self::MapIds {
                tree,
                namespace: _,
                recursive: _,
            } => [Some(Reads(*tree)), None],
            Self::CopyUp { tree, from: _ } => [Some(Reads(Slot::Root)), Some(Reads(*tree))],
            Self::Attach {
                tree,
                at: _,
                point: _,
            } => [Some(Reads(Slot::Root)), Some(Empties(*tree))],
            Self::AttachOnHost { tree, at: _ } => [Some(Reads(*tree)), None],
            Self::OpenNull => [Some(Fills(Slot::Null)), None],
            Self::MaskPath { path: _ } => [Some(Reads(Slot::Null)), Some(Reads(Slot::Empty))],
            Self::MakeDirectory { at: _ }
            | Self::Unmount {
                directory: _,
                name: _,
            }
            | Self::MountByPath {
                fstype: _,
                source: _,
                flags: _,
                data: _,
                at: _,
            }
            | Self::MakeNode {
                at: _,
                kind: _,
                mode: _,
                uid: _,
                gid: _,
            }
            | Self::MakeLink {
                at: _,
                target: _,
                replace: _,
            }
            | Self::LockPath { path: _ } => [Some(Reads(Slot::Root)), None],
            Self::EnterRoot(_) => [Some(Empties(Slot::Root)), None],
            Self::OpenRoot => [Some(Fills(Slot::Root)), None],
            Self::OpenTerminal {
                size: _,
                uid: _,
                newlines: _,
            } => [Some(Fills(Slot::Master)), Some(Fills(Slot::Terminal))],
            Self::BindConsole => [Some(Reads(Slot::Root)), Some(Reads(Slot::Terminal))],
            Self::SendTerminal => [
                Some(Empties(Slot::Master)),
                Some(Empties(Slot::ConsoleSocket)),
            ],
            Self::UseTerminal => [Some(Empties(Slot::Terminal)), None],
            Self::RunHook(hook) => [hook.stdout.slot().map(Reads), hook.stderr.slot().map(Reads)],
            Self::LoadFilter {
                program: _,
                flags: _,
                listener,
            } => match listener {
                Some(Listener::Offered) => [Some(Fills(Slot::Listener)), None],
                Some(Listener::Sent) => [Some(Fills(Slot::Listener)), Some(Reads(Slot::Channel))],
                None => [None, None],
            },
            Self::Close(slot) => [Some(Empties(*slot)), None],
            Self::AwaitStart | Self::TellHooksRun => [Some(Reads(Slot::Fifo)), None],
            Self::EnterPidNamespace => [Some(Reads(Slot::Channel)), None],
            Self::CloseInherited { preserved: _ }
            | Self::ResetSignals { ignored: _ }
            | Self::NewSession
            | Self::NewKeyring { name: _ }
            | Self::HideMemory
            | Self::ShowMemory
            | Self::RaiseLoopback
            | Self::Unshare { flags: _ }
            | Self::SetHostname(_)
            | Self::SetDomainname(_)
            | Self::WriteProc { file: _, value: _ }
            | Self::SetLimit {
                resource: _,
                soft: _,
                hard: _,
            }
            | Self::SetScheduler(_)
            | Self::SetIoPriority(_)
            | Self::SetAffinity(_)
            | Self::SetPersonality(_)
            | Self::SetMemoryPolicy { mode: _, nodes: _ }
            | Self::EnterTimeNamespace
            | Self::ControlTerminal
            | Self::SetUmask(_)
            | Self::LeaveMemory
            | Self::EnterDirectory(_)
            | Self::ConfirmDirectory(_)
            | Self::DropBounding { drop: _ }
            | Self::SetIds(_)
            | Self::SetCapabilities {
                effective: _,
                permitted: _,
                inheritable: _,
            }
            | Self::RaiseAmbient { capabilities: _ }
            | Self::NoNewPrivileges
            | Self::FindHome { uid: _ }
            | Self::FindProgram
            | Self::Execute(_) => [None, None],
        }
    }
}

fn slot_of_source(source: &TreeSource) -> Option<Slot> {
    match source {
        TreeSource::Host(_) | TreeSource::HostLink(_) | TreeSource::Staged(_) => None,
        TreeSource::Container(_) => Some(Slot::Root),
        TreeSource::Slot(from) => Some(*from),
    }
}

fn slot_of_target(target: &MountTarget) -> Option<Slot> {
    match target {
        MountTarget::Slot(slot) => Some(*slot),
        MountTarget::Container(_) => Some(Slot::Root),
        MountTarget::HostRoot | MountTarget::Holding(_) | MountTarget::EnteredRoot => None,
    }
}
