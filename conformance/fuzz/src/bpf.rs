//! The kernel's own check of a filter, written from its description: Documentation/networking/filter.rst,
//! seccomp(2), and which instructions `seccomp_check_filter` of Linux's kernel/seccomp.c admits.

use kan_seccomp::Instruction;

/// `BPF_MAXINSNS`
const LONGEST: usize = 4096;
/// The size of `struct seccomp_data`.
const DATA: u32 = 64;
/// `BPF_MEMWORDS`
const WORDS: u32 = 16;

/// Why the kernel would not take a program.
///
/// # Errors
/// The first instruction that it would not take, and why.
pub fn verify(program: &[Instruction]) -> Result<(), String> {
    if program.is_empty() || program.len() > LONGEST {
        return Err(format!("{} instructions", program.len()));
    }
    for (at, instruction) in program.iter().enumerate() {
        let left = program.len() - at - 1;
        one(*instruction, left).map_err(|why| format!("{at}: {why}: {instruction:?}"))?;
    }
    // BPF_RET, of a constant or of the accumulator.
    match program.last().map(|last| last.code) {
        Some(0x06 | 0x16) => Ok(()),
        _ => Err("the last instruction is no return".into()),
    }
}

/// One instruction, with so many after it.
fn one(instruction: Instruction, left: usize) -> Result<(), &'static str> {
    let Instruction { code, jt, jf, k } = instruction;
    let within = |skipped: usize| skipped < left;
    let holds = match code {
        // A word of the data; its length.
        0x20 => k < DATA && k.is_multiple_of(4),
        0x80 | 0x81 => true,
        // Constants, and returns.
        0x00 | 0x01 | 0x06 | 0x16 => true,
        // The scratch memory.
        0x60 | 0x61 | 0x02 | 0x03 => k < WORDS,
        // Arithmetic with a constant: a division by zero, or a shift past the width, is refused.
        0x34 | 0x94 => k != 0,
        0x64 | 0x74 => k < 32,
        0x04 | 0x14 | 0x24 | 0x44 | 0x54 | 0xa4 => true,
        // With the other register, and the negation.
        0x0c | 0x1c | 0x2c | 0x3c | 0x4c | 0x5c | 0x6c | 0x7c | 0x9c | 0xac | 0x84 => true,
        0x07 | 0x87 => true,
        // Jumps only lead forward, and not past the end.
        0x05 => usize::try_from(k).is_ok_and(within),
        0x15 | 0x1d | 0x25 | 0x2d | 0x35 | 0x3d | 0x45 | 0x4d => {
            within(jt.into()) && within(jf.into())
        }
        _ => return Err("no instruction of a filter"),
    };
    if holds { Ok(()) } else { Err("out of range") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(all: &[(u16, u8, u8, u32)]) -> Vec<Instruction> {
        let all = all.iter();
        all.map(|&(code, jt, jf, k)| Instruction { code, jt, jf, k })
            .collect()
    }

    #[test]
    fn what_the_kernel_refuses_is_refused() {
        let ret = (0x06, 0, 0, 0x7fff_0000);
        let good = [(0x20, 0, 0, 4), (0x15, 0, 1, 7), ret, ret];
        assert_eq!(verify(&program(&good)), Ok(()));
        for bad in [
            &[][..],
            // No return at the end.
            &[ret, (0x20, 0, 0, 0)],
            // Past the data, between two words, past the end.
            &[(0x20, 0, 0, 64), ret],
            &[(0x20, 0, 0, 2), ret],
            &[(0x15, 0, 1, 7), ret],
            &[(0x05, 0, 0, 1), ret],
            &[(0x05, 0, 0, u32::MAX), ret],
            // A byte of a packet, which a filter has none of; a division by zero.
            &[(0x30, 0, 0, 0), ret],
            &[(0x34, 0, 0, 0), ret],
        ] {
            assert!(verify(&program(bad)).is_err(), "{bad:?}");
        }
        assert!(verify(&program(&[ret; 4097])).is_err());
        assert!(verify(&program(&[ret; 4096])).is_ok());
    }
}
