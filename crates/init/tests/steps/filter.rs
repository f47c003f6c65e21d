//! Seccomp filters, and the memory given back before one is loaded.

use crate::harness::{Test, alone, tests};
use crate::scene::{perform, refused, set};
use kan_op::InitStep;
use kan_op::init::FilterInstruction;
use kan_sys::{Errno, Sysno, credentials, namespace};

pub const TESTS: &[Test] = &tests![
    crate::filter::a_loaded_filter_rules,
    crate::filter::a_filter_that_is_no_program_is_refused,
    crate::filter::dropped_pages_come_back,
];

const fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> FilterInstruction {
    FilterInstruction { code, jt, jf, k }
}

/// Answers EXDEV (18) to sethostname(2), which nothing else does, and allows all the rest.
fn no_hostname() -> InitStep {
    const LOAD_NUMBER: u16 = 0x20;
    const EQUAL: u16 = 0x15;
    const ANSWER: u16 = 0x06;
    let program = vec![
        instruction(LOAD_NUMBER, 0, 0, 0),
        instruction(EQUAL, 0, 1, Sysno::sethostname as u32),
        instruction(ANSWER, 0, 0, 0x0005_0000 | 18),
        instruction(ANSWER, 0, 0, 0x7fff_0000),
    ];
    InitStep::LoadFilter {
        program,
        flags: 0,
        listener: None,
    }
}

pub fn a_loaded_filter_rules() {
    alone(|| {
        set();
        assert_eq!(perform(&[InitStep::NoNewPrivileges, no_hostname()]), Ok(()));
        let answer = namespace::set_hostname(c"x").unwrap_err();
        assert_eq!(answer.errno, Errno::EXDEV);
    });
}

/// Without an answer at its end, a program is none.
pub fn a_filter_that_is_no_program_is_refused() {
    alone(|| {
        set();
        let program = vec![instruction(0x20, 0, 0, 0)];
        let step = InitStep::LoadFilter {
            program,
            flags: 0,
            listener: None,
        };
        let failed = perform(&[InitStep::NoNewPrivileges, step]);
        assert_eq!(failed, refused(1, Sysno::seccomp, Errno::EINVAL));
    });
}

/// Code and data are what they were.
pub fn dropped_pages_come_back() {
    alone(|| {
        set();
        let before = credentials::effective_uid();
        let text = String::from("kept on the heap");
        assert_eq!(perform(&[InitStep::DropPages]), Ok(()));
        assert_eq!(text, "kept on the heap");
        assert_eq!(credentials::effective_uid(), before);
    });
}
