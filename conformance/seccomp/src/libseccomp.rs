//! libseccomp, used as runc uses it (libcontainer/seccomp), without the ENOSYS stub.

#![expect(unsafe_code, reason = "a C library")]

use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsRawFd, FromRawFd};

use kan_seccomp::Instruction;
use kan_spec::config::{SeccompArch, SeccompOperator, SeccompProfile, SyscallRule};

use crate::model::answer;

#[repr(C)]
#[derive(Clone, Copy)]
struct Comparison {
    arg: c_uint,
    op: c_uint,
    datum_a: u64,
    datum_b: u64,
}

unsafe extern "C" {
    fn seccomp_init(action: u32) -> *mut c_void;
    fn seccomp_release(filter: *mut c_void);
    fn seccomp_arch_add(filter: *mut c_void, arch: u32) -> c_int;
    fn seccomp_arch_remove(filter: *mut c_void, arch: u32) -> c_int;
    fn seccomp_arch_native() -> u32;
    fn seccomp_attr_set(filter: *mut c_void, attribute: c_uint, value: u32) -> c_int;
    fn seccomp_syscall_resolve_name(name: *const c_char) -> c_int;
    fn seccomp_syscall_resolve_name_arch(arch: u32, name: *const c_char) -> c_int;
    fn seccomp_syscall_resolve_num_arch(arch: u32, number: c_int) -> *mut c_char;
    fn seccomp_rule_add_array(
        filter: *mut c_void,
        action: u32,
        syscall: c_int,
        count: c_uint,
        comparisons: *const Comparison,
    ) -> c_int;
    fn seccomp_export_bpf(filter: *mut c_void, descriptor: c_int) -> c_int;
}

/// `SCMP_FLTATR_CTL_OPTIMIZE`.
const OPTIMIZE: c_uint = 8;
/// `BPF_RET | BPF_K`.
const RETURN: u16 = 0x06;
/// `__NR_SCMP_ERROR`.
const UNKNOWN: c_int = -1;

/// How libseccomp lays out the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One call after the other, those with few conditions first.
    Linear,
    /// A binary tree, which runc chooses from 33 rules on.
    Tree,
}

/// libseccomp's `SCMP_ARCH_*`, or `None` where version 2.5 has none.
#[must_use]
pub const fn token(arch: SeccompArch) -> Option<u32> {
    use SeccompArch as A;
    Some(match arch {
        A::X86 => 0x4000_0003,
        A::X86_64 => 0xc000_003e,
        A::X32 => 0x4000_003e,
        A::Arm => 0x4000_0028,
        A::Aarch64 => 0xc000_00b7,
        A::Mips => 0x0000_0008,
        A::Mips64 => 0x8000_0008,
        A::Mips64n32 => 0xa000_0008,
        A::Mipsel => 0x4000_0008,
        A::Mipsel64 => 0xc000_0008,
        A::Mipsel64n32 => 0xe000_0008,
        A::Ppc => 0x0000_0014,
        A::Ppc64 => 0x8000_0015,
        A::Ppc64le => 0xc000_0015,
        A::S390 => 0x0000_0016,
        A::S390x => 0x8000_0016,
        A::Parisc => 0x0000_000f,
        A::Parisc64 => 0x8000_000f,
        A::Riscv64 => 0xc000_00f3,
        A::Loongarch64 | A::M68k | A::Sh | A::Sheb => return None,
    })
}

/// The number of a call as libseccomp has it: negative if the architecture has none, `None` if it does
/// not know the name.
///
/// # Panics
/// If libseccomp does not know the architecture.
#[must_use]
pub fn number(arch: SeccompArch, name: &str) -> Option<i32> {
    let name = CString::new(name).ok()?;
    let token = token(arch).expect("an architecture of libseccomp");
    // SAFETY: the name is a C string that outlives the call.
    let number = unsafe { seccomp_syscall_resolve_name_arch(token, name.as_ptr()) };
    (number != UNKNOWN).then_some(number)
}

