//! What the filter answers to each call number of an architecture, as ranges of numbers.

use std::collections::{HashMap, HashSet};

use kan_spec::{Problem, Problems};

use crate::abi::{Abi, X32_BIT};
use crate::action::{KILL_THREAD, enosys};
use crate::column::Column;
use crate::condition::{Condition, precedence};
use crate::rules::{Alternative, Calls, Rules};

/// Conditions and the answer if all hold, in the order in which they are tried.
pub(crate) type Cases = Vec<(Vec<Condition>, u32)>;

/// The answer to a call number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answer(u32),
    /// It depends on the arguments: an index into [`Decisions::blocks`].
    Block(usize),
}

/// Cases for arguments of one byte order. What no case covers gets the default answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Block {
    pub cases: Cases,
    pub big_endian: bool,
}

/// The numbers of one `seccomp_data.arch`: each range from its number up to the next one's. The
/// first begins at 0 and no two neighbours have the same outcome.
#[derive(Debug)]
pub(crate) struct Numbers {
    pub audit: u32,
    pub ranges: Vec<(u32, Outcome)>,
}

/// Everything that the program has to decide.
#[derive(Debug, Default)]
pub(crate) struct Decisions {
    pub numbers: Vec<Numbers>,
    pub blocks: Vec<Block>,
    known_blocks: HashMap<Block, usize>,
    /// Of which rules it was said that others hide them.
    warned: HashSet<(usize, usize)>,
}

impl Decisions {
    /// Decides for all architectures of the rules, in their order. With `stub`, calls newer than the
    /// newest one of the profile get ENOSYS.
    pub fn new(
        rules: &mut Rules,
        stub: bool,
        problems: &mut Problems,
        warnings: &mut Vec<String>,
    ) -> Self {
        let mut decisions = Self::default();
        let mut calls = std::mem::take(&mut rules.calls);
        let mut resolved: Vec<Resolved> = Vec::with_capacity(calls.len());
        for calls in &mut calls {
            resolved.push(decisions.resolve(calls, rules, stub, problems, warnings));
        }
        for (index, one) in resolved.iter().enumerate() {
            let audit = one.abi.audit;
            if resolved[..index]
                .iter()
                .any(|earlier| earlier.abi.audit == audit)
            {
                continue;
            }
            let ranges = if matches!(one.abi.column, Column::X86_64 | Column::X32) {
                let find = |column| resolved.iter().find(|one| one.abi.column == column);
                x86_64(find(Column::X86_64), find(Column::X32), rules.default)
            } else {
                let mut ranges = Ranges::default();
                one.fill(&mut ranges, 0, u32::MAX, Outcome::Answer(rules.default));
                ranges.0
            };
            decisions.numbers.push(Numbers { audit, ranges });
        }
        decisions
    }

    fn resolve(
        &mut self,
        calls: &mut Calls,
        rules: &Rules,
        stub: bool,
        problems: &mut Problems,
        warnings: &mut Vec<String>,
    ) -> Resolved {
        calls.uses.sort_unstable();
        calls.uses.dedup();
        let abi = calls.abi;
        let groups = calls.uses.chunk_by(|a, b| a.0 == b.0);
        let decided = groups.map(|group| {
            let outcome = self.outcome(group, abi, rules, problems, warnings);
            (group[0].0, outcome)
        });
        Resolved {
            abi,
            calls: decided.collect(),
            // Zero does not count in runc: a profile of read(2) alone gets no stub on x86_64.
            newest: calls.newest.filter(|&newest| stub && newest & !X32_BIT > 0),
        }
    }

    /// The outcome of the rules for one number: the first without conditions decides alone, as in
    /// libseccomp; else they are tried in libseccomp's order.
    fn outcome(
        &mut self,
        group: &[(u32, usize)],
        abi: Abi,
        rules: &Rules,
        problems: &mut Problems,
        warnings: &mut Vec<String>,
    ) -> Outcome {
        let all = group.iter().map(|&(_, index)| &rules.alternatives[index]);
        if let Some(first) = all.clone().find(|one| one.conditions(abi.wide).is_empty()) {
            for other in all.filter(|other| other.answer != first.answer) {
                self.warn(warnings, other.rule, first.rule);
            }
            return Outcome::Answer(first.answer);
        }
        let mut sorted: Vec<&Alternative> = all.collect();
        sorted.sort_by(|a, b| precedence(a.conditions(abi.wide), b.conditions(abi.wide)));
        let mut cases: Cases = Vec::with_capacity(sorted.len());
        let mut earlier = Earlier::default();
        for (index, &one) in sorted.iter().enumerate() {
            let covering = earlier.find(one.conditions(abi.wide));
            earlier.add(one.conditions(abi.wide), index);
            match covering.map(|index| sorted[index]) {
                None => cases.push((one.conditions(abi.wide).to_vec(), one.answer)),
                Some(other) if other.answer == one.answer => {}
                Some(other) if other.contradicts(one, abi.wide) => {
                    contradiction(problems, one.rule.max(other.rule), one.rule.min(other.rule));
                }
                Some(other) => self.warn(warnings, one.rule, other.rule),
            }
        }
        Outcome::Block(self.block(Block {
            cases,
            big_endian: abi.big_endian(),
        }))
    }

