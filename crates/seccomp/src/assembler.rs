//! Classic BPF, assembled from its end.
//!
//! Jumps of classic BPF go forward only and reach 255 instructions. A program that is written from
//! its last instruction to its first always knows where a jump goes: what it jumps to is there. Where
//! that is too far, a copy of the answer or a long jump is put in between.

use crate::instruction::Instruction;

// linux/bpf_common.h: the instructions that seccomp lets through and that its cache of calls which
// are always allowed can follow (kernel/seccomp.c, seccomp_is_const_allow, Linux 5.11).
pub(crate) const LD_W_ABS: u16 = 0x20;
pub(crate) const ALU_AND_K: u16 = 0x54;
pub(crate) const JMP_JA: u16 = 0x05;
pub(crate) const JMP_JEQ_K: u16 = 0x15;
pub(crate) const JMP_JGT_K: u16 = 0x25;
pub(crate) const JMP_JGE_K: u16 = 0x35;
pub(crate) const JMP_JSET_K: u16 = 0x45;
pub(crate) const RET_K: u16 = 0x06;

/// The farthest that a conditional jump reaches.
const REACH: usize = u8::MAX as usize;

/// A place in the program: how many instructions come after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Label(usize);

#[derive(Debug, Default)]
pub(crate) struct Assembler {
    /// Last instruction first.
    code: Vec<Instruction>,
    /// The newest copy of each answer.
    answers: Vec<(u32, Label)>,
    /// The newest long jump to each place that needed one.
    bridges: Vec<(Label, Label)>,
}

impl Assembler {
    /// A place that gives this answer, within reach of the next few instructions.
    pub fn answer(&mut self, answer: u32) -> Label {
        let known = self.answers.iter().position(|known| known.0 == answer);
        if let Some(index) = known {
            let label = self.answers[index].1;
            // Some room for the loads and bridges of the jump.
            if self.distance(label) + 8 <= REACH {
                return label;
            }
            let label = self.push(Instruction::new(RET_K, answer));
            self.answers[index].1 = label;
            return label;
        }
        let label = self.push(Instruction::new(RET_K, answer));
        self.answers.push((answer, label));
        label
    }

    /// `if (accumulator TEST value) goto yes; else goto no`, or nothing if both are one.
    pub fn branch(&mut self, test: u16, value: u32, yes: Label, no: Label) -> Label {
        let (mut near_yes, mut near_no) = (self.near(yes), self.near(no));
        while self.distance(near_yes) > REACH || self.distance(near_no) > REACH {
            // The bridge for one put the other out of reach.
            near_yes = self.near(yes);
            near_no = self.near(no);
        }
        let instruction = Instruction {
            code: test,
            jt: self.short(near_yes),
            jf: self.short(near_no),
            k: value,
        };
        self.push(instruction)
    }

    /// Loads a word of `seccomp_data` and goes on with what was assembled last.
    pub fn load(&mut self, offset: u32) -> Label {
        self.push(Instruction::new(LD_W_ABS, offset))
    }

    /// Masks the accumulator and goes on with what was assembled last.
    pub fn and(&mut self, mask: u32) -> Label {
        self.push(Instruction::new(ALU_AND_K, mask))
    }

    /// Makes the next instruction one that comes directly before this place.
    pub fn go_on_at(&mut self, label: Label) {
        let distance = self.distance(label);
        if distance > 0 {
            self.push(Instruction::new(JMP_JA, k(distance)));
        }
    }

    /// The program, first instruction first.
    pub fn finish(mut self) -> Vec<Instruction> {
        self.code.reverse();
        self.code
    }

    fn push(&mut self, instruction: Instruction) -> Label {
        self.code.push(instruction);
        Label(self.code.len() - 1)
    }

    /// How many instructions a jump from the next instruction to this place would skip.
    fn distance(&self, label: Label) -> usize {
        self.code.len() - 1 - label.0
    }

