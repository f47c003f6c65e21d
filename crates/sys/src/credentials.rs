//! Credentials: setresuid(2), setgroups(2), capset(2), prctl(2), keyctl(2).
//!
//! The calls act on the calling thread, as the kernel has it; kan has one.

use crate::Result;
use crate::call::{call, owned, ptr};
use core::ffi::CStr;
use linux_raw_sys::general::{__user_cap_data_struct, __user_cap_header_struct};
use linux_raw_sys::prctl::{
    PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, PR_CAP_AMBIENT_RAISE, PR_CAPBSET_DROP,
    PR_SET_KEEPCAPS, PR_SET_NO_NEW_PRIVS,
};
use rustix::fd::OwnedFd;

/// setresuid(2), all three to `uid`.
pub fn set_uid(uid: u32) -> Result<()> {
    // SAFETY: plain numbers.
    unsafe { call!(setresuid, uid, uid, uid).map(drop) }
}

/// setresgid(2), all three to `gid`.
pub fn set_gid(gid: u32) -> Result<()> {
    // SAFETY: plain numbers.
    unsafe { call!(setresgid, gid, gid, gid).map(drop) }
}

/// setgroups(2).
pub fn set_groups(groups: &[u32]) -> Result<()> {
    // SAFETY: the slice is readable for its length.
    unsafe { call!(setgroups, groups.len(), groups.as_ptr()).map(drop) }
}

/// geteuid(2).
pub fn effective_uid() -> u32 {
    // SAFETY: no arguments. The call cannot fail.
    unsafe { call!(geteuid).map_or(0, |uid| uid as u32) }
}

/// getegid(2).
pub fn effective_gid() -> u32 {
    // SAFETY: no arguments. The call cannot fail.
    unsafe { call!(getegid).map_or(0, |gid| gid as u32) }
}

/// prctl(2) PR_SET_KEEPCAPS: whether permitted capabilities survive leaving uid 0.
pub fn keep_capabilities(keep: bool) -> Result<()> {
    // SAFETY: plain numbers.
    unsafe { call!(prctl, PR_SET_KEEPCAPS, u32::from(keep), 0, 0, 0).map(drop) }
}

/// prctl(2) PR_CAPBSET_DROP: EINVAL for a capability the kernel does not know.
pub fn drop_bounding(capability: u32) -> Result<()> {
    // SAFETY: plain numbers.
    unsafe { call!(prctl, PR_CAPBSET_DROP, capability, 0, 0, 0).map(drop) }
}

/// capset(2), version 3: bit n of each set is capability n.
pub fn set_capabilities(effective: u64, permitted: u64, inheritable: u64) -> Result<()> {
    const LINUX_CAPABILITY_VERSION_3: u32 = 0x2008_0522;
    let header = __user_cap_header_struct {
        version: LINUX_CAPABILITY_VERSION_3,
        pid: 0,
    };
    let half = |shift: u32| __user_cap_data_struct {
        effective: (effective >> shift) as u32,
        permitted: (permitted >> shift) as u32,
        inheritable: (inheritable >> shift) as u32,
    };
    let data = [half(0), half(32)];
    // SAFETY: version 3 reads a header and two data structs, which outlive the call.
    unsafe { call!(capset, &raw const header, &raw const data).map(drop) }
}

/// prctl(2) PR_CAP_AMBIENT_CLEAR_ALL.
pub fn clear_ambient() -> Result<()> {
    // SAFETY: plain numbers.
    unsafe { call!(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0).map(drop) }
}

/// prctl(2) PR_CAP_AMBIENT_RAISE: EPERM unless it is both permitted and inheritable.
pub fn raise_ambient(capability: u32) -> Result<()> {
    // SAFETY: plain numbers.
    unsafe {
        call!(
            prctl,
            PR_CAP_AMBIENT,
            PR_CAP_AMBIENT_RAISE,
            capability,
            0,
            0
        )
        .map(drop)
    }
}

/// prctl(2) PR_SET_NO_NEW_PRIVS.
pub fn set_no_new_privileges() -> Result<()> {
    // SAFETY: plain numbers.
    unsafe { call!(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).map(drop) }
}

/// keyctl(2) KEYCTL_JOIN_SESSION_KEYRING: a new session keyring of this name; its id.
pub fn join_session_keyring(name: &CStr) -> Result<usize> {
    const KEYCTL_JOIN_SESSION_KEYRING: u32 = 1;
    // SAFETY: the name is a live C string.
    unsafe { call!(keyctl, KEYCTL_JOIN_SESSION_KEYRING, ptr(name), 0, 0, 0) }
}

/// keyctl(2) KEYCTL_SETPERM: a key's permission mask, keyctl_setperm(3).
pub fn set_key_permissions(key: usize, permissions: u32) -> Result<()> {
    const KEYCTL_SETPERM: u32 = 5;
    // SAFETY: plain numbers.
    unsafe { call!(keyctl, KEYCTL_SETPERM, key, permissions, 0, 0).map(drop) }
}

/// seccomp(2) SECCOMP_SET_MODE_FILTER with `flags`, SECCOMP_FILTER_FLAG_*: EACCES without
/// CAP_SYS_ADMIN and without [`set_no_new_privileges`].
///
/// # Safety
/// `program` points at `length` instructions, `struct sock_filter` of linux/filter.h.
#[unsafe(link_section = "kan_waiting")]
pub unsafe fn load_filter(
    program: *const u8,
    length: usize,
    flags: u32,
) -> Result<Option<OwnedFd>> {
    const SECCOMP_FILTER_FLAG_NEW_LISTENER: u32 = 1 << 3;
    const SECCOMP_SET_MODE_FILTER: u32 = 1;
    #[repr(C)]
    struct Program {
        length: u16,
        instructions: *const u8,
    }
    let program = Program {
        length: length as u16,
        instructions: program,
    };
    // SAFETY: promised by the caller; the structure outlives the call.
    let answer = unsafe { call!(seccomp, SECCOMP_SET_MODE_FILTER, flags, &raw const program) }?;
    let listens = flags & SECCOMP_FILTER_FLAG_NEW_LISTENER != 0;
    // SAFETY: with this flag the answer is a new descriptor, close-on-exec.
    Ok(listens.then(|| unsafe { owned(answer) }))
}

/// Whether the kernel knows all of these SECCOMP_FILTER_FLAG_*: it looks at them before the
/// program, which is missing here. Changes nothing.
pub fn knows_filter_flags(flags: u32) -> bool {
    const SECCOMP_SET_MODE_FILTER: u32 = 1;
    // SAFETY: the kernel copies a structure from address 0 and finds none.
    let answer = unsafe { call!(seccomp, SECCOMP_SET_MODE_FILTER, flags, 0) };
    answer.is_err_and(|error| error.errno == crate::Errno::EFAULT)
}
