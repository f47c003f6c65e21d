//! The program for a set of decisions.
//!
//! It begins with the architecture, the native one first, then finds the range of the call number in
//! a balanced tree: Podman's default profile has 163 ranges for x86_64 with x32, and a decision takes
//! 12 instructions at most wherever a call is, without arguments. An order by how often calls are made
//! would gain little: from Linux 5.11 on the kernel keeps a bitmap of the calls that a filter allows
//! whatever their arguments, and does not run it for them.

use crate::action::KILL_THREAD;
use crate::assembler::{Assembler, JMP_JEQ_K, JMP_JGE_K, JMP_JGT_K, JMP_JSET_K, Label};
use crate::condition::{Condition, Test};
use crate::decision::{Block, Decisions, Outcome};
use crate::instruction::Instruction;

/// Offsets in `struct seccomp_data` (linux/seccomp.h).
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// Assembles the program. `default` is the answer where no case of a block holds.
pub(crate) fn assemble(decisions: &Decisions, default: u32) -> Vec<Instruction> {
    let mut writer = Writer {
        assembler: Assembler::default(),
        blocks: vec![None; decisions.blocks.len()],
        decisions,
        default,
    };
    let mut sections = Vec::new();
    for numbers in decisions.numbers.iter().rev() {
        let root = writer.tree(&numbers.ranges);
        writer.assembler.go_on_at(root);
        sections.push((numbers.audit, writer.assembler.load(NUMBER)));
    }
    let mut next = writer.assembler.answer(KILL_THREAD);
    for (audit, section) in sections {
        next = writer.assembler.branch(JMP_JEQ_K, audit, section, next);
    }
    writer.assembler.go_on_at(next);
    writer.assembler.load(ARCHITECTURE);
    writer.assembler.finish()
}

struct Writer<'d> {
    assembler: Assembler,
    /// Where each block is, once it is assembled.
    blocks: Vec<Option<Label>>,
    decisions: &'d Decisions,
    default: u32,
}

impl Writer<'_> {
    /// Finds the outcome for the number in the accumulator.
    fn tree(&mut self, ranges: &[(u32, Outcome)]) -> Label {
        match *ranges {
            [(_, outcome)] => self.outcome(outcome),
            // One number that is different from those around it.
            [(_, around), (number, outcome), (end, after)]
                if around == after && end - number == 1 =>
            {
                let no = self.outcome(around);
                let yes = self.outcome(outcome);
                self.assembler.branch(JMP_JEQ_K, number, yes, no)
            }
            _ => {
                let middle = ranges.len() / 2;
                let above = self.tree(&ranges[middle..]);
                let below = self.tree(&ranges[..middle]);
                self.assembler
                    .branch(JMP_JGE_K, ranges[middle].0, above, below)
            }
        }
    }

    fn outcome(&mut self, outcome: Outcome) -> Label {
        match outcome {
            Outcome::Answer(answer) => self.assembler.answer(answer),
            Outcome::Block(index) => {
                let known = self.blocks[index];
                known.unwrap_or_else(|| {
                    let label = self.block(&self.decisions.blocks[index]);
                    self.blocks[index] = Some(label);
                    label
                })
            }
        }
    }

    /// Tries the cases from the first to the last.
    fn block(&mut self, block: &Block) -> Label {
        let mut next = self.assembler.answer(self.default);
        for (conditions, answer) in block.cases.iter().rev() {
            let mut yes = self.assembler.answer(*answer);
            for condition in conditions.iter().rev() {
                yes = self.condition(condition, block, yes, next);
            }
            next = yes;
        }
        next
    }

    /// One condition. Arguments are two words, of which 32-bit architectures have the lower; in order
    /// it counts only if the upper is equal.
    fn condition(&mut self, condition: &Condition, block: &Block, yes: Label, no: Label) -> Label {
        let offset = ARGUMENTS + 8 * u32::from(condition.arg);
        let (low_at, high_at) = if block.big_endian {
            (offset + 4, offset)
        } else {
            (offset, offset + 4)
        };
        let (high, low) = halves(condition.value);
        let (high_mask, low_mask) = halves(condition.mask);
        let (test, yes, no) = match condition.test {
            Test::Eq | Test::MaskedEq => (JMP_JEQ_K, yes, no),
            Test::Ne => (JMP_JEQ_K, no, yes),
            Test::Gt => (JMP_JGT_K, yes, no),
            Test::Le => (JMP_JGT_K, no, yes),
            Test::Ge => (JMP_JGE_K, yes, no),
            Test::Lt => (JMP_JGE_K, no, yes),
        };
        let mut label = yes;
        if low_mask != 0 {
            label = self.word(low_at, low_mask, test, low, yes, no);
        }
        if high_mask == 0 {
            return label;
        }
        if test == JMP_JEQ_K {
            return self.word(high_at, high_mask, test, high, label, no);
        }
        let equal = self.assembler.branch(JMP_JEQ_K, high, label, no);
        let above = self.assembler.branch(JMP_JGT_K, high, yes, equal);
        self.assembler.go_on_at(above);
        self.assembler.load(high_at)
    }

    /// Compares the bits of one word within the mask.
    fn word(&mut self, at: u32, mask: u32, test: u16, value: u32, yes: Label, no: Label) -> Label {
        let label = if mask != u32::MAX && value == 0 {
            // No bit of the mask is set.
            self.assembler.branch(JMP_JSET_K, mask, no, yes)
        } else {
            let label = self.assembler.branch(test, value, yes, no);
            if mask != u32::MAX {
                self.assembler.go_on_at(label);
                self.assembler.and(mask)
            } else {
                label
            }
        };
        self.assembler.go_on_at(label);
        self.assembler.load(at)
    }
}

/// The upper and the lower 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
pub(crate) const fn halves(value: u64) -> (u32, u32) {
    ((value >> 32) as u32, value as u32)
}