    /// The place itself or one within reach that does the same.
    fn near(&mut self, label: Label) -> Label {
        if self.distance(label) <= REACH {
            return label;
        }
        let target = self.code[label.0];
        if target.code == RET_K {
            return self.answer(target.k);
        }
        let known = self.bridges.iter().position(|known| known.0 == label);
        if let Some(index) = known
            && self.distance(self.bridges[index].1) <= REACH
        {
            return self.bridges[index].1;
        }
        let bridge = self.push(Instruction::new(JMP_JA, k(self.distance(label))));
        match known {
            Some(index) => self.bridges[index].1 = bridge,
            None => self.bridges.push((label, bridge)),
        }
        bridge
    }

    fn short(&self, label: Label) -> u8 {
        u8::try_from(self.distance(label)).unwrap_or(u8::MAX)
    }
}

/// Distances beyond 32 bits do not occur: such a program would not fit into memory.
fn k(distance: usize) -> u32 {
    u32::try_from(distance).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use kan_spec::config::SeccompArch;

    use super::*;
    use crate::interpreter::{SeccompData, run};

    /// Assembles something that is not a plain answer, so that it can't be copied, and space after it.
    fn place(assembler: &mut Assembler, answer: u32, space: usize) -> Label {
        assembler.push(Instruction::new(RET_K, answer));
        let label = assembler.load(4);
        for _ in 0..space {
            assembler.push(Instruction::new(RET_K, 99));
        }
        label
    }

    /// What the program from this place on answers with `accumulator` as the number of the call.
    fn from(assembler: &Assembler, label: Label, accumulator: u32) -> u32 {
        let mut program = vec![Instruction::new(LD_W_ABS, 0)];
        program.extend(assembler.code[..=label.0].iter().rev());
        let data = SeccompData::new(SeccompArch::X86_64, accumulator, [0; 6]);
        run(&program, &data).unwrap().answer
    }

    #[test]
    fn branches_reach_any_two_places() {
        for between in (0..4).chain(250..260) {
            for before in (0..4).chain(245..260).chain([400, 600]) {
                for swap in [false, true] {
                    let mut assembler = Assembler::default();
                    let far = place(&mut assembler, 1, between);
                    let near = place(&mut assembler, 2, before);
                    let (yes, no) = if swap { (near, far) } else { (far, near) };
                    let branch = assembler.branch(JMP_JEQ_K, 7, yes, no);
                    let found = [from(&assembler, branch, 7), from(&assembler, branch, 8)];
                    let expected = if swap { [2, 1] } else { [1, 2] };
                    assert_eq!(found, expected, "{between} {before}");
                }
            }
        }
    }

    #[test]
    fn a_bridge_is_used_again_only_within_reach() {
        let mut assembler = Assembler::default();
        let far = place(&mut assembler, 1, 300);
        let mut bridges = Vec::new();
        for _ in 0..12 {
            let near = place(&mut assembler, 2, 60);
            let branch = assembler.branch(JMP_JEQ_K, 7, far, near);
            assert_eq!(
                [from(&assembler, branch, 7), from(&assembler, branch, 8)],
                [1, 2]
            );
            bridges.push(assembler.bridges[0].1);
        }
        bridges.dedup();
        assert_eq!(bridges.len(), 3, "{bridges:?}");
    }

    #[test]
    fn an_answer_is_copied_when_it_is_far() {
        let mut assembler = Assembler::default();
        let first = assembler.answer(5);
        assert_eq!(assembler.answer(5), first);
        let other = place(&mut assembler, 1, 300);
        let branch = assembler.branch(JMP_JEQ_K, 7, first, other);
        assert_eq!(
            [from(&assembler, branch, 7), from(&assembler, branch, 8)],
            [5, 1]
        );
        let copies = assembler.code.iter().filter(|one| one.k == 5).count();
        assert_eq!(copies, 2);
    }
}
