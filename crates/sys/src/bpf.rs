//! eBPF programs: bpf(2).

use crate::Result;
use crate::call::{call, owned, raw};
use core::ffi::CStr;
use rustix::fd::{AsFd, OwnedFd};

/// One instruction, `struct bpf_insn` (linux/bpf.h).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Class, operation and source of the operand.
    pub code: u8,
    registers: u8,
    /// How many instructions to jump, or bytes from an address.
    pub offset: i16,
    /// The constant.
    pub immediate: i32,
}

impl Instruction {
    /// An instruction on these registers, each 0 to 10.
    #[must_use]
    pub const fn new(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Self {
        // Two bit fields of four bits, which C lays out from the low end or from the high end.
        let registers = if cfg!(target_endian = "little") {
            from << 4 | to & 0xf
        } else {
            to << 4 | from & 0xf
        };
        Self {
            code,
            registers,
            offset,
            immediate,
        }
    }

    /// The registers that it writes to and reads from.
    #[must_use]
    pub const fn registers(self) -> (u8, u8) {
        let (high, low) = (self.registers >> 4, self.registers & 0xf);
        if cfg!(target_endian = "little") {
            (low, high)
        } else {
            (high, low)
        }
    }
}

// linux/bpf.h; linux-raw-sys does not have it.
const BPF_PROG_LOAD: u32 = 5;
const BPF_PROG_ATTACH: u32 = 8;
const BPF_PROG_GET_FD_BY_ID: u32 = 13;
const BPF_OBJ_GET_INFO_BY_FD: u32 = 15;
const BPF_PROG_QUERY: u32 = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;
const BPF_F_REPLACE: u32 = 4;

/// The part of `union bpf_attr` that BPF_PROG_LOAD reads; the kernel takes the rest as zero.
#[repr(C)]
struct Load {
    program_type: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

/// The part of `union bpf_attr` that BPF_PROG_ATTACH reads.
#[repr(C)]
struct Attach {
    target: i32,
    program: i32,
    attach_type: u32,
    flags: u32,
    replaced: i32,
}

/// The part of `union bpf_attr` that BPF_PROG_QUERY reads, and writes the count of.
#[repr(C)]
struct Query {
    target: i32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    padding: u32,
}

/// The part of `union bpf_attr` that BPF_PROG_GET_FD_BY_ID reads.
#[repr(C)]
struct ById {
    id: u32,
    next: u32,
    flags: u32,
}

/// The part of `union bpf_attr` that BPF_OBJ_GET_INFO_BY_FD reads.
#[repr(C)]
struct InfoOf {
    program: i32,
    length: u32,
    info: u64,
}

/// The front of `struct bpf_prog_info`, up to the name.
#[repr(C)]
#[derive(Default)]
struct Info {
    before: [u64; 8],
    name: [u8; 16],
}

/// bpf(2) BPF_PROG_LOAD of a program that decides on device accesses
/// (BPF_PROG_TYPE_CGROUP_DEVICE). The name is for people who list programs, 15 bytes of it.
pub fn load_device_filter(program: &[Instruction], name: &[u8], license: &CStr) -> Result<OwnedFd> {
    let mut attributes = Load {
        program_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
        name: [0; 16],
    };
    for (to, from) in attributes.name.iter_mut().take(15).zip(name) {
        *to = *from;
    }
    let size = size_of::<Load>();
    // SAFETY: attributes, program and license outlive the call, with the sizes given.
    let program = unsafe { call!(bpf, BPF_PROG_LOAD, &raw const attributes, size) }?;
    // SAFETY: the result is ours.
    Ok(unsafe { owned(program) })
}

/// bpf(2) BPF_PROG_ATTACH to an open cgroup2 directory, beside the programs that are attached
/// there and above (BPF_F_ALLOW_MULTI): all of them have to allow an access. It stays until the
/// cgroup is removed. With `replaced`, one that is attached there, it takes the place of that
/// at once (BPF_F_REPLACE, Linux 5.6).
pub fn attach_device_filter(
    cgroup: impl AsFd,
    program: impl AsFd,
    replaced: Option<&OwnedFd>,
) -> Result<()> {
    let replace = if replaced.is_some() { BPF_F_REPLACE } else { 0 };
    let attributes = Attach {
        target: raw(&cgroup) as i32,
        program: raw(&program) as i32,
        attach_type: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI | replace,
        replaced: replaced.map_or(0, |fd| raw(fd) as i32),
    };
    let size = size_of::<Attach>();
    // SAFETY: the attributes outlive the call, with the size given.
    unsafe { call!(bpf, BPF_PROG_ATTACH, &raw const attributes, size).map(drop) }
}

/// bpf(2) BPF_PROG_QUERY: the ids of the device filters that are attached to an open cgroup2
/// directory itself, into `ids`; how many there are. More than fit is ENOSPC.
pub fn attached_device_filters(cgroup: impl AsFd, ids: &mut [u32]) -> Result<usize> {
    let mut attributes = Query {
        target: raw(&cgroup) as i32,
        attach_type: BPF_CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        ids: ids.as_mut_ptr() as u64,
        count: ids.len() as u32,
        padding: 0,
    };
    let size = size_of::<Query>();
    // SAFETY: attributes and ids outlive the call, with the sizes given.
    unsafe { call!(bpf, BPF_PROG_QUERY, &raw mut attributes, size) }?;
    Ok(attributes.count as usize)
}

/// bpf(2) BPF_PROG_GET_FD_BY_ID: a program that is loaded already.
pub fn program_by_id(id: u32) -> Result<OwnedFd> {
    let attributes = ById {
        id,
        next: 0,
        flags: 0,
    };
    let size = size_of::<ById>();
    // SAFETY: the attributes outlive the call, with the size given.
    let program = unsafe { call!(bpf, BPF_PROG_GET_FD_BY_ID, &raw const attributes, size) }?;
    // SAFETY: the result is ours.
    Ok(unsafe { owned(program) })
}

/// bpf(2) BPF_OBJ_GET_INFO_BY_FD: the name that a program was loaded with, padded with NULs.
pub fn program_name(program: impl AsFd) -> Result<[u8; 16]> {
    let mut info = Info::default();
    let attributes = InfoOf {
        program: raw(&program) as i32,
        length: size_of::<Info>() as u32,
        info: (&raw mut info) as u64,
    };
    let size = size_of::<InfoOf>();
    // SAFETY: attributes and info outlive the call, with the sizes given.
    unsafe { call!(bpf, BPF_OBJ_GET_INFO_BY_FD, &raw const attributes, size) }?;
    Ok(info.name)
}
