//! What the process that others see has, and how the steps are copied into its capsule: before kan
//! clones init, so that memory may be allocated here.

use crate::exec::HOME_SIZE;
use crate::hooks::HookRun;
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ffi::{CStr, c_char};
use core::ptr;
use core::sync::atomic::AtomicU64;
use kan_op::init::{FilterInstruction, InitHook, Listener};
use kan_op::{Board, InitStep, Slot, Sync};
use kan_sys::capsule::{self, Capsule, Place};

/// The steps that may follow. Each does only what a process can do that has the program's
/// credentials already.
#[derive(Clone, Copy, Debug)]
pub(super) enum VisibleStep {
    NewSession,
    ControlTerminal,
    LoadFilter {
        program: &'static [FilterInstruction],
        flags: u32,
        listener: Option<Listener>,
    },
    SetCapabilities {
        effective: u64,
        permitted: u64,
        inheritable: u64,
    },
    Tell(Sync),
    Wait(Sync),
    Close(Slot),
    AwaitStart,
    RunHook(&'static HookRun<'static>),
    TellHooksRun,
    Execute,
}

/// All that the process has, in the capsule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visible {
    pub(super) place: Place,
    pub(super) page: usize,
    pub(super) words: &'static [AtomicU64],
    /// Where the host half finds the pid of a cloned process, in which it is not mapped.
    pub(super) sibling: &'static [AtomicU64],
    /// The place of the first of `steps` in the plan.
    pub(super) first: usize,
    pub(super) steps: &'static [VisibleStep],
    /// Whether each step's time is taken: not once a filter may forbid to ask for it.
    pub(super) is_traced: bool,
    /// Whether it waits for `start`.
    pub(super) waits: bool,
    pub(super) candidates: &'static [&'static CStr],
    pub(super) args: &'static [*const c_char],
    pub(super) env: &'static [*const c_char],
    /// Room for [`ExecStrings::home`].
    pub(super) home: &'static [Cell<u8>],
    pub(super) found: Option<&'static CStr>,
    /// The numbers of the descriptors in slots, by [`Slot::index`]; -1 for none.
    pub(super) descriptors: [i32; Slot::COUNT],
}

/// Copies the steps after [`InitStep::EnterPidNamespace`] or [`InitStep::LeaveMemory`] into a
/// capsule. `None` if a step among them may not follow, or if there is neither.
///
/// # Errors
/// mmap(2).
pub(crate) fn prepare(
    steps: &[InitStep],
    words: &'static [AtomicU64],
    sibling: &'static [AtomicU64],
) -> kan_sys::Result<Option<&'static mut Visible>> {
    let is_entry =
        |step: &InitStep| matches!(step, InitStep::EnterPidNamespace | InitStep::LeaveMemory);
    let Some(entry) = steps.iter().position(is_entry) else {
        return Ok(None);
    };
    let first = entry + 1;
    let (before, steps) = steps.split_at(first);
    let is_filter = |step: &InitStep| matches!(step, InitStep::LoadFilter { .. });
    let mut capsule = Capsule::new(room(steps))?;
    let is_traced = Board::new(words).is_traced() && !before.iter().any(is_filter);
    Ok(fill(
        &mut capsule,
        (steps, first),
        is_traced,
        words,
        sibling,
    ))
}

/// What the copies take, bytes.
fn room(steps: &[InitStep]) -> usize {
    let strings = |all: &[CString]| -> usize {
        let bytes: usize = all.iter().map(|one| one.as_bytes_with_nul().len()).sum();
        bytes + Capsule::room_for::<&CStr>(all.len() + 2)
    };
    let of_step = |step: &InitStep| match step {
        InitStep::LoadFilter { program, .. } => {
            Capsule::room_for::<FilterInstruction>(program.len())
        }
        InitStep::RunHook(hook) => {
            let states = hook.state_before.len() + hook.state_after.len();
            let path = hook.path.as_bytes_with_nul().len();
            let run = Capsule::room_for::<HookRun<'static>>(1);
            states + path + run + strings(&hook.args) + strings(&hook.env)
        }
        InitStep::Execute(program) => {
            let program =
                [&program.candidates, &program.args, &program.env].map(|all| strings(all));
            program.iter().sum()
        }
        _ => 0,
    };
    let all: usize = steps.iter().map(of_step).sum();
    let own = Capsule::room_for::<VisibleStep>(steps.len()) + Capsule::room_for::<Visible>(1);
    all + own + HOME_SIZE
}