/// The name of a call as libseccomp has it.
///
/// # Panics
/// If libseccomp does not know the architecture.
#[must_use]
pub fn name(arch: SeccompArch, number: i32) -> Option<String> {
    let token = token(arch).expect("an architecture of libseccomp");
    // SAFETY: takes two numbers and returns null or a string of malloc(3).
    let name = unsafe { seccomp_syscall_resolve_num_arch(token, number) };
    if name.is_null() {
        return None;
    }
    // SAFETY: it is a C string, see above.
    let text = unsafe { std::ffi::CStr::from_ptr(name) }
        .to_string_lossy()
        .into_owned();
    // SAFETY: it is freed once and not used after that.
    unsafe { libc::free(name.cast()) };
    Some(text)
}

/// Whether libseccomp can be asked about a name on all of these architectures: it has the same
/// numbers, and finds the name again from the number on its own architecture, as it does to
/// translate a rule. Where calls are multiplexed it has no numbers for them by design. In its linear
/// layout 2.5.4 forgets to load the number if the first call is one that the architecture lacks.
#[must_use]
pub fn known_alike(architectures: &[SeccompArch], layout: Layout, name: &str) -> bool {
    let own = self::number(SeccompArch::X86_64, name);
    let found = own.and_then(|own| self::name(SeccompArch::X86_64, own));
    found.as_deref() == Some(name)
        && architectures.iter().all(|&arch| {
            let ours = kan_seccomp::number(arch, name).map(|number| number.cast_signed());
            match self::number(arch, name) {
                None => false,
                Some(multiplexed) if (-300..=-100).contains(&multiplexed) => {
                    layout == Layout::Tree || ours.is_some()
                }
                Some(absent) if absent < 0 => layout == Layout::Tree && ours.is_none(),
                same => same == ours,
            }
        })
}

/// A filter under construction.
struct Context(*mut c_void);

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the pointer came from seccomp_init and is released once.
        unsafe { seccomp_release(self.0) };
    }
}

/// What libseccomp makes of a profile for these architectures.
///
/// # Errors
/// The negative errno with which it refuses a rule, -EEXIST for contradicting ones.
///
/// # Panics
/// If libseccomp does not work at all.
pub fn compile(
    profile: &SeccompProfile,
    architectures: &[SeccompArch],
    layout: Layout,
) -> Result<Vec<Instruction>, i32> {
    let default = answer(profile.default_action, profile.default_errno_ret);
    // SAFETY: the pointer is checked, and released by Context.
    let context = Context(unsafe { seccomp_init(default) });
    assert!(!context.0.is_null(), "seccomp_init");
    choose_architectures(&context, architectures);
    if layout == Layout::Tree {
        // SAFETY: the context is alive.
        assert_eq!(unsafe { seccomp_attr_set(context.0, OPTIMIZE, 2) }, 0);
    }
    for rule in &profile.syscalls {
        let action = answer(rule.action, rule.errno_ret);
        if action != default {
            add(&context, rule, action)?;
        }
    }
    let mut answers = vec![default, 0];
    answers.extend(
        profile
            .syscalls
            .iter()
            .map(|rule| answer(rule.action, rule.errno_ret)),
    );
    let big_endian = token(architectures[0]).is_some_and(|token| token & 0x4000_0000 == 0);
    let mut program = export(&context, big_endian);
    for instruction in program.iter_mut().filter(|one| one.code == RETURN) {
        // Where it doubles a return for the other byte order, 2.5 swaps its bytes twice
        // (_gen_bpf_build_jmp_ret).
        if !answers.contains(&instruction.k) && answers.contains(&instruction.k.swap_bytes()) {
            instruction.k = instruction.k.swap_bytes();
        }
    }
    Ok(program)
}

