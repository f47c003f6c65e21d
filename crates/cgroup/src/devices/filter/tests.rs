use super::super::model::{Asked, NUMBERS, Random, allowed, every_access, rules};
use super::*;

/// Runs a program as the kernel would. It panics where the kernel would refuse it: at unknown
/// instructions, at registers that were never written, and past the end.
fn run(program: &[Instruction], asked: &Asked) -> u64 {
    let kind = if asked.block { 1 } else { 2 };
    let context = [
        u32::from(asked.access) << 16 | kind,
        asked.major,
        asked.minor,
    ];
    let mut registers: [Option<u64>; 11] = [None; 11];
    let mut at = 0_usize;
    for _ in 0..=program.len() {
        let i = program[at];
        at += 1;
        let (to, from) = i.registers();
        let (to, from) = (usize::from(to), usize::from(from));
        // Arithmetic and jumps on 32 bits; a result has zeroes above.
        let constant = i.immediate.cast_unsigned();
        let low =
            |register: usize| u32::try_from(registers[register].unwrap() & 0xffff_ffff).unwrap();
        let long = |register: usize| registers[register].unwrap();
        let result = match i.code {
            LOAD_WORD => {
                assert_eq!(from, 1, "the context");
                Some(u64::from(context[usize::try_from(i.offset).unwrap() / 4]))
            }
            MOVE => Some(u64::from(constant)),
            MOVE_REGISTER => Some(u64::from(low(from))),
            AND => Some(u64::from(low(to) & constant)),
            SHIFT_RIGHT => Some(u64::from(low(to) >> constant)),
            SHIFT_LEFT => Some(u64::from(low(to) << constant)),
            SHIFT_LEFT_LONG => Some(long(to) << constant),
            SHIFT_RIGHT_LONG => Some(long(to) >> constant),
            SUBTRACT => Some(long(to).wrapping_sub(u64::from(constant))),
            OR_REGISTER => Some(long(to) | long(from)),
            DIFFERENCE => Some(long(to) ^ long(from)),
            MOVE_LONG => {
                let upper = program[at];
                at += 1;
                assert_eq!(
                    (upper.code, upper.registers(), upper.offset),
                    (0, (0, 0), 0)
                );
                let upper = u64::from(upper.immediate.cast_unsigned());
                Some(upper << 32 | u64::from(constant))
            }
            _ => None,
        };
        if result.is_some() {
            registers[to] = result;
            continue;
        }
        let jumps = match i.code {
            JUMP => true,
            JUMP_IF_NOT => low(to) != constant,
            JUMP_IF_ANY => low(to) & constant != 0,
            JUMP_IF_OTHER => long(to) != long(from),
            EXIT => return registers[0].unwrap(),
            other => panic!("unknown instruction {other:#x}"),
        };
        if jumps {
            // Only forward, so that every program ends.
            at += usize::try_from(i.offset).unwrap();
        }
    }
    panic!("no end");
}

/// A major number has 12 bits.
fn agree(rules: &[DeviceRule]) {
    let program = program(rules);
    for asked in every_access().filter(|asked| asked.major < 1 << 12) {
        let wanted = u64::from(allowed(rules, &asked));
        assert_eq!(run(&program, &asked), wanted, "{asked:?} {rules:#?}");
    }
}

/// Every instruction can be reached: the kernel refuses the program otherwise.
fn reachable(program: &[Instruction]) -> bool {
    let mut reached = vec![false; program.len() + 1];
    reached[0] = true;
    for (at, i) in program.iter().enumerate() {
        if !reached[at] || i.code == EXIT {
            continue;
        }
        if matches!(i.code, JUMP | JUMP_IF_NOT | JUMP_IF_ANY | JUMP_IF_OTHER) {
            reached[at + 1 + usize::try_from(i.offset).unwrap()] = true;
        }
        reached[at + 1] |= i.code != JUMP;
    }
    reached[..program.len()].iter().all(|reached| *reached) && !reached[program.len()]
}

#[test]
fn the_filter_agrees_with_the_model_on_random_lists() {
    let mut random = Random(1, &NUMBERS);
    for _ in 0..4_000 {
        agree(&random.rules());
    }
}

#[test]
fn no_part_of_a_filter_is_unreachable() {
    let mut random = Random(2, &NUMBERS);
    for _ in 0..4_000 {
        let rules = random.rules();
        assert!(reachable(&program(&rules)), "{rules:#?}");
    }
}

#[test]
fn what_no_rule_speaks_of_is_allowed() {
    agree(&[]);
    let asked = Asked {
        block: true,
        major: 8,
        minor: 0,
        access: 7,
    };
    assert_eq!(run(&program(&[]), &asked), 1);
    assert_eq!(run(&program(&rules(&["deny a *:* rwm"])), &asked), 0);
}

#[test]
fn reading_and_writing_may_be_allowed_by_different_rules() {
    let rules = rules(&["deny a *:* rwm", "allow c 1:* r", "allow c *:3 w"]);
    let asked = |minor, access| Asked {
        block: false,
        major: 1,
        minor,
        access,
    };
    let answers = [(3, 6), (3, 7), (4, 2), (4, 6)]
        .map(|(minor, access)| run(&program(&rules), &asked(minor, access)));
    assert_eq!(answers, [1, 0, 1, 0]);
}

#[test]
fn rules_that_later_ones_override_cost_nothing() {
    let short = rules(&["deny a *:* rwm", "allow c 1:3 rwm"]);
    let long = rules(&[
        "allow c 1:5 rw",
        "deny c 1:3 m",
        "deny a *:* rwm",
        "allow c 1:3 r",
        "allow c 1:3 rwm",
    ]);
    assert_eq!(program(&long), program(&short));
}

/// The kind lies above the bits that a major number can have.
#[test]
fn a_major_number_that_cannot_be_is_not_taken_for_a_kind() {
    let list = format!("allow b {}:3 rwm", 1 << 30 | 1);
    let asked = Asked {
        block: true,
        major: 1,
        minor: 3,
        access: 2,
    };
    let program = program(&rules(&["deny a *:* rwm", &list]));
    assert_eq!(run(&program, &asked), 0);
}
