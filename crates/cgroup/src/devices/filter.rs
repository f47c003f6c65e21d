//! v2: the program that the kernel asks on every access to a device (BPF_PROG_TYPE_CGROUP_DEVICE,
//! linux/bpf.h `struct bpf_cgroup_dev_ctx`). It answers 1 for yes and 0 for no.
//!
//! The rules are tried from the last to the first. A register holds the accesses that are not
//! decided yet: a rule that allows takes its own away, and one that denies any of them ends it.
//!
//! Before it takes a program, the kernel follows every path through it, each remembering what its
//! tests have shown. Paths that go on with such knowledge make the work grow with the square of the
//! rules: 2,000 devices, each with a test for its major and one for its minor number, were refused
//! (E2BIG). So nearly every rule makes one test, and one that leaves nothing to decide is an end. Even
//! so a test costs the kernel several microseconds, as it follows both ways; single devices in a row
//! that are all allowed, or all denied, share one.

use kan_op::host::{DeviceKind, DeviceRule};
use kan_sys::bpf::Instruction;

use super::rules::{EVERY_ACCESS, Last, Pattern, access};

/// Registers. R0 holds the answer and R1 the context, by the kernel's convention.
const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
/// The kind in the upper two bits and the major number.
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
/// [`MAJOR`] in the upper half and the minor number: one device.
const DEVICE: u8 = 6;
/// What that is compared with, and other values of the moment.
const WANTED: u8 = 7;
/// Whose highest bit says whether the device is one of several.
const FOUND: u8 = 8;

/// Where the kind lies in [`MAJOR`]. A major number has 12 bits (linux/kdev_t.h). The highest bit of
/// [`DEVICE`] is never set: see [`several`].
const KIND_SHIFT: u32 = 29;

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
pub(super) const SHIFT_LEFT: u8 = 0x64;
/// On 64 bits.
pub(super) const SHIFT_LEFT_LONG: u8 = 0x67;
pub(super) const SHIFT_RIGHT_LONG: u8 = 0x77;
pub(super) const SUBTRACT: u8 = 0x17;
pub(super) const OR_REGISTER: u8 = 0x4f;
pub(super) const DIFFERENCE: u8 = 0xaf;
pub(super) const JUMP_IF_OTHER: u8 = 0x5d;
/// Two instructions long; the constant's upper half is in the second.
pub(super) const MOVE_LONG: u8 = 0x18;

/// The numbers of `BPF_DEVCG_DEV_*`.
const BLOCK: u32 = 1;
const CHARACTER: u32 = 2;

/// The program that applies the rules. Pure.
pub(super) fn program(rules: &[DeviceRule]) -> Vec<Instruction> {
    let mut program = Vec::with_capacity(18 + 6 * rules.len());
    begin(&mut program);
    // Single devices that all have this answer, whose part is not written yet.
    let (mut devices, mut answered) = (Vec::new(), true);
    let last = Last::of(rules.iter().enumerate());
    for (index, rule) in rules.iter().enumerate().rev() {
        for pattern in patterns(rule) {
            let undecided = last.left(&pattern, EVERY_ACCESS, index);
            let decides = match undecided & access(rule) {
                0 => continue,
                all if all == undecided => EVERY_ACCESS,
                some => some,
            };
            let device = device(&pattern).filter(|_| decides == EVERY_ACCESS);
            if device.is_none() || rule.allow != answered {
                several(&mut program, &mut devices, answered);
                answered = rule.allow;
            }
            if let Some(device) = device {
                devices.push(device);
                continue;
            }
            let start = program.len();
            block(&mut program, &pattern, decides, rule.allow);
            if program.len() - start == UNCONDITIONAL {
                // The kernel refuses a program with a part that cannot be reached.
                return program;
            }
        }
    }
    several(&mut program, &mut devices, answered);
    answer(&mut program, true);
    program
}

/// The single device that a pattern speaks of, as it is in [`DEVICE`].
fn device(pattern: &Pattern) -> Option<u64> {
    let major = u64::from(major_of(pattern.kind, pattern.major?));
    Some(major << 32 | u64::from(pattern.minor?))
}

/// A major number as it is in [`MAJOR`].
fn major_of(kind: DeviceKind, major: u32) -> u32 {
    let kind = match kind {
        DeviceKind::All => 0,
        DeviceKind::Character => CHARACTER,
        DeviceKind::Block => BLOCK,
    };
    kind << KIND_SHIFT | major
}

