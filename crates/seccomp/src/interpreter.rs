//! Runs a filter as the kernel would: what a call gets can be known without loading anything.

use kan_spec::config::SeccompArch;

use crate::abi::{Abi, X32_BIT};
use crate::assembler::{
    ALU_AND_K, JMP_JA, JMP_JEQ_K, JMP_JGE_K, JMP_JGT_K, JMP_JSET_K, LD_W_ABS, RET_K,
};
use crate::instruction::Instruction;
use crate::table::Syscall;

/// `struct seccomp_data` of linux/seccomp.h, as its 16 words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeccompData([u32; 16]);

impl SeccompData {
    /// A call on this architecture, its words in that architecture's order. The instruction pointer
    /// is zero.
    #[must_use]
    pub const fn new(arch: SeccompArch, number: u32, args: [u64; 6]) -> Self {
        let abi = Abi::of(arch);
        let mut words = [0; 16];
        words[0] = number;
        words[1] = abi.audit;
        let mut index = 0;
        while index < args.len() {
            let (high, low) = crate::program::halves(args[index]);
            let at = 4 + 2 * index;
            (words[at], words[at + 1]) = if abi.big_endian() {
                (high, low)
            } else {
                (low, high)
            };
            index += 1;
        }
        Self(words)
    }
}

/// A program that the kernel would not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid {
    /// The index of the instruction, or the program's length if it runs over its end.
    pub at: usize,
}

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// `SECCOMP_RET_*` with its data.
    pub answer: u32,
    /// Instructions that were executed.
    pub steps: usize,
    /// Whether an argument was looked at: only without this, the kernel can keep the answer.
    pub looked_at_arguments: bool,
}

/// Runs a program on a call.
///
/// # Errors
/// The instruction that seccomp(2) does not allow or that jumps out of the program.
pub fn run(program: &[Instruction], data: &SeccompData) -> Result<Run, Invalid> {
    let (mut accumulator, mut at, mut steps, mut looked_at_arguments) = (0_u32, 0, 0, false);
    loop {
        let Some(instruction) = program.get(at) else {
            return Err(Invalid { at: program.len() });
        };
        let k = instruction.k;
        steps += 1;
        let test = match instruction.code {
            RET_K => {
                return Ok(Run {
                    answer: k,
                    steps,
                    looked_at_arguments,
                });
            }
            LD_W_ABS => {
                let word = usize::try_from(k / 4).ok().filter(|_| k.is_multiple_of(4));
                let Some(&value) = word.and_then(|word| data.0.get(word)) else {
                    return Err(Invalid { at });
                };
                looked_at_arguments |= k >= 8;
                accumulator = value;
                None
            }
            ALU_AND_K => {
                accumulator &= k;
                None
            }
            JMP_JA => {
                at += usize::try_from(k).map_err(|_| Invalid { at })?;
                None
            }
            JMP_JEQ_K => Some(accumulator == k),
            JMP_JGT_K => Some(accumulator > k),
            JMP_JGE_K => Some(accumulator >= k),
            JMP_JSET_K => Some(accumulator & k != 0),
            _ => return Err(Invalid { at }),
        };
        at += 1 + match test {
            Some(true) => usize::from(instruction.jt),
            Some(false) => usize::from(instruction.jf),
            None => 0,
        };
    }
}

/// The number of a call as a filter sees it on an architecture, x32's with its bit.
#[must_use]
pub fn number(arch: SeccompArch, name: &str) -> Option<u32> {
    Abi::of(arch).number(Syscall::named(name)?)
}

/// The name of a call by its number as a filter sees it.
#[must_use]
pub fn name(arch: SeccompArch, number: u32) -> Option<&'static str> {
    let abi = Abi::of(arch);
    if arch == SeccompArch::X32 && number & X32_BIT == 0 {
        return None;
    }
    let mut all = Syscall::all();
    all.find(|&syscall| abi.number(syscall) == Some(number))
        .map(Syscall::name)
}
