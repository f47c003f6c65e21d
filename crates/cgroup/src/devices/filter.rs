//! v2: the program that the kernel asks on every access to a device (BPF_PROG_TYPE_CGROUP_DEVICE,
//! linux/bpf.h `struct bpf_cgroup_dev_ctx`). It answers 1 for yes and 0 for no.
//!
//! The rules are tried from the last to the first. A register holds the accesses that are not
//! decided yet: a rule that allows takes its own away, and one that denies any of them ends it.
//!
//! Before it takes a program, the kernel follows every path through it, and remembers what a path
//! has learnt: one that goes on from a test for a major number, knowing the number, makes the work
//! grow with the square of the rules, and from about 700 on they were too many (E2BIG). So a rule
//! that speaks of one device makes one test, and a rule that leaves nothing to decide is an end.

use kan_op::host::{DeviceKind, DeviceRule};
use kan_sys::bpf::Instruction;

use super::rules::{EVERY_ACCESS, Pattern, access, left};

/// Registers. R0 holds the answer and R1 the context, by the kernel's convention.
const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
/// Both numbers, 32 bits each.
const DEVICE: u8 = 6;
/// What that is compared with.
const WANTED: u8 = 7;

/// Instructions, Documentation/bpf/standardization/instruction-set.rst. Those with a constant are
/// on 32 bits: in 64 bits it would be taken as signed.
pub(super) const LOAD_WORD: u8 = 0x61;
pub(super) const MOVE: u8 = 0xb4;
pub(super) const MOVE_REGISTER: u8 = 0xbc;
pub(super) const AND: u8 = 0x54;
pub(super) const SHIFT_RIGHT: u8 = 0x74;
pub(super) const JUMP: u8 = 0x05;
pub(super) const JUMP_IF_NOT: u8 = 0x56;
pub(super) const JUMP_IF_ANY: u8 = 0x46;
pub(super) const EXIT: u8 = 0x95;
/// On 64 bits.
pub(super) const SHIFT_LEFT: u8 = 0x67;
pub(super) const OR_REGISTER: u8 = 0x4f;
pub(super) const JUMP_IF_OTHER: u8 = 0x5d;
/// Two instructions long; the constant's upper half is in the second.
pub(super) const MOVE_LONG: u8 = 0x18;

/// The numbers of `BPF_DEVCG_DEV_*`.
const BLOCK: u32 = 1;
const CHARACTER: u32 = 2;

/// The program that applies the rules. Pure.
pub(super) fn program(rules: &[DeviceRule]) -> Vec<Instruction> {
    let mut program = Vec::with_capacity(16 + 8 * rules.len());
    begin(&mut program);
    for (index, rule) in rules.iter().enumerate().rev() {
        let pattern = Pattern::of(rule);
        let undecided = left(&pattern, EVERY_ACCESS, &rules[index + 1..]);
        let decides = undecided & access(rule);
        if decides == 0 {
            continue;
        }
        let decides = if decides == undecided {
            EVERY_ACCESS
        } else {
            decides
        };
        let block = block(&pattern, decides, rule.allow);
        let tested = block.len() > 2;
        program.extend(block);
        if !tested {
            // It decides everything, and the kernel refuses a program with a part that cannot be
            // reached.
            return program;
        }
    }
    answer(&mut program, true);
    program
}

fn op(code: u8, register: u8, offset: i16, constant: u32) -> Instruction {
    Instruction::new(code, register, 0, offset, constant.cast_signed())
}

fn load(to: u8, offset: i16) -> Instruction {
    Instruction::new(LOAD_WORD, to, CONTEXT, offset, 0)
}

fn answer(program: &mut Vec<Instruction>, allow: bool) {
    program.extend([op(MOVE, ANSWER, 0, u32::from(allow)), op(EXIT, 0, 0, 0)]);
}

/// `access_type` is the access shifted by 16, with the kind below. access(2) F_OK asks for no
/// access at all.
fn begin(program: &mut Vec<Instruction>) {
    program.extend([
        load(KIND, 0),
        Instruction::new(MOVE_REGISTER, ACCESS, KIND, 0, 0),
        op(AND, KIND, 0, 0xffff),
        op(SHIFT_RIGHT, ACCESS, 0, 16),
        load(MAJOR, 4),
        load(MINOR, 8),
        Instruction::new(MOVE_REGISTER, DEVICE, MAJOR, 0, 0),
        op(SHIFT_LEFT, DEVICE, 0, 32),
        Instruction::new(OR_REGISTER, DEVICE, MINOR, 0, 0),
        op(JUMP_IF_NOT, ACCESS, 2, 0),
    ]);
    answer(program, true);
}

/// What one rule does. Jumps that leave it go to what comes after it.
fn block(pattern: &Pattern, bits: u8, allow: bool) -> Vec<Instruction> {
    let mut block = Vec::with_capacity(8);
    let test = |register, wanted| op(JUMP_IF_NOT, register, NEXT, wanted);
    match pattern.kind {
        DeviceKind::All => {}
        DeviceKind::Character => block.push(test(KIND, CHARACTER)),
        DeviceKind::Block => block.push(test(KIND, BLOCK)),
    }
    match (pattern.major, pattern.minor) {
        (Some(major), Some(minor)) => block.extend([
            op(MOVE_LONG, WANTED, 0, minor),
            op(0, 0, 0, major),
            Instruction::new(JUMP_IF_OTHER, DEVICE, WANTED, NEXT, 0),
        ]),
        (Some(major), None) => block.push(test(MAJOR, major)),
        (None, Some(minor)) => block.push(test(MINOR, minor)),
        (None, None) => {}
    }
    match (bits, allow) {
        (EVERY_ACCESS, _) => {}
        (_, true) => block.extend([
            op(AND, ACCESS, 0, u32::from(EVERY_ACCESS & !bits)),
            op(JUMP_IF_NOT, ACCESS, NEXT, 0),
        ]),
        (_, false) => block.extend([
            op(JUMP_IF_ANY, ACCESS, 1, u32::from(bits)),
            op(JUMP, 0, NEXT, 0),
        ]),
    }
    answer(&mut block, allow);
    resolve(&mut block);
    block
}

/// Stands for the end of the block until its length is known.
const NEXT: i16 = i16::MAX;

fn resolve(block: &mut [Instruction]) {
    for (after, instruction) in (0_i16..).zip(block.iter_mut().rev()) {
        if instruction.offset == NEXT {
            instruction.offset = after;
        }
    }
}

#[cfg(test)]
mod tests;