/// libseccomp begins with the native architecture, which goes if it is not wanted.
fn choose_architectures(context: &Context, architectures: &[SeccompArch]) {
    // SAFETY: takes nothing.
    let native = unsafe { seccomp_arch_native() };
    let tokens: Vec<_> = architectures
        .iter()
        .filter_map(|&arch| token(arch))
        .collect();
    assert_eq!(
        tokens.len(),
        architectures.len(),
        "architectures of libseccomp"
    );
    if !tokens.contains(&native) {
        // SAFETY: the context is alive.
        assert_eq!(unsafe { seccomp_arch_remove(context.0, native) }, 0);
    }
    for token in tokens.into_iter().filter(|&token| token != native) {
        // SAFETY: the context is alive.
        let status = unsafe { seccomp_arch_add(context.0, token) };
        assert_eq!(status, 0, "{token:#x}");
    }
}

fn add(context: &Context, rule: &SyscallRule, action: u32) -> Result<(), i32> {
    let compare = |arg: &kan_spec::config::SeccompArg| Comparison {
        arg: arg.index,
        op: operator(arg.op),
        datum_a: arg.value,
        datum_b: arg.value_two,
    };
    let all: Vec<_> = rule.args.iter().map(compare).collect();
    let twice = |one: &Comparison| all.iter().filter(|other| other.arg == one.arg).count() > 1;
    let separate = all.iter().any(twice);
    for name in &rule.names {
        let name = CString::new(name.as_str()).expect("no NUL in a name");
        // SAFETY: the name is a C string that outlives the call.
        let number = unsafe { seccomp_syscall_resolve_name(name.as_ptr()) };
        if number == UNKNOWN {
            continue;
        }
        let parts: Vec<&[Comparison]> = if separate {
            all.chunks(1).collect()
        } else {
            vec![all.as_slice()]
        };
        for part in parts {
            let count = c_uint::try_from(part.len()).expect("few arguments");
            // SAFETY: the context is alive, and the array has `count` elements.
            let status =
                unsafe { seccomp_rule_add_array(context.0, action, number, count, part.as_ptr()) };
            if status != 0 {
                return Err(status);
            }
        }
    }
    Ok(())
}

/// `enum scmp_compare`.
const fn operator(op: SeccompOperator) -> c_uint {
    match op {
        SeccompOperator::Ne => 1,
        SeccompOperator::Lt => 2,
        SeccompOperator::Le => 3,
        SeccompOperator::Eq => 4,
        SeccompOperator::Ge => 5,
        SeccompOperator::Gt => 6,
        SeccompOperator::MaskedEq => 7,
    }
}

/// The program, which libseccomp writes in the byte order of the architecture.
fn export(context: &Context, big_endian: bool) -> Vec<Instruction> {
    // SAFETY: the name is a C string.
    let descriptor = unsafe { libc::memfd_create(c"filter".as_ptr(), libc::MFD_CLOEXEC) };
    assert!(descriptor >= 0, "memfd_create");
    // SAFETY: the descriptor is new and nobody else's.
    let mut file = unsafe { File::from_raw_fd(descriptor) };
    // SAFETY: the context is alive and the descriptor open.
    let status = unsafe { seccomp_export_bpf(context.0, file.as_raw_fd()) };
    assert_eq!(status, 0, "seccomp_export_bpf");
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| file.read_to_end(&mut bytes))
        .expect("a file in memory");
    let instruction = |bytes: &[u8]| {
        let code = [bytes[0], bytes[1]];
        let k = [bytes[4], bytes[5], bytes[6], bytes[7]];
        Instruction {
            code: if big_endian {
                u16::from_be_bytes(code)
            } else {
                u16::from_le_bytes(code)
            },
            jt: bytes[2],
            jf: bytes[3],
            k: if big_endian {
                u32::from_be_bytes(k)
            } else {
                u32::from_le_bytes(k)
            },
        }
    };
    bytes.chunks_exact(8).map(instruction).collect()
}
