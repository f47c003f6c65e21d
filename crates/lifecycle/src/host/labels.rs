//! Which security modules are at work: proc_pid_attr(5), apparmor(7), selinux(8).

use kan_plan::AppArmor;
use kan_sys::file::{self, O_DIRECTORY, O_PATH};

/// SELINUX_MAGIC, linux/magic.h.
const SELINUX_MAGIC: i64 = 0xf97c_ff8c;

/// As runc asks: the module's own parameter; and whether kan is under a profile already.
pub(crate) fn apparmor() -> AppArmor {
    let enabled = std::fs::read("/sys/module/apparmor/parameters/enabled");
    if !enabled.is_ok_and(|text| text.first() == Some(&b'Y')) {
        return AppArmor::Absent;
    }
    match std::fs::read_to_string("/proc/self/attr/apparmor/current") {
        Ok(label) if label.trim_end() != "unconfined" => AppArmor::Confined,
        _ => AppArmor::Unconfined,
    }
}

/// Its file system is mounted at the place where policy loaders put it.
pub(crate) fn selinux() -> bool {
    let opened = file::open(c"/sys/fs/selinux", O_PATH | O_DIRECTORY, 0);
    opened.is_ok_and(|directory| {
        kan_sys::mount::filesystem_magic(&directory).is_ok_and(|magic| magic == SELINUX_MAGIC)
    })
}
