//! Compiles the seccomp profile of an OCI bundle (config-linux.md, Seccomp) to classic BPF. Pure:
//! nothing here asks or changes the kernel, and no C library is behind it.
//!
//! Filters decide as runc's with libseccomp do; the few differences:
//!
//! - Architectures that can't run on the target's kernel are left out, where libseccomp keeps them
//!   ([`Scope`]). What they would match never arrives.
//! - The stub that answers ENOSYS to calls newer than the profile counts a socket call's own number
//!   as known to the profile also where socketcall(2) exists, and covers the native architecture also
//!   where `architectures` does not list it.
//! - Where libseccomp's result depends on the order in which rules with different actions for one
//!   call are given, and on the upper halves of their limits, one fixed order applies.
//!
//! ```
//! use kan_spec::config::{SeccompAction, SeccompArch, SeccompProfile};
//! use kan_seccomp::{Actions, Scope, SeccompData, Target, compile, flags, run};
//!
//! let profile = SeccompProfile {
//!     default_action: SeccompAction::Errno,
//!     default_errno_ret: None,
//!     architectures: Vec::new(),
//!     flags: None,
//!     listener_path: None,
//!     listener_metadata: None,
//!     syscalls: Vec::new(),
//! };
//! let target = Target {
//!     native: SeccompArch::X86_64,
//!     scope: Scope::Native,
//!     flags: flags::ALL,
//!     actions: Actions::ALL,
//!     stub: true,
//! };
//! let filter = compile(&profile, &target).unwrap();
//! let write = SeccompData::new(SeccompArch::X86_64, 1, [0; 6]);
//! assert_eq!(run(&filter.program, &write).unwrap().answer, 0x0005_0001);
//! ```

mod abi;
mod action;
mod assembler;
mod column;
mod condition;
mod decision;
pub mod flags;
mod instruction;
mod interpreter;
mod multiplexed;
mod program;
mod rules;
mod table;

use kan_spec::config::{SeccompAction, SeccompArch, SeccompProfile};
use kan_spec::{Problem, Problems};

pub use abi::native;
pub use action::Actions;
pub use instruction::Instruction;
pub use interpreter::{Invalid, Run, SeccompData, name, number, run};
pub use table::Syscall;

use abi::Abi;
use decision::Decisions;
use rules::Rules;

/// `BPF_MAXINSNS` of linux/bpf_common.h: the longest program that the kernel takes.
pub const LONGEST: usize = 4096;

/// Where a filter is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The architecture of the program that loads the filter. It is part of every filter, listed in
    /// the profile or not; see [`native`].
    pub native: SeccompArch,
    /// Which architectures of the profile get into the filter.
    pub scope: Scope,
    /// The `SECCOMP_FILTER_FLAG_*` that the kernel knows.
    pub flags: u32,
    /// The actions that the kernel knows.
    pub actions: Actions,
    /// Whether calls newer than the newest one in the profile get ENOSYS instead of the default
    /// action, so that programs fall back to older calls. As in runc this does not concern profiles
    /// that by default allow, log or trace.
    pub stub: bool,
}

/// Which architectures of a profile get into a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those that can run on the native one's kernel: on x86_64 that, x86 and x32.
    Native,
    /// All that the profile lists.
    Everything,
}

/// A filter, ready to be loaded with seccomp(2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// At most [`LONGEST`] instructions.
    pub program: Vec<Instruction>,
    /// `SECCOMP_FILTER_FLAG_*` for `SECCOMP_SET_MODE_FILTER`.
    pub flags: u32,
    /// Whether the load returns a descriptor that must go to the agent at `listenerPath`, together
    /// with `listenerMetadata`.
    pub needs_listener: bool,
    /// What the profile says to no effect: names that no architecture has, rules that others hide,
    /// architectures left out. Each begins with its field. Worth a debug line and no more: engines'
    /// own default profiles have such rules.
    pub warnings: Vec<String>,
}

/// Compiles a profile.
///
/// # Errors
/// Everything that keeps the profile from being loaded, each with its field: actions and flags that
/// the kernel does not know, rules that contradict each other, a program that is too long.
pub fn compile(profile: &SeccompProfile, target: &Target) -> Result<Filter, Vec<Problem>> {
    let (mut problems, mut warnings) = (Problems::new(), Vec::new());
    if profile.default_action == SeccompAction::Notify {
        let why = "SCMP_ACT_NOTIFY cannot be used as default action";
        problems.push(Problem::new("linux.seccomp.defaultAction", why));
    }
    let abis = architectures(profile, target, &mut warnings);
    let mut rules = Rules::read(profile, &abis, target.actions, &mut problems, &mut warnings);
    let flags = flags::of(profile, target.flags, &mut problems, &mut warnings);
    let stub = target.stub && !lets_through(profile.default_action);
    let decisions = Decisions::new(&mut rules, stub, &mut problems, &mut warnings);
    let program = program::assemble(&decisions, rules.default);
    if program.len() > LONGEST {
        let length = program.len();
        let why = format!("takes {length} instructions, and the kernel takes {LONGEST} at most");
        problems.push(Problem::new("linux.seccomp", why));
    }
    problems.finish(Filter {
        program,
        flags,
        needs_listener: flags::listens(profile),
        warnings,
    })
}

/// The native architecture, then the others of the profile.
fn architectures(
    profile: &SeccompProfile,
    target: &Target,
    warnings: &mut Vec<String>,
) -> Vec<Abi> {
    let native = Abi::of(target.native);
    let mut abis = vec![native];
    for (index, &arch) in profile.architectures.iter().enumerate() {
        let abi = Abi::of(arch);
        if abis.contains(&abi) {
            continue;
        }
        if target.scope == Scope::Everything || abi.runs_beside(native) {
            abis.push(abi);
        } else {
            warnings.push(format!(
                "linux.seccomp.architectures[{index}]: {arch} does not run beside {}",
                target.native
            ));
        }
    }
    abis
}

/// Default actions with which a newer call works already. A tracer is expected to know what to do.
const fn lets_through(action: SeccompAction) -> bool {
    matches!(
        action,
        SeccompAction::Allow | SeccompAction::Log | SeccompAction::Trace
    )
}