/// What a rule speaks of, so that a major number comes with a kind. Nothing for a major number
/// that no device can have.
fn patterns(rule: &DeviceRule) -> impl Iterator<Item = Pattern> {
    let kinds = match (rule.kind, rule.major) {
        (_, Some(major)) if major >> KIND_SHIFT != 0 => &[][..],
        (DeviceKind::All, Some(_)) => &[DeviceKind::Character, DeviceKind::Block],
        (DeviceKind::All, None) => &[DeviceKind::All],
        (DeviceKind::Character, _) => &[DeviceKind::Character],
        (DeviceKind::Block, _) => &[DeviceKind::Block],
    };
    let pattern = Pattern::of(rule);
    kinds.iter().map(move |&kind| Pattern { kind, ..pattern })
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
    let copy = |to, from| Instruction::new(MOVE_REGISTER, to, from, 0, 0);
    let or = |to, from| Instruction::new(OR_REGISTER, to, from, 0, 0);
    program.extend([
        load(KIND, 0),
        copy(ACCESS, KIND),
        op(AND, KIND, 0, 0xffff),
        op(SHIFT_RIGHT, ACCESS, 0, 16),
        load(MAJOR, 4),
        copy(WANTED, KIND),
        op(SHIFT_LEFT, WANTED, 0, KIND_SHIFT),
        or(MAJOR, WANTED),
        load(MINOR, 8),
        copy(DEVICE, MAJOR),
        op(SHIFT_LEFT_LONG, DEVICE, 0, 32),
        or(DEVICE, MINOR),
        op(JUMP_IF_NOT, ACCESS, 2, 0),
    ]);
    answer(program, true);
}

/// Appends the answer for each of these devices, and forgets them. The difference from the one that is
/// asked for is 0 for that alone, and so only there is the highest bit set in one less.
fn several(program: &mut Vec<Instruction>, devices: &mut Vec<u64>, allow: bool) {
    if devices.is_empty() {
        return;
    }
    let start = program.len();
    let with = |code, to, from| Instruction::new(code, to, from, 0, 0);
    program.push(op(MOVE, FOUND, 0, 0));
    for device in devices.drain(..) {
        program.extend(move_long(WANTED, device));
        program.extend([
            with(DIFFERENCE, WANTED, DEVICE),
            op(SUBTRACT, WANTED, 0, 1),
            with(OR_REGISTER, FOUND, WANTED),
        ]);
    }
    program.extend([
        op(SHIFT_RIGHT_LONG, FOUND, 0, 63),
        op(JUMP_IF_NOT, FOUND, NEXT, 1),
    ]);
    answer(program, allow);
    resolve(&mut program[start..]);
}

fn move_long(to: u8, value: u64) -> [Instruction; 2] {
    let half = |shift: u32| u32::try_from(value >> shift & 0xffff_ffff).unwrap_or(0);
    [op(MOVE_LONG, to, 0, half(0)), op(0, 0, 0, half(32))]
}

/// The length of a [`block`] without a test.
const UNCONDITIONAL: usize = 2;

/// Appends what one rule does. Jumps that leave it go to what comes after it.
fn block(program: &mut Vec<Instruction>, pattern: &Pattern, bits: u8, allow: bool) {
    let start = program.len();
    let kind = match pattern.kind {
        DeviceKind::All => None,
        DeviceKind::Character => Some(CHARACTER),
        DeviceKind::Block => Some(BLOCK),
    };
    let test = |register, wanted| op(JUMP_IF_NOT, register, NEXT, wanted);
    match (pattern.major, pattern.minor) {
        (Some(_), Some(_)) => {
            program.extend(move_long(WANTED, device(pattern).unwrap_or(0)));
            program.push(Instruction::new(JUMP_IF_OTHER, DEVICE, WANTED, NEXT, 0));
        }
        (Some(number), None) => program.push(test(MAJOR, major_of(pattern.kind, number))),
        (None, minor) => {
            program.extend(kind.map(|kind| test(KIND, kind)));
            program.extend(minor.map(|minor| test(MINOR, minor)));
        }
    }
    match (bits, allow) {
        (EVERY_ACCESS, _) => {}
        (_, true) => program.extend([
            op(AND, ACCESS, 0, u32::from(EVERY_ACCESS & !bits)),
            op(JUMP_IF_NOT, ACCESS, NEXT, 0),
        ]),
        (_, false) => program.extend([
            op(JUMP_IF_ANY, ACCESS, 1, u32::from(bits)),
            op(JUMP, 0, NEXT, 0),
        ]),
    }
    answer(program, allow);
    resolve(&mut program[start..]);
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
