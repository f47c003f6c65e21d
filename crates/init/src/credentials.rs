//! Users, groups, capabilities, the working directory.

use crate::outcome::Step;
use core::ffi::CStr;
use kan_op::Flaw;
use kan_op::init::{FilterInstruction, Ids};
use kan_sys::fd::OwnedFd;
use kan_sys::{Errno, credentials, file};

/// The bits of a capability set, as numbers.
fn numbers(set: u64) -> impl Iterator<Item = u32> {
    (0..64).filter(move |capability| set >> capability & 1 == 1)
}

pub(crate) fn drop_bounding(drop: u64) -> Step {
    for capability in numbers(drop) {
        credentials::drop_bounding(capability)?;
    }
    Ok(())
}

/// Groups first, while it is still allowed; the capabilities survive leaving uid 0 only under
/// PR_SET_KEEPCAPS, capabilities(7).
pub(crate) fn set_ids(ids: &Ids) -> Step {
    // Root keeps them anyway.
    let leaves_root = ids.uid != 0;
    if leaves_root {
        credentials::keep_capabilities(true)?;
    }
    if let Some(groups) = &ids.groups {
        match credentials::set_groups(groups) {
            Err(error) if error.errno == Errno::EPERM && ids.groups_may_stay => {}
            other => other?,
        }
    }
    credentials::set_gid(ids.gid)?;
    credentials::set_uid(ids.uid)?;
    if leaves_root {
        credentials::keep_capabilities(false)?;
    }
    Ok(())
}

pub(crate) fn set_capabilities(effective: u64, permitted: u64, inheritable: u64) -> Step {
    Ok(credentials::set_capabilities(
        effective,
        permitted,
        inheritable,
    )?)
}

pub(crate) fn raise_ambient(capabilities: u64) -> Step {
    for (part, capability) in numbers(capabilities).enumerate() {
        credentials::raise_ambient(capability)
            .map_err(|error| crate::outcome::Stop::from(error).in_part(part))?;
    }
    Ok(())
}

/// Joins a new session keyring. It is no error if the kernel has no keys, or if a seccomp filter that
/// kan runs under refuses keyctl(2): there is then no keyring that the container could share.
pub(crate) fn new_keyring(name: &CStr) -> Step {
    const POSSESSOR_ALL: u32 = 0x3f00_0000;
    const USER_SEARCH_READ_VIEW: u32 = 0x000b_0000;
    match credentials::join_session_keyring(name) {
        Ok(key) => Ok(credentials::set_key_permissions(
            key,
            POSSESSOR_ALL | USER_SEARCH_READ_VIEW,
        )?),
        Err(error) if matches!(error.errno, Errno::ENOSYS | Errno::EPERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// seccomp(2); the listener, if the flags ask for one.
#[unsafe(link_section = "kan_waiting")]
pub(crate) fn load(
    program: &[FilterInstruction],
    flags: u32,
) -> Result<Option<OwnedFd>, crate::outcome::Stop> {
    let (instructions, length) = (program.as_ptr().cast(), program.len());
    // SAFETY: `FilterInstruction` has the kernel's layout.
    Ok(unsafe { credentials::load_filter(instructions, length, flags) }?)
}

/// A directory outside the root has a path that does not start with `/` (CVE-2024-21626).
pub(crate) fn lies_inside() -> Step {
    let mut buffer = [0; 4096];
    match file::current_directory(&mut buffer) {
        Ok(found) if found.first() == Some(&b'/') => Ok(()),
        Ok(_) => Err(Flaw::OutsideRoot.into()),
        Err(error) if error.errno == Errno::ENOENT => Err(Flaw::OutsideRoot.into()),
        Err(error) => Err(error.into()),
    }
}