fn fill(
    capsule: &mut Capsule,
    (steps, first): (&[InitStep], usize),
    is_traced: bool,
    words: &'static [AtomicU64],
    sibling: &'static [AtomicU64],
) -> Option<&'static mut Visible> {
    let mut visible = Visible {
        place: capsule.place(),
        page: capsule::page_size(),
        words,
        sibling,
        first,
        steps: &[],
        is_traced,
        waits: steps.contains(&InitStep::AwaitStart),
        candidates: &[],
        args: &[],
        env: &[],
        home: &[],
        found: None,
        descriptors: [-1; Slot::COUNT],
    };
    visible.home = Cell::from_mut(capsule.put(&[0u8; HOME_SIZE])?).as_slice_of_cells();
    let home = visible.home.first()?.as_ptr().cast_const().cast();
    let mut list = Vec::with_capacity(steps.len());
    for step in steps {
        list.push(copy(capsule, step, home)?);
        if let InitStep::Execute(program) = step {
            visible.candidates = texts(capsule, &program.candidates)?;
            visible.args = pointers(capsule, &program.args, None)?;
            visible.env = pointers(capsule, &program.env, program.with_home.then_some(home))?;
        }
    }
    visible.steps = capsule.put(&list)?;
    capsule.put(&[visible])?.first_mut()
}

/// `home` is the entry of HOME.
fn copy(capsule: &mut Capsule, step: &InitStep, home: *const c_char) -> Option<VisibleStep> {
    Some(match step {
        InitStep::NewSession => VisibleStep::NewSession,
        InitStep::ControlTerminal => VisibleStep::ControlTerminal,
        InitStep::LoadFilter {
            program,
            flags,
            listener,
        } => VisibleStep::LoadFilter {
            program: capsule.put(program)?,
            flags: *flags,
            listener: *listener,
        },
        InitStep::SetCapabilities {
            effective,
            permitted,
            inheritable,
        } => VisibleStep::SetCapabilities {
            effective: *effective,
            permitted: *permitted,
            inheritable: *inheritable,
        },
        InitStep::Tell(sync) => VisibleStep::Tell(*sync),
        InitStep::Wait(sync) => VisibleStep::Wait(*sync),
        InitStep::Close(slot) => VisibleStep::Close(*slot),
        InitStep::AwaitStart => VisibleStep::AwaitStart,
        InitStep::RunHook(hook) => {
            let run = hook_run(capsule, hook, home)?;
            VisibleStep::RunHook(capsule.put(&[run])?.first()?)
        }
        InitStep::TellHooksRun => VisibleStep::TellHooksRun,
        InitStep::Execute(_) => VisibleStep::Execute,
        _ => return None,
    })
}

fn hook_run(
    capsule: &mut Capsule,
    hook: &InitHook,
    home: *const c_char,
) -> Option<HookRun<'static>> {
    Some(HookRun {
        kind: hook.kind,
        index: hook.index,
        path: capsule.put_string(&hook.path)?,
        args: pointers(capsule, &hook.args, None)?,
        env: pointers(capsule, &hook.env, hook.with_home.then_some(home))?,
        state_before: capsule.put(&hook.state_before)?,
        state_after: capsule.put(&hook.state_after)?,
        timeout: hook.timeout,
        stdout: hook.stdout,
        stderr: hook.stderr,
        in_root: hook.in_root,
    })
}

fn texts(capsule: &mut Capsule, all: &[CString]) -> Option<&'static [&'static CStr]> {
    let copied = all.iter().map(|text| capsule.put_string(text));
    let copied: Vec<_> = copied.collect::<Option<_>>()?;
    Some(capsule.put(&copied)?)
}

/// Copies of strings, as execve(2) takes them: with one more after them, if there is one, and a
/// null at the end.
fn pointers(
    capsule: &mut Capsule,
    all: &[CString],
    added: Option<*const c_char>,
) -> Option<&'static [*const c_char]> {
    let copied = all
        .iter()
        .map(|text| Some(capsule.put_string(text)?.as_ptr()));
    let copied: Option<Vec<_>> = copied.collect();
    let mut copied = copied?;
    copied.extend(added);
    copied.push(ptr::null());
    Some(capsule.put(&copied)?)
}