    fn warn(&mut self, warnings: &mut Vec<String>, hidden: usize, by: usize) {
        if self.warned.insert((hidden, by)) {
            warnings.push(format!(
                "linux.seccomp.syscalls[{hidden}]: has no effect on some calls, which \
                 syscalls[{by}] decides"
            ));
        }
    }

    /// The index of a block, which many calls may share.
    fn block(&mut self, block: Block) -> usize {
        if let Some(&index) = self.known_blocks.get(&block) {
            return index;
        }
        let index = self.blocks.len();
        self.blocks.push(block.clone());
        self.known_blocks.insert(block, index);
        index
    }
}

/// The alternatives that are tried before another one, by their conditions.
#[derive(Default)]
struct Earlier<'a>(HashMap<Vec<&'a Condition>, usize>);

impl<'a> Earlier<'a> {
    /// The first that holds wherever one with these conditions does, because it asks for less: its
    /// own are some of these. There are six at most, one for each argument, so at most 64 selections
    /// of them; a profile may have half a million rules for one call.
    fn find(&self, conditions: &'a [Condition]) -> Option<usize> {
        let selections = 0..1_u32 << conditions.len();
        let chosen = |selection: u32| {
            let all = conditions.iter().enumerate();
            let some = all.filter(|(bit, _)| selection >> bit & 1 == 1);
            some.map(|(_, condition)| condition).collect::<Vec<_>>()
        };
        let found = selections.filter_map(|selection| self.0.get(&chosen(selection)));
        found.min().copied()
    }

    fn add(&mut self, conditions: &'a [Condition], index: usize) {
        self.0.entry(conditions.iter().collect()).or_insert(index);
    }
}

impl Alternative {
    /// Whether libseccomp refuses this together with `hidden`, which it covers with another answer:
    /// if the conditions are the same, or if the hidden one came first and begins with these.
    fn contradicts(&self, hidden: &Self, wide: bool) -> bool {
        let (mine, all) = (self.conditions(wide), hidden.conditions(wide));
        all.starts_with(mine) && (all.len() == mine.len() || self.rule > hidden.rule)
    }
}

fn contradiction(problems: &mut Problems, later: usize, earlier: usize) {
    let at = format!("linux.seccomp.syscalls[{later}]");
    let why = format!("contradicts syscalls[{earlier}]: another action for the same arguments");
    problems.push(Problem::new(at, why));
}

/// One architecture's decisions.
struct Resolved {
    abi: Abi,
    /// In order of the number.
    calls: Vec<(u32, Outcome)>,
    /// The newest call of the profile, if later ones get ENOSYS.
    newest: Option<u32>,
}

impl Resolved {
    /// Appends the numbers `first` to `last`, which hold all calls of the architecture.
    fn fill(&self, ranges: &mut Ranges, first: u32, last: u32, default: Outcome) {
        ranges.from(first, default);
        let mut calls = self.calls.as_slice();
        if self.newest.is_some() && matches!(self.abi.column, Column::S390 | Column::S390x) {
            // Numbers above 255 come in a register there, by way of call 0; those that the kernel
            // does not know are still 0 when the filter sees them.
            ranges.from(0, self.enosys());
            ranges.from(1, default);
            calls = &calls[calls.partition_point(|&(number, _)| number == 0)..];
        }
        for &(number, outcome) in calls {
            ranges.from(number, outcome);
            if number < last {
                ranges.from(number + 1, default);
            }
        }
        if let Some(newest) = self.newest.filter(|&newest| newest < last) {
            ranges.from(newest + 1, self.enosys());
        }
    }

    fn enosys(&self) -> Outcome {
        Outcome::Answer(enosys(self.abi.audit))
    }
}

/// The numbers of x86_64 and x32, which are one architecture to the kernel and differ in bit 30.
/// libseccomp kills what belongs to the one that the profile leaves out, but not -1, with which a
/// tracer skips a call. runc's stub looks at bit 30 alone, whatever bit 31 is.
fn x86_64(plain: Option<&Resolved>, x32: Option<&Resolved>, default: u32) -> Vec<(u32, Outcome)> {
    let mut ranges = Ranges::default();
    let default = Outcome::Answer(default);
    let foreign = Outcome::Answer(KILL_THREAD);
    match plain {
        Some(plain) => plain.fill(&mut ranges, 0, X32_BIT - 1, default),
        None => ranges.from(0, foreign),
    }
    match x32 {
        Some(x32) => x32.fill(&mut ranges, X32_BIT, 2 * X32_BIT - 1, default),
        None => ranges.from(X32_BIT, foreign),
    }
    let beyond = if x32.is_some() { default } else { foreign };
    let stub = |of: Option<&Resolved>| {
        let newer = of.filter(|of| of.newest.is_some());
        newer.map_or(beyond, Resolved::enosys)
    };
    ranges.from(2 * X32_BIT, stub(plain));
    ranges.from(3 * X32_BIT, stub(x32));
    if x32.is_none() {
        ranges.from(u32::MAX, default);
    }
    ranges.0
}

/// Ranges under construction, in ascending order.
#[derive(Default)]
struct Ranges(Vec<(u32, Outcome)>);

impl Ranges {
    /// From this number on the outcome is this one. The number is not below the last one given; the
    /// same number again replaces the outcome.
    fn from(&mut self, number: u32, outcome: Outcome) {
        if self.0.last().is_some_and(|last| last.0 == number) {
            self.0.pop();
        }
        if self.0.last().is_none_or(|last| last.1 != outcome) {
            self.0.push((number, outcome));
        }
    }
}
