//! From the rules of a profile to lists of (call number, conditions, answer) for each architecture.

use kan_spec::config::{SeccompArg, SeccompProfile, SyscallRule};
use kan_spec::{Problem, Problems};

use crate::abi::Abi;
use crate::action::{Actions, answer};
use crate::condition::Condition;
use crate::multiplexed;
use crate::table::Syscall;

/// Arguments of a system call.
const ARGUMENTS: u32 = 6;

/// Conditions of which all must hold, and the answer then.
#[derive(Debug, Clone)]
pub(crate) struct Alternative {
    /// Its rule's index in `syscalls`.
    pub rule: usize,
    pub answer: u32,
    /// In order of the argument; none: it always holds.
    wide: Vec<Condition>,
    narrow: Vec<Condition>,
}

impl Alternative {
    /// The conditions in this width.
    pub fn conditions(&self, wide: bool) -> &[Condition] {
        if wide { &self.wide } else { &self.narrow }
    }

    /// The same for a call through a multiplexer: the first argument is now the call's number. The
    /// other conditions stay, although the arguments they mean are elsewhere, as in libseccomp.
    fn multiplexed(&self, call: u64) -> Self {
        let with = |conditions: &[Condition], wide| {
            let rest = conditions
                .iter()
                .filter(|condition| condition.arg != 0)
                .copied();
            std::iter::once(Condition::first_is(call, wide))
                .chain(rest)
                .collect()
        };
        Self {
            rule: self.rule,
            answer: self.answer,
            wide: with(&self.wide, true),
            narrow: with(&self.narrow, false),
        }
    }
}

/// What the profile says about one architecture.
#[derive(Debug)]
pub(crate) struct Calls {
    pub abi: Abi,
    /// Call number and index of an alternative, in the profile's order.
    pub uses: Vec<(u32, usize)>,
    /// The highest number that the profile names at all.
    pub newest: Option<u32>,
}

/// The profile, resolved for the architectures of one program.
#[derive(Debug)]
pub(crate) struct Rules {
    pub alternatives: Vec<Alternative>,
    pub calls: Vec<Calls>,
    /// The answer where no rule holds.
    pub default: u32,
}

impl Rules {
    /// Reads every rule. Those whose action is the default are dropped, as runc drops them; but the
    /// calls that they name are known to the profile.
    pub fn read(
        profile: &SeccompProfile,
        abis: &[Abi],
        actions: Actions,
        problems: &mut Problems,
        warnings: &mut Vec<String>,
    ) -> Self {
        let calls = |&abi| Calls {
            abi,
            uses: Vec::new(),
            newest: None,
        };
        let mut rules = Self {
            alternatives: Vec::new(),
            calls: abis.iter().map(calls).collect(),
            default: answer(profile.default_action, profile.default_errno_ret),
        };
        if !actions.contains(profile.default_action) {
            let why = format!("the kernel does not have {}", profile.default_action);
            problems.push(Problem::new("linux.seccomp.defaultAction", why));
        }
        for (index, rule) in profile.syscalls.iter().enumerate() {
            if !actions.contains(rule.action) {
                let at = format!("linux.seccomp.syscalls[{index}].action");
                let why = format!("the kernel does not have {}", rule.action);
                problems.push(Problem::new(at, why));
            }
            rules.add(index, rule, problems, warnings);
        }
        rules
    }

    fn add(
        &mut self,
        index: usize,
        rule: &SyscallRule,
        problems: &mut Problems,
        warnings: &mut Vec<String>,
    ) {
        let answer = answer(rule.action, rule.errno_ret);
        let first = self.alternatives.len();
        if answer != self.default {
            let Some(read) = alternatives(index, rule, answer, problems) else {
                return;
            };
            self.alternatives.extend(read);
        }
        let alternatives = first..self.alternatives.len();
        for (position, name) in rule.names.iter().enumerate() {
            let at = || format!("linux.seccomp.syscalls[{index}].names[{position}]");
            match Syscall::named(name) {
                Some(syscall) => self.add_call(syscall, alternatives.clone()),
                None if name.is_empty() => problems.push(Problem::new(at(), "must not be empty")),
                None => warnings.push(format!("{}: no system call is called {name}", at())),
            }
        }
    }

    /// One name of a rule, on every architecture that has it.
    fn add_call(&mut self, syscall: Syscall, alternatives: std::ops::Range<usize>) {
        let through = multiplexed::through(syscall.name());
        let mut copies = None;
        for calls in &mut self.calls {
            if let Some(number) = calls.abi.number(syscall) {
                calls.newest = calls.newest.max(Some(number));
                calls
                    .uses
                    .extend(alternatives.clone().map(|index| (number, index)));
            }
            let Some((multiplexer, call)) = through.filter(|_| calls.abi.multiplexes()) else {
                continue;
            };
            let Some(number) = Syscall::named(multiplexer).and_then(|all| calls.abi.number(all))
            else {
                continue;
            };
            let copies = copies.get_or_insert_with(|| {
                let first = self.alternatives.len();
                for index in alternatives.clone() {
                    self.alternatives
                        .push(self.alternatives[index].multiplexed(call));
                }
                first..self.alternatives.len()
            });
            calls
                .uses
                .extend(copies.clone().map(|index| (number, index)));
        }
    }
}

/// The rule's arguments as alternatives: one with all of them, or one for each if two conditions
/// are on the same argument, which runc keeps from the time when it did so always. `None` after a
/// problem.
fn alternatives(
    index: usize,
    rule: &SyscallRule,
    answer: u32,
    problems: &mut Problems,
) -> Option<Vec<Alternative>> {
    let mut args = Vec::with_capacity(rule.args.len());
    for (position, arg) in rule.args.iter().enumerate() {
        match u8::try_from(arg.index) {
            Ok(number) if arg.index < ARGUMENTS => args.push((number, arg)),
            _ => {
                let at = format!("linux.seccomp.syscalls[{index}].args[{position}].index");
                problems.push(Problem::new(
                    at,
                    format!("{} is not within 0 to 5", arg.index),
                ));
                return None;
            }
        }
    }
    args.sort_by_key(|(number, _)| *number);
    let with = |args: &[(u8, &SeccompArg)]| Alternative {
        rule: index,
        answer,
        wide: args
            .iter()
            .filter_map(|(n, arg)| Condition::new(*n, arg, true))
            .collect(),
        narrow: args
            .iter()
            .filter_map(|(n, arg)| Condition::new(*n, arg, false))
            .collect(),
    };
    Some(if args.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        args.chunks(1).map(with).collect()
    } else {
        vec![with(&args)]
    })
}
