//! Whether kan has the rights of the host's root, or those of a user namespace.

use crate::Result;
use crate::error::with;
use crate::os::files::read_small;
use kan_sys::file;
use std::path::Path;
use std::sync::OnceLock;

/// Whether kan's user is root, and that of the host: root of a user namespace may not do what root
/// may. The first namespace maps every id to itself, user_namespaces(7).
pub(crate) fn is_host_root() -> Result<bool> {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return Ok(*known);
    }
    let is_root = kan_sys::credentials::effective_uid() == 0
        && (is_in_first_user_namespace() || maps_all_ids()?);
    Ok(*KNOWN.get_or_init(|| is_root))
}

/// The first user namespace has a fixed inode, `PROC_USER_INIT_INO` of Linux's proc_ns.h since 3.8;
/// `USER_NS_INIT_INO` of linux/nsfs.h since 6.18.
pub(crate) fn is_in_first_user_namespace() -> bool {
    const FIRST: u64 = 0xefff_fffd;
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| {
        file::status_of_path(c"/proc/self/ns/user").is_ok_and(|namespace| namespace.inode == FIRST)
    })
}

fn maps_all_ids() -> Result<bool> {
    let (path, mut buffer) = ("/proc/self/uid_map", [0; 4096]);
    let map = read_small(path, &mut buffer).map_err(with("read", Path::new(path)))?;
    let map = String::from_utf8_lossy(map);
    let numbers: Vec<_> = map.split_ascii_whitespace().collect();
    Ok(numbers == ["0", "0", "4294967295"])
}
